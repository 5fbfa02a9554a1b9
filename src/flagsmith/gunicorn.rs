//! Which Gunicorn settings a container runs with: what its release obeys of its command line and its environment.
//!
//! Precedence from 2.170.0 on: flags between `start` and its sub-command, then variables, then defaults
//! (flagsmith-common, `gunicorn/utils.py`). Up to 2.252.x the image's `run-docker.sh` turned variables into flags for
//! `serve`; since 2.253.0 nothing does, and nothing reads `GUNICORN_KEEP_ALIVE`. `GUNICORN_CMD_ARGS` is not read from
//! 2.170.0 on. Both come back with flagsmith-common 3.15.1, which no release up to `LAST_KNOWN` has.

use super::{Release, env};
use crate::flagsmith::WorkerClass;

/// The first release whose image starts `flagsmith` without a script.
const WITHOUT_SCRIPT: Release = Release::new(2, 253, 0);

/// The newest release that is known not to obey `GUNICORN_KEEP_ALIVE` and `GUNICORN_CMD_ARGS`.
const LAST_KNOWN: Release = Release::new(2, 273, 0);

/// Gunicorn's own defaults, in seconds (Gunicorn 23).
const TIMEOUT: i32 = 30;
const GRACEFUL_TIMEOUT: i32 = 30;
const KEEP_ALIVE: i32 = 2;

/// What is known of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<'a> {
    /// Its value.
    Value(&'a str),
    /// It is not set.
    Unset,
    /// It is set, or may be, by something that is not read: a Secret.
    Unseen,
}

/// Settings as they take effect. `None` is one that is not known: a Secret may set it, or it is not known whether
/// the release obeys what is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gunicorn {
    /// `--timeout`, in seconds.
    pub timeout: Option<i32>,
    /// `--keep-alive`, in seconds.
    pub keep_alive: Option<i32>,
    /// `--graceful-timeout`, in seconds.
    pub graceful_timeout: Option<i32>,
    /// Worker processes.
    pub workers: Option<i32>,
    /// Threads of each.
    pub threads: Option<i32>,
    /// `--worker-class`, where it is set.
    pub worker_class: Option<String>,
    /// Variables that are set and not obeyed, with their values.
    pub ignored: Vec<(&'static str, String)>,
    /// Flags and obeyed variables that are set, by the flag's name: what somebody has chosen.
    pub chosen: Vec<&'static str>,
    /// The image's script turns variables into flags.
    pub by_script: bool,
    /// The flags before the sub-command.
    flags: Vec<(String, String)>,
}

/// A setting that is a number: its flags, the long one first, and its variable.
const NUMBERS: [(&[&str], Option<&str>); 5] = [
    (&["--timeout", "-t"], Some(env::GUNICORN_TIMEOUT)),
    (&["--keep-alive"], Some(env::GUNICORN_KEEP_ALIVE)),
    (&["--graceful-timeout"], None),
    (&["--workers", "-w"], Some(env::GUNICORN_WORKERS)),
    (&["--threads"], Some(env::GUNICORN_THREADS)),
];

