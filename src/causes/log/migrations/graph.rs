//! The migrations themselves do not fit together, or cannot be taken back.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails};
use crate::causes::log::phrasing::at_migration;
use crate::causes::log::{finding::Explanation, rule::Plain};
use crate::model::Code;

pub const MIGRATION_HISTORY_INCONSISTENT: (Code, Plain) = (
    Code::MigrationHistoryInconsistent,
    Plain {
        precedence: 410,
        last_resort: false,
        recognise: history,
        explain: explain_history,
        is_over: None,
    },
);
pub const MIGRATION_GRAPH_BROKEN: (Code, Plain) = (
    Code::MigrationGraphBroken,
    Plain {
        precedence: 415,
        last_resort: false,
        recognise: graph,
        explain: explain_graph,
        is_over: None,
    },
);
pub const DOWNGRADE_BLOCKED: (Code, Plain) = (
    Code::DowngradeBlocked,
    Plain {
        precedence: 405,
        last_resort: false,
        recognise: rollback,
        explain: explain_rollback,
        is_over: None,
    },
);

fn history(failure: &Failure<'_>) -> Option<FailureDetails> {
    if !failure.is(&["InconsistentMigrationHistory"]) {
        return None;
    }
    let (_, rest) = failure.message.split_once("Migration ")?;
    let (applied, rest) = rest.split_once(" is applied before its dependency ")?;
    let dependency = rest.split(' ').next()?;
    Some(FailureDetails {
        object: Some(applied.to_owned()),
        detail: Some(dependency.to_owned()),
        database: rest
            .split_once("on database '")
            .and_then(|(_, rest)| rest.split('\'').next())
            .map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain_history(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let applied = occurrence.details.object.as_deref().unwrap_or("one");
    let dependency = occurrence.details.detail.as_deref().unwrap_or("another");
    Explanation::new(
        Code::MigrationHistoryInconsistent,
        format!(
            "The history in django_migrations contradicts itself: {applied} is recorded as applied, but {dependency}, which has to come before it, is not. No migration was run. Somebody edited django_migrations, or restored only part of it."
        ),
        format!(
            "When the schema has what {dependency} creates, add the missing record: flagsmith migrate --fake refuses in this state, so insert it: INSERT INTO django_migrations (app, name, applied) VALUES ('{}', '{}', now()); when it has not, restore the backup from before the change.",
            dependency.split('.').next().unwrap_or("APP"),
            dependency.split_once('.').map_or("NAME", |(_, name)| name)
        ),
    )
}

fn graph(failure: &Failure<'_>) -> Option<FailureDetails> {
    let form = if failure.is(&["NodeNotFoundError"]) || failure.says("nonexistent parent node") {
        "parent"
    } else if failure.says("Conflicting migrations detected") {
        "leaves"
    } else if failure.is(&["CircularDependencyError"]) {
        "circle"
    } else if failure.is(&["BadMigrationError"]) {
        "file"
    } else {
        return None;
    };
    Some(FailureDetails::form(form).object(failure.message.lines().next().unwrap_or_default()))
}

fn explain_graph(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let what = occurrence.details.object.as_deref().unwrap_or_default();
    let message = match occurrence.details.form {
        "parent" => format!(
            "The image's migrations are incomplete: one of them builds on another that is not in the image ({what}). No migration was run."
        ),
        "leaves" => format!(
            "The image has two migrations of one app that both claim to be its last ({what}). No migration was run."
        ),
        "circle" => {
            format!("The image's migrations depend on each other in a circle ({what}). No migration was run.")
        }
        _ => format!("The image has a migration file that Django cannot use ({what}). No migration was run."),
    };
    Explanation::new(
        Code::MigrationGraphBroken,
        message,
        "This is in the image, not in the database: run a released image without added or removed migration files (docker.io/flagsmith/flagsmith-api:X.Y.Z); an own build has to be rebased on the release.",
    )
}

fn rollback(failure: &Failure<'_>) -> Option<FailureDetails> {
    let form = if failure.says("Unknown command: 'rollbackmigrationsafter'") {
        "command"
    } else if failure.is(&["IrreversibleError"])
        || failure.says("is not reversible") && failure.says("Operation <")
    {
        "irreversible"
    } else if failure.says("No installed app with label '") {
        "app"
    } else if failure.says("More than one migration matches '") {
        "ambiguous"
    } else if failure.says("Date must be in ISO format") {
        "date"
    } else {
        return None;
    };
    Some(FailureDetails::form(form).object(failure.message.lines().next().unwrap_or_default()))
}

fn explain_rollback(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let what = occurrence.details.object.as_deref().unwrap_or_default();
    let at = at_migration(case, occurrence);
    let (message, remedy) = match occurrence.details.form {
        "command" => (
            "The rollback did not start: the command is called rollbackmigrationsappliedafter; Flagsmith's documentation names it wrongly. Nothing was changed.".to_owned(),
            "With the newer image: python manage.py rollbackmigrationsappliedafter \"2026-01-31T00:00:00+00:00\" (the time just before the upgrade). It covers the main database only.",
        ),
        "app" => (
            format!("The rollback cannot take back migrations of an app that this image does not have ({what}): the database was last migrated with another edition or a newer release."),
            "Run the rollback with the image that applied them (the Enterprise image for its apps), before going back to the older one.",
        ),
        "ambiguous" => (
            format!("The rollback cannot name the migration to go back to: {what}. That far back, Flagsmith has two migrations with one number."),
            "Go back by full name instead: python manage.py migrate APP FULL_NAME; or restore the backup.",
        ),
        "date" => (
            "The rollback did not start: the date must be in ISO format. Nothing was changed.".to_owned(),
            "python manage.py rollbackmigrationsappliedafter \"2026-01-31T00:00:00+00:00\" (UTC when no zone is given).",
        ),
        _ => (
            format!("The rollback stopped{at}: a migration cannot be taken back ({what})."),
            "Restore the backup from before the upgrade: this far back the migrations have no way back.",
        ),
    };
    Explanation::new(Code::DowngradeBlocked, message, remedy)
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::code;
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case(
        "django.db.migrations.exceptions.InconsistentMigrationHistory",
        "Migration features.0002_auto_20180530_0724 is applied before its dependency features.0001_initial on database 'default'.",
        MigrationHistoryInconsistent
    )]
    #[case(
        "django.db.migrations.exceptions.NodeNotFoundError",
        "Migration users.0045_x dependencies reference nonexistent parent node ('users', '0044_y')",
        MigrationGraphBroken
    )]
    #[case(
        "CommandError",
        "Conflicting migrations detected; multiple leaf nodes in the migration graph: (0045_a, 0045_fork in users).",
        MigrationGraphBroken
    )]
    #[case(
        "",
        "Unknown command: 'rollbackmigrationsafter'. Did you mean rollbackmigrationsappliedafter?",
        DowngradeBlocked
    )]
    #[case(
        "django.db.migrations.exceptions.IrreversibleError",
        "Operation <RunPython <function f>> in users.0010_auto is not reversible",
        DowngradeBlocked
    )]
    #[case(
        "CommandError",
        "No installed app with label 'workflows_logic'.",
        DowngradeBlocked
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Code) {
        assert_eq!(code(Stage::Migrate, class, message), Some(expected));
    }
}
