//! Workers end with an error again and again, and are replaced.

use super::shared::workers::role;
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
    explains: &[Explains::same_component(consequences::WITHOUT_START)],
    in_logs: Some(in_logs),
    ..Cause::warning(Component::Api, include_str!("workers_failing.md"))
};

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    // One that cannot start ends all of Gunicorn.
    if evidence.workers.failed_to_boot.is_some() {
        return None;
    }
    let of = role(evidence.component);
    let faults = evidence.recurring.of(Work::Worker);
    let (what, count, places) = if let Some(worst) = faults.first() {
        let what = format!(": {}{}.{}", worst.named(), worst.at(), and_others(faults.len()));
        (what, worst.rate.count, of_recurring(&faults))
    } else {
        let exits = &evidence.workers.exits;
        let known = !evidence.occurrences.is_empty() || evidence.workers.timeout_count > 0;
        let (first, last) = exits.places.clone().filter(|_| exits.rate.comes_back() && !known)?;
        (
            ". The log does not have the exception that says why.".to_owned(),
            exits.rate.count,
            vec![first, last],
        )
    };
    let explained = Explanation::new(
        Code::GunicornWorkersFailing,
        format!(
            "Gunicorn's workers of {of} end with an error and are replaced ({}), each with the requests that it was working on, which a \
             proxy answers with 502{what}",
            times(count)
        ),
        "Read the traceback in the log from the line given: it comes from outside of any request, from Gunicorn, a setting of it, or what \
         the container lacks (files, memory, network). Without a traceback see the log of the run before (kubectl logs POD --previous), and whether the code that \
         Gunicorn gives is known: 1 is an exception, 255 one after the start.",
    );
    Some(Finding::new(explained, places))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    const EXCEPTION: &str = "2026-11-28T18:08:55.5Z [error    ] Exception in worker process    [gunicorn.error]\nTraceback (most recent call last):\n  File \"/x/gunicorn/arbiter.py\", line 608, in spawn_worker\n    worker.init_process()\n  File \"/app/hooks.py\", line 4, in post_worker_init\n    measure()\nZeroDivisionError: division by zero\n\n";
    const BOOTS: &str = "2026-11-28T18:08:56.5Z [info     ] Booting worker with pid: 9    [gunicorn.error]\n";
    const HALTS: &str =
        "2026-11-28T18:08:56.5Z [error    ] Reason: Worker failed to boot.    [gunicorn.error]\n";

    fn exits(code: u32, times: u32) -> String {
        let line = |pid: u32, end: &str| {
            format!(
                "2026-11-28T18:08:55.8Z [error    ] Worker (pid:{pid}) exited with code {code}{end} [gunicorn.error]\n"
            )
        };
        (0..times).flat_map(|pid| [line(pid, ""), line(pid, ".")]).collect()
    }

    fn found(log: &str) -> Vec<(Code, String)> {
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        found.into_iter().map(|(_, it)| (it.code, it.message.to_string())).collect()
    }

    #[test]
    fn exception_place_and_how_often_are_named() {
        let found = found(&format!("{EXCEPTION}{BOOTS}").repeat(3));
        let [(code, message)] = found.as_slice() else { panic!("{found:#?}") };
        assert_eq!(*code, Code::GunicornWorkersFailing);
        assert!(
            message.contains("(3 times)") && message.contains("ZeroDivisionError at /app/hooks.py, line 4"),
            "{message}"
        );
    }

    #[rstest]
    #[case::exits(exits(255, 3), Some("does not have the exception"))]
    #[case::two(exits(255, 2), None)]
    #[case::of_a_recycled_worker(exits(0, 5), None)]
    fn exits_without_a_reason(#[case] log: String, #[case] expected: Option<&str>) {
        let found = found(&log);
        assert_eq!(found.len(), usize::from(expected.is_some()), "{found:#?}");
        assert!(expected.is_none_or(|words| found[0].1.contains(words)), "{found:#?}");
    }

    #[test]
    fn what_cannot_start_is_another_cause() {
        let found = found(&(EXCEPTION.repeat(3) + HALTS));
        assert_eq!(
            found.iter().map(|(code, _)| *code).collect::<Vec<_>>(),
            [Code::CrashLooping],
            "{found:#?}"
        );
    }
}