impl Gunicorn {
    /// The settings of a container with this command line, of a release, in an environment.
    #[must_use]
    pub fn of<'a>(
        release: Option<Release>,
        command: &[String],
        variable: impl Fn(&str) -> Setting<'a>,
    ) -> Self {
        let flags = flags(command);
        let flag = |names: &[&str]| {
            let known = flags.iter().rev().find(|(name, _)| names.contains(&name.as_str()));
            known.map(|(_, value)| value.as_str())
        };
        let started = command.iter().any(|word| word == "start");
        let old = release.is_some_and(|release| release < WITHOUT_SCRIPT);
        let by_script = !started && old;
        // Without the script's flags, and before the image set them, Flagsmith's own default is one of each.
        let alone = started && old;
        let known = release.is_some_and(|release| release <= LAST_KNOWN);
        let obeyed = |name: &str| match name {
            env::GUNICORN_KEEP_ALIVE if by_script => Some(true),
            env::GUNICORN_KEEP_ALIVE | env::GUNICORN_CMD_ARGS if known => Some(false),
            env::GUNICORN_KEEP_ALIVE | env::GUNICORN_CMD_ARGS => None,
            _ => Some(true),
        };
        // On a release that is not known it may say anything that no flag says.
        let open =
            obeyed(env::GUNICORN_CMD_ARGS).is_none() && variable(env::GUNICORN_CMD_ARGS) != Setting::Unset;
        let defaults =
            [TIMEOUT, KEEP_ALIVE, GRACEFUL_TIMEOUT, if alone { 1 } else { 3 }, if alone { 1 } else { 2 }];
        let mut chosen = Vec::new();
        let values = std::array::from_fn::<_, 5, _>(|index| {
            let ((names, name), default) = (NUMBERS.get(index)?, *defaults.get(index)?);
            let long = *names.first()?;
            if let Some(number) = number(flag(names)) {
                chosen.push(long);
                return Some(number);
            }
            if open {
                return None;
            }
            let Some(name) = name else {
                return Some(default);
            };
            match (variable(name), obeyed(name)) {
                (Setting::Unset, _) | (_, Some(false)) => Some(default),
                (Setting::Value(text), Some(true)) => {
                    chosen.push(long);
                    Some(number_of(text).unwrap_or(default))
                }
                _ => None,
            }
        });
        let [timeout, keep_alive, graceful_timeout, workers, threads] = values;
        let ignored = [env::GUNICORN_KEEP_ALIVE, env::GUNICORN_CMD_ARGS]
            .into_iter()
            .filter(|name| obeyed(name) == Some(false))
            .filter_map(|name| match variable(name) {
                Setting::Value(value) => Some((name, value.to_owned())),
                _ => None,
            });
        Self {
            timeout,
            keep_alive,
            graceful_timeout,
            workers,
            threads,
            worker_class: flag(&["--worker-class", "-k"]).map(str::to_owned),
            ignored: ignored.collect(),
            chosen,
            by_script,
            flags,
        }
    }

    /// How requests are handled, where that is known: several threads make `gthread` of `sync`.
    #[must_use]
    pub fn regime(&self) -> Option<WorkerClass> {
        match self.worker_class.as_deref() {
            Some("gthread") => Some(WorkerClass::Threaded),
            _ => self.threads.map(WorkerClass::of),
        }
    }

    /// Whether somebody has set it, in contrast to the default of the image.
    #[must_use]
    pub fn is_chosen(&self, flag: &str) -> bool {
        self.chosen.contains(&flag)
    }

    /// Whether it is a flag on the command line.
    #[must_use]
    pub fn has_flag(&self, flag: &str) -> bool {
        let names = NUMBERS.iter().find(|(names, _)| names.contains(&flag));
        let names = names.map_or(&[][..], |(names, _)| *names);
        self.flags.iter().any(|(name, _)| names.contains(&name.as_str()))
    }

    /// The arguments of `flagsmith` that start the API as it is, but with these flags.
    #[must_use]
    pub fn start(&self, with: &[(&str, String)]) -> Vec<String> {
        let mut flags: Vec<(&str, String)> =
            self.flags.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        // What the script turns into flags is not turned any more.
        if self.by_script {
            for (name, value) in [
                ("--timeout", self.timeout),
                ("--keep-alive", self.keep_alive),
                ("--workers", self.workers),
                ("--threads", self.threads),
            ] {
                flags.extend(value.map(|value| (name, value.to_string())));
            }
        }
        // Heartbeats on a disk that stalls look like a hung worker; /dev/shm is memory.
        if self.flags.is_empty() {
            flags.push(("--worker-tmp-dir", "/dev/shm".to_owned()));
        }
        for (name, value) in with {
            match flags.iter_mut().find(|(known, _)| known == name) {
                Some(flag) => flag.1.clone_from(value),
                None => flags.push((name, value.clone())),
            }
        }
        let flags = flags.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        std::iter::once("start".to_owned()).chain(flags).chain(std::iter::once("api".to_owned())).collect()
    }
}

