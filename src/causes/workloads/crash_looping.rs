//! A container ends again and again.

use crate::{
    causes::{
        cause::{Cause, Explains},
        log::{
            evidence::LogEvidence,
            finding::{Explanation, Finding},
        },
    },
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    is_general: true,
    component: Component::Api,
    explains: &[
        Explains::from_api(&[Code::FrontendCannotReachApi]),
        Explains::same_component(&[Code::ProbeFailing, Code::RolloutDeadlineExceeded]),
    ],
    in_logs: Some(in_logs),
    ..Cause::new(include_str!("crash_looping.md"))
};

/// Workers end at their start: the exception before it says why, unless the log begins behind it.
fn in_logs(logs: &LogEvidence) -> Option<Finding> {
    let location = logs.workers.failed_to_boot.as_ref()?;
    if logs
        .sources
        .iter()
        .any(|source| source.life.served > location.line)
    {
        return None;
    }
    let explained = Explanation::new(
        Code::CrashLooping,
        "Gunicorn's workers end at their start; the log does not have the error that says why.",
        "Read the whole log of the container's last run: kubectl logs POD --previous",
    );
    Some(Finding::new(explained, vec![location.clone()]))
}
