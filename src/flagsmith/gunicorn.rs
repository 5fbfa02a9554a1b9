//! Which Gunicorn settings a container runs with: what its release obeys of its command line and its environment.
//!
//! Precedence from 2.170.0 on: flags between `start` and its sub-command, then variables, then defaults
//! (flagsmith-common, `gunicorn/utils.py`). Up to 2.252.x the image's `run-docker.sh` turned variables into flags for
//! `serve`; since 2.253.0 nothing does, and `GUNICORN_KEEP_ALIVE` is read by nobody. `GUNICORN_CMD_ARGS` is not read from
//! 2.170.0 on. Both come back with flagsmith-common 3.15.1, which no release up to [`LAST_KNOWN`] has.

use super::Release;

/// The first release whose image starts `flagsmith` without a script.
const WITHOUT_SCRIPT: Release = Release::new(2, 253, 0);

/// The newest release that is known not to obey `GUNICORN_KEEP_ALIVE` and `GUNICORN_CMD_ARGS`.
const LAST_KNOWN: Release = Release::new(2, 273, 0);

/// Gunicorn's own defaults, in seconds (Gunicorn 23).
const TIMEOUT: i32 = 30;
const GRACEFUL_TIMEOUT: i32 = 30;
const KEEP_ALIVE: i32 = 2;

/// Settings as they take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gunicorn {
    /// `--timeout`, in seconds.
    pub timeout: i32,
    /// `--keep-alive`, in seconds; `None` where it is not known whether the release obeys what is set.
    pub keep_alive: Option<i32>,
    /// `--graceful-timeout`, in seconds.
    pub graceful_timeout: i32,
    /// Worker processes.
    pub workers: i32,
    /// Threads of each.
    pub threads: i32,
    /// `--worker-class`, where it is set.
    pub worker_class: Option<String>,
    /// Variables that are set and not obeyed, with their values.
    pub ignored: Vec<(&'static str, String)>,
}

impl Gunicorn {
    /// The settings of a container with this command line, of a release, in an environment.
    #[must_use]
    pub fn of<'a>(
        release: Option<Release>,
        command: &[String],
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Self {
        let flags = flags(command);
        let flag = |names: &[&str]| {
            flags
                .iter()
                .rev()
                .find(|(name, _)| names.contains(name))
                .map(|(_, value)| *value)
        };
        let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<i32>().ok());
        let started = command.iter().any(|word| word == "start");
        let by_script = !started && release.is_some_and(|release| release < WITHOUT_SCRIPT);
        // Without the script's flags, and before the image set them, Flagsmith's own default is one of each.
        let alone = started && release.is_some_and(|release| release < WITHOUT_SCRIPT);
        let known = release.is_some_and(|release| release <= LAST_KNOWN);
        let keep_alive_variable = variable("GUNICORN_KEEP_ALIVE");
        let keep_alive = match (number(flag(&["--keep-alive"])), keep_alive_variable) {
            (Some(seconds), _) => Some(seconds),
            (None, None) => Some(KEEP_ALIVE),
            (None, value) if by_script => number(value),
            (None, Some(_)) if known => Some(KEEP_ALIVE),
            (None, Some(_)) => None,
        };
        let mut ignored = Vec::new();
        if let Some(value) = keep_alive_variable
            && known
            && !by_script
        {
            ignored.push(("GUNICORN_KEEP_ALIVE", value.to_owned()));
        }
        if let Some(value) = variable("GUNICORN_CMD_ARGS")
            && known
        {
            ignored.push(("GUNICORN_CMD_ARGS", value.to_owned()));
        }
        let counted = |names: &[&str], name: &str, default: i32| {
            number(flag(names))
                .or_else(|| number(variable(name)))
                .unwrap_or(default)
        };
        Self {
            timeout: counted(&["--timeout", "-t"], "GUNICORN_TIMEOUT", TIMEOUT),
            keep_alive,
            graceful_timeout: number(flag(&["--graceful-timeout"])).unwrap_or(GRACEFUL_TIMEOUT),
            workers: counted(
                &["--workers", "-w"],
                "GUNICORN_WORKERS",
                if alone { 1 } else { 3 },
            ),
            threads: counted(&["--threads"], "GUNICORN_THREADS", if alone { 1 } else { 2 }),
            worker_class: flag(&["--worker-class", "-k"]).map(str::to_owned),
            ignored,
        }
    }
}

/// The flags between `start` and its sub-command: `--name value` or `--name=value`.
fn flags(command: &[String]) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut words = command
        .iter()
        .map(String::as_str)
        .skip_while(|word| *word != "start")
        .skip(1);
    while let Some(word) = words.next() {
        match word.split_once('=') {
            _ if !word.starts_with('-') => break,
            Some(pair) => found.push(pair),
            None => found.extend(words.next().map(|value| (word, value))),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn of(release: &str, command: &[&str], environment: &[(&str, &str)]) -> Gunicorn {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        Gunicorn::of(release.parse().ok(), &command, |name| {
            environment
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        })
    }

    #[rstest]
    #[case::script_obeys("2.250.0", &["serve"], Some(75), &[])]
    #[case::start_does_not("2.250.0", &["flagsmith", "start", "api"], Some(2), &["GUNICORN_KEEP_ALIVE"])]
    #[case::regression("2.256.1", &["serve"], Some(2), &["GUNICORN_KEEP_ALIVE"])]
    #[case::flag("2.256.1", &["start", "--keep-alive", "65", "api"], Some(65), &["GUNICORN_KEEP_ALIVE"])]
    #[case::not_known("2.300.0", &["serve"], None, &[])]
    #[case::no_release("latest", &["serve"], None, &[])]
    fn keep_alive_by_variable(
        #[case] release: &str,
        #[case] command: &[&str],
        #[case] expected: Option<i32>,
        #[case] ignored: &[&str],
    ) {
        let found = of(release, command, &[("GUNICORN_KEEP_ALIVE", "75")]);
        assert_eq!(found.keep_alive, expected);
        assert_eq!(
            found.ignored.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ignored
        );
    }

    #[test]
    fn flags_stand_before_the_sub_command_only() {
        let found = of(
            "2.265.0",
            &[
                "flagsmith",
                "start",
                "--timeout=60",
                "-w",
                "4",
                "api",
                "--threads",
                "9",
            ],
            &[
                ("GUNICORN_WORKERS", "7"),
                ("GUNICORN_THREADS", "5"),
                ("GUNICORN_CMD_ARGS", "--timeout 9"),
            ],
        );
        assert_eq!((found.timeout, found.workers, found.threads), (60, 4, 5));
        assert_eq!(found.ignored, [("GUNICORN_CMD_ARGS", "--timeout 9".to_owned())]);
    }

    #[rstest]
    #[case("2.265.0", &["serve"], (3, 2, 30, Some(2), 30))]
    #[case("2.250.0", &["serve"], (3, 2, 30, Some(2), 30))]
    #[case("2.250.0", &["flagsmith", "start", "api"], (1, 1, 30, Some(2), 30))]
    fn defaults(
        #[case] release: &str,
        #[case] command: &[&str],
        #[case] expected: (i32, i32, i32, Option<i32>, i32),
    ) {
        let it = of(release, command, &[]);
        assert_eq!(
            (
                it.workers,
                it.threads,
                it.timeout,
                it.keep_alive,
                it.graceful_timeout
            ),
            expected
        );
    }
}
