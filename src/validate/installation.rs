//! What one installation is, parsed: the input of every later step.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{EnvFromSource, EnvVar},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::Resource as _;

use crate::{
    api::{
        ApiSpec, AutoscalingSpec, DUMP_IMAGE, DeletionPolicy, EdgeProxySpec, FlagsmithDeployment,
        FlagsmithDeploymentSpec, FrontendSpec, ImagesSpec, MigrationsSpec, MonitoringSpec, TaskProcessorSpec,
        UpgradeStrategy,
    },
    flagsmith::Release,
    validate::{
        database::Database,
        entrance::Entrance,
        identity::Identity,
        image_source::ImageSource,
        integrations::{self, Variable},
        managed_by::ManagedBy,
        secret_key::SecretKey,
    },
};

/// Pods of the API when neither a number nor an autoscaler is given: two, so that one may be drained.
const DEFAULT_API_REPLICAS: i32 = 2;
/// Pods of the other components when nothing is given.
const DEFAULT_REPLICAS: i32 = 1;
/// The key of the generated Secret that holds Django's secret key.
const DJANGO_KEY: &str = "DJANGO_SECRET_KEY";

/// One installation of Flagsmith, as its owner wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Installation {
    /// Which resource this is.
    pub identity: Identity,
    /// The release that every component should run.
    pub release: Release,
    /// What its owner changes it with; remedies are written for that.
    pub managed_by: ManagedBy,
    /// Nothing may be changed while this is set.
    pub suspended: bool,
    /// The longest time of a request, in seconds, 5 to 3600.
    pub request_timeout: i32,
    /// Image references and how they are pulled.
    pub images: Images,
    /// Labels of every object and pod.
    pub common_labels: BTreeMap<String, String>,
    /// Annotations of every object and pod.
    pub common_annotations: BTreeMap<String, String>,
    /// The database.
    pub database: Database,
    /// Django's secret key; generated when the user names no Secret.
    pub django_secret: SecretKey,
    /// Whether the operator makes the Secret with Django's key.
    pub generates_django_secret: bool,
    /// What becomes of generated Secrets and volumes when the resource is deleted.
    pub deletion_policy: DeletionPolicy,
    /// Hosts that Django answers.
    pub allowed_hosts: Vec<String>,
    /// Environment of every Django container.
    pub env: Vec<EnvVar>,
    /// Environment sources of every Django container.
    pub env_from: Vec<EnvFromSource>,
    /// The API.
    pub api: ApiSpec,
    /// The task processor.
    pub task_processor: TaskProcessorSpec,
    /// The frontend.
    pub frontend: FrontendSpec,
    /// The edge proxy, where one is wanted.
    pub edge_proxy: Option<Box<EdgeProxySpec>>,
    /// Variables of Django's containers by which Flagsmith knows what it works with besides its database.
    pub integrations: Vec<Variable>,
    /// The migration Job.
    pub migrations: MigrationsSpec,
    /// The Ingress or HTTPRoute of everything, or of the only part that has one.
    pub exposure: Option<Entrance>,
    /// The Ingress or HTTPRoute of the API, where the dashboard has its own.
    pub api_exposure: Option<Entrance>,
    /// The Ingress or HTTPRoute of the edge proxy.
    pub edge_exposure: Option<Entrance>,
    /// How Prometheus finds the pods' metrics.
    pub monitoring: Option<MonitoringSpec>,
    /// The user's own `ServiceAccount`.
    pub service_account: Option<String>,
    /// The value of the annotation that asks for another attempt of a failed migration.
    pub retry: Option<String>,
    /// The confirmation that migrations of a newer release may be undone.
    pub rollback: Option<RollbackConsent>,
    /// The way to a newer release.
    pub upgrade: Upgrade,
}

/// The way to a newer release, as the user wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// Which of the known stops count.
    pub strategy: UpgradeStrategy,
    /// His own.
    pub via: Vec<Release>,
}

/// The user's confirmation of a rollback, for exactly these two releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackConsent {
    /// The release that the database was migrated to.
    pub from: Release,
    /// The release to go back to: the wanted one.
    pub to: Release,
    /// The moment after which everything applied is undone, when the operator has not recorded one.
    pub applied_after: Option<Timestamp>,
    /// Undo first, although the older pods may serve before.
    pub undo_first: bool,
}

/// Image references and how they are pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The API's repository, with a tag or digest where it has its own.
    pub api: String,
    /// The frontend's repository, likewise.
    pub frontend: String,
    /// `imagePullPolicy`.
    pub pull_policy: String,
    /// Names of `imagePullSecrets`.
    pub pull_secrets: Vec<String>,
}

/// Who decides the number of pods.
#[derive(Clone, Debug, PartialEq)]
pub enum Replicas {
    /// The specification.
    Fixed(i32),
    /// A `HorizontalPodAutoscaler` that the operator makes.
    Autoscaled(AutoscalingSpec),
}

