//! The root of the custom resource.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::components::is_default;
use super::{
    ApiSpec, DatabaseSpec, DeletionPolicy, DjangoSpec, EdgeProxySpec, ExposureSpec,
    FlagsmithDeploymentStatus, FrontendSpec, ImagesSpec, IntegrationsSpec, MigrationsSpec, Mode,
    MonitoringSpec, ObserveSpec, TaskProcessorSpec, UpgradeSpec,
};

/// The desired state of one Flagsmith installation.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "operator.flagsmith.com",
    version = "v1alpha1",
    kind = "FlagsmithDeployment",
    plural = "flagsmithdeployments",
    namespaced,
    status = "FlagsmithDeploymentStatus",
    derive = "PartialEq",
    shortname = "fsd",
    category = "flagsmith",
    doc = "A self-hosted Flagsmith installation: API, task processor, frontend, migrations and exposure.",
    validation = Rule::new("self.metadata.name.size() <= 40").message("metadata.name must have at most 40 characters: the names of the Deployments, Services and migration Jobs are made from it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name must be a DNS label that starts with a letter, such as \"flagsmith\": Services are named after it"),
    scale(
        spec_replicas_path = ".spec.api.replicas",
        status_replicas_path = ".status.components.api.replicas",
        label_selector_path = ".status.components.api.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether the installation is as specified and works"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "The reason of the Ready condition"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "The release that is running"),
    printcolumn(name = "Migrations", type_ = "string", json_path = ".status.migration.result", description = "The state of the migration to spec.version"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "API", type_ = "string", json_path = ".status.components.api.summary", priority = 1, description = "Ready and desired pods of the API"),
    printcolumn(name = "Processor", type_ = "string", json_path = ".status.components.taskProcessor.summary", priority = 1, description = "Ready and desired pods of the task processor"),
    printcolumn(name = "Generation", type_ = "integer", json_path = ".metadata.generation", priority = 1, description = "How often the specification was changed"),
    printcolumn(name = "Observed", type_ = "integer", json_path = ".status.observedGeneration", priority = 1, description = "The generation that the other columns are of; one below Generation is of the past"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[x_kube(
    validation = Rule::new("self.mode == 'Observed' || has(self.version)").message("version is needed, such as \"2.265.0\"; only with mode Observed it is read from what runs"),
    validation = Rule::new("self.mode == 'Observed' || has(self.database)").message("database is needed: urlFrom names the Secret with DATABASE_URL, embedded: {} makes a small PostgreSQL for trying it out; only with mode Observed it is read from what runs"),
    validation = Rule::new("self.mode != 'Observed' || has(self.observe)").message("observe is needed with mode Observed: observe.release names a Helm release of the official chart, observe.components the Deployments of anything else"),
    validation = Rule::new("self.mode == 'Observed' || !has(self.observe)").message("observe goes with mode Observed: remove it to have the operator manage the installation"),
    validation = Rule::new("!has(self.exposure) || !has(self.exposure.edgeProxy) || has(self.edgeProxy)").message("exposure.edgeProxy exposes what edgeProxy describes: add edgeProxy, or remove it"),
    validation = Rule::new("self.mode != 'Observed' || !has(self.database) || has(self.database.urlFrom)").message("with mode Observed database can only name a urlFrom: nothing is made")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.version) || !has(oldSelf.version) || self.version == oldSelf.version || !(self.images.api.contains('@') || self.images.api.matches('[^/]:[^/]*$')) || self.images.api != oldSelf.images.api").message("tag and digest are those of the version before: change them together with version, or remove them").field_path(".images.api"))]
#[x_kube(validation = Rule::new("!has(self.version) || !has(oldSelf.version) || self.version == oldSelf.version || !(self.images.frontend.contains('@') || self.images.frontend.matches('[^/]:[^/]*$')) || self.images.frontend != oldSelf.images.frontend").message("tag and digest are those of the version before: change them together with version, or remove them").field_path(".images.frontend"))]
#[x_kube(validation = Rule::new("!has(self.migrations) || !has(self.migrations.rollback) || self.migrations.rollback.to == self.version").message("migrations.rollback.to must be the version: the confirmation belongs to one downgrade; remove it before another upgrade"))]
pub struct FlagsmithDeploymentSpec {
    /// Managed: the operator creates and maintains every object. Observed: the installation is managed in another way
    /// (the official Helm chart, or manifests); the operator diagnoses what `observe` selects and writes only the status
    /// of this resource.
    #[serde(default)]
    pub mode: Mode,

    /// Which installation to observe. Only for mode Observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe: Option<ObserveSpec>,

    /// The Flagsmith release of every component, for example "2.265.0". It is the tag of every image that `images`
    /// gives no other, so API, task processor and migrations always match. 2.170.0 or later. In mode Observed it is needed only if the image tags
    /// are not release numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,5})[.](0|[1-9][0-9]{0,5})[.](0|[1-9][0-9]{0,5})$')").message("must be an exact release such as \"2.265.0\": migrations belong to one release, so a moving tag cannot be upgraded safely"))]
    pub version: Option<String>,

    /// While true, the operator changes nothing and says so in the status. Running pods keep running.
    #[serde(default)]
    pub suspend: bool,

    /// What becomes of what cannot be made again when this resource is deleted: the generated Secrets with Django's secret
    /// key and with the embedded database's password, and that database's volume. Retain keeps them, and the next resource
    /// of this name in this namespace uses them; Delete deletes them with it. Everything else is deleted in any case.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("deletionPolicy cannot change: it decided how the Secrets were made; to delete what is kept, use kubectl delete secret and kubectl delete pvc"))]
    pub deletion_policy: DeletionPolicy,

    /// The longest time that a request may take, in seconds, from 5 to 3600. Gunicorn's timeout, keep-alive and
    /// graceful timeout, the preStop hook and grace period of the pods, and the timeouts of the Ingress or HTTPRoute
    /// are derived from it, so that they cannot contradict each other.
    #[serde(default = "default_request_timeout")]
    #[x_kube(validation = Rule::new("self >= 5 && self <= 3600").message("must be from 5 to 3600 (seconds): below 5 ordinary requests are cut, above 3600 no proxy keeps a connection"))]
    pub request_timeout_seconds: i32,

    /// The image repositories, each alone, or with a tag or the digest of its image of `version`.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.api.matches('^[a-zA-Z0-9]([a-zA-Z0-9._/-]*[a-zA-Z0-9])?(:[0-9]+/[a-zA-Z0-9._/-]*[a-zA-Z0-9])?(:[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$')").message("must be a repository, such as \"docker.flagsmith.com/flagsmith/flagsmith-api\" (its tag is spec.version), or repository:TAG, repository@sha256:DIGEST, repository:TAG@sha256:DIGEST of the image of that version").field_path(".api"))]
    #[x_kube(validation = Rule::new("self.frontend.matches('^[a-zA-Z0-9]([a-zA-Z0-9._/-]*[a-zA-Z0-9])?(:[0-9]+/[a-zA-Z0-9._/-]*[a-zA-Z0-9])?(:[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$')").message("must be a repository, such as \"docker.flagsmith.com/flagsmith/flagsmith-frontend\" (its tag is spec.version), or repository:TAG, repository@sha256:DIGEST, repository:TAG@sha256:DIGEST of the image of that version").field_path(".frontend"))]
    #[x_kube(validation = Rule::new("self.pullPolicy in ['Always', 'IfNotPresent', 'Never']").message("must be Always, IfNotPresent or Never").field_path(".pullPolicy"))]
    pub images: ImagesSpec,

    /// Labels of every object that the operator makes, pods included; a component's own win. Those that the operator
    /// sets are refused here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub common_labels: BTreeMap<String, String>,

    /// Annotations of every object that the operator makes, pods included; an object's own win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub common_annotations: BTreeMap<String, String>,

    /// The PostgreSQL database: exactly one of `urlFrom`, `host` and `embedded`. In mode Observed it is needed only if the
    /// Deployments do not name the Secret that holds its URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseSpec>,

    /// Settings of Django: the secret key and the allowed hosts.
    #[serde(default)]
    pub django: DjangoSpec,

    /// Environment variables of every container that runs Django (API, task processor, migration Job), for
    /// example `CACHE_ENVIRONMENT_DOCUMENT_SECONDS`. Variables that the operator sets are rejected here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,

    /// `ConfigMaps` and Secrets whose keys become environment variables of every container that runs Django.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFromSource>,

    /// The Django API behind Gunicorn.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!(has(self.replicas) && has(self.autoscaling))").message("replicas and autoscaling exclude each other: remove replicas, autoscaling.minReplicas takes its place"))]
    pub api: ApiSpec,

    /// The task processor, which runs webhooks, the audit log, scheduled changes and clean-ups.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!(has(self.replicas) && has(self.autoscaling))").message("replicas and autoscaling exclude each other: remove replicas, autoscaling.minReplicas takes its place"))]
    pub task_processor: TaskProcessorSpec,

    /// The web interface.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!(has(self.replicas) && has(self.autoscaling))").message("replicas and autoscaling exclude each other: remove replicas, autoscaling.minReplicas takes its place"))]
    pub frontend: FrontendSpec,

    /// The edge proxy, which answers SDKs from memory. If not set, there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!(has(self.replicas) && has(self.autoscaling))").message("replicas and autoscaling exclude each other: remove replicas, autoscaling.minReplicas takes its place"))]
    pub edge_proxy: Option<Box<EdgeProxySpec>>,

    /// Redis, e-mail, `InfluxDB`, LDAP.
    #[serde(default, skip_serializing_if = "is_default")]
    pub integrations: IntegrationsSpec,

    /// The migration Job, which runs before any pod of a new release starts.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!has(self.backup) || has(self.backup.volumeClaim) != has(self.backup.podTemplate)").message("exactly one of volumeClaim and podTemplate is needed").field_path(".backup"))]
    #[x_kube(validation = Rule::new("!has(self.pod) || !has(self.pod.extraContainers)").message("a Job ends only when all of its containers have ended, so these would keep it running: move them to initContainers with restartPolicy Always, which Kubernetes ends with the migration").field_path(".pod.extraContainers"))]
    pub migrations: MigrationsSpec,

    /// How the database gets to a newer `version`.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!has(self.via) || self.via.all(release, release.matches('^(0|[1-9][0-9]{0,5})[.](0|[1-9][0-9]{0,5})[.](0|[1-9][0-9]{0,5})$'))").message("must be exact releases such as \"2.212.1\"").field_path(".via"))]
    pub upgrade: UpgradeSpec,

    /// How the installation is reached from outside the cluster: an Ingress or a Gateway API HTTPRoute. If not set, only
    /// the Services are created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<ExposureSpec>,

    /// How Prometheus finds the metrics of API and task processor. If not set, nothing is made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<MonitoringSpec>,

    /// An existing `ServiceAccount` for all pods of the installation (workload identity, image pull secrets).
    /// By default the operator creates one without permissions and without a mounted token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
}

/// Gunicorn's own default and the one of Flagsmith's documentation.
const fn default_request_timeout() -> i32 {
    30
}
