//! Who migrates, and whether several do at once. Flagsmith takes no lock around its migrations: the losers of a race
//! fail with "already exists" while the schema ends up right.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    causes::live::pods,
    observe::{ContainerState, JobOutcome, JobState, LogReading, MigratorRun, Observation, WorkloadState},
    validate::{Change, Installation},
};

/// Runs that are shown as evidence.
const SHOWN: usize = 4;

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let mut found = pods::check(installation, observation, "migrations", Component::Migrations);
    found.retain(|diagnosis| diagnosis.code != Code::CrashLooping);
    found.extend(failed(installation, observation));
    found.extend(race(installation, observation).or_else(|| risk(installation, observation)));
    found.extend(beside(installation, observation));
    found
}

/// What the losers of a race have logged: their "already exists" is the race's evidence, and no broken schema.
pub(super) fn absorb(observation: &Observation, found: &mut Vec<Diagnosis>) {
    let (lost, _) = racers(observation);
    let conflict = |reading: &&LogReading| {
        reading
            .found
            .iter()
            .any(|it| it.diagnosis.code == Code::MigrationSchemaConflict)
    };
    let mut conflicts = observation.pod_logs.logs.iter().filter(conflict).peekable();
    let of_loser = |reading: &LogReading| lost.iter().any(|run| run.pod == reading.pod);
    if conflicts.peek().is_none() || !conflicts.all(of_loser) {
        return;
    }
    let said: Vec<String> = found
        .extract_if(.., |it| it.code == Code::MigrationSchemaConflict)
        .flat_map(|it| it.evidence)
        .collect();
    if let Some(race) = found.iter_mut().find(|it| it.code == Code::MigrationConcurrent) {
        race.evidence.extend(said);
    }
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

fn race(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    let (lost, won) = racers(observation);
    if lost.is_empty() {
        return None;
    }
    Some(diagnosis(
        Code::MigrationConcurrent,
        Severity::Warning,
        Component::Migrations,
        format!(
            "Several pods migrated the database at the same time: {} failed while {} succeeded. Flagsmith takes no lock around migrations; the schema usually ends up right, but a migration of data may have run twice.",
            lost.len(),
            won.len(),
        ),
        won.iter()
            .chain(&lost)
            .take(SHOWN)
            .map(ToString::to_string)
            .collect(),
        remedy(installation, observation),
    ))
}

fn overlap(a: &MigratorRun, b: &MigratorRun) -> bool {
    let before_end = |run: &MigratorRun, other: &MigratorRun| {
        other.finished.is_none_or(|finished| run.started <= finished)
    };
    before_end(a, b) && before_end(b, a)
}

/// Several that may run at once the next time.
fn risk(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
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
    let container = api
        .init_containers
        .iter()
        .find(|init| init.migrates())
        .or_else(|| api.container());
    Some(diagnosis(
        Code::MigrationConcurrent,
        Severity::Info,
        Component::Migrations,
        format!(
            "Every pod of the API migrates the database when it starts ({pods}), and Flagsmith takes no lock: pods that start together with a new release race each other, and the losers fail."
        ),
        vec![format!(
            "Deployment {}: container {} runs {:?}",
            api.name,
            container.map_or("", |it| &it.name),
            container.map_or(&[][..], |it| &it.command),
        )],
        remedy(installation, observation),
    ))
}

fn migrates(state: &WorkloadState) -> bool {
    state
        .init_containers
        .iter()
        .chain(&state.containers)
        .any(ContainerState::migrates)
}

/// One migrator alone: a Job before the pods, and a task processor that only works.
fn remedy(installation: &Installation, observation: &Observation) -> String {
    const WORK: &[&str] = &["start", "task-processor"];
    let mut changes = Vec::new();
    if observation.api.as_ref().is_some_and(migrates) {
        changes.push(Change::MigrateInJob);
    }
    if observation.task_processor.as_ref().is_some_and(migrates) {
        changes.push(Change::Start(Component::TaskProcessor, WORK));
    }
    format!(
        "Let one Job migrate: {}",
        installation.managed_by.change(&changes)
    )
}

/// A Job that migrates while pods of the same release start.
fn beside(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    let job = observation
        .jobs
        .iter()
        .find(|job| job.outcome == JobOutcome::Active)?;
    let api = observation.api.as_ref()?;
    let namespace = &installation.identity.namespace;
    (!api.rolled_out() && job.release == api.release).then(|| {
        diagnosis(
            Code::MigrationsPending,
            Severity::Info,
            Component::Migrations,
            "The migration Job runs beside the rollout: new pods restart or stay unready until it has finished, old ones serve.".to_owned(),
            vec![
                format!("Job {}: running", job.name),
                format!("Deployment {}: {} of {} pods of the new template", api.name, api.updated, api.desired),
            ],
            format!("Nothing to do while it makes progress: kubectl -n {namespace} logs -f job/{}", job.name),
        )
    })
}

/// The last Job has failed.
fn failed(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    let last: &JobState = observation
        .jobs
        .iter()
        .max_by_key(|job| (job.started, job.name.clone()))?;
    let JobOutcome::Failed { reason, message } = &last.outcome else {
        return None;
    };
    let namespace = &installation.identity.namespace;
    let serves = observation
        .api
        .as_ref()
        .is_some_and(|api| api.rolled_out() && api.ready > 0);
    let evidence = [format!("Job {}: {reason}: {message}", last.name)]
        .into_iter()
        .chain(pods::last_words(observation, "migrations"))
        .collect();
    Some(diagnosis(
        Code::MigrationFailed,
        if serves {
            Severity::Warning
        } else {
            Severity::Critical
        },
        Component::Migrations,
        "The migration Job has failed.".to_owned(),
        evidence,
        format!(
            "Read its log: kubectl -n {namespace} logs job/{0} --tail=100. When the cause is mended, run it again: kubectl -n {namespace} get job {0} -o json | jq 'del(.spec.selector, .spec.template.metadata.labels, .status, .metadata.uid, .metadata.resourceVersion) | .metadata.name += \"-again\"' | kubectl create -f -",
            last.name
        ),
    ))
}