impl Installation {
    /// An installation as a specification describes it.
    #[must_use]
    pub fn new(
        identity: Identity,
        release: Release,
        spec: &FlagsmithDeploymentSpec,
        retry: Option<String>,
        rollback: Option<RollbackConsent>,
    ) -> Self {
        let mut entrances =
            spec.exposure.as_ref().map(Entrance::of_flagsmith).unwrap_or_default().into_iter();
        let own_django = spec.django.secret_key_from.as_ref().map(SecretKey::from);
        Self {
            release,
            managed_by: ManagedBy::Operator,
            suspended: spec.suspend,
            request_timeout: spec.request_timeout_seconds,
            images: Images::from(&spec.images),
            common_labels: spec.common_labels.clone(),
            common_annotations: spec.common_annotations.clone(),
            database: Database::new(&identity.name, spec.database.as_ref()),
            generates_django_secret: own_django.is_none(),
            django_secret: own_django.unwrap_or_else(|| SecretKey {
                name: format!("{}-django", identity.name),
                key: DJANGO_KEY.to_owned(),
            }),
            deletion_policy: spec.deletion_policy,
            allowed_hosts: spec.django.allowed_hosts.clone(),
            env: spec.env.clone(),
            env_from: spec.env_from.clone(),
            api: spec.api.clone(),
            task_processor: spec.task_processor.clone(),
            frontend: spec.frontend.clone(),
            edge_proxy: spec.edge_proxy.clone(),
            integrations: integrations::variables(&spec.integrations),
            migrations: spec.migrations.clone(),
            exposure: entrances.next(),
            api_exposure: entrances.next(),
            edge_exposure: spec.exposure.as_ref().and_then(Entrance::of_edge_proxy),
            monitoring: spec.monitoring.clone(),
            service_account: spec.service_account_name.clone(),
            retry,
            rollback,
            upgrade: Upgrade {
                strategy: spec.upgrade.strategy,
                via: spec.upgrade.via.iter().filter_map(|release| release.parse().ok()).collect(),
            },
            identity,
        }
    }

    /// Every key of a Secret that the pods read, in a stable order.
    #[must_use]
    pub fn secret_keys(&self) -> Vec<SecretKey> {
        let mut keys = vec![
            self.database.url().clone(),
            self.database.migration_url().clone(),
            self.django_secret.clone(),
        ];
        if let Database::External { analytics_url, replica_urls, .. } = &self.database {
            keys.extend(analytics_url.iter().chain(replica_urls).cloned());
            keys.extend(self.database.task_processor_url().cloned());
        }
        keys.extend(self.database.parts().iter().flat_map(|it| [it.user.clone(), it.password.clone()]));
        keys
    }

    /// Every Ingress or HTTPRoute that is wanted.
    pub fn entrances(&self) -> impl Iterator<Item = &Entrance> {
        self.exposure.iter().chain(&self.api_exposure).chain(&self.edge_exposure)
    }

    /// The name of a child, for example `flagsmith-api`.
    #[must_use]
    pub fn child(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.identity.name)
    }

    /// The owner reference of every child.
    #[must_use]
    pub fn owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: FlagsmithDeployment::api_version(&()).into_owned(),
            kind: FlagsmithDeployment::kind(&()).into_owned(),
            name: self.identity.name.clone(),
            uid: self.identity.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// The image of PostgreSQL's programs that dumps and restores.
    #[must_use]
    pub fn dump_image(&self) -> String {
        let dump = self.migrations.backup.as_ref().and_then(|backup| backup.volume_claim.as_ref());
        dump.map_or_else(|| DUMP_IMAGE.to_owned(), |dump| dump.image.clone())
    }

    /// The API's image of a release.
    #[must_use]
    pub fn api_image(&self, release: Release) -> String {
        self.image(&self.images.api, release)
    }

    /// The frontend's image of a release.
    #[must_use]
    pub fn frontend_image(&self, release: Release) -> String {
        self.image(&self.images.frontend, release)
    }

    /// A tag or a digest of its own is one release's, the wanted one's; any other is pulled by the tag that is its
    /// number. With a digest the tag decides nothing, but says to people and to the operator which release it is.
    fn image(&self, source: &str, release: Release) -> String {
        let source = ImageSource::of(source);
        let repository = source.repository;
        if release != self.release {
            return format!("{repository}:{release}");
        }
        let tag = source.tag.map_or_else(|| release.to_string(), str::to_owned);
        let digest = source.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{repository}:{tag}{digest}")
    }

    /// Who decides the number of API pods.
    #[must_use]
    pub fn api_replicas(&self) -> Replicas {
        Replicas::new(self.api.replicas, self.api.autoscaling.as_ref(), DEFAULT_API_REPLICAS)
    }

    /// Who decides the number of frontend pods.
    #[must_use]
    pub fn frontend_replicas(&self) -> Replicas {
        Replicas::new(self.frontend.replicas, self.frontend.autoscaling.as_ref(), DEFAULT_REPLICAS)
    }

    /// Who decides the number of the edge proxy's pods.
    #[must_use]
    pub fn edge_proxy_replicas(&self, spec: &EdgeProxySpec) -> Replicas {
        Replicas::new(spec.replicas, spec.autoscaling.as_ref(), DEFAULT_REPLICAS)
    }

    /// The number of task processor pods; where it follows the queue, the least.
    #[must_use]
    pub fn task_processor_replicas(&self) -> i32 {
        let spec = &self.task_processor;
        let least = spec.autoscaling.as_ref().map(|scaling| scaling.min_replicas);
        spec.replicas.or(least).unwrap_or(DEFAULT_REPLICAS)
    }
}

impl Replicas {
    fn new(fixed: Option<i32>, autoscaling: Option<&AutoscalingSpec>, default: i32) -> Self {
        autoscaling
            .map_or_else(|| Self::Fixed(fixed.unwrap_or(default)), |spec| Self::Autoscaled(spec.clone()))
    }
}

impl From<&ImagesSpec> for Images {
    fn from(spec: &ImagesSpec) -> Self {
        Self {
            api: spec.api.clone(),
            frontend: spec.frontend.clone(),
            pull_policy: spec.pull_policy.clone(),
            pull_secrets: spec.pull_secrets.iter().map(|secret| secret.name.clone()).collect(),
        }
    }
}
