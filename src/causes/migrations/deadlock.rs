//! The migration and another session blocked each other.

use crate::causes::{
    log::phrasing::{progress, the_migration},
    migrations::shared::snippets::MIGRATE,
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    ..Cause::critical(Component::Migrations, include_str!("deadlock.md"))
};

static LOG: Rule<()> = Rule {
    precedence: 440,
    signatures: &[
        Signature::of(()).class(&["DeadlockDetected"]).stage(MIGRATE),
        Signature::of_database((), &["deadlock detected"]).stage(MIGRATE),
    ],
    details,
    explain,
    is_over: None,
};

#[allow(clippy::unnecessary_wraps, reason = "the form of every rule: others decline")]
fn details(failure: &Failure<'_>, (): ()) -> Option<FailureDetails> {
    let mut lines = failure.message.lines();
    Some(FailureDetails {
        detail: lines.find(|line| line.contains("AccessExclusiveLock")).map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, (): ()) -> Explanation {
    Explanation::new(
        Code::MigrationDeadlock,
        format!(
            "{} and another session waited for each other's locks; PostgreSQL ended the migration to let the other one go on. \
             Nothing of this migration was applied.{}",
            the_migration(evidence, occurrence),
            progress(evidence, occurrence)
        ),
        "Migrate again; it rarely happens twice. Stop the task processor for the time (it is the usual other side), and see that no \
         second migration runs.",
    )
}

#[cfg(test)]
mod tests {
    use crate::{
        causes::log::{failure::Stage, testing::code},
        model::Code::MigrationDeadlock,
    };

    #[test]
    fn recognises() {
        let class = "psycopg2.errors.DeadlockDetected";
        let message = "deadlock detected\nDETAIL:  Process 1 waits for AccessExclusiveLock on relation 2 of database 3; blocked by process 4.";
        assert_eq!(code(Stage::Migrate, class, message), Some(MigrationDeadlock));
        assert_ne!(code(Stage::Serve, class, message), Some(MigrationDeadlock));
    }
}
