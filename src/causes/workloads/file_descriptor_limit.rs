//! No more files or connections may be opened.

use crate::causes::{
    log::phrasing::{component, times},
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::same_component(&[
            Code::GunicornWorkersFailing,
            Code::GunicornWorkerKilled,
            Code::CacheUnreachable,
        ]),
    ],
    log: &[&LOG],
    ..Cause::critical(Component::Api, include_str!("file_descriptor_limit.md"))
};

/// Whose limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The database server's.
    Server,
    /// The node's.
    Node,
    /// This process's.
    Process,
}

static LOG: Rule<Variant> = Rule {
    precedence: 116,
    signatures: &[
        Signature::of_database(
            Variant::Server,
            &[
                "could not open file",
                "could not open directory",
                "out of file descriptors",
                "insufficient file descriptors",
            ],
        )
        .also(&["Too many open files", "file descriptors"]),
        Signature::of_words(Variant::Node, &["Too many open files in system", "ENFILE", "[Errno 23]"])
            .also(&["open files", "file table overflow"]),
        Signature::of_words(Variant::Process, &["Too many open files", "too many open files"]),
        Signature::of_words(Variant::Process, &["filedescriptor out of range in select"]),
    ],
    details: |_, _| Some(FailureDetails::default()),
    explain,
    // Gunicorn starts another worker, which comes to the same limit.
    is_over: Some(|_, _, _| Some(false)),
};

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let often = times(occurrence.count);
    let (message, remedy) = match variant {
        Variant::Server => (
            format!(
                "The database server may open no more files ({often}): \"too many open files\" are its own."
            ),
            "Raise the limit of PostgreSQL's process (LimitNOFILE of its systemd unit, ulimits of its container) or lower \
             max_files_per_process; fewer connections open fewer files.",
        ),
        Variant::Node => (
            format!(
                "{} may open no more files ({often}): the whole node has come to its limit.",
                component(evidence.component)
            ),
            "On the node: sysctl fs.file-max and cat /proc/sys/fs/file-nr; find what holds them: lsof | awk '{print $1}' | sort | uniq -c | \
             sort -n | tail. Raise fs.file-max.",
        ),
        Variant::Process => (
            format!(
                "{} may open no more files ({often}): its limit on open files (RLIMIT_NOFILE) is reached; connections of clients, of the \
                 database and of the cache are files as well.",
                component(evidence.component)
            ),
            "See the limit and what is open: kubectl exec POD -- sh -c 'grep files /proc/1/limits; ls /proc/*/fd | wc -l'. Kubernetes has no \
             setting for it: raise LimitNOFILE of the container runtime on the node (in Docker --ulimit nofile=65536:65536). If the number \
             grows all the time, something leaks: see what they are with ls -l /proc/PID/fd, and which release it began with.",
        ),
    };
    Explanation::new(Code::FileDescriptorLimit, message, remedy)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::testing::recognise;

    #[rstest]
    #[case("OSError", "[Errno 24] Too many open files", Variant::Process)]
    #[case("OSError", "[Errno 24] Too many open files: '/proc/net/tcp'", Variant::Process)]
    #[case(
        "redis.exceptions.ConnectionError",
        "Error 24 connecting to r:6379. Too many open files.",
        Variant::Process
    )]
    #[case(
        "psycopg2.OperationalError",
        "connection to server at \"db\" (10.0.0.9), port 5432 failed: could not create socket: Too many open files",
        Variant::Process
    )]
    #[case("OSError", "[Errno 23] Too many open files in system", Variant::Node)]
    #[case(
        "psycopg2.errors.InsufficientResources",
        "could not open file \"base/16384/2601\": Too many open files",
        Variant::Server
    )]
    #[case("", "Error: EMFILE: too many open files, open '/srv/x'", Variant::Process)]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Variant) {
        for stage in [Stage::Boot, Stage::Serve] {
            let (code, details) = recognise(stage, class, message).unwrap();
            assert_eq!((code, LOG.variant(&details)), (Code::FileDescriptorLimit, Some(expected)));
        }
    }
}
