//! The objects that an installation is made of: which kinds there are, and one object on its way to the server.

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::component::Component;

/// The kinds of objects that the operator makes. All but Secrets are in the order in which they are applied: what others
/// refer to comes first, so that a pod never starts before its `ServiceAccount` or Service exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// core/v1
    ServiceAccount,
    /// core/v1
    Service,
    /// apps/v1
    StatefulSet,
    /// batch/v1
    Job,
    /// apps/v1
    Deployment,
    /// policy/v1
    PodDisruptionBudget,
    /// autoscaling/v2
    HorizontalPodAutoscaler,
    /// networking.k8s.io/v1
    Ingress,
    /// gateway.networking.k8s.io/v1
    HttpRoute,
    /// monitoring.coreos.com/v1
    PodMonitor,
    /// core/v1. Keys and passwords are created once and never written again; nobody may watch them.
    Secret,
}

/// One object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: Kind,
    /// Its name, in the namespace of the installation.
    pub name: String,
    /// The component that it belongs to; `None` for what serves several.
    pub component: Option<Component>,
    /// The whole object, with apiVersion, kind and metadata.
    pub body: Value,
}

impl Child {
    /// What tells it from other objects of its namespace.
    #[must_use]
    pub fn id(&self) -> (Kind, String) {
        (self.kind, self.name.clone())
    }

    /// Sets a field of the object's metadata.
    pub fn set_metadata(&mut self, field: &str, value: Value) {
        if let Some(metadata) = self.body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert(field.to_owned(), value);
        }
    }

    /// Removes a field of the object's metadata.
    pub fn remove_metadata(&mut self, field: &str) {
        if let Some(metadata) = self.body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove(field);
        }
    }

    /// Sets an annotation.
    pub fn annotate(&mut self, key: &str, value: &str) {
        let mut annotations = self.body.pointer("/metadata/annotations").cloned().unwrap_or_default();
        if !annotations.is_object() {
            annotations = Value::Object(serde_json::Map::new());
        }
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(key.to_owned(), Value::from(value));
        }
        self.set_metadata("annotations", annotations);
    }
}

impl Kind {
    /// Every kind that is applied and watched, in the order in which they are applied.
    pub const ALL: [Self; 10] = [
        Self::ServiceAccount,
        Self::Service,
        Self::StatefulSet,
        Self::Job,
        Self::Deployment,
        Self::PodDisruptionBudget,
        Self::HorizontalPodAutoscaler,
        Self::Ingress,
        Self::HttpRoute,
        Self::PodMonitor,
    ];

    /// Those that a cluster may be without, or get later: somebody else defines them.
    pub const OPTIONAL: [Self; 2] = [Self::HttpRoute, Self::PodMonitor];

    /// Whether a cluster may be without it.
    #[must_use]
    pub fn is_optional(self) -> bool {
        Self::OPTIONAL.contains(&self)
    }

    /// Whether pods are made of it.
    #[must_use]
    pub const fn has_pods(self) -> bool {
        matches!(self, Self::StatefulSet | Self::Job | Self::Deployment)
    }

    const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::HorizontalPodAutoscaler => {
                ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
            }
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::HttpRoute => ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Self::PodMonitor => ("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"),
            Self::Secret => ("", "v1", "Secret", "secrets"),
        }
    }

    /// The kind as Kubernetes writes it, for example `HTTPRoute`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.names().2
    }

    /// The API group, empty for the core group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        self.names().0
    }

    /// The plural resource name, for example `httproutes`.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        self.names().3
    }

    /// The resource, for a dynamic client.
    #[must_use]
    pub fn api_resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }
}

/// Whether it is a Job that only has the images of a migration pulled.
#[must_use]
pub fn is_pull(body: &Value) -> bool {
    let annotations = body.pointer("/metadata/annotations");
    annotations.and_then(|annotations| annotations.get(marks::OPERATION)).and_then(Value::as_str)
        == Some(marks::PULL)
}

