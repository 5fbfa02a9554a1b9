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
        Explains::in_logs(&[Code::DatabaseNotStarting, Code::DatabaseHostNotFound]),
    ],
    log: &[&LOG],
    in_logs: Some(in_logs),
    ..Cause::critical(Component::Database, include_str!("disk_full.md"))
};

const NO_SPACE: &str = "No space left on device";

static LOG: Rule<()> = Rule {
    precedence: 365,
    signatures: &[
        Signature { from: From::Anything, class: &["DiskFull"], ..Signature::of(()) },
        Signature::of_database((), &[NO_SPACE]),
    ],
    details,
    explain,
    is_over: None,
};

#[expect(clippy::unnecessary_wraps, reason = "the form of a rule's function")]
fn details(failure: &Failure<'_>, (): ()) -> Option<FailureDetails> {
    Some(FailureDetails {
        object: quoted_after(failure.message, &["file "]).map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, (): ()) -> Explanation {
    let who = within(who(evidence, occurrence));
    let migration = at_migration(evidence, occurrence);
    Explanation::new(
        Code::DatabaseDiskFull,
        format!(
            "The database server's disk{} is full; {who} could not write{migration}.{}",
            place(occurrence.details.object.as_deref()),
            if occurrence.stage == Stage::Migrate { progress(evidence, occurrence) } else { String::new() },
        ),
        REMEDY,
    )
}

const REMEDY: &str = "Enlarge the volume of PostgreSQL. What fills it: SELECT relname, \
                      pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' ORDER BY \
                      pg_total_relation_size(oid) DESC LIMIT 10; for pg_wal: SELECT slot_name, active FROM \
                      pg_replication_slots; (an inactive slot keeps it forever).";

/// The server says it itself, and cannot start.
fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let failed = evidence.servers.failed()?;
    let full = failed.first.message.contains(NO_SPACE) && !failed.first.message.contains("shared memory");
    let explained = Explanation::new(
        Code::DatabaseDiskFull,
        "The database server's disk is full: PostgreSQL does not start any more.",
        REMEDY.replace("What fills it: ", "Delete nothing in its data directory by hand, least of all in pg_wal. Once it runs, what fills it: "),
    );
    full.then(|| Finding::new(explained, vec![failed.first.clone(), failed.last.clone()]))
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
    use crate::causes::log::testing::recognise;

    #[test]
    fn a_full_tablespace() {
        let message = "could not extend file \"pg_tblspc/1/PG_15/2/3\": No space left on device\nHINT:  Check free disk space.";
        let (code, details) = recognise(Stage::Migrate, "psycopg2.errors.DiskFull", message).unwrap();
        assert_eq!(
            (code, details.object.as_deref()),
            (Code::DatabaseDiskFull, Some("pg_tblspc/1/PG_15/2/3"))
        );
    }

    #[test]
    fn full_disk_of_the_container_is_not_the_databases() {
        let found = recognise(Stage::Boot, "OSError", "[Errno 28] No space left on device: '/tmp/x'");
        assert!(found.is_none_or(|(code, _)| code != Code::DatabaseDiskFull));
    }
}
