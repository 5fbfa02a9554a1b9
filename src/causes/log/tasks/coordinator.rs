//! The thread that hands out tasks has ended at its start. The process goes on without it: it answers its probes
//! and never runs a task (flagsmith-common 3.9.0 to 3.13.1, `TaskRunnerCoordinator.run`).

use crate::causes::log::evidence::LogEvidence;
use crate::causes::log::finding::{Explanation, Finding};
use crate::model::{Code, Severity};

/// Adds what the thread's end means to the cause it ended of, or, where that has passed, says it alone.
pub fn conclude(case: &LogEvidence, findings: &mut Vec<Finding>) {
    let Some(ended) = &case.tasks.ended else {
        return;
    };
    // What passes by itself has passed for all but this thread.
    let lasting = |finding: &&mut Finding| {
        finding.severity() == Severity::Critical
            && !matches!(
                finding.explained.code,
                Code::DatabaseConnectionLost | Code::DatabaseStarting | Code::TaskQueueStalled
            )
    };
    if let Some(cause) = findings.iter_mut().find(lasting) {
        cause.explained.remedy.push_str(
            " Then restart the task processor (kubectl rollout restart): the thread that hands out tasks has ended of this, and the pod looks healthy without it.",
        );
        return;
    }
    findings.retain(|finding| !finding.explained.code.cause().is_connection);
    findings.push(Finding::new(Explanation::new(
            Code::TaskQueueStalled,
            format!(
                "The task processor runs no task: the thread that hands them out ended at its start ({}). The process goes on without it, so the pod looks healthy.",
                ended.excerpt()
            ),
            "Restart the task processor (kubectl rollout restart); when the thread ends of the same error again, remove its reason first.",
        )
        .with(Severity::Critical), vec![ended.clone()]));
}

#[cfg(test)]
mod tests {
    use crate::{
        causes::diagnose_log,
        model::{Code, Component},
    };
    use rstest::rstest;

    const THREAD: &str =
        "  File \"/usr/lib/python3.11/threading.py\", line 1038, in _bootstrap_inner\n    self.run()\n";
    const START: &str = "  File \"/x/task_processor/task_registry.py\", line 38, in initialise\n    f()\n";
    const LOST: &str = "psycopg2.OperationalError: server closed the connection unexpectedly\n";
    const DENIED: &str = "psycopg2.errors.InsufficientPrivilege: permission denied for table x\n";
    const UP: &str = "2026-11-22T16:00:09.000000Z [info     ] Listening at: http://0.0.0.0:8000 (1) [gunicorn.error] positional_args=()\n";
    const STARTS: &str = "2026-11-22T16:00:19.000000Z [info     ] Processor starting [task_processor.threads] positional_args=()\n";

    /// The same exception in the coordinator, in another thread, before a start that went well, and of a reason
    /// that lasts.
    #[rstest]
    #[case(START, LOST, "", &[Code::TaskQueueStalled])]
    #[case("", LOST, "", &[Code::DatabaseConnectionLost])]
    #[case(START, LOST, STARTS, &[Code::DatabaseConnectionLost])]
    #[case(START, DENIED, "", &[Code::DatabaseAccessRejected])]
    fn its_end_is_told(
        #[case] frame: &str,
        #[case] exception: &str,
        #[case] after: &str,
        #[case] expected: &[Code],
    ) {
        let log = format!(
            "Exception in thread Thread-1:\nTraceback (most recent call last):\n{THREAD}{frame}{exception}\n{UP}{after}"
        );
        let found = diagnose_log(Component::TaskProcessor, None, "log", log.as_bytes());
        let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
        assert_eq!(codes, expected);
    }

    /// The end of a traceback: followed by the process's life, or the last that there is.
    #[rstest]
    #[case(UP, &[])]
    #[case("{\"message\": \"Handling signal: term\", \"levelname\": \"INFO\", \"logger_name\": \"gunicorn.error\", \"pid\": 1}\n", &[])]
    #[case("", &[Code::CrashLooping])]
    fn the_end_of_a_traceback_is_a_crash_only_at_the_end(#[case] after: &str, #[case] expected: &[Code]) {
        let log = format!("    g()\nRuntimeError: no\n{after}");
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
        assert_eq!(codes, expected);
    }

    /// In the output of Compose: the processor itself migrates, or a service beside it does.
    #[rstest]
    #[case("tasks-1", &[Code::TaskProcessorMigratesItself])]
    #[case("migrate-1", &[])]
    fn who_migrates_is_told_by_the_service(#[case] service: &str, #[case] expected: &[Code]) {
        let log = format!(
            "{service} | Operations to perform:\n{service} |   Applying users.0001_initial... OK\ntasks-1 | {UP}tasks-1 | {STARTS}"
        );
        let found = diagnose_log(Component::TaskProcessor, None, "log", log.as_bytes());
        let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
        assert_eq!(codes, expected);
    }

    /// What ends a thread does not end the process.
    #[rstest]
    #[case(THREAD, &[])]
    #[case("", &[Code::CrashLooping])]
    fn an_unknown_error_in_a_thread_is_no_crash(#[case] frame: &str, #[case] expected: &[Code]) {
        let log = format!(
            "{UP}Traceback (most recent call last):\n{frame}  File \"/app/x.py\", line 1, in f\n    g()\nRuntimeError: no\n"
        );
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
        assert_eq!(codes, expected);
    }
}