fn number(text: Option<&str>) -> Option<i32> {
    text.and_then(number_of)
}

fn number_of(text: &str) -> Option<i32> {
    text.trim().parse().ok()
}

/// The flags between `start` and its sub-command: `--name value` or `--name=value`.
fn flags(command: &[String]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut words = command.iter().map(String::as_str).skip_while(|word| *word != "start").skip(1);
    while let Some(word) = words.next() {
        match word.split_once('=') {
            _ if !word.starts_with('-') => break,
            Some((name, value)) => found.push((name.to_owned(), value.to_owned())),
            None => found.extend(words.next().map(|value| (word.to_owned(), value.to_owned()))),
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
                .map_or(Setting::Unset, |(_, value)| Setting::Value(value))
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
        assert_eq!(found.ignored.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ignored);
    }

    #[test]
    fn flags_stand_before_the_sub_command_only() {
        let found = of(
            "2.265.0",
            &["flagsmith", "start", "--timeout=60", "-w", "4", "api", "--threads", "9"],
            &[("GUNICORN_WORKERS", "7"), ("GUNICORN_THREADS", "5"), ("GUNICORN_CMD_ARGS", "--timeout 9")],
        );
        assert_eq!((found.timeout, found.workers, found.threads), (Some(60), Some(4), Some(5)));
        assert_eq!(found.ignored, [("GUNICORN_CMD_ARGS", "--timeout 9".to_owned())]);
    }

    #[rstest]
    #[case("2.265.0", &["serve"], [3, 2, 30, 2, 30])]
    #[case("2.250.0", &["serve"], [3, 2, 30, 2, 30])]
    #[case("2.250.0", &["flagsmith", "start", "api"], [1, 1, 30, 2, 30])]
    fn defaults(#[case] release: &str, #[case] command: &[&str], #[case] expected: [i32; 5]) {
        let it = of(release, command, &[]);
        let found = [it.workers, it.threads, it.timeout, it.keep_alive, it.graceful_timeout];
        assert_eq!((found, it.chosen), (expected.map(Some), Vec::new()));
    }

    /// A Secret behind envFrom may set anything that no flag sets and that the release reads.
    #[test]
    fn what_a_secret_may_set_is_not_known() {
        let command = ["start", "--timeout", "60", "api"].map(str::to_owned);
        let found = Gunicorn::of("2.265.0".parse().ok(), &command, |_| Setting::Unseen);
        assert_eq!((found.timeout, found.workers, found.threads), (Some(60), None, None));
        assert_eq!(
            (found.keep_alive, found.graceful_timeout),
            (Some(2), Some(30)),
            "no variable sets them in this release"
        );
        let found = Gunicorn::of("2.300.0".parse().ok(), &command, |_| Setting::Unseen);
        assert_eq!((found.timeout, found.keep_alive, found.graceful_timeout), (Some(60), None, None));
    }

    #[rstest]
    #[case("2.265.0", &["serve"], "start --worker-tmp-dir /dev/shm --keep-alive 65 api")]
    #[case("2.265.0", &["flagsmith", "start", "--timeout=60", "--keep-alive", "5", "api"], "start --timeout 60 --keep-alive 65 api")]
    #[case("2.250.0", &["serve"], "start --timeout 30 --keep-alive 65 --workers 3 --threads 2 --worker-tmp-dir /dev/shm api")]
    fn starts_with_other_flags(#[case] release: &str, #[case] command: &[&str], #[case] expected: &str) {
        let arguments = of(release, command, &[]).start(&[("--keep-alive", "65".to_owned())]);
        assert_eq!(arguments.join(" "), expected);
    }
}
