//! What the status says of an installation that the operator only observes: nothing is asked for, so what counts is
//! whether it works.

use super::{
    condition::{
        ConditionStatus::{False, True, Unknown},
        ConditionType, Verdict,
    },
    context::Context,
    mode::ModeStatus,
};
use crate::{
    api::{BackupStatus, MigrationStatus, RestoreStatus, TimeoutsStatus, UpgradeStatus},
    causes::Running,
    flagsmith::env,
    model::{Code, Component},
    observe::{JobOutcome, WorkloadState},
};

/// An installation that the operator only observes.
pub(super) struct Observed<'a>(pub(super) Context<'a>);

impl ModeStatus for Observed<'_> {
    fn ready(&self, _: &[(ConditionType, Verdict)]) -> Verdict {
        ready(self.0)
    }

    fn migrations(&self) -> Verdict {
        migrations(self.0)
    }

    fn absent(&self, component: Component) -> Verdict {
        absent(self.0, component)
    }

    fn timeouts(&self) -> Verdict {
        timeouts(self.0)
    }

    fn migration(&self) -> Option<MigrationStatus> {
        None
    }

    fn upgrade(&self) -> Option<UpgradeStatus> {
        None
    }

    fn migration_history(&self) -> Vec<MigrationStatus> {
        Vec::new()
    }

    fn backups(&self) -> Vec<BackupStatus> {
        Vec::new()
    }

    fn restore(&self) -> Option<RestoreStatus> {
        None
    }

    fn timeouts_status(&self) -> Option<TimeoutsStatus> {
        Running::of(self.0.installation, self.0.observation).map(|running| running.status())
    }
}

/// Whether every migration is applied, as far as ready pods and Jobs tell.
fn migrations(context: Context<'_>) -> Verdict {
    let observation = context.observation;
    if let Some(job) = observation.jobs.iter().find(|job| job.outcome == JobOutcome::Active) {
        return Verdict::new(False, "Running", format!("Job {} is migrating the database", job.name));
    }
    // The health check behind the readiness probe has included the migrations since Flagsmith 2.19.
    let current = observation.api.as_ref().is_some_and(|api| api.rolled_out() && api.ready > 0);
    if current {
        Verdict::new(
            True,
            "ReportedByPods",
            "ready pods of the API find every migration of their release applied",
        )
    } else {
        Verdict::new(Unknown, "NotKnown", "no pod of the newest template is ready that could tell")
    }
}

/// A component that is not there.
fn absent(context: Context<'_>, component: Component) -> Verdict {
    let api = context.observation.api.as_ref().and_then(WorkloadState::container);
    let queued = api.and_then(|api| api.environment.value(env::TASK_RUN_METHOD)) == Some(env::QUEUED);
    match component {
        Component::TaskProcessor if !queued => Verdict::new(True, "NotUsed", "the API runs its tasks itself"),
        Component::Frontend => Verdict::new(True, "NotUsed", "no frontend belongs to this installation"),
        _ => Verdict::new(False, "NotFound", "there is no such Deployment"),
    }
}

/// Whether the timeouts that run obey the rules, none of which was seen to be broken.
fn timeouts(context: Context<'_>) -> Verdict {
    let Some(running) = Running::of(context.installation, context.observation) else {
        return Verdict::new(Unknown, "NotKnown", "there is no API whose timeouts could be read");
    };
    let summary = running.summary();
    if let Some(diagnosis) = context.diagnosed(&[Code::ProxyNotChecked]) {
        return Verdict::new(Unknown, diagnosis.code.as_str(), format!("{summary}. {}", diagnosis.message));
    }
    let values = &running.values;
    let unseen: Vec<&str> = [
        ("Gunicorn's timeout", values.gunicorn_timeout),
        ("its keep-alive", values.keep_alive),
        ("its graceful timeout", values.graceful_timeout),
        ("what preStop takes", values.pre_stop),
    ]
    .into_iter()
    .filter(|(_, value)| value.is_none())
    .map(|(name, _)| name)
    .collect();
    if unseen.is_empty() {
        Verdict::new(True, "Aligned", summary)
    } else {
        let message = format!("{summary}. What a Secret or a script says is not read: {}", unseen.join(", "));
        Verdict::new(Unknown, "NotSeen", message)
    }
}

/// The summary: everything that is there works.
fn ready(context: Context<'_>) -> Verdict {
    if let Some(diagnosis) = context.worst() {
        return Verdict::of(diagnosis);
    }
    let observation = context.observation;
    let waiting: Vec<&str> = [
        (&observation.task_processor, "task processor"),
        (&observation.api, "API"),
        (&observation.frontend, "frontend"),
    ]
    .into_iter()
    .filter(|(state, _)| state.as_ref().is_some_and(|state| !state.rolled_out()))
    .map(|(_, name)| name)
    .collect();
    if !waiting.is_empty() {
        return Verdict::new(
            False,
            "Progressing",
            format!("pods are being replaced; waiting for: {}", waiting.join(", ")),
        );
    }
    let release = observation
        .api
        .as_ref()
        .and_then(|api| api.release)
        .map_or_else(|| "Flagsmith".to_owned(), |release| format!("Flagsmith {release}"));
    Verdict::new(True, "Available", format!("{release} runs; it is observed, not managed"))
}
