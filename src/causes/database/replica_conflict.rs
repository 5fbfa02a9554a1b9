//! A read replica cancels queries that are in the way of replication.

use crate::{
    causes::{
        log::{failure::FailureDetails, phrasing::times},
        prelude::*,
    },
    postgres::phrases::Phrase,
};

pub(crate) static CAUSE: Cause =
    Cause { log: &[&LOG], ..Cause::warning(Component::Database, include_str!("replica_conflict.md")) };

/// What the query was in the way of (`errdetail_recovery_conflict` of PostgreSQL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// A lock that a change of the schema took on the primary.
    Lock,
    /// Anything else: rows that VACUUM has removed on the primary, a buffer, a database that was dropped.
    Other,
}

/// What the same SQLSTATE 40001 says where it is no replica's: Flagsmith's transactions are READ COMMITTED, of which a
/// primary serializes none.
const OF_PRIMARY: &[&str] = &["could not serialize access", "restart transaction"];

static LOG: Rule<Variant> = Rule {
    precedence: 310,
    signatures: &[
        Signature::of_phrase(Variant::Lock, Phrase::ReplicaLockConflict),
        Signature::of_phrase(Variant::Other, Phrase::ReplicaConflict),
        // In a language that PostgreSQL 15 has no more.
        Signature::of(Variant::Other).only_database().class(&["SerializationFailure"]).none(OF_PRIMARY),
    ],
    details: |_, _| Some(FailureDetails::default()),
    explain,
    is_over: None,
};

fn explain(_: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let (why, remedy) = match variant {
        Variant::Other => (
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
        Some(Variant::Other)
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

    #[rstest]
    #[case(
        "storniere Anfrage wegen Konflikt mit der Wiederherstellung\nDETAIL:  Benutzer hat Relationssperre zu lange gehalten.",
        Some(Variant::Lock)
    )]
    #[case("リカバリで競合が発生したためステートメントをキャンセルしています", Some(Variant::Other))]
    #[case("закрытие подключения из-за конфликта с процессом восстановления", Some(Variant::Other))]
    #[case("anulowano polecenie z powodu konfliktu z odzyskiwaniem", Some(Variant::Other))]
    #[case("could not serialize access due to concurrent update", None)]
    fn in_any_language(#[case] message: &str, #[case] expected: Option<Variant>) {
        let found = read(&LOG, Stage::Serve, "psycopg2.errors.SerializationFailure", message);
        let variant = found.filter(|(code, _)| *code == Code::ReplicaConflict).map(|(_, variant)| variant);
        assert_eq!(variant, expected);
    }
}
