//! Which release may run in which component, and in which order they change.

use super::{EdgeProxy, Gate, Migrated, Workload, scaling};
use crate::{
    api::{MigrationOperation, MigrationResult, TaskAutoscalingSpec},
    flagsmith::Release,
    migration::{Action, ConnectionBudget, Step},
    model::{Code, Component},
    observe::{Look, Observation, PodSummary, WorkloadState, database::QueueProbe},
    validate::{Installation, MigrationKey, Replicas, RollbackPlan},
};

/// The components' share of the plan.
pub(super) struct Rollout {
    pub(super) task_processor: Option<Workload>,
    pub(super) api: Option<Workload>,
    pub(super) frontend: Option<Workload>,
    pub(super) edge_proxy: Option<EdgeProxy>,
    pub(super) migrated: Option<Migrated>,
    /// Nothing runs that a migration would meet: no task processor that could migrate, lock or fail, and no API where
    /// everything that it reads is replaced.
    pub(super) stopped: bool,
    /// See [`is_restoring`].
    pub(super) is_restoring: bool,
}

/// Decides the rollout. Before the migration is recorded as succeeded every component keeps the release and the
/// image that it has. Afterwards: task processor, then API, then frontend, so that no queued task is unknown to
/// the processor that takes it (an API never runs ahead of the processor).
///
/// Going back it is API, frontend, and the task processor once no pod of the newer API is left; before anything is
/// undone where the older pods serve on the newer schema.
pub(super) fn decide(
    installation: &Installation,
    observation: &Observation,
    gate: &Gate,
    step: Option<&Step>,
) -> Rollout {
    let target = step.map_or(installation.release, |step| step.release);
    let returns = returns(gate, step);
    let open = *gate == Gate::Succeeded || returns;
    let (api, processor, frontend) =
        (observation.api.as_ref(), observation.task_processor.as_ref(), observation.frontend.as_ref());
    let component = ReleaseRule { observation, open, target, image: installation.api_image(target) };
    // One that was deleted while the gate is closed comes back at what its sibling runs.
    let processor_may_change = !returns || is_back(observation, target);
    let is_restoring = is_restoring(observation, gate, step);
    let task_processor =
        component.plan(processor, api.and_then(running), None, processor_may_change).map(|workload| {
            let wanted = || processors(installation, observation, gate, workload.release);
            let stays = is_restoring || component.stays_stopped(&workload, processor);
            Workload { replicas: if stays { Some(0) } else { wanted() }, ..workload }
        });
    let api_may_change = returns || follows(processor, target);
    let api_workload =
        component.plan(api, processor.and_then(running), None, api_may_change).map(|workload| {
            let wanted = || replicas(&installation.api_replicas(), observation, api);
            let stays = is_restoring || component.stays_stopped(&workload, api);
            Workload { replicas: if stays { Some(0) } else { wanted() }, ..workload }
        });
    let frontend_workload = installation.frontend.enabled.then(|| {
        let of = |release| (release, installation.frontend_image(release));
        ReleaseRule { image: installation.frontend_image(target), ..component }.plan(
            frontend,
            api.and_then(|api| api.release).map(of),
            replicas(&installation.frontend_replicas(), observation, frontend),
            api_may_change && follows(api, target),
        )
    });
    // It has releases of its own, and asks the API again until it answers.
    let edge_proxy = installation.edge_proxy.as_ref().filter(|_| api_workload.is_some()).map(|spec| {
        let state = observation.edge_proxy.as_ref();
        EdgeProxy { replicas: replicas(&installation.edge_proxy_replicas(spec), observation, state) }
    });
    Rollout {
        task_processor,
        edge_proxy,
        api: api_workload,
        frontend: frontend_workload.flatten(),
        migrated: migrated(installation, observation, gate, step),
        is_restoring,
        stopped: is_stopped(observation, processor, Component::TaskProcessor)
            && (!restores(step) || is_stopped(observation, api, Component::Api)),
    }
}

fn is_stopped(observation: &Observation, state: Option<&WorkloadState>, component: Component) -> bool {
    state.is_none_or(WorkloadState::stopped) && !alive(observation, component).any(|_| true)
}

fn restores(step: Option<&Step>) -> bool {
    step.is_some_and(|step| step.action.restore().is_some())
}

