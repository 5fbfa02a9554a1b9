//! Several migrations ran at the same time: Flagsmith takes no lock around them. The losers of a race fail with "already
//! exists" while the schema ends up right.

use crate::{
    causes::{
        log::{
            failure::{first_quoted, quoted_after},
            phrasing::{at_migration, migration, progress, run},
        },
        migrations::shared::{
            conflict::{self, Conflict},
            snippets::CHECK,
        },
        prelude::*,
    },
    observe::{ContainerState, MigratorRun, Observation, WorkloadState},
    validate::Change,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    explains_here: Some(is_of_loser),
    log: &[&LOG],
    claims: Some(claims),
    check: Some(check),
    ..Cause::warning(Component::Migrations, include_str!("concurrent.md"))
};

/// Runs that are shown as evidence.
const SHOWN: usize = 4;

/// Begins the names of constraints that only two migrators at the same time can violate: PostgreSQL's own catalogues, and
/// the tables that Django fills after every run.
const RACED_FOR: &[&str] = &["pg_", "django_content_type_", "auth_permission_"];

/// What two migrators made at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// A row of a catalogue, which both inserted.
    Row,
    /// A row of a catalogue, which both changed.
    Tuple,
    /// The table of the history.
    History,
}

static LOG: Rule<Variant> = Rule {
    precedence: 445,
    signatures: &[
        Signature::of_database(Variant::Tuple, &["tuple concurrently updated", "tuple concurrently deleted"]),
        Signature::of(Variant::History)
            .only_database()
            .class(&["DuplicateTable", "ProgrammingError", "MigrationSchemaMissing"])
            .all(&["\"django_migrations\"", "already exists"]),
        Signature::of_database(Variant::Row, &["unique constraint "]),
        Signature::of(Variant::Row).only_database().class(&["UniqueViolation"]),
    ],
    details,
    explain: |evidence, occurrence, _| explain(evidence, occurrence, true),
    is_over: None,
};

fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    let object = match variant {
        Variant::Tuple => "tuple concurrently updated",
        Variant::History => "relation django_migrations",
        Variant::Row => {
            let constraint = quoted_after(failure.message, &["unique constraint "]).or_else(|| {
                let quoted = failure.is(&["UniqueViolation"]).then_some(failure.message);
                quoted.and_then(first_quoted)
            })?;
            if !RACED_FOR.iter().any(|start| constraint.starts_with(start)) {
                return None;
            }
            // `Key (typname, typnamespace)=(auth_permission, 2200) already exists.`
            let key = failure.message.split_once(")=(").and_then(|(_, key)| key.split([',', ')']).next());
            key.unwrap_or(constraint)
        }
    };
    Some(FailureDetails::default().object(object))
}

/// An object that exists because another migrator of the same log made it; or, to the very first migration, perhaps.
fn claims(evidence: &LogEvidence, occurrence: &Occurrence) -> Option<Explanation> {
    if conflict::of(occurrence) != Some(Conflict::Exists) {
        return None;
    }
    let raced =
        migration(evidence, occurrence).is_some_and(|name| evidence.applied_by_another(name, occurrence));
    let first_of_all = run(evidence, occurrence).is_some_and(|run| run.fresh && run.applied == 0);
    (raced || first_of_all).then(|| explain(evidence, occurrence, raced))
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, certain: bool) -> Explanation {
    let object = conflict::object(occurrence);
    let at = at_migration(evidence, occurrence);
    let (severity, message) = if certain {
        (
            Severity::Warning,
            format!(
                "Two migrations ran on this database at the same time, and this one lost{at}: the other had created {object} \
                 meanwhile. Flagsmith takes no lock around migrations. The schema usually ends up right.{}",
                progress(evidence, occurrence)
            ),
        )
    } else {
        (
            Severity::Critical,
            format!(
                "The very first migration found {object} already there{at}. Either another migration ran at the same time (then \
                 nothing is wrong), or the database was filled without its history, for example from a dump without \
                 django_migrations. The log does not separate the two."
            ),
        )
    };
    let remedy = format!(
        "Run {CHECK}: exit status 0 means that the other one has finished everything, nothing is left to do. Otherwise run flagsmith \
         migrate once more, alone; if it fails at the same place, see MigrationSchemaConflict. Let one process migrate only: on Helm \
         api.enableMigrateDbInitContainer=false with jobs.migrateDb.enabled=true, and start the task processor with \
         \"start task-processor\" instead of \"run-task-processor\"."
    );
    Explanation::new(Code::MigrationConcurrent, message, remedy).with(severity)
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    if context.installation.managed_by.migrates_first() {
        return Vec::new();
    }
    race(context).or_else(|| risk(context)).into_iter().collect()
}

