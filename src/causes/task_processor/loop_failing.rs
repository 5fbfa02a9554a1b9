//! The task processor's question for the next tasks fails again and again.

use crate::causes::{
    log::{
        finding::of_recurring,
        phrasing::times,
        recurring::{Work, and_others},
    },
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    gives_way: GivesWay::ToDatabase,
    explains: &[Explains::everywhere(consequences::WITHOUT_PROCESSOR)],
    in_logs: Some(in_logs),
    ..Cause::warning(Component::TaskProcessor, include_str!("loop_failing.md"))
};

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let faults = evidence.recurring.of(Work::TaskLoop);
    let worst = faults.first()?;
    let goes_on = evidence.goes_on(&worst.last);
    let course = if goes_on {
        " It did so up to the end of the log: webhooks, the audit log and scheduled changes wait."
    } else {
        " It did not do so at the end of the log."
    };
    let explained = Explanation::new(
        Code::TaskLoopFailing,
        format!(
            "The task processor fails when it asks for its next tasks: {}{}, {} in this log.{}{course}",
            worst.named(),
            worst.at(),
            times(worst.rate.count),
            and_others(faults.len()),
        ),
        "Read the traceback in the log above the line given. What it speaks of has to be mended before any task runs; see that the task \
         processor's image is of the same release as the database's schema and as the API (flagsmith migrate --check), and search \
         Flagsmith's issues for the message: https://github.com/Flagsmith/flagsmith/issues",
    );
    Some(Finding::new(explained, of_recurring(&faults)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    fn found(said: &str, times: usize) -> Vec<(Code, String)> {
        let log = format!(
            "2026-11-24T19:00:48.2Z [error    ] Error handling tasks from database 'default': {said} [task_processor.threads]\n"
        )
        .repeat(times);
        let found = diagnose_log(Component::TaskProcessor, None, "log", log.as_bytes());
        found.into_iter().map(|(_, it)| (it.code, it.message.to_string())).collect()
    }

    #[test]
    fn whatever_it_is() {
        let found = found("builtins.ValueError('Circular reference detected')", 6);
        let [(code, message)] = found.as_slice() else { panic!("{found:#?}") };
        assert!(
            *code == Code::TaskLoopFailing && message.contains("builtins.ValueError, 6 times"),
            "{message}"
        );
    }

    #[rstest]
    #[case::now_and_then("builtins.ValueError('x')", 4, vec![])]
    #[case::what_is_known(
        "django.db.utils.OperationalError('connection to server at \"db\" (10.0.0.9), port 5432 failed: Connection refused')",
        6,
        vec![Code::DatabaseUnreachable]
    )]
    fn nothing_else(#[case] said: &str, #[case] times: usize, #[case] expected: Vec<Code>) {
        assert_eq!(found(said, times).into_iter().map(|(code, _)| code).collect::<Vec<_>>(), expected);
    }
}
