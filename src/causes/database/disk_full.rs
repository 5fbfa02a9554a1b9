//! The database server's disk is full.

use crate::causes::{
    log::{
        failure::quoted_after,
        phrasing::{at_migration, progress, who, within},
        rule::From,
    },
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::later_in_log(&[Code::DatabaseStarting, Code::DatabaseUnreachable]),
        Explains::everywhere(consequences::WITHOUT_DATABASE),
    ],
    log: &[&LOG],
    ..Cause::critical(Component::Database, include_str!("disk_full.md"))
};

/// What is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// `/dev/shm` of the server's container.
    SharedMemory,
    /// The server's disk.
    Disk,
}

const SHARED_MEMORY: &[&str] = &["shared memory segment", "/PostgreSQL."];
const NO_SPACE: &str = "No space left on device";

static LOG: Rule<Variant> = Rule {
    precedence: 365,
    signatures: &[
        Signature::of_words(Variant::SharedMemory, SHARED_MEMORY).class(&["DiskFull"]),
        Signature::of_database(Variant::SharedMemory, SHARED_MEMORY).all(&[NO_SPACE]),
        Signature { from: From::Anything, class: &["DiskFull"], ..Signature::of(Variant::Disk) },
        Signature::of_database(Variant::Disk, &[NO_SPACE]),
    ],
    details,
    explain,
    is_over: None,
};

#[expect(clippy::unnecessary_wraps, reason = "the form of a rule's function")]
fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    Some(FailureDetails {
        object: quoted_after(failure.message, &["file "]).map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let who = within(who(evidence, occurrence));
    let migration = at_migration(evidence, occurrence);
    let (message, remedy) = match variant {
        Variant::SharedMemory => (
            format!(
                "The database server's shared memory (/dev/shm) is full; {who} could not run a query that PostgreSQL \
                 works on in parallel{migration}. Its disk need not be full."
            ),
            "Give the PostgreSQL container more than the 64 MiB that container runtimes give: in Kubernetes an emptyDir \
             with medium: Memory at /dev/shm, in Docker --shm-size=256m. Until then: ALTER ROLE ROLE SET \
             max_parallel_workers_per_gather = 0;",
        ),
        Variant::Disk => (
            format!(
                "The database server's disk{} is full; {who} could not write{migration}.{}",
                place(occurrence.details.object.as_deref()),
                if occurrence.stage == Stage::Migrate {
                    progress(evidence, occurrence)
                } else {
                    String::new()
                },
            ),
            "Enlarge the volume of PostgreSQL. What fills it: SELECT relname, \
             pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' ORDER BY \
             pg_total_relation_size(oid) DESC LIMIT 10; for pg_wal: SELECT slot_name, active FROM pg_replication_slots; \
             (an inactive slot keeps it forever).",
        ),
    };
    Explanation::new(Code::DatabaseDiskFull, message, remedy)
}

fn place(file: Option<&str>) -> &'static str {
    match file {
        Some(file) if file.starts_with("pg_wal") => " of the write-ahead log (pg_wal)",
        Some(file) if file.starts_with("pg_tblspc") => " of one of the tablespaces",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::{database::shared::testing::read, log::testing::recognise};

    #[test]
    fn a_full_tablespace() {
        let message = "could not extend file \"pg_tblspc/1/PG_15/2/3\": No space left on device\nHINT:  Check free disk space.";
        let (code, details) = recognise(Stage::Migrate, "psycopg2.errors.DiskFull", message).unwrap();
        assert_eq!(
            (code, LOG.variant(&details), details.object.as_deref()),
            (Code::DatabaseDiskFull, Some(Variant::Disk), Some("pg_tblspc/1/PG_15/2/3"))
        );
    }

    #[test]
    fn full_shared_memory_is_no_full_disk() {
        let message = "could not resize shared memory segment \"/PostgreSQL.1450751626\" to 16777216 bytes: No space left on device";
        assert_eq!(
            read(&LOG, Stage::Serve, "psycopg2.errors.DiskFull", message),
            Some((Code::DatabaseDiskFull, Variant::SharedMemory))
        );
    }

    #[test]
    fn full_disk_of_the_container_is_not_the_databases() {
        let found = recognise(Stage::Boot, "OSError", "[Errno 28] No space left on device: '/tmp/x'");
        assert!(found.is_none_or(|(code, _)| code != Code::DatabaseDiskFull));
    }
}
