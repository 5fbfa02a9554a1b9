//! The conditions, computed from everything that a pass has seen and decided. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{front, migration, observed};
use crate::{
    api::MigrationOperation,
    decide::{Gate, Plan},
    diagnose::{Code, Component, Diagnosis, Severity, live},
    observe::{DatabaseProbe, JobState, Observation, SecretState, WorkloadState, database::QueueProbe},
    validate::{Database, Installation},
};

/// Types that are always present.
pub(super) const ALWAYS: [&str; 8] = [
    "Ready",
    "DatabaseReachable",
    "MigrationsApplied",
    "ApiAvailable",
    "TaskProcessorAvailable",
    "FrontendAvailable",
    "TimeoutsAligned",
    "ExposureReady",
];

/// `server_version_num` is major × 10000 + minor since PostgreSQL 10.
const VERSION_DIVISOR: i32 = 10_000;

/// What conditions are computed from.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What is wanted.
    pub installation: &'a Installation,
    /// What was seen.
    pub seen: &'a Observation,
    /// What was decided.
    pub plan: &'a Plan,
    /// What is wrong.
    pub diagnoses: &'a [Diagnosis],
    /// Whether everything that was decided has been written.
    pub complete: bool,
}

/// Status, reason and message of one condition.
pub(super) struct Verdict {
    status: &'static str,
    reason: String,
    message: String,
}

pub(super) fn verdict(status: &'static str, reason: &str, message: impl Into<String>) -> Verdict {
    Verdict {
        status,
        reason: reason.to_owned(),
        message: message.into(),
    }
}

/// All conditions in a stable order.
#[must_use]
pub fn conditions(context: Context<'_>) -> Vec<Condition> {
    let components = [
        ("DatabaseReachable", database(context)),
        ("MigrationsApplied", migrations(context)),
        ("ApiAvailable", component(context, Component::Api)),
        (
            "TaskProcessorAvailable",
            component(context, Component::TaskProcessor),
        ),
        ("FrontendAvailable", component(context, Component::Frontend)),
        ("TimeoutsAligned", front::timeouts(context)),
        ("ExposureReady", front::exposure(context)),
    ];
    let ready = ready(context, &components);
    let abnormal = abnormal(context, &ready);
    let mut all = vec![("Ready", ready)];
    all.extend(components);
    all.extend(abnormal);
    let previous = &context.seen.previous.conditions;
    all.into_iter()
        .map(|(kind, verdict)| {
            condition(
                kind,
                verdict,
                previous,
                context.installation.identity.generation,
                context.seen.now,
            )
        })
        .collect()
}

/// The conditions of a resource that is no valid specification: only the summary can be told, the others keep what
/// was known of them.
pub(super) fn invalid(
    previous: &[Condition],
    generation: i64,
    code: Code,
    message: &str,
    now: Timestamp,
) -> Vec<Condition> {
    let mut all: Vec<Condition> = previous
        .iter()
        .filter(|known| !matches!(known.type_.as_str(), "Ready" | "Stalled" | "Reconciling"))
        .cloned()
        .collect();
    for kind in ALWAYS.iter().filter(|kind| **kind != "Ready") {
        if !all.iter().any(|known| known.type_ == *kind) {
            let unknown = verdict(
                "Unknown",
                code.as_str(),
                "not looked at: the specification is not valid",
            );
            all.push(condition(kind, unknown, previous, generation, now));
        }
    }
    all.insert(
        0,
        condition(
            "Ready",
            verdict("False", code.as_str(), message),
            previous,
            generation,
            now,
        ),
    );
    all.push(condition(
        "Stalled",
        verdict("True", code.as_str(), message),
        previous,
        generation,
        now,
    ));
    all
}

