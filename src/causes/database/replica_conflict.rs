//! A read replica cancels queries that are in the way of replication.

use crate::causes::{
    log::{failure::FailureDetails, phrasing::times},
    prelude::*,
};

pub(crate) static CAUSE: Cause =
    Cause { log: &[&LOG], ..Cause::warning(Component::Database, include_str!("replica_conflict.md")) };

/// What the query was in the way of (`errdetail_recovery_conflict` of PostgreSQL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Rows that VACUUM has removed on the primary.
    Rows,
    /// A lock that a change of the schema took on the primary.
    Lock,
    /// Anything else: a buffer, a tablespace or database that was dropped.
    Other,
}

const CONFLICT: &[&str] = &["due to conflict with recovery"];

static LOG: Rule<Variant> = Rule {
    precedence: 310,
    signatures: &[
        Signature::of_database(Variant::Rows, CONFLICT)
            .also(&["row versions that must be removed", "shared buffer pin"]),
        Signature::of_database(Variant::Lock, CONFLICT).also(&["relation lock for too long"]),
        Signature::of_database(Variant::Other, CONFLICT),
    ],
    details: |_, _| Some(FailureDetails::default()),
    explain,
    is_over: None,
};

fn explain(_: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let (why, remedy) = match variant {
        Variant::Rows | Variant::Other => (
            "replaying what the primary has removed had to go on",
            "On the replica: ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf(); so that the primary keeps \
             rows that are still read (it has more to vacuum later). Or let replay wait longer: ALTER SYSTEM SET \
             max_standby_streaming_delay = '2min'; on a managed database both are parameters of the replica. Where the data \
             must never be that late, take the replica out of REPLICA_DATABASE_URLS.",
        ),
        Variant::Lock => (
            "a change of the schema on the primary, as a migration makes it, needed the table that was being read",
            "It passes with the migration. To let reads go on for longer: ALTER SYSTEM SET max_standby_streaming_delay = \
             '2min'; SELECT pg_reload_conf(); on the replica.",
        ),
    };
    Explanation::new(
        Code::ReplicaConflict,
        format!(
            "A read replica (hot standby) cancelled queries of Flagsmith {}: {why}. Those requests failed; the primary is well.",
            times(occurrence.count)
        ),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::database::shared::testing::{OPERATIONAL, read};

    #[rstest]
    #[case(
        "canceling statement due to conflict with recovery\nDETAIL:  User query might have needed to see row versions that must be removed.",
        Some(Variant::Rows)
    )]
    #[case(
        "terminating connection due to conflict with recovery\nDETAIL:  User was holding a relation lock for too long.\nHINT:  In a moment you should be able to reconnect to the database and repeat your command.",
        Some(Variant::Lock)
    )]
    #[case(
        "terminating connection due to conflict with recovery\nDETAIL:  User was connected to a database that must be dropped.",
        Some(Variant::Other)
    )]
    #[case("canceling statement due to statement timeout", None)]
    fn recognises(#[case] message: &str, #[case] expected: Option<Variant>) {
        let found = read(&LOG, Stage::Serve, OPERATIONAL, message);
        assert_eq!(
            found.filter(|(code, _)| *code == Code::ReplicaConflict).map(|(_, variant)| variant),
            expected
        );
    }
}
