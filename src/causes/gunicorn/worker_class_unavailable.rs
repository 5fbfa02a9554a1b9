//! The worker class is not in the image.

use super::shared::running::Running;
use crate::causes::{log::failure::unquote, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[Explains::same_component(consequences::WITHOUT_START)],
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("worker_class_unavailable.md"))
};

/// What Gunicorn has without further packages; Flagsmith's images install none.
const INCLUDED: &[&str] = &["sync", "gthread"];

static LOG: Plain = Plain {
    precedence: 110,
    words: &["class uri ", " worker requires "],
    recognise,
    explain: explain_log,
    is_over: None,
};

/// `class uri 'gevent' invalid or not found:` and `gevent worker requires gevent 1.4 or higher`.
fn recognise(failure: &Failure<'_>) -> Option<FailureDetails> {
    let message = failure.message;
    if let Some((_, rest)) = message.split_once("class uri ") {
        if !rest.contains("invalid or not found") {
            return None;
        }
        return Some(FailureDetails::default().object(unquote(rest).unwrap_or("unknown")));
    }
    let (name, _) = message.split_once(" worker requires ")?;
    let name = name.rsplit([' ', ':']).next().unwrap_or(name);
    Some(FailureDetails::default().object(name))
}

fn explain_log(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    explain(occurrence.details.object.as_deref().unwrap_or("unknown"), None)
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    context.running().and_then(unavailable).into_iter().collect()
}

fn unavailable(running: &Running<'_>) -> Option<Draft> {
    let class = running.gunicorn.worker_class.as_deref()?;
    if INCLUDED.contains(&class) {
        return None;
    }
    let Explanation { code, message, remedy, .. } = explain(class, Some(running));
    Some(Draft {
        code,
        severity: CAUSE.severity,
        component: Component::Api,
        message,
        evidence: vec![format!("Deployment {}: --worker-class {class}", running.deployment)],
        remedy,
    })
}

/// The same for Gunicorn's own words and for the command line of a Deployment, whose owner is told what to type.
fn explain(class: &str, running: Option<&Running<'_>>) -> Explanation {
    let why = "Flagsmith's image has sync and gthread only, and chooses gthread by itself when GUNICORN_THREADS is \
               above 1";
    Explanation::new(
        Code::GunicornWorkerClassUnavailable,
        format!(
            "Gunicorn does not start: the image does not have the worker class {class:?} that it is told to use."
        ),
        running.map_or_else(
            || format!("Remove --worker-class (also from GUNICORN_CMD_ARGS): {why}."),
            |running| format!("Remove --worker-class ({why}): {}", running.without_class()),
        ),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::shared::testing::{check, codes, made};
    use crate::{
        causes::log::{failure::Stage, testing::recognise},
        fixtures::{installation, spec},
        model::Code,
    };

    #[rstest]
    #[case("class uri 'gevent' invalid or not found:", "gevent")]
    #[case("gevent worker requires gevent 1.4 or higher", "gevent")]
    fn gunicorns_words(#[case] message: &str, #[case] class: &str) {
        let (code, details) = recognise(Stage::Boot, "RuntimeError", message).unwrap();
        assert_eq!(code, Code::GunicornWorkerClassUnavailable);
        assert_eq!(details.object.as_deref(), Some(class));
    }

    #[test]
    fn a_class_on_the_command_line() {
        let installation = installation(&spec(json!({})));
        let observation = made(&installation, &|body| {
            let args = body.pointer_mut("/spec/template/spec/containers/0/args").unwrap();
            *args = json!(["start", "--worker-class", "gevent", "api"]);
        });
        let found = check(&installation, &observation);
        assert_eq!(codes(&found), [Code::GunicornWorkerClassUnavailable]);
        assert!(found[0].message.contains("\"gevent\""), "{found:#?}");
    }
}
