//! What the status says of an installation that the operator makes: whether what the specification asks for is there.

use super::{
    backups,
    condition::{
        ConditionStatus::{False, True, Unknown},
        ConditionType, Verdict,
    },
    context::Context,
    migration,
    mode::ModeStatus,
    restore, upgrade,
};
use crate::{
    api::{BackupStatus, MigrationOperation, MigrationStatus, RestoreStatus, TimeoutsStatus, UpgradeStatus},
    decide::Gate,
    flagsmith::upgrades,
    model::{Code, Component},
    observe::{JobState, Look, WorkloadState},
    validate::RollbackPlan,
};

/// An installation that the operator makes.
pub(super) struct Managed<'a>(pub(super) Context<'a>);

impl ModeStatus for Managed<'_> {
    fn ready(&self, parts: &[(ConditionType, Verdict)]) -> Verdict {
        ready(self.0, parts)
    }

    fn migrations(&self) -> Verdict {
        migrations(self.0)
    }

    fn absent(&self, component: Component) -> Verdict {
        let plan = self.0.plan;
        let workload = match component {
            Component::Api => &plan.api,
            Component::TaskProcessor => &plan.task_processor,
            _ => &plan.frontend,
        };
        let is_made = workload.is_some() || component == Component::EdgeProxy && plan.edge_proxy.is_some();
        if self.0.installation.suspended {
            Verdict::new(
                False,
                Code::Suspended.as_str(),
                "there is no Deployment, and none is made while spec.suspend is true",
            )
        } else if is_made {
            Verdict::new(False, "Creating", "the Deployment is being made")
        } else {
            Verdict::new(False, "WaitingForMigration", "it starts when the migration has succeeded")
        }
    }

    fn timeouts(&self) -> Verdict {
        timeouts(self.0)
    }

    fn migration(&self) -> Option<MigrationStatus> {
        Some(migration::migration(self.0))
    }

    fn upgrade(&self) -> Option<UpgradeStatus> {
        upgrade::upgrade(self.0)
    }

    fn migration_history(&self) -> Vec<MigrationStatus> {
        migration::history(self.0)
    }

    fn backups(&self) -> Vec<BackupStatus> {
        backups::backups(self.0.observation)
    }

    fn restore(&self) -> Option<RestoreStatus> {
        restore::status(self.0)
    }

    fn timeouts_status(&self) -> Option<TimeoutsStatus> {
        Some(self.0.plan.timeouts.into())
    }
}

/// What the specification asks for is there, and nothing critical is known.
fn ready(context: Context<'_>, parts: &[(ConditionType, Verdict)]) -> Verdict {
    if context.installation.suspended {
        return Verdict::new(
            Unknown,
            Code::Suspended.as_str(),
            "nothing is changed while spec.suspend is true",
        );
    }
    if let Some(diagnosis) = context.worst() {
        return Verdict::of(diagnosis);
    }
    if context.plan.gate != Gate::Succeeded || context.is_at_stop() {
        return migrating(context, parts);
    }
    let release = context.installation.release;
    if !context.complete {
        return Verdict::new(
            False,
            "Progressing",
            "not every object could be written; the operator tries again",
        );
    }
    let rolled = |state: &Option<WorkloadState>| {
        state.as_ref().is_some_and(|state| state.release == Some(release) && state.rolled_out())
    };
    let edge_proxy = context.observation.edge_proxy.as_ref().is_some_and(WorkloadState::rolled_out);
    let waiting: Vec<&str> = [
        (rolled(&context.observation.task_processor) && !context.processor_waits(), "task processor"),
        (rolled(&context.observation.api), "API"),
        (!context.installation.frontend.enabled || rolled(&context.observation.frontend), "frontend"),
        (context.installation.edge_proxy.is_none() || edge_proxy, "edge proxy"),
    ]
    .iter()
    .filter(|(done, _)| !done)
    .map(|(_, name)| *name)
    .collect();
    if !waiting.is_empty() {
        return Verdict::new(
            False,
            "Progressing",
            format!("{release} is being rolled out; waiting for: {}", waiting.join(", ")),
        );
    }
    Verdict::new(True, "Available", format!("Flagsmith {release} runs as asked for"))
}

