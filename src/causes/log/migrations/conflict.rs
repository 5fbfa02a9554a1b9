//! An object is there that should not be, or is missing: another migrator at the same time, a broken history, an
//! index that an interrupted run left, or another database than meant. The words alone do not separate these.

use super::other::is_of_session;
use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, Stage, first_quoted, quoted_after};
use crate::causes::log::phrasing::{self, at_migration, identifier, progress, the_migration};
use crate::causes::log::{finding::Explanation, rule::Plain};
use crate::model::{Code, Severity};

pub const MIGRATION_CONCURRENT: (Code, Plain) = (
    Code::MigrationConcurrent,
    Plain {
        precedence: 445,
        last_resort: false,
        recognise: race,
        explain: |case, occurrence| explain_race(case, occurrence, true),
        is_over: None,
    },
);
pub const MIGRATION_SCHEMA_CONFLICT: (Code, Plain) = (
    Code::MigrationSchemaConflict,
    Plain {
        precedence: 455,
        last_resort: false,
        recognise: conflict,
        explain: explain_conflict,
        is_over: None,
    },
);

const CHECK: &str = "flagsmith migrate --check";

/// Unique constraints that only two migrators at the same time can violate: PostgreSQL's own catalogues, and the
/// tables that Django fills after every run.
fn race(failure: &Failure<'_>) -> Option<FailureDetails> {
    if !failure.is_database() {
        return None;
    }
    let constraint = quoted_after(failure.message, &["unique constraint "]).or_else(|| {
        failure
            .is(&["UniqueViolation"])
            .then(|| first_quoted(failure.message))
            .flatten()
    });
    let catalogue = constraint.is_some_and(|name| {
        name.starts_with("pg_")
            || name.starts_with("django_content_type_")
            || name.starts_with("auth_permission_")
    });
    let history = failure.is(&["DuplicateTable", "ProgrammingError", "MigrationSchemaMissing"])
        && failure.says("\"django_migrations\"")
        && failure.says("already exists");
    if catalogue {
        // `Key (typname, typnamespace)=(auth_permission, 2200) already exists.`
        let key = failure
            .message
            .split_once(")=(")
            .and_then(|(_, key)| key.split([',', ')']).next());
        Some(FailureDetails::form("catalogue").object(key.or(constraint).unwrap_or_default()))
    } else if failure.says("tuple concurrently updated") || failure.says("tuple concurrently deleted") {
        Some(FailureDetails::form("catalogue").object("tuple concurrently updated"))
    } else if history {
        Some(FailureDetails::form("history").object("relation django_migrations"))
    } else {
        None
    }
}

fn explain_race(case: &LogEvidence, occurrence: &Occurrence, certain: bool) -> Explanation {
    let object = occurrence.details.object.as_deref().unwrap_or("an object");
    let at = at_migration(case, occurrence);
    let message = if certain {
        format!(
            "Two migrations ran on this database at the same time, and this one lost{at}: the other had created {object} meanwhile. Flagsmith takes no lock around migrations. The schema usually ends up right.{}",
            progress(case, occurrence)
        )
    } else {
        format!(
            "The very first migration found {object} already there{at}. Either another migration ran at the same time (then nothing is wrong), or the database was filled without its history, for example from a dump without django_migrations. The log does not separate the two."
        )
    };
    let remedy = format!(
        "Run {CHECK}: exit status 0 means that the other one has finished everything, nothing is left to do. Otherwise run flagsmith migrate once more, alone; fails it at the same place, see MigrationSchemaConflict. Let one process migrate only: on Helm api.enableMigrateDbInitContainer=false with jobs.migrateDb.enabled=true, and start the task processor with \"start task-processor\" instead of \"run-task-processor\"."
    );
    let severity = if certain {
        Severity::Warning
    } else {
        Severity::Critical
    };
    Explanation::new(Code::MigrationConcurrent, message, remedy).with(severity)
}

