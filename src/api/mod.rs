//! The custom resource: its specification, its status, and the rules that the API server checks.
//!
//! Everything here ends up in the `CustomResourceDefinition`; doc comments are what `kubectl explain` shows.

// KubeSchema repeats each struct inside a function, where nothing can reach it.
#![allow(unreachable_pub)]

mod backups;
mod components;
mod crd;
mod database;
mod edge_proxy;
mod exposure;
mod integrations;
mod migrations;
mod monitoring;
pub(crate) mod object_name;
mod observe;
mod pod;
mod reference;
mod restore;
mod service;
mod settings;
mod spec;
mod status;
mod task_processor;
#[cfg(test)]
mod tests;
mod upgrade;

pub use backups::{BackupStatus, KeptDumps};
pub use components::{ApiSpec, AutoscalingSpec, ContainerSettings, FrontendSpec, GunicornSpec};
pub use crd::{crd, crd_yaml};
pub use database::{
    CertificatesSource, DatabaseParts, DatabaseSpec, EmbeddedDatabaseSpec, SecretValueSource, SslMode,
};
pub use edge_proxy::{EdgeEnvironment, EdgeProxySpec};
pub use exposure::{EntranceSpec, ExposureSpec, HttpRouteSpec, IngressSpec, ParentReference, ProxySpec};
pub use integrations::{EmailSpec, InfluxDbSpec, IntegrationsSpec, LdapSpec, RedisSpec, SmtpSpec};
pub use migrations::{BackupSpec, BootstrapSpec, DUMP_IMAGE, DumpSpec, MigrationsSpec, RollbackSpec};
pub use monitoring::{MonitoringSpec, PodAnnotationsSpec, PodMonitorSpec};
pub use observe::{Mode, ObserveSpec, ObservedComponents, WorkloadReference};
pub use pod::{PodPart, PodSettings};
pub use reference::api_markdown;
pub use restore::{RestoreResult, RestoreSpec, RestoreStatus};
pub use service::{DisruptionBudgetSpec, ServiceSpec, ServiceType, UnhealthyPodEviction};
pub use settings::{DeletionPolicy, DjangoSpec, ImagesSpec};
pub use spec::{FlagsmithDeployment, FlagsmithDeploymentSpec};
pub use status::{
    AwaitedChange, Circumstance, ComponentStatus, ComponentsStatus, DiagnosisStatus,
    FlagsmithDeploymentStatus, MigrationOperation, MigrationResult, MigrationStatus, TimeoutsStatus,
};
pub use task_processor::{TaskAutoscalingSpec, TaskProcessorSpec};
pub use upgrade::{StopState, StopStatus, UpgradeSpec, UpgradeStatus, UpgradeStrategy};

/// The API group of the custom resource; also the prefix of every annotation and label of the operator.
pub const GROUP: &str = "operator.flagsmith.com";

/// An annotation on a `FlagsmithDeployment`: any new value asks for a failed migration to be run again.
pub const RETRY_MIGRATION_ANNOTATION: &str = "operator.flagsmith.com/retry-migration";
