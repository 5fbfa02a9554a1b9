//! The server's table of locks is full.

use crate::causes::{
    log::{
        failure::FailureDetails,
        phrasing::{component, progress, the_migration, times, within},
    },
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    ..Cause::critical(Component::Database, include_str!("lock_table_full.md"))
};

/// PostgreSQL names the parameter in its hint, whatever its language (`LockAcquireExtended`, `CreatePredicateLock`).
const PARAMETERS: &[&str] =
    &["max_locks_per_transaction", "max_pred_locks_per_transaction", "max_pred_locks_per_relation"];

static LOG: Rule<()> = Rule {
    precedence: 312,
    signatures: &[
        Signature::of_database((), PARAMETERS),
        Signature::of_database((), &["out of shared memory"]),
    ],
    details: |failure, ()| {
        let named = PARAMETERS.iter().find(|parameter| failure.says(parameter));
        Some(FailureDetails::default().object(*named.unwrap_or(&"max_locks_per_transaction")))
    },
    explain,
    is_over: None,
};

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, (): ()) -> Explanation {
    let parameter = occurrence.details.object.as_deref().unwrap_or("max_locks_per_transaction");
    let who = if occurrence.stage == Stage::Migrate {
        format!("{} stopped, and nothing of it was applied: ", the_migration(evidence, occurrence))
    } else {
        format!("{} failed {}: ", component(evidence.component), times(occurrence.count))
    };
    let progress =
        if occurrence.stage == Stage::Migrate { progress(evidence, occurrence) } else { String::new() };
    let explained = Explanation::new(
        Code::DatabaseLockTableFull,
        format!(
            "{who}the database server's table of locks is full. \"Out of shared memory\" means that table here, not the memory of the \
             server or of {}.{progress}",
            within(component(evidence.component))
        ),
        format!(
            "Raise {parameter} (64 by default): ALTER SYSTEM SET {parameter} = 256; then restart PostgreSQL, and a replica first, with \
             at least the primary's value. On a managed database it is a parameter of the instance. What holds many locks at the \
             moment: SELECT pid, count(*) FROM pg_locks GROUP BY pid ORDER BY 2 DESC LIMIT 5; a pg_dump of a database with many \
             tables or partitions does."
        ),
    );
    if occurrence.stage == Stage::Migrate { explained } else { explained.with(Severity::Warning) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::testing::code;

    #[rstest]
    #[case(
        "psycopg2.errors.OutOfMemory",
        "out of shared memory\nHINT:  You might need to increase max_locks_per_transaction.",
        true
    )]
    #[case(
        "psycopg2.errors.OutOfMemory",
        "out of shared memory\nHINT:  You might need to increase \"max_locks_per_transaction\".",
        true
    )]
    #[case(
        "psycopg2.errors.OutOfMemory",
        "Shared Memory aufgebraucht\nTIPP:  Sie müssen möglicherweise max_locks_per_transaction erhöhen.",
        true
    )]
    #[case(
        "psycopg2.errors.OutOfMemory",
        "out of memory\nDETAIL:  Failed on request of size 24 in memory context \"x\".",
        false
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: bool) {
        for stage in [Stage::Migrate, Stage::Serve] {
            assert_eq!(code(stage, class, message) == Some(Code::DatabaseLockTableFull), expected);
        }
    }
}