/// Whether only the losers of a race logged that something exists already: then no schema is broken.
fn is_of_loser(context: &Context<'_>, other: &Draft) -> bool {
    if other.code != Code::MigrationSchemaConflict {
        return false;
    }
    let (lost, _) = racers(context.observation);
    let logs = context.observation.pod_logs.logs.iter();
    let mut conflicts = logs
        .filter(|reading| {
            let mut found = reading.found.iter();
            found.any(|it| it.diagnosis.code == Code::MigrationSchemaConflict)
        })
        .peekable();
    conflicts.peek().is_some() && conflicts.all(|reading| lost.iter().any(|run| run.pod == reading.pod))
}

/// Some that failed while another one, which ran at the same time, succeeded: a database that was away fails all.
fn racers(observation: &Observation) -> (Vec<&MigratorRun>, Vec<&MigratorRun>) {
    let runs = &observation.migrators;
    let rivals = |run: &MigratorRun, wanted: fn(i32) -> bool| {
        runs.iter()
            .any(|other| other.pod != run.pod && other.exit_code.is_some_and(wanted) && overlap(run, other))
    };
    let succeeded = |code| code == 0;
    let failed = |code| code != 0;
    runs.iter()
        .filter(|run| match run.exit_code {
            Some(0) => rivals(run, failed),
            Some(_) => rivals(run, succeeded),
            None => false,
        })
        .partition(|run| run.exit_code != Some(0))
}

fn race(context: &Context<'_>) -> Option<Draft> {
    let (lost, won) = racers(context.observation);
    if lost.is_empty() {
        return None;
    }
    Some(Draft {
        message: format!(
            "Several pods migrated the database at the same time: {} failed while {} succeeded. Flagsmith takes no lock around \
             migrations; the schema usually ends up right, but a migration of data may have run twice.",
            lost.len(),
            won.len(),
        ),
        evidence: won.iter().chain(&lost).take(SHOWN).map(ToString::to_string).collect(),
        remedy: remedy(context),
        ..Code::MigrationConcurrent.draft()
    })
}

fn overlap(a: &MigratorRun, b: &MigratorRun) -> bool {
    let before_end = |run: &MigratorRun, other: &MigratorRun| {
        other.finished.is_none_or(|finished| run.started <= finished)
    };
    before_end(a, b) && before_end(b, a)
}

/// Several that may run at once the next time.
fn risk(context: &Context<'_>) -> Option<Draft> {
    let observation = context.observation;
    let api = observation.api.as_ref().filter(|api| migrates(api))?;
    let autoscaled = observation.external_autoscalers.contains(&api.name);
    if api.desired < 2 && !autoscaled {
        return None;
    }
    let pods = if autoscaled {
        "as many pods as its autoscaler starts at once".to_owned()
    } else {
        format!("{} pods", api.desired)
    };
    let container = api.init_containers.iter().find(|init| init.migrates()).or_else(|| api.container());
    Some(Draft {
        code: Code::MigrationConcurrent,
        severity: Severity::Info,
        component: Component::Migrations,
        message: format!(
            "Every pod of the API migrates the database when it starts ({pods}), and Flagsmith takes no lock: pods that start together \
             with a new release race each other, and the losers fail."
        ),
        evidence: vec![format!(
            "Deployment {}: container {} runs {:?}",
            api.name,
            container.map_or("", |it| &it.name),
            container.map_or(&[][..], |it| &it.command),
        )],
        remedy: remedy(context),
    })
}

fn migrates(state: &WorkloadState) -> bool {
    state.init_containers.iter().chain(state.containers.iter()).any(ContainerState::migrates)
}

/// One migrator alone: a Job before the pods, and a task processor that only works.
fn remedy(context: &Context<'_>) -> String {
    const WORK: &[&str] = &["start", "task-processor"];
    let observation = context.observation;
    let mut changes = Vec::new();
    if observation.api.as_ref().is_some_and(migrates) {
        changes.push(Change::MigrateInJob);
    }
    if observation.task_processor.as_ref().is_some_and(migrates) {
        changes.push(Change::Start(Component::TaskProcessor, WORK));
    }
    format!("Let one Job migrate: {}", context.installation.managed_by.change(&changes))
}

#[cfg(test)]
mod tests;