/// Whether no pod may work on the database: a backup takes the place of what is there, or has, and no release has been
/// migrated to since. A restore that has failed has changed nothing.
fn is_restoring(observation: &Observation, gate: &Gate, step: Option<&Step>) -> bool {
    let replaces = match gate {
        Gate::Pending => restores(step),
        Gate::Running(job) | Gate::Unrecorded(job) => job.operation == MigrationOperation::Restore,
        Gate::Blocked(_) | Gate::Succeeded | Gate::Failed { .. } => false,
    };
    replaces || (observation.restored().is_some() && *gate != Gate::Succeeded)
}

/// Whether the wanted release's pods come before the migrations of a newer one are undone, or have come. They stay when
/// the undoing has failed: whatever of it is done, theirs are applied.
fn returns(gate: &Gate, step: Option<&Step>) -> bool {
    let pods_first = |step: &&Step| step.action.rollback().is_some_and(RollbackPlan::pods_first);
    step.filter(pods_first).is_some_and(|step| match gate {
        Gate::Blocked(Code::OlderPodsPending) | Gate::Pending | Gate::Failed { .. } => true,
        Gate::Running(job) | Gate::Unrecorded(job) => job.name == step.job,
        Gate::Blocked(_) | Gate::Succeeded => false,
    })
}

/// Whether the API has gone back to a release: there is no pod of it that is not of that one. Whether they are as many as
/// are wanted is no matter here.
pub(super) fn is_back(observation: &Observation, release: Release) -> bool {
    let serves = |api: &WorkloadState| {
        api.release == Some(release)
            && api.observed
            && api.updated == api.replicas
            && (api.available > 0 || api.desired == 0)
    };
    observation.api.as_ref().is_some_and(serves) && !api_ahead(observation, release)
}

/// What decides the release and image of a component.
struct ReleaseRule<'a> {
    observation: &'a Observation,
    open: bool,
    target: Release,
    /// The image of the target release.
    image: String,
}

impl ReleaseRule<'_> {
    /// Whether what was stopped is of a newer release than the database: its migrations were undone, or are not in the backup
    /// that was brought back. It starts when it may change to the release that the database is migrated to.
    fn stays_stopped(&self, workload: &Workload, state: Option<&WorkloadState>) -> bool {
        let changes = self.open && workload.release == self.target;
        let stopped = state.is_some_and(|state| state.desired == 0);
        stopped && !changes && self.observation.is_ahead_of_database(workload.release)
    }

    fn plan(
        &self,
        state: Option<&WorkloadState>,
        sibling: Option<(Release, String)>,
        replicas: Option<i32>,
        may_change: bool,
    ) -> Option<Workload> {
        let current = state.and_then(running);
        let secret_hash = state.and_then(|state| state.secret_hash.clone());
        let (release, image) = match (self.open, current) {
            (true, None) => (self.target, self.image.clone()),
            (true, Some(_)) if may_change => (self.target, self.image.clone()),
            (_, Some(current)) => current,
            (false, None) => sibling?,
        };
        Some(Workload {
            release,
            image,
            replicas,
            secret_hash: if self.open {
                self.observation.secrets.hash.clone().or(secret_hash)
            } else {
                secret_hash
            },
        })
    }
}

fn running(state: &WorkloadState) -> Option<(Release, String)> {
    Some((state.release?, state.image.clone()?))
}

/// The number of task processors of a release; `None` leaves it to somebody else's autoscaler.
///
/// No processor runs while a migration runs, and just before: no task may run on tables that change under it.
/// And none while API pods of a newer release exist (a downgrade): they queue tasks that it does not know.
fn processors(
    installation: &Installation,
    observation: &Observation,
    gate: &Gate,
    release: Release,
) -> Option<i32> {
    if matches!(gate, Gate::Pending | Gate::Running(_) | Gate::Unrecorded(_))
        || api_ahead(observation, release)
    {
        return Some(0);
    }
    // An autoscaler leaves a Deployment alone whose number is 0, so the operator must raise it again.
    let state = observation.task_processor.as_ref();
    let scaled = external(observation, state) && state.is_some_and(|state| state.desired > 0);
    // Why they are as many as they are is not known before a look: a migration may be what they were stopped for.
    let unknown = matches!((gate, observation.look), (Gate::Blocked(_), Look::Pending(_)));
    let kept = state.filter(|_| unknown).map(|state| state.desired);
    (!scaled).then(|| match (&installation.task_processor.autoscaling, kept) {
        (_, Some(kept)) => kept,
        (Some(spec), None) => follow_queue(spec, installation, observation),
        (None, None) => installation.task_processor_replicas(),
    })
}

