//! Deployments, `StatefulSets` and Jobs, reduced to what decisions need. Pure conversions.

use std::sync::Arc;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentStatus, StatefulSet},
        core::v1::{Container, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ManagedFieldsEntry},
};

use super::{
    container::{ConfigMaps, ContainerState},
    metadata::{annotation, label},
    pod,
    serving::Serving,
};
use crate::{
    flagsmith::{Release, gunicorn::Gunicorn},
    model::child::marks,
    validate::SCALED_TO_ZERO_ANNOTATION,
};

/// A Deployment or `StatefulSet` as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadState {
    /// Its name.
    pub name: String,
    /// The release in its pod template.
    pub release: Option<Release>,
    /// The image of the first container in its pod template.
    pub image: Option<String>,
    /// The label selector of its pods, as `kubectl get pods -l` takes it.
    pub selector: String,
    /// The containers of its pod template, Flagsmith's own first. Shared: the environment is most of what a state is, and
    /// states are copied by each pass and each event.
    pub containers: Arc<[ContainerState]>,
    /// The init containers of its pod template.
    pub init_containers: Arc<[ContainerState]>,
    /// The key of the migration that allowed its pod template.
    pub migration_key: Option<String>,
    /// The newest release that the database was migrated to when it was applied.
    pub migrated: Option<Release>,
    /// The hash of the Secrets that its pods started with.
    pub secret_hash: Option<String>,
    /// That it has no pods is intended: its owner has annotated it so.
    pub resting: bool,
    /// Managers of the field `spec.replicas` other than an autoscaler.
    pub replicas_set_by: Vec<String>,
    /// Pods that are wanted.
    pub desired: i32,
    /// Pods that exist.
    pub replicas: i32,
    /// Pods of the newest template.
    pub updated: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that are available.
    pub available: i32,
    /// Whether its controller has seen the newest specification.
    pub observed: bool,
    /// `spec.progressDeadlineSeconds` has passed; the controller's words.
    pub stalled: Option<String>,
    /// Pods cannot be created; the controller's words (quota, admission).
    pub replica_failure: Option<String>,
    /// How its pods serve requests and end.
    pub serving: Option<Serving>,
}

impl WorkloadState {
    /// The container that is Flagsmith; sidecars stand behind it.
    #[must_use]
    pub fn container(&self) -> Option<&ContainerState> {
        self.containers.first()
    }

    /// Gunicorn's settings as they take effect in it.
    #[must_use]
    pub fn gunicorn(&self) -> Option<Gunicorn> {
        Some(self.container()?.gunicorn(self.release))
    }

    /// Whether every wanted pod runs the newest template and is available, and no other is left.
    #[must_use]
    pub const fn rolled_out(&self) -> bool {
        self.observed
            && self.updated == self.desired
            && self.available >= self.desired
            && self.replicas == self.desired
    }

    /// Whether nothing of it runs and nothing will be started.
    #[must_use]
    pub const fn stopped(&self) -> bool {
        self.observed && self.desired == 0 && self.replicas == 0
    }
}

impl From<&Deployment> for WorkloadState {
    fn from(deployment: &Deployment) -> Self {
        Self::new(deployment, &ConfigMaps::new())
    }
}

