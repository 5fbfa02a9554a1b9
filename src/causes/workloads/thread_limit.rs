//! No more threads or processes may be started.

use crate::causes::{
    log::phrasing::{component, times},
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::same_component(&[Code::GunicornWorkersFailing, Code::GunicornWorkerKilled]),
    ],
    log: &[&LOG],
    ..Cause::critical(Component::Api, include_str!("thread_limit.md"))
};

/// Who may start no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The database server, for a new connection.
    Server,
    /// This process.
    Process,
}

/// What the C library and shells say of EAGAIN.
const UNAVAILABLE: &str = "Resource temporarily unavailable";

static LOG: Rule<Variant> = Rule {
    precedence: 115,
    signatures: &[
        Signature::of_words(
            Variant::Server,
            &["could not fork new process for connection", "could not fork worker process"],
        ),
        Signature::of_words(Variant::Process, &["can't start new thread"]).class(&["RuntimeError", "error"]),
        Signature::of_words(
            Variant::Process,
            &["pthread_create failed", "blas_thread_init: pthread_create", "failed to create new OS thread"],
        ),
        Signature::of_words(Variant::Process, &["fork: ", "Cannot fork", "can't fork", "cannot fork"])
            .all(&[UNAVAILABLE]),
        Signature::of_words(Variant::Process, &[UNAVAILABLE])
            .class(&["BlockingIOError"])
            .stage(&[Stage::Boot, Stage::Migrate]),
    ],
    details: |_, _| Some(FailureDetails::default()),
    explain,
    // Gunicorn starts another worker, which meets the same limit.
    is_over: Some(|_, _, _| Some(false)),
};

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let often = times(occurrence.count);
    let (message, remedy) = match variant {
        Variant::Server => (
            format!(
                "The database server may start no more processes ({often}): each connection is one, and its limit is reached."
            ),
            "Raise the limit of PostgreSQL's container or user (pids limit of the pod, TasksMax of its systemd unit, ulimit -u), or lower \
             max_connections and put PgBouncer between.",
        ),
        Variant::Process => (
            format!(
                "{} may start no more threads ({often}): the limit on processes and threads is reached. It is no lack of memory as a rule.",
                component(evidence.component)
            ),
            "See the limit and what is used: kubectl exec POD -- cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids.current; and ulimit -u in \
             the container. Raise it (podPidsLimit of the kubelet, --pids-limit of Docker, nproc of the user on the node), or start \
             fewer: GUNICORN_WORKERS times GUNICORN_THREADS, and OPENBLAS_NUM_THREADS=1 where a library opens a thread for each \
             processor. Old runtimes (Docker before 20.10.10) refuse the call clone3 of newer images in the same words: upgrade them.",
        ),
    };
    Explanation::new(Code::ThreadLimit, message, remedy)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::testing::recognise;

    #[rstest]
    #[case("RuntimeError", "can't start new thread", Variant::Process)]
    #[case(
        "",
        "OpenBLAS blas_thread_init: pthread_create failed for thread 3 of 8: Resource temporarily unavailable",
        Variant::Process
    )]
    #[case("", "sh: can't fork: Resource temporarily unavailable", Variant::Process)]
    #[case("", "bash: fork: retry: Resource temporarily unavailable", Variant::Process)]
    #[case("BlockingIOError", "[Errno 11] Resource temporarily unavailable", Variant::Process)]
    #[case(
        "psycopg2.OperationalError",
        "connection to server at \"db\" (10.0.0.9), port 5432 failed: could not fork new process for connection: Resource temporarily unavailable",
        Variant::Server
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Variant) {
        let (code, details) = recognise(Stage::Boot, class, message).unwrap();
        assert_eq!((code, LOG.variant(&details)), (Code::ThreadLimit, Some(expected)));
    }
}
