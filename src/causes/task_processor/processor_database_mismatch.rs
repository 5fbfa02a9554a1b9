//! API and task processor do not use the same queue.

use crate::{
    causes::{
        cause::{Cause, Explains},
        consequences,
        log::{
            evidence::{LogEvidence, Occurrence},
            finding::Explanation,
            phrasing::{at_migration, run},
        },
        migrations::shared::conflict::{self, Conflict},
    },
    model::{Code, Component, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Critical,
    component: Component::TaskProcessor,
    explains: &[Explains::everywhere(consequences::WITHOUT_PROCESSOR)],
    claims: Some(migrated_in_full),
    ..Cause::new(include_str!("processor_database_mismatch.md"))
};

/// A second database of one `migrate`, empty at first, in which a table of the main database is missing.
fn migrated_in_full(evidence: &LogEvidence, occurrence: &Occurrence) -> Option<Explanation> {
    let second = run(evidence, occurrence).is_some_and(|run| run.database > 0 && run.fresh);
    if !second || conflict::of(occurrence) != Some(Conflict::Missing) {
        return None;
    }
    Some(Explanation::new(
        Code::TaskProcessorDatabaseMismatch,
        format!(
            "Migrating the separate task processor database failed{}: {} does not exist. \"flagsmith migrate\" runs every app's \
             migrations on an empty TASK_PROCESSOR_DATABASE_URL, and one of them reads the main database, which is already further.",
            at_migration(evidence, occurrence),
            conflict::object(occurrence)
        ),
        "Create only the task processor's own tables there: flagsmith migrate task_processor --database task_processor; then start it \
         with \"flagsmith start task-processor\", not \"run-task-processor\", which would migrate again.",
    ))
}