impl WorkloadState {
    /// A Deployment as it stands, with what its pods are told by `ConfigMaps`.
    #[must_use]
    pub fn new(deployment: &Deployment, config_maps: &ConfigMaps) -> Self {
        let spec = deployment.spec.as_ref();
        let template = spec.and_then(|spec| spec.template.metadata.as_ref());
        let pods = spec.and_then(|spec| spec.template.spec.as_ref());
        let mut containers = containers(pods.map(|pods| pods.containers.as_slice()), config_maps);
        let all = containers.iter().map(|it| (it.name.as_str(), it.image.as_deref()));
        let of_operator = template.is_some_and(pod::managed);
        let own = pod::flagsmith_container(of_operator, all).and_then(|own| containers.get_mut(..=own));
        if let Some(until_own) = own {
            until_own.rotate_right(1);
        }
        let flagsmith = containers.first();
        let serving = pods.and_then(|pods| {
            let own = |container: &&Container| flagsmith.is_some_and(|it| it.name == container.name);
            Some(Serving::of(pods, pods.containers.iter().find(own)?))
        });
        let of_specification = Self {
            name: deployment.metadata.name.clone().unwrap_or_default(),
            release: release(spec.map(|spec| &spec.template), flagsmith),
            image: flagsmith.and_then(|container| container.image.clone()),
            selector: spec.map(|spec| selector(&spec.selector)).unwrap_or_default(),
            init_containers: self::containers(
                pods.and_then(|pods| pods.init_containers.as_deref()),
                config_maps,
            )
            .into(),
            containers: containers.into(),
            migration_key: annotation(Some(&deployment.metadata), marks::MIGRATION_KEY).map(str::to_owned),
            migrated: annotation(Some(&deployment.metadata), marks::MIGRATED_VERSION)
                .and_then(|version| version.parse().ok()),
            secret_hash: annotation(template, marks::SECRET_HASH).map(str::to_owned),
            resting: annotation(Some(&deployment.metadata), SCALED_TO_ZERO_ANNOTATION).is_some(),
            replicas_set_by: deployment
                .metadata
                .managed_fields
                .iter()
                .flatten()
                .filter(|entry| sets_replicas(entry))
                .filter_map(|entry| entry.manager.clone())
                .collect(),
            desired: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            serving,
            ..Self::default()
        };
        of_specification
            .with_status(deployment.metadata.generation.unwrap_or_default(), deployment.status.as_ref())
    }

    /// The same with another status, of a Deployment whose specification has this generation.
    #[must_use]
    pub(super) fn with_status(self, generation: i64, status: Option<&DeploymentStatus>) -> Self {
        let condition = |kind: &str, wanted: &str, reason: Option<&str>| {
            status
                .and_then(|status| status.conditions.as_ref())
                .into_iter()
                .flatten()
                .find(|condition| {
                    condition.type_ == kind
                        && condition.status == wanted
                        && reason.is_none_or(|reason| condition.reason.as_deref() == Some(reason))
                })
                .map(|condition| condition.message.clone().unwrap_or_default())
        };
        Self {
            replicas: status.and_then(|status| status.replicas).unwrap_or_default(),
            updated: status.and_then(|status| status.updated_replicas).unwrap_or_default(),
            ready: status.and_then(|status| status.ready_replicas).unwrap_or_default(),
            available: status.and_then(|status| status.available_replicas).unwrap_or_default(),
            observed: status.and_then(|status| status.observed_generation).unwrap_or_default() >= generation,
            stalled: condition("Progressing", "False", Some("ProgressDeadlineExceeded")),
            replica_failure: condition("ReplicaFailure", "True", None),
            ..self
        }
    }
}

impl From<&StatefulSet> for WorkloadState {
    fn from(set: &StatefulSet) -> Self {
        let status = set.status.as_ref();
        Self {
            name: set.metadata.name.clone().unwrap_or_default(),
            desired: set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            replicas: status.map(|status| status.replicas).unwrap_or_default(),
            updated: status.and_then(|status| status.updated_replicas).unwrap_or_default(),
            ready: status.and_then(|status| status.ready_replicas).unwrap_or_default(),
            available: status.and_then(|status| status.available_replicas).unwrap_or_default(),
            observed: status.and_then(|status| status.observed_generation).unwrap_or_default()
                >= set.metadata.generation.unwrap_or_default(),
            ..Self::default()
        }
    }
}

/// The release of a pod template: its label, or the tag of its image where somebody removed the label. A label that
/// somebody else wrote is not trusted where the tag says a release: the official chart's is its own default.
fn release(template: Option<&PodTemplateSpec>, flagsmith: Option<&ContainerState>) -> Option<Release> {
    let labelled =
        label(template?.metadata.as_ref(), marks::VERSION).and_then(|version| version.parse().ok());
    flagsmith.and_then(|container| container.release).or(labelled)
}

fn containers(containers: Option<&[Container]>, config_maps: &ConfigMaps) -> Vec<ContainerState> {
    let read = |container| ContainerState::new(container, config_maps);
    containers.into_iter().flatten().map(read).collect()
}

/// Whether a manager sets the number of a Deployment's pods, otherwise than an autoscaler does.
pub(super) fn sets_replicas(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref();
    entry.subresource.is_none() && fields.is_some_and(|it| it.0.pointer("/f:spec/f:replicas").is_some())
}

/// A selector as `kubectl get pods -l` takes it.
fn selector(selector: &LabelSelector) -> String {
    let pairs = selector.match_labels.iter().flatten();
    pairs.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}
