//! An error outside of requests comes back, and no other cause explains it.

use crate::causes::{
    log::{
        finding::of_recurring,
        phrasing::{component, times},
        recurring::{Work, and_others},
    },
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    gives_way: GivesWay::ToDatabase,
    in_logs: Some(in_logs),
    ..Cause::warning(Component::Api, include_str!("errors_recurring.md"))
};

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let faults = evidence.recurring.of(Work::Other);
    let worst = faults.first()?;
    let explained = Explanation::new(
        Code::ErrorsRecurring,
        format!(
            "{} logs the same error again and again: {}{}, {} in this log.{} No request ended with it; what it was to do in the background \
             did not happen.",
            component(evidence.component),
            worst.named(),
            worst.at(),
            times(worst.rate.count),
            and_others(faults.len()),
        ),
        format!(
            "Read the traceback in the log above the line given. Where it ends in a connection, reach that service from the pod and correct \
             the setting that names it. Otherwise search Flagsmith's issues for it: \
             https://github.com/Flagsmith/flagsmith/issues?q={}",
            worst.class
        ),
    );
    Some(Finding::new(explained, of_recurring(&faults)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    const THREAD: &str = "Exception in thread Thread-3 (send):\nTraceback (most recent call last):\n  File \"/usr/local/lib/python3.11/threading.py\", line 1045, in _bootstrap_inner\n    self.run()\n  File \"/app/integrations/x.py\", line 9, in send\n    f()\nValueError: no\n\n";
    const RECORD: &str = "2026-11-24T19:00:48.2Z [error    ] Failed to send [integrations.x]\nTraceback (most recent call last):\n  File \"/app/integrations/x.py\", line 9, in send\n    f()\nValueError: no\n\n";

    #[rstest]
    #[case::of_a_thread(THREAD, 5, true)]
    #[case::of_a_logger(RECORD, 5, true)]
    #[case::now_and_then(THREAD, 4, false)]
    fn told(#[case] error: &str, #[case] times: usize, #[case] expected: bool) {
        let found = diagnose_log(Component::Api, None, "log", error.repeat(times).as_bytes());
        let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
        assert_eq!(codes, Vec::from_iter(expected.then_some(Code::ErrorsRecurring)), "{found:#?}");
        assert!(
            found
                .iter()
                .all(|(_, it)| it.message.contains("ValueError at /app/integrations/x.py, line 9, in send"))
        );
    }
}
