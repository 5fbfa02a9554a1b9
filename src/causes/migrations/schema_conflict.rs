//! Schema and recorded history do not agree.

use crate::{
    causes::{
        log::phrasing::{migration, progress, run, the_migration},
        migrations::shared::{
            conflict::{self, Conflict, SIGNATURES},
            snippets::{CHECK, first_line},
        },
        prelude::*,
    },
    model::shell,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    ..Cause::critical(Component::Migrations, include_str!("schema_conflict.md"))
};

static LOG: Rule<Conflict> =
    Rule { precedence: 450, signatures: SIGNATURES, details, explain, is_over: None };

fn details(failure: &Failure<'_>, variant: Conflict) -> Option<FailureDetails> {
    let mut lines = failure.message.lines();
    let line = lines.next().unwrap_or_default();
    match variant {
        Conflict::Dependents => {
            let which = lines.find_map(|line| line.trim().split_once(':').map(|(_, rest)| rest.trim()));
            Some(FailureDetails {
                object: Some(line.to_owned()),
                detail: which.map(str::to_owned),
                ..FailureDetails::default()
            })
        }
        Conflict::Exists | Conflict::Missing if failure.is_of_session() => None,
        Conflict::Exists | Conflict::Missing => {
            Some(first_line(line.trim_end_matches(" already exists").trim_end_matches(" does not exist")))
        }
    }
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Conflict) -> Explanation {
    let the_migration = the_migration(evidence, occurrence);
    let progress = progress(evidence, occurrence);
    let object = conflict::object(occurrence);
    let (why, remedy) = match variant {
        Conflict::Dependents => {
            let which = occurrence.details.detail.as_deref();
            let which = which.unwrap_or("the evidence names the object");
            (
                format!(
                    "{object} ({which}). No release of Flagsmith makes such an object on its own tables, so it belongs to \
                     another program, for example to a report. Nothing of this migration was applied."
                ),
                "Ask whose object it is. Keep its definition (psql: \\d+ VIEW, or pg_dump --schema-only -t VIEW), drop it, \
                 migrate again, and create it again on the changed table. CASCADE would drop it without keeping the definition."
                    .to_owned(),
            )
        }
        Conflict::Exists => (exists(evidence, occurrence), record(evidence, occurrence)),
        Conflict::Missing => (
            format!(
                "{object} does not exist in the database, although the recorded history says that it does. Something changed \
                 the schema outside of Flagsmith's history: an incomplete restore, or a change by hand."
            ),
            "Compare SELECT app, name FROM django_migrations ORDER BY id; with the schema; restore the missing object, best the \
             whole backup from before the change, and migrate again."
                .to_owned(),
        ),
    };
    Explanation::new(
        Code::MigrationSchemaConflict,
        format!("{the_migration} cannot be applied: {why}{progress}"),
        remedy,
    )
}

fn exists(evidence: &LogEvidence, occurrence: &Occurrence) -> String {
    let object = conflict::object(occurrence);
    // The recorded history was empty: nothing was restored with one.
    let began_empty =
        run(evidence, occurrence).is_some_and(|run| run.fresh && run.applied > 0 && run.database == 0);
    if began_empty {
        format!(
            "{object} is in the database already, although this run began with an empty history. Either another migrator works on \
             this database at the same time, or something else than Flagsmith's migrations made it. The log does not separate the two."
        )
    } else {
        format!(
            "{object} already exists in the database, although the recorded history says that it was not created yet. Something \
             changed the schema outside of Flagsmith's history: a restored dump, a migration taken back by hand, or another migrator \
             at the same moment."
        )
    }
}

fn record(evidence: &LogEvidence, occurrence: &Occurrence) -> String {
    let name = migration(evidence, occurrence).and_then(|name| name.split_once('.'));
    let (app, name) = name.unwrap_or(("APP", "NUMBER"));
    let number = name.split('_').next().unwrap_or(name);
    format!(
        "First {CHECK}: exit status 0 means that another migrator has done it meanwhile. Otherwise compare the object with what \
         the migration would create; when they are the same, record it as done: flagsmith migrate {} {} --fake; when they are not, \
         restore the backup from before the upgrade, together with its django_migrations.",
        shell::name(app, "APP"),
        shell::name(number, "NUMBER")
    )
}

#[cfg(test)]
mod tests;