/// Why the release that is asked for may not run yet.
fn migrating(context: Context<'_>, parts: &[(ConditionType, Verdict)]) -> Verdict {
    let unmet = parts.iter().find(|(kind, verdict)| {
        matches!(kind, ConditionType::DatabaseReachable | ConditionType::MigrationsApplied)
            && verdict.status == False
    });
    match unmet {
        Some((ConditionType::MigrationsApplied, verdict)) => {
            Verdict::new(False, "Migrating", verdict.message.clone())
        }
        Some((_, verdict)) => verdict.clone(),
        None => {
            let release = context.installation.release;
            Verdict::new(False, "Progressing", format!("the migration is done; {release} is rolled out next"))
        }
    }
}

/// What is migrated to, and where on the way that is.
fn target(context: Context<'_>) -> String {
    let due = context.due();
    let path = context.plan.step.as_ref().map(|step| step.path.as_slice()).unwrap_or_default();
    match path.iter().position(|stop| stop.release == due) {
        Some(index) if context.is_at_stop() => {
            let wanted = context.installation.release;
            format!("{due} (stop {} of {} on the way to {wanted})", index + 1, path.len())
        }
        _ => due.to_string(),
    }
}

/// Whether the wanted release's migrations are applied, or how far they are.
fn migrations(context: Context<'_>) -> Verdict {
    let release = target(context);
    if let Some(verdict) = restore::verdict(context) {
        return verdict;
    }
    match &context.plan.gate {
        Gate::Succeeded if context.is_at_stop() => {
            Verdict::new(False, "AtStop", format!("{release} is migrated to; {}", replaced_first(context)))
        }
        Gate::Unrecorded(_) if context.is_at_stop() => {
            Verdict::new(False, "AtStop", format!("{release} is migrated to; that is being recorded"))
        }
        Gate::Succeeded | Gate::Unrecorded(_) => {
            Verdict::new(True, "Applied", format!("every migration of {release} is applied"))
        }
        Gate::Running(job) => Verdict::new(False, "Running", running(context, job)),
        Gate::Blocked(Code::OlderPodsPending) => Verdict::new(
            False,
            Code::OlderPodsPending.as_str(),
            format!(
                "newer migrations are undone when every pod of the API is of {release}, which serves on them"
            ),
        ),
        Gate::Pending if context.plan.migrate.is_some() => {
            Verdict::new(False, "Pending", format!("the migration to {release} is being started"))
        }
        Gate::Pending => Verdict::new(
            False,
            "Pending",
            format!("the migration to {release} starts when the task processor has stopped"),
        ),
        Gate::Failed { job, .. } => {
            Verdict::new(False, Code::MigrationFailed.as_str(), format!("Job {job} has failed"))
        }
        Gate::Blocked(Code::MigrationConcurrent) => Verdict::new(
            False,
            Code::MigrationConcurrent.as_str(),
            format!(
                "the migration to {release} waits for another one of the same database: {}",
                context.observation.other_migrator().as_deref().unwrap_or("it has just ended"),
            ),
        ),
        Gate::Blocked(Code::BackupPending) => Verdict::new(
            False,
            Code::BackupPending.as_str(),
            format!("the migration to {release} waits for its backup"),
        ),
        Gate::Blocked(Code::MigrationImagePending) => Verdict::new(
            False,
            Code::MigrationImagePending.as_str(),
            format!(
                "the migration to {release} starts when {} been pulled",
                if context.is_at_stop() { "the images of every stop have" } else { "its image has" }
            ),
        ),
        Gate::Blocked(code @ Code::MigrationsPending)
            if matches!(context.observation.look, Look::Pending(_)) =>
        {
            Verdict::new(
                False,
                code.as_str(),
                format!("the migration to {release} starts when the operator has looked into the database"),
            )
        }
        Gate::Blocked(code @ Code::MigrationsPending) => {
            let missed = context.observation.missed_preflight();
            let why = missed.map_or_else(String::new, |failure| {
                format!(": it looks before, and its last look failed: {}", failure.message)
            });
            Verdict::new(False, code.as_str(), format!("the migration to {release} cannot start yet{why}"))
        }
        Gate::Blocked(code) => {
            Verdict::new(False, code.as_str(), format!("the migration to {release} cannot start yet: {code}"))
        }
    }
}

