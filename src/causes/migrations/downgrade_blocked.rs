//! The downgrade or rollback cannot be done like this.

use crate::{
    causes::{
        log::phrasing::at_migration,
        migrations::shared::{
            preflight::before_migration,
            snippets::{NEWEST_APPLIED, ROLL_BACK, first_line},
        },
        prelude::*,
    },
    flagsmith::{Release, upgrades},
    migration::{Direction, Undo, direction},
    model::shell,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    needs_person: true,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Migrations, include_str!("downgrade_blocked.md"))
};

/// Why a rollback failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The command is called otherwise.
    Command,
    /// A migration has no way back.
    Irreversible,
    /// The image does not have an app whose migrations are applied.
    App,
    /// Two migrations have the number.
    Ambiguous,
    /// The moment cannot be read.
    Date,
}

static LOG: Rule<Variant> = Rule {
    precedence: 405,
    signatures: &[
        Signature::of_words(Variant::Command, &["Unknown command: 'rollbackmigrationsafter'"]),
        Signature::of(Variant::Irreversible).class(&["IrreversibleError"]),
        Signature::of(Variant::Irreversible).all(&["is not reversible", "Operation <"]),
        Signature::of_words(Variant::App, &["No installed app with label '"]),
        Signature::of_words(Variant::Ambiguous, &["More than one migration matches '"]),
        Signature::of_words(Variant::Date, &["Date must be in ISO format"]),
    ],
    details: |failure, _| Some(first_line(failure.message)),
    explain,
    is_over: None,
};

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let what = occurrence.details.object.as_deref().unwrap_or_default();
    let at = at_migration(evidence, occurrence);
    let (message, remedy) = match variant {
        Variant::Command => (
            "The rollback did not start: the command is called rollbackmigrationsappliedafter; Flagsmith's documentation names it \
             wrongly. Nothing was changed."
                .to_owned(),
            format!(
                "With the newer image: {ROLL_BACK} (the time just before the upgrade). It covers the main database only."
            ),
        ),
        Variant::App => (
            format!(
                "The rollback cannot take back migrations of an app that this image does not have ({what}): the database was last \
                 migrated with another edition or a newer release."
            ),
            "Run the rollback with the image that applied them (the Enterprise image for its apps), before going back to the older one."
                .to_owned(),
        ),
        Variant::Ambiguous => (
            format!(
                "The rollback cannot name the migration to go back to: {what}. That far back, Flagsmith has two migrations with one \
                 number."
            ),
            "Go back by full name instead: python manage.py migrate APP FULL_NAME; or restore the backup.".to_owned(),
        ),
        Variant::Date => (
            "The rollback did not start: the date must be in ISO format. Nothing was changed.".to_owned(),
            format!("{ROLL_BACK} (UTC when no zone is given)."),
        ),
        Variant::Irreversible => (
            format!("The rollback stopped{at}: a migration cannot be taken back ({what})."),
            "Restore the backup from before the upgrade: this far back the migrations have no way back.".to_owned(),
        ),
    };
    Explanation::new(Code::DowngradeBlocked, message, remedy)
}

/// A wanted release that is older than the database.
fn check(context: &Context<'_>) -> Vec<Draft> {
    if !context.installation.managed_by.migrates_first() {
        return Vec::new();
    }
    let diagnosis = match direction(context.installation, context.observation) {
        // What the operator itself did is told by its records.
        Direction::Blocked(undo) => Some(blocked(context, &undo)),
        Direction::Back(_) | Direction::Restore(_) => None,
        Direction::Forward => newer(context),
    };
    diagnosis.into_iter().collect()
}

fn blocked(context: &Context<'_>, undo: &Undo) -> Draft {
    let installation = context.installation;
    let (from, wanted) = (undo.from, installation.release);
    let mut evidence = vec![format!(
        "spec.version is {wanted}; status, annotations or Jobs say that {from} was migrated to"
    )];
    if let (Some(applied), Some(after)) = (undo.applied, undo.applied_after) {
        evidence.push(format!(
            "status.migrationHistory: {applied} migrations were applied since, the last one before them at {after}"
        ));
    }
    let (time, hint) = match undo.applied_after {
        Some(_) => (String::new(), String::new()),
        None => (
            ",\"appliedAfter\":\"TIME\"".to_owned(),
            format!(
                " The operator has not recorded when the upgrade was: TIME is a moment after the last migration that stays \
                 ({NEWEST_APPLIED})."
            ),
        ),
    };
    Draft {
        message: format!(
            "The database was migrated to {from}; {wanted} does not know those migrations: {}. Whatever is running keeps \
             running.",
            consequence(wanted, from),
        ),
        evidence,
        remedy: format!(
            "Set spec.version to {from} or later. Or undo the newer migrations, and lose what was stored in the tables and columns that \
             they made (analytics and task-processor databases of their own are not covered; take a backup): \
             kubectl -n {} patch fsd {} --type merge -p \
             '{{\"spec\":{{\"migrations\":{{\"rollback\":{{\"from\":\"{from}\",\"to\":\"{wanted}\"{time}}}}}}}}}'{hint}",
            shell::name(&installation.identity.namespace, "NAMESPACE"),
            shell::name(&installation.identity.name, "NAME"),
        ),
        ..Code::DowngradeBlocked.draft()
    }
}

/// What pods of the older release would do on the newer tables.
fn consequence(wanted: Release, from: Release) -> String {
    upgrades::incompatible(wanted, from).map_or_else(
        || "its pods would start all the same, and could lose data without any error".to_owned(),
        |known| format!("its pods could not {}", known.what),
    )
}

/// A database that was migrated further, but not by the operator.
fn newer(context: &Context<'_>) -> Option<Draft> {
    let number = before_migration(context)?.history.task_processor.as_deref()?;
    let release = upgrades::at_least(number)?;
    let wanted = context.installation.release;
    (release > wanted).then(|| Draft {
        message: format!(
            "The database was migrated to {release} or later; {wanted} does not know those migrations: {}.",
            consequence(wanted, release),
        ),
        evidence: vec![format!(
            "database: django_migrations has task_processor.{number}…, which came with {release}"
        )],
        remedy: format!("Set spec.version to {release} or later, or restore a backup of the older database."),
        ..Code::DowngradeBlocked.draft()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{LOG, Variant};
    use crate::{
        causes::log::{failure::Stage, testing::recognise},
        model::Code::DowngradeBlocked,
    };

    #[rstest]
    #[case(
        "",
        "Unknown command: 'rollbackmigrationsafter'. Did you mean rollbackmigrationsappliedafter?",
        Variant::Command
    )]
    #[case(
        "django.db.migrations.exceptions.IrreversibleError",
        "Operation <RunPython <function f>> in users.0010_auto is not reversible",
        Variant::Irreversible
    )]
    #[case("CommandError", "No installed app with label 'workflows_logic'.", Variant::App)]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] variant: Variant) {
        let (code, details) = recognise(Stage::Migrate, class, message).unwrap();
        assert_eq!((code, LOG.variant(&details)), (DowngradeBlocked, Some(variant)));
    }
}