/// The number that the queue needs which the API fills: the separate one where there is one.
fn follow_queue(spec: &TaskAutoscalingSpec, installation: &Installation, observation: &Observation) -> i32 {
    let queue = match observation.queues.separate.as_ref().unwrap_or(&observation.queues.default) {
        QueueProbe::Seen(queue) => Some(queue.as_ref()),
        _ => None,
    };
    let budget = ConnectionBudget::new(installation);
    let limit = queue
        .and_then(|queue| queue.connections)
        .map(|connections| budget.most_processors(connections.for_others()));
    let now = observation.task_processor.as_ref().map_or(0, |state| state.desired);
    scaling::processors(spec, queue, now, limit)
}

/// Whether any API pod, or the template of new ones, is of a newer release.
fn api_ahead(observation: &Observation, release: Release) -> bool {
    let newer = |api: Option<Release>| api.is_some_and(|api| api > release);
    let of_pod = |pod: &PodSummary| pod.version.as_ref()?.parse().ok();
    newer(observation.api.as_ref().and_then(|api| api.release))
        || alive(observation, Component::Api).any(|pod| newer(of_pod(pod)))
}

/// Pods of a component that have not ended.
fn alive(observation: &Observation, component: Component) -> impl Iterator<Item = &PodSummary> {
    observation.pods.iter().filter(move |pod| pod.component == Some(component) && !pod.phase.has_ended())
}

/// Whether what comes after this component may change to the target release: it has been rolled out there, or
/// it is stopped on purpose. A component that does not exist yet is being made in the same pass.
fn follows(before: Option<&WorkloadState>, target: Release) -> bool {
    before.is_none_or(|state| state.release == Some(target) && state.rolled_out())
}

/// `None` when an autoscaler decides: the operator's own, or somebody else's that targets the Deployment. It leaves a
/// Deployment alone that was stopped for a restore: that one is begun with a single pod.
fn replicas(replicas: &Replicas, observation: &Observation, state: Option<&WorkloadState>) -> Option<i32> {
    let was_stopped = state.is_some_and(|state| {
        state.desired == 0 && state.migration_key.as_deref().is_some_and(Step::is_undone)
    });
    match replicas {
        Replicas::Autoscaled(spec) if was_stopped => Some(spec.min_replicas),
        Replicas::Fixed(_) if external(observation, state) && was_stopped => Some(1),
        Replicas::Autoscaled(_) => None,
        Replicas::Fixed(_) if external(observation, state) => None,
        Replicas::Fixed(count) => Some(*count),
    }
}

fn external(observation: &Observation, state: Option<&WorkloadState>) -> bool {
    state.is_some_and(|state| observation.external_autoscalers.contains(&state.name))
}

/// What the Deployments' annotations say after this pass: the newest release counts, so that a later downgrade
/// is seen even when the status was lost.
///
/// While migrations are being undone no key holds any more, but the release still counts until they are. What the status
/// has of a stop is written there as well, before the next migration begins.
fn migrated(
    installation: &Installation,
    observation: &Observation,
    gate: &Gate,
    step: Option<&Step>,
) -> Option<Migrated> {
    let known = [&observation.api, &observation.task_processor]
        .into_iter()
        .flatten()
        .filter_map(|workload| Some((workload.migrated?, workload.migration_key.clone()?)))
        .max();
    match (gate, step) {
        (Gate::Succeeded, Some(step)) => Some(Migrated { key: step.key.to_string(), release: step.release }),
        (Gate::Pending | Gate::Running(_) | Gate::Unrecorded(_) | Gate::Failed { .. }, Some(step))
            if step.action != Action::Migrate =>
        {
            let release = known.map(|(release, _)| release).or(observation.newest_migrated());
            step.undoing().zip(release).map(|(key, release)| Migrated { key, release })
        }
        (_, Some(step))
            if step.action == Action::Migrate
                && known.as_ref().is_none_or(|(_, key)| !Step::is_undone(key)) =>
        {
            let known = known.into_iter().chain(recorded(installation, observation, step));
            known.max().map(|(release, key)| Migrated { key, release })
        }
        _ => known.map(|(release, key)| Migrated { key, release }),
    }
}

/// The newest migration that the status has, where it is of this database and of the images that are wanted.
fn recorded(
    installation: &Installation,
    observation: &Observation,
    step: &Step,
) -> Option<(Release, String)> {
    let history = &observation.previous.migration_history;
    let last = history.iter().find(|record| record.result == MigrationResult::Applied)?;
    let release: Release = last.version.parse().ok()?;
    let key = MigrationKey::migrate(installation, release, &step.database).to_string();
    (last.operation == MigrationOperation::Migrate && last.key.as_ref() == Some(&key))
        .then_some((release, key))
}