/// The transition time moves only when the status does.
fn condition(
    kind: &str,
    verdict: Verdict,
    previous: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Condition {
    let since = previous
        .iter()
        .find(|known| known.type_ == kind && known.status == verdict.status)
        .map_or(Time(now), |known| known.last_transition_time.clone());
    Condition {
        type_: kind.to_owned(),
        status: verdict.status.to_owned(),
        reason: verdict.reason,
        message: verdict.message,
        observed_generation: Some(generation),
        last_transition_time: since,
    }
}

pub(super) fn critical(context: Context<'_>, component: Component) -> Option<&Diagnosis> {
    context
        .diagnoses
        .iter()
        .find(|diagnosis| diagnosis.component == component && diagnosis.severity == Severity::Critical)
}

pub(super) fn of(diagnosis: &Diagnosis) -> Verdict {
    verdict("False", diagnosis.code.as_str(), diagnosis.message.clone())
}

fn database(context: Context<'_>) -> Verdict {
    let seen = context.seen;
    if let Some(diagnosis) = critical(context, Component::Database) {
        return of(diagnosis);
    }
    if matches!(context.installation.database, Database::Embedded { .. })
        && seen
            .embedded_database
            .as_ref()
            .is_none_or(|database| database.ready <= 0)
    {
        return verdict(
            "False",
            Code::DatabaseStarting.as_str(),
            "the embedded PostgreSQL is not ready yet",
        );
    }
    let used = live::used_by_pods(seen);
    if seen.secrets.database == SecretState::Unread {
        return if used {
            verdict(
                "True",
                "ReportedByPods",
                "ready pods write to it; the operator has not looked itself",
            )
        } else {
            verdict(
                "Unknown",
                "NotProbed",
                "the operator does not look into this database; ready pods will show",
            )
        };
    }
    let SecretState::Present(identity) = &seen.secrets.database else {
        return verdict(
            "Unknown",
            "SecretPending",
            "the Secret with DATABASE_URL is being made",
        );
    };
    match &seen.database {
        DatabaseProbe::Reachable { version, .. } => verdict(
            "True",
            "Reachable",
            format!(
                "PostgreSQL {}.{} answers at {identity}",
                version / VERSION_DIVISOR,
                version % VERSION_DIVISOR
            ),
        ),
        DatabaseProbe::Failed(failure) if used => verdict(
            "Unknown",
            "ProbeBlocked",
            format!(
                "the operator cannot reach {identity} ({}), but the pods' own readiness says that it works. A NetworkPolicy may keep the operator out; details of queue and migrations are not available until it can connect from its namespace",
                failure.message
            ),
        ),
        DatabaseProbe::NotProbed if used => verdict(
            "True",
            "ReportedByPods",
            format!("ready pods write to {identity}"),
        ),
        DatabaseProbe::Failed(failure) => verdict(
            "Unknown",
            "ProbeBlocked",
            format!(
                "the operator cannot reach {identity} ({}); a NetworkPolicy may keep it out, pods will show",
                failure.message
            ),
        ),
        DatabaseProbe::NotProbed => verdict(
            "Unknown",
            "NotProbed",
            "database probes are switched off; ready pods will show",
        ),
    }
}

fn migrations(context: Context<'_>) -> Verdict {
    if !context.installation.tool.is_resource() {
        return observed::migrations(context);
    }
    let release = context.installation.release;
    if let Some(diagnosis) = critical(context, Component::Migrations) {
        return of(diagnosis);
    }
    match &context.plan.gate {
        Gate::Succeeded | Gate::Unrecorded(_) => verdict(
            "True",
            "Applied",
            format!("every migration of {release} is applied"),
        ),
        Gate::Running(job) => verdict("False", "Running", running(context, job)),
        Gate::Pending if context.plan.migrate.is_some() => verdict(
            "False",
            "Pending",
            format!("the migration to {release} is being started"),
        ),
        Gate::Pending => verdict(
            "False",
            "Pending",
            format!("the migration to {release} starts when the task processor has stopped"),
        ),
        Gate::Failed { job, .. } => verdict(
            "False",
            Code::MigrationFailed.as_str(),
            format!("Job {job} has failed"),
        ),
        Gate::Blocked(Code::MigrationConcurrent) => verdict(
            "False",
            Code::MigrationConcurrent.as_str(),
            format!(
                "the migration to {release} waits for another one of the same database: {}",
                context
                    .seen
                    .other_migrator()
                    .as_deref()
                    .unwrap_or("it has just ended"),
            ),
        ),
        Gate::Blocked(Code::BackupPending) => verdict(
            "False",
            Code::BackupPending.as_str(),
            format!("the migration to {release} waits for its backup"),
        ),
        Gate::Blocked(code) => verdict(
            "False",
            code.as_str(),
            format!("the migration to {release} cannot start yet: {code}"),
        ),
    }
}

/// What a Job is doing, and how far it is. Rounded to seconds, and only as fresh as the last look at the database.
fn running(context: Context<'_>, job: &JobState) -> String {
    let release = context.installation.release;
    let name = &job.name;
    if job.operation == MigrationOperation::RollBack {
        return format!("Job {name} is undoing the migrations that are newer than {release}");
    }
    let progress = migration::progress(context.seen, job);
    let mut text = format!(
        "Job {name} is migrating the database to {}",
        job.release.unwrap_or(release)
    );
    if let (Some(applied), Some(total)) = (progress.applied, progress.total) {
        text = format!("{text}: {applied} of {total} migrations applied");
    }
    if let (Some(current), Some(since)) = (progress.current, progress.since) {
        text = format!("{text}, {current} running since {since:.0}");
    }
    text
}

fn component(context: Context<'_>, component: Component) -> Verdict {
    let (state, workload) = match component {
        Component::Api => (&context.seen.api, &context.plan.api),
        Component::TaskProcessor => (&context.seen.task_processor, &context.plan.task_processor),
        _ if !context.installation.frontend.enabled => {
            return verdict("True", "Disabled", "spec.frontend.enabled is false");
        }
        _ => (&context.seen.frontend, &context.plan.frontend),
    };
    let Some(state) = state else {
        if !context.installation.tool.is_resource() {
            return observed::absent(context, component);
        }
        return match (critical(context, component), workload) {
            (Some(diagnosis), _) => of(diagnosis),
            (None, Some(_)) => verdict("False", "Creating", "the Deployment is being made"),
            (None, None) => verdict(
                "False",
                "WaitingForMigration",
                "it starts when the migration has succeeded",
            ),
        };
    };
    let counts = counts(state);
    if state.desired == 0 {
        if state.resting {
            return verdict("True", "ScaledToZero", "no pod is wanted, on purpose");
        }
        let stopped = component == Component::TaskProcessor
            && matches!(
                context.plan.gate,
                Gate::Pending | Gate::Running(_) | Gate::Unrecorded(_)
            );
        return if stopped {
            verdict(
                "False",
                "StoppedForMigration",
                "no task runs while the database is migrated",
            )
        } else {
            verdict("False", "ScaledToZero", "no pod is wanted")
        };
    }
    if state.ready == 0 {
        return critical(context, component).map_or_else(|| verdict("False", "Starting", counts), of);
    }
    if component == Component::TaskProcessor {
        return processor(context, &counts);
    }
    verdict("True", "Available", counts)
}

/// A ready processor proves nothing: whether tasks are picked up stands in the database.
fn processor(context: Context<'_>, counts: &str) -> Verdict {
    if let Some(diagnosis) = critical(context, Component::TaskProcessor) {
        return of(diagnosis);
    }
    let queues = &context.seen.queues;
    match queues.separate.as_ref().unwrap_or(&queues.default) {
        QueueProbe::Seen(queue) => {
            let picked = queue.heartbeat().map_or_else(
                || "whether tasks are picked up cannot be told".to_owned(),
                |age| format!("last task picked up {} ago", live::age(age)),
            );
            verdict("True", "Available", format!("{counts}, {picked}"))
        }
        QueueProbe::Failed(failure) => blocked(counts, &failure.message),
        QueueProbe::NoTables => verdict("True", "Available", counts),
        QueueProbe::NotProbed => match &context.seen.database {
            DatabaseProbe::Failed(failure) => blocked(counts, &failure.message),
            _ => verdict("True", "Available", counts),
        },
    }
}

fn blocked(counts: &str, why: &str) -> Verdict {
    verdict(
        "Unknown",
        "ProbeBlocked",
        format!(
            "{counts}; whether tasks are picked up is not known, because the operator cannot read the queue ({why})"
        ),
    )
}

fn counts(state: &WorkloadState) -> String {
    let pods = if state.desired == 1 { "pod" } else { "pods" };
    let version = state
        .release
        .map(|release| format!(", version {release}"))
        .unwrap_or_default();
    format!(
        "{} of {} {pods} ready{version}",
        state.ready.min(state.desired),
        state.desired
    )
}

/// The summary: what the spec asks for is there, and nothing critical is known.
fn ready(context: Context<'_>, components: &[(&'static str, Verdict)]) -> Verdict {
    if !context.installation.tool.is_resource() {
        return observed::ready(context);
    }
    if context.installation.suspended {
        return verdict(
            "Unknown",
            Code::Suspended.as_str(),
            "nothing is changed while spec.suspend is true",
        );
    }
    if let Some(diagnosis) = context
        .diagnoses
        .iter()
        .find(|diagnosis| diagnosis.severity == Severity::Critical)
    {
        return of(diagnosis);
    }
    if context.plan.gate != Gate::Succeeded {
        let (reason, message) = components
            .iter()
            .find(|(kind, verdict)| {
                matches!(*kind, "DatabaseReachable" | "MigrationsApplied") && verdict.status == "False"
            })
            .map_or(
                (
                    "Progressing",
                    "the migration's result is being recorded".to_owned(),
                ),
                |(kind, verdict)| {
                    (
                        if *kind == "MigrationsApplied" {
                            "Migrating"
                        } else {
                            verdict.reason.as_str()
                        },
                        verdict.message.clone(),
                    )
                },
            );
        return verdict("False", reason, message);
    }
    let release = context.installation.release;
    if !context.complete {
        return verdict(
            "False",
            "Progressing",
            "not every object could be written; the operator tries again",
        );
    }
    let rolled = |state: &Option<WorkloadState>| {
        state
            .as_ref()
            .is_some_and(|state| state.release == Some(release) && state.rolled_out())
    };
    let waiting: Vec<&str> = [
        (rolled(&context.seen.task_processor), "task processor"),
        (rolled(&context.seen.api), "API"),
        (
            !context.installation.frontend.enabled || rolled(&context.seen.frontend),
            "frontend",
        ),
    ]
    .iter()
    .filter(|(done, _)| !done)
    .map(|(_, name)| *name)
    .collect();
    if !waiting.is_empty() {
        return verdict(
            "False",
            "Progressing",
            format!(
                "{release} is being rolled out; waiting for: {}",
                waiting.join(", ")
            ),
        );
    }
    verdict(
        "True",
        "Available",
        format!("Flagsmith {release} runs as asked for"),
    )
}

/// kstatus: Reconciling and Stalled are present only while they are True.
fn abnormal(context: Context<'_>, ready: &Verdict) -> Option<(&'static str, Verdict)> {
    if ready.status != "False" {
        return None;
    }
    // A failed migration waits for a person whatever its cause: nothing retries it.
    let failed = matches!(context.plan.gate, Gate::Failed { .. });
    let stalled = context.diagnoses.iter().find(|diagnosis| {
        diagnosis.severity == Severity::Critical
            && (!diagnosis.code.passes_by_itself()
                || (failed && diagnosis.component == Component::Migrations))
    });
    Some(stalled.map_or_else(
        || {
            (
                "Reconciling",
                verdict("True", &ready.reason, ready.message.clone()),
            )
        },
        |diagnosis| {
            (
                "Stalled",
                verdict(
                    "True",
                    diagnosis.code.as_str(),
                    format!("waiting for a person: {}", diagnosis.remedy),
                ),
            )
        },
    ))
}
