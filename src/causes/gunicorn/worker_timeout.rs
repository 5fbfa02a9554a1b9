//! A request took longer than the worker's timeout.

use super::shared::workers::Timeouts;
use crate::{causes::prelude::*, flagsmith::WorkerClass};

pub(crate) static CAUSE: Cause = Cause {
    in_logs: Some(in_logs),
    remedy_here: Some(remedy_here),
    ..Cause::warning(Component::Api, include_str!("worker_timeout.md"))
};

fn in_logs(logs: &LogEvidence) -> Option<Finding> {
    let Timeouts { subject, details, waited, places } = Timeouts::of(logs)?;
    let (message, remedy) = match logs.workers.regime {
        Some(WorkerClass::Threaded) => return None,
        _ if waited => (
            format!(
                "{subject} because a client had opened a connection and sent no request within the timeout \
                 (GUNICORN_TIMEOUT, 30 s unless set): a \"sync\" worker (GUNICORN_THREADS=1) does nothing else meanwhile. \
                 No request was slow.{details}"
            ),
            "Set GUNICORN_THREADS=2 or more: a \"gthread\" worker leaves connections without a request waiting at no cost. \
             Such connections are opened by load balancers and browsers beforehand, and by port scans; do not expose \
             Gunicorn without a proxy that reads requests first.",
        ),
        Some(WorkerClass::Sync) => (
            format!(
                "{subject} because a request took longer than its timeout (GUNICORN_TIMEOUT, 30 s unless set). \
                 The client got an empty reply, which a proxy turns into 502.{details}"
            ),
            "Find what is slow (ACCESS_LOG_LOCATION=- logs every request; often the database: pg_stat_activity). \
             Set GUNICORN_THREADS=2 or more, so that one slow request does not cost the worker, or raise \
             GUNICORN_TIMEOUT together with the proxy's read timeout.",
        ),
        None => (
            format!(
                "{subject} because it was silent for longer than the timeout (GUNICORN_TIMEOUT, 30 s unless set). \
                 Its requests were cut, a proxy answers 502. The beginning of the log is missing: a \"sync\" worker \
                 (GUNICORN_THREADS=1) means a slow request, a \"gthread\" one that the whole process stood still.\
                 {details}"
            ),
            "See which it is: the line \"Using worker:\" at the start of the pod's log. sync: find the slow request \
             (ACCESS_LOG_LOCATION=-), set GUNICORN_THREADS=2 or raise GUNICORN_TIMEOUT with the proxy's read \
             timeout. gthread: look at CPU throttling first.",
        ),
    };
    Some(Finding::new(Explanation::new(Code::GunicornWorkerTimeout, message, remedy), places))
}

/// The operator sets Gunicorn's timeout and the proxy's from one field.
fn remedy_here(context: &Context<'_>, _: &Draft) -> Option<String> {
    context.installation.managed_by.is_operator().then(|| {
        "Find what is slow (spec.api.env: [{name: ACCESS_LOG_LOCATION, value: \"-\"}] logs every request; often the \
         database: pg_stat_activity). Set spec.api.gunicorn.threads: 2 or more, so that one slow request does not cost the \
         worker, or raise spec.requestTimeoutSeconds, from which the proxy's timeout follows."
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::diagnose_log,
        flagsmith::WorkerClass,
        model::{Code, Component},
    };

    /// Gunicorn names a path once a client has sent one.
    #[rstest]
    #[case("(no URI read)", "No request was slow.")]
    #[case("/api/v1/flags/", "One of the requests was /api/v1/flags/.")]
    fn a_worker_that_waits_for_a_client_is_no_slow_request(#[case] request: &str, #[case] said: &str) {
        let log = format!(
            "[2026-11-24 10:00:00 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)\n[2026-11-24 10:00:00 +0000] [7] [ERROR] \
             Error handling request {request}\nTraceback (most recent call last):\n  File \
             \"/x/gunicorn/workers/sync.py\", line 134, in handle\n    req = next(parser)\nSystemExit: 1\n"
        );
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        let (_, first) = found.first().unwrap();
        assert_eq!(
            (first.code, first.message.contains(said)),
            (Code::GunicornWorkerTimeout, true),
            "{first:#?}"
        );
    }

    /// The same lines mean a slow request in the one class and a process that stood still in the other.
    #[rstest]
    #[case(Some(WorkerClass::Sync), Code::GunicornWorkerTimeout)]
    #[case(Some(WorkerClass::Threaded), Code::GunicornWorkerStalled)]
    #[case(None, Code::GunicornWorkerTimeout)]
    fn a_log_without_its_beginning_is_read_by_what_runs(
        #[case] regime: Option<WorkerClass>,
        #[case] expected: Code,
    ) {
        let log = b"[2026-11-24 10:00:00 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)\n[2026-11-24 10:00:01 +0000] [1] [ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?\n";
        let found = diagnose_log(Component::Api, regime, "log", log);
        let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
        assert_eq!(codes, [expected]);
        let (_, first) = found.first().unwrap();
        assert!(
            first.message.starts_with("Gunicorn killed a worker of the API once (pid 7) because"),
            "{first:#?}"
        );
        assert!(first.message.ends_with("is not meant here."), "{first:#?}");
    }

    /// The end of a log that begins within the traceback of the worker, and the whole of one.
    #[rstest]
    #[case("", "once because")]
    #[case("[2026-11-24 10:00:00 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)\n", "once (pid 7) because")]
    fn what_the_worker_says_of_its_end_is_enough(#[case] before: &str, #[case] expected: &str) {
        let frames = "  File \"/app/segments/views.py\", line 29, in list\n    return self.get_page()\n  File \"/x/gunicorn/workers/base.py\", line 204, in handle_abort\n    sys.exit(1)\nSystemExit: 1\n";
        let start = if before.is_empty() {
            ""
        } else {
            "[2026-11-24 10:00:00 +0000] [7] [ERROR] Error handling request /api/v1/x/\nTraceback (most recent call last):\n"
        };
        let log = format!("{before}{start}{frames}");
        let found = diagnose_log(Component::Api, Some(WorkerClass::Sync), "log", log.as_bytes());
        let [(_, timeout)] = found.as_slice() else { panic!("{found:#?}") };
        assert_eq!(timeout.code, Code::GunicornWorkerTimeout);
        assert!(timeout.message.contains(&format!("a worker of the API {expected}")), "{timeout:#?}");
    }
}