/// Labels and annotations that the operator writes and reads again.
pub mod marks {
    /// Label: the value of every object that the operator makes.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// The field manager of every write, and the value of [`MANAGED_BY`].
    pub const OPERATOR: &str = "flagsmith-operator";
    /// The field manager that keeps the number of pods when the operator hands it over to an autoscaler.
    pub const REPLICAS_KEEPER: &str = "flagsmith-operator-replicas";
    /// Label: the component and what it is part of, for example `flagsmith-api`.
    pub const NAME: &str = "app.kubernetes.io/name";
    /// Label: the `FlagsmithDeployment`'s name.
    pub const INSTANCE: &str = "app.kubernetes.io/instance";
    /// Label: the component, for example `api`.
    pub const COMPONENT: &str = "app.kubernetes.io/component";
    /// Label: the release in a pod template.
    pub const VERSION: &str = "app.kubernetes.io/version";
    /// Annotation: hash of the desired object that was applied last.
    pub const APPLIED_HASH: &str = "operator.flagsmith.com/applied-hash";
    /// Annotation: the key of the migration that allowed this pod template or that a Job runs.
    pub const MIGRATION_KEY: &str = "operator.flagsmith.com/migration-key";
    /// Annotation: the newest release that the database was migrated to when this object was applied.
    pub const MIGRATED_VERSION: &str = "operator.flagsmith.com/migrated-version";
    /// Annotation of a pod template: keyed hash of the Secrets' values that its pods read at their start.
    pub const SECRET_HASH: &str = "operator.flagsmith.com/secret-hash";
    /// Annotation of a generated Secret: the name of the `FlagsmithDeployment` that it was generated for.
    pub const GENERATED_FOR: &str = "operator.flagsmith.com/generated-for";
    /// Annotation of a migration Job: keyed hash of the URL that it reads from its Secret.
    pub const CREDENTIALS_HASH: &str = "operator.flagsmith.com/credentials-hash";
    /// Annotation of a Job: [`ROLL_BACK`] when it undoes migrations, [`RESTORE`] when it brings a backup back, [`PULL`] when
    /// it only has images pulled.
    pub const OPERATION: &str = "operator.flagsmith.com/operation";
    /// The value of [`OPERATION`] of a Job that undoes migrations.
    pub const ROLL_BACK: &str = "RollBack";
    /// The value of [`OPERATION`] of a Job that brings a backup back.
    pub const RESTORE: &str = "Restore";
    /// The value of [`OPERATION`] of a Job that has images pulled.
    pub const PULL: &str = "Pull";
    /// Annotation of a migration Job: the release that the database was at before.
    pub const MIGRATED_FROM: &str = "operator.flagsmith.com/migrated-from";
    /// Annotation of a migration Job: how many migrations were applied before.
    pub const COUNT_BEFORE: &str = "operator.flagsmith.com/migrations-before";
    /// Annotation of a migration Job: when the newest of them was applied.
    pub const LAST_APPLIED_BEFORE: &str = "operator.flagsmith.com/last-applied-before";
    /// What the names of the containers begin with that have images pulled.
    pub const PULL_CONTAINER: &str = "pull-";
    /// The container of a migration Job that migrates.
    pub const MIGRATE_CONTAINER: &str = "migrate";
    /// The init container of a migration Job whose termination message is the list of what is to be done.
    pub const PLAN_CONTAINER: &str = "plan";
    /// The container of a backup Job that dumps into a volume claim; its termination message lists the dumps there.
    pub const DUMP_CONTAINER: &str = "pg-dump";
    /// The container of a migration Job that brings a backup back.
    pub const RESTORE_CONTAINER: &str = "pg-restore";
    /// Names of the containers that the operator puts into pods; users' own have others.
    pub const OWN_CONTAINERS: &[&str] = &[
        "api",
        "task-processor",
        "frontend",
        "edge-proxy",
        MIGRATE_CONTAINER,
        PLAN_CONTAINER,
        DUMP_CONTAINER,
        RESTORE_CONTAINER,
        "postgresql",
    ];

    /// Whether a container is one that the operator puts into a pod.
    #[must_use]
    pub fn is_own_container(name: &str) -> bool {
        OWN_CONTAINERS.contains(&name) || name.starts_with(PULL_CONTAINER)
    }

    /// Label of what works on a database, and of its pods: a keyed hash of host, port and name of the database.
    pub const DATABASE: &str = "operator.flagsmith.com/database";
}