/// Why pods are replaced before the last stop.
fn replaced_first(context: Context<'_>) -> String {
    let (serving, due) = (context.observation.oldest_api(), context.due());
    let unfit = serving.and_then(|serving| Some((serving, upgrades::incompatible(serving, due)?)));
    unfit.map_or_else(
        || "the next stop follows".to_owned(),
        |(serving, step)| {
            format!("pods are replaced before the next stop, because those of {serving} cannot {}", step.what)
        },
    )
}

/// What a Job is doing, and how far it is. Rounded to seconds, and only as fresh as the last look at the database.
fn running(context: Context<'_>, job: &JobState) -> String {
    let release = context.installation.release;
    let name = &job.name;
    if job.operation == MigrationOperation::Restore {
        return format!(
            "Job {name} is bringing a backup back; API and task processor are stopped until it is migrated"
        );
    }
    if job.operation == MigrationOperation::RollBack {
        let rollback = context.plan.step.as_ref().and_then(|step| step.action.rollback());
        let away = rollback.and_then(RollbackPlan::away).map_or_else(String::new, |why| {
            format!(". The API is away until pods of {release} are ready, because {why}")
        });
        return format!("Job {name} is undoing the migrations that are newer than {release}{away}");
    }
    let progress = migration::progress(context.observation, job);
    let to = if job.release == Some(context.due()) {
        target(context)
    } else {
        job.release.unwrap_or(release).to_string()
    };
    let mut text = format!("Job {name} is migrating the database to {to}");
    if let (Some(applied), Some(total)) = (progress.applied, progress.total) {
        text = format!("{text}: {applied} of {total} migrations applied");
    }
    if let (Some(current), Some(since)) = (progress.current, progress.since) {
        text = format!("{text}, {current} running since {since:.0}");
    }
    let serving = context.observation.api.as_ref().and_then(|api| api.release);
    let incompatible = serving
        .zip(job.release)
        .and_then(|(serving, migrated)| Some((serving, upgrades::incompatible(serving, migrated)?)));
    if let Some((serving, change)) = incompatible {
        text = format!("{text}. Until its new pods are ready, {serving} cannot {}", change.what);
    }
    text
}

/// None of the rules was seen to be broken.
fn timeouts(context: Context<'_>) -> Verdict {
    let chain = context.plan.timeouts;
    let ours = format!(
        "requests may take {} s: Gunicorn's timeout is {} s, its keep-alive {} s, pods get {} s to end",
        chain.request, chain.request, chain.keep_alive, chain.grace_period,
    );
    if let Some(diagnosis) = context.diagnosed(&[Code::ProxyNotChecked]) {
        let message = format!("{ours}. {}", diagnosis.message);
        return Verdict::new(Unknown, diagnosis.code.as_str(), message);
    }
    let observation = context.observation;
    let exposed = observation.entrances(context.installation).all(|(_, state)| state.is_some());
    if context.observation.api.is_none() || !exposed {
        return Verdict::new(Unknown, "Creating", format!("nothing runs yet; {ours}"));
    }
    let proxy =
        chain.proxy.map(|proxy| format!(", {} waits {} s", proxy.name, chain.proxy_read)).unwrap_or_default();
    Verdict::new(True, "Aligned", format!("{ours}{proxy}"))
}