fn conflict(failure: &Failure<'_>) -> Option<FailureDetails> {
    // What belongs to a session is not part of the schema.
    if failure.stage != Stage::Migrate || is_of_session(failure) {
        return None;
    }
    let exists = failure.is(&[
        "DuplicateTable",
        "DuplicateColumn",
        "DuplicateObject",
        "DuplicateFunction",
        "DuplicateSchema",
        "DuplicateAlias",
    ]) || failure.is_database() && failure.says("already exists");
    let missing = failure.is(&[
        "UndefinedTable",
        "UndefinedColumn",
        "UndefinedObject",
        "UndefinedFunction",
    ]) || failure.is_database() && failure.says("does not exist") && !failure.says("FATAL")
        || failure.says("Found wrong number (");
    let form = if exists {
        "exists"
    } else if missing {
        "missing"
    } else {
        return None;
    };
    let line = failure.message.lines().next().unwrap_or_default();
    let what = line
        .trim_end_matches(" already exists")
        .trim_end_matches(" does not exist");
    Some(FailureDetails::form(form).object(what))
}

fn explain_conflict(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let migration = phrasing::migration(case, occurrence);
    let run = phrasing::run(case, occurrence);
    let raced = migration.is_some_and(|name| case.applied_by_another(name, occurrence));
    let began_empty = run.is_some_and(|run| run.fresh && run.applied > 0 && run.database == 0);
    let first_of_all = run.is_some_and(|run| run.fresh && run.applied == 0);
    let object = occurrence.details.object.as_deref().unwrap_or("an object");
    if occurrence.details.form == "exists" {
        if raced {
            return explain_race(case, occurrence, true);
        }
        if first_of_all {
            return explain_race(case, occurrence, false);
        }
        if occurrence.concurrent_index || migration.is_some_and(builds_index) && is_index(object) {
            return explain_index(case, occurrence, object);
        }
    } else if run.is_some_and(|run| run.database > 0 && run.fresh) {
        return explain_second_database(case, occurrence, object);
    }
    let fake = migration.and_then(|name| name.split_once('.')).map_or_else(
        || "flagsmith migrate APP NUMBER --fake".to_owned(),
        |(app, name)| {
            format!(
                "flagsmith migrate {app} {} --fake",
                name.split('_').next().unwrap_or(name)
            )
        },
    );
    let the_migration = the_migration(case, occurrence);
    let progress = progress(case, occurrence);
    let (message, remedy) = if occurrence.details.form == "exists" {
        (
            // The recorded history was empty: nothing was restored with one.
            if began_empty {
                format!(
                    "{the_migration} cannot be applied: {object} is in the database already, although this run began with an empty history. Either another migrator works on this database at the same time, or something else than Flagsmith's migrations made it. The log does not separate the two.{progress}"
                )
            } else {
                format!(
                    "{the_migration} cannot be applied: {object} already exists in the database, although the recorded history says that it was not created yet. Something changed the schema outside of Flagsmith's history: a restored dump, a migration taken back by hand, or another migrator at the same moment.{progress}"
                )
            },
            format!(
                "First {CHECK}: exit status 0 means that another migrator has done it meanwhile. Otherwise compare the object with what the migration would create; when they are the same, record it as done: {fake}; when they are not, restore the backup from before the upgrade, together with its django_migrations."
            ),
        )
    } else {
        (
            format!("{the_migration} cannot be applied: {object} does not exist in the database, although the recorded history says that it does. Something changed the schema outside of Flagsmith's history: an incomplete restore, or a change by hand.{progress}"),
            "Compare SELECT app, name FROM django_migrations ORDER BY id; with the schema; restore the missing object, best the whole backup from before the change, and migrate again.".to_owned(),
        )
    };
    Explanation::new(Code::MigrationSchemaConflict, message, remedy)
}

