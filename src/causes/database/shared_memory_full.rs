//! The server has no shared memory left.

use crate::causes::{
    log::{
        failure::FailureDetails,
        phrasing::{at_migration, who, within},
    },
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::everywhere(consequences::WITHOUT_DATABASE),
        Explains::in_logs(&[
            Code::DatabaseNotStarting,
            Code::DatabaseHostNotFound,
            Code::DatabaseUnreachable,
            Code::DatabaseStarting,
        ]),
    ],
    log: &[&LOG],
    in_logs: Some(in_logs),
    ..Cause::critical(Component::Database, include_str!("shared_memory_full.md"))
};

/// What a query of the server says that asks for more of `/dev/shm` than there is.
const SEGMENT: &[&str] = &["shared memory segment", "/PostgreSQL."];

static LOG: Rule<()> = Rule {
    precedence: 364,
    signatures: &[
        Signature::of_words((), SEGMENT).class(&["DiskFull"]),
        Signature::of_database((), SEGMENT).also(&["No space left on device", "Cannot allocate memory"]),
        Signature::of_database(
            (),
            &["could not open shared memory segment", "could not map shared memory segment"],
        ),
    ],
    details: |_, ()| Some(FailureDetails::default()),
    explain: |evidence, occurrence, ()| {
        Explanation::new(
            Code::DatabaseSharedMemoryFull,
            format!(
                "The database server's shared memory (/dev/shm) is full; {} could not run a query that PostgreSQL works on in \
                 parallel{}. Its disk need not be full.",
                within(who(evidence, occurrence)),
                at_migration(evidence, occurrence)
            ),
            DEV_SHM,
        )
    },
    is_over: None,
};

const DEV_SHM: &str = "Give the PostgreSQL container more than the 64 MiB that container runtimes give: in Kubernetes an emptyDir with \
                       medium: Memory at /dev/shm, in Docker --shm-size=256m. Until then: ALTER ROLE ROLE SET \
                       max_parallel_workers_per_gather = 0;";

/// What a server says that does not get the memory it needs to start (`sysv_shmem.c`).
const AT_START: &[&str] = &[
    "could not map anonymous shared memory",
    "could not create shared memory segment",
    "pre-existing shared memory block",
];

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let failed = evidence.servers.failed()?;
    let said = &failed.first.message;
    AT_START.iter().find(|words| said.contains(**words))?;
    let (message, remedy) = if said.contains("pre-existing") {
        (
            "PostgreSQL does not start: another server, or processes that one has left, still use its data directory.",
            "End what still runs there (ps, docker ps, kubectl get pods -o wide); two servers must never share a data directory. \
             Then start this one again.",
        )
    } else {
        (
            "PostgreSQL does not start: it does not get the shared memory that its settings ask for, most of it shared_buffers.",
            "Lower shared_buffers (and max_connections), or raise the container's memory limit above it. Where huge_pages is \"on\", \
             set it to \"try\", or give the node huge pages.",
        )
    };
    let explained = Explanation::new(Code::DatabaseSharedMemoryFull, message, remedy);
    Some(Finding::new(explained, vec![failed.first.clone(), failed.last.clone()]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::{diagnose_log, log::testing::code};

    #[rstest]
    #[case(
        "psycopg2.errors.DiskFull",
        "could not resize shared memory segment \"/PostgreSQL.1153\" to 8388608 bytes: No space left on device"
    )]
    #[case(
        "psycopg2.OperationalError",
        "could not resize shared memory segment \"/PostgreSQL.1153\" to 8388608 bytes: No space left on device"
    )]
    #[case(
        "psycopg2.errors.UndefinedFile",
        "could not open shared memory segment \"/PostgreSQL.1153\": No such file or directory"
    )]
    fn recognises(#[case] class: &str, #[case] message: &str) {
        for stage in [Stage::Migrate, Stage::Serve] {
            assert_eq!(code(stage, class, message), Some(Code::DatabaseSharedMemoryFull));
        }
    }

    #[test]
    fn a_server_that_does_not_start_says_so_itself() {
        let log = "postgres-1  | 2026-11-28 09:00:00.118 UTC [1] FATAL:  could not map anonymous shared memory: Cannot allocate memory\n\
                   postgres-1  | 2026-11-28 09:00:00.118 UTC [1] HINT:  This error usually means that PostgreSQL's request for a shared memory segment exceeded available memory, swap space, or huge pages.\n\
                   postgres-1 exited with code 1\n\
                   api-1  | django.db.utils.OperationalError: could not translate host name \"postgres\" to address: Name or service not known\n";
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
        assert_eq!(codes, [Code::DatabaseSharedMemoryFull], "{found:#?}");
    }
}