/// Migrations that build an index CONCURRENTLY and fail when it is there, whether it is valid or not.
fn builds_index(migration: &str) -> bool {
    [
        "features.0036_",
        "features.0050_",
        "features.0062_",
        "task_processor.0004_",
        "task_processor.0005_",
    ]
    .iter()
    .any(|start| migration.starts_with(start))
}

fn is_index(object: &str) -> bool {
    first_quoted(object)
        .is_some_and(|name| name.contains("idx") || name.contains("index") || name.ends_with("_uniq"))
}

fn explain_index(case: &LogEvidence, occurrence: &Occurrence, object: &str) -> Explanation {
    let name = first_quoted(object).unwrap_or("NAME");
    Explanation::new(
        Code::InvalidIndexLeft,
        format!("{} cannot build its index: {object} already exists. It builds the index CONCURRENTLY, outside of a transaction, so an earlier attempt that was interrupted leaves one that PostgreSQL does not use.{}", the_migration(case, occurrence), progress(case, occurrence)),
        format!("Look: SELECT indisvalid FROM pg_index WHERE indexrelid = '{}'::regclass; when it is false: DROP INDEX CONCURRENTLY {}; and migrate again. When it is true, another migrator has built it: {CHECK}", name.replace('\'', "''"), identifier(name)),
    )
    .with(Severity::Critical)
}

fn explain_second_database(case: &LogEvidence, occurrence: &Occurrence, object: &str) -> Explanation {
    Explanation::new(
        Code::TaskProcessorDatabaseMismatch,
        format!(
            "Migrating the separate task processor database failed{}: {object} does not exist. \"flagsmith migrate\" runs every app's migrations on an empty TASK_PROCESSOR_DATABASE_URL, and one of them reads the main database, which is already further.",
            at_migration(case, occurrence)
        ),
        "Create only the task processor's own tables there: flagsmith migrate task_processor --database task_processor; then start it with \"flagsmith start task-processor\", not \"run-task-processor\", which would migrate again.",
    )
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::code;
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case(
        "psycopg2.errors.UniqueViolation",
        "duplicate key value violates unique constraint \"pg_type_typname_nsp_index\"\nDETAIL:  Key (typname, typnamespace)=(django_migrations_id_seq, 2200) already exists.",
        MigrationConcurrent
    )]
    #[case(
        "psycopg2.errors.UniqueViolation",
        "duplicate key value violates unique constraint \"django_content_type_app_label_model_76bd3d3b_uniq\"",
        MigrationConcurrent
    )]
    #[case(
        "psycopg2.errors.InternalError_",
        "tuple concurrently updated",
        MigrationConcurrent
    )]
    #[case(
        "psycopg2.errors.DuplicateTable",
        "relation \"django_migrations\" already exists",
        MigrationConcurrent
    )]
    #[case(
        "psycopg2.errors.DuplicateTable",
        "relation \"django_content_type\" already exists",
        MigrationSchemaConflict
    )]
    #[case(
        "psycopg2.errors.DuplicateColumn",
        "column \"x\" of relation \"y\" already exists",
        MigrationSchemaConflict
    )]
    #[case(
        "psycopg2.errors.DuplicateColumn",
        "Spalte »x« von Relation »y« existiert bereits",
        MigrationSchemaConflict
    )]
    #[case(
        "psycopg2.errors.UndefinedTable",
        "relation \"task_processor_recurringtask\" does not exist",
        MigrationSchemaConflict
    )]
    #[case(
        "psycopg2.errors.UndefinedObject",
        "constraint \"c\" of relation \"r\" does not exist",
        MigrationSchemaConflict
    )]
    #[case(
        "psycopg2.errors.InvalidCursorName",
        "cursor \"_django_curs_140245_sync_1\" does not exist",
        MigrationFailed
    )]
    #[case(
        "psycopg2.errors.UniqueViolation",
        "could not create unique index \"users_email_uniq\"\nDETAIL:  Key (email)=(a@b.c) is duplicated.",
        MigrationDataConflict
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Code) {
        assert_eq!(code(Stage::Migrate, class, message), Some(expected));
    }
}
