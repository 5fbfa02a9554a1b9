//! The second step: what is there. Reads the index of watched objects, the Secrets and the database.

mod autoscaler;
mod children;
mod classes;
mod config_maps;
mod container;
pub mod database;
pub(crate) mod discover;
mod dump;
mod exposure;
pub(crate) mod external_migration;
mod freshness;
mod front;
pub(crate) mod index;
mod job;
mod kills;
mod looks;
mod managed;
mod memory;
mod metadata;
mod migrator_run;
mod migrators;
mod observation;
mod observer;
mod pod;
mod pod_logs;
mod recognise;
mod scope;
mod secrets;
mod serving;
mod thread_usage;
mod tls;
mod trigger;
pub(crate) mod watch;
mod workload;

pub use container::{ConfigMaps, ContainerState, Environment, Lookup, Variable};
pub use database::{
    preflight::{History, OtherSession, Owner, Preflight},
    probe::{DatabaseProbe, ProbeFailure, ProbeFailureKind, ReadOnly},
};
pub use dump::Dump;
pub use exposure::ExposureState;
pub use freshness::{FRESH, FRESH_WHILE_FAILING};
pub use front::{Annotated, FrontSeen};
pub use index::{Object, Watched};
pub use job::{JobOutcome, JobState};
pub use kills::ProbeKill;
pub use looks::{DatabaseLooks, Look};
pub use migrator_run::MigratorRun;
pub use observation::Observation;
pub use observer::Observer;
pub use pod::{ContainerRun, Pending, PodProblem, PodSummary, container_statuses};
pub use pod_logs::{
    DiagnoseLog, LogDiagnosis, LogFinding, LogReading, PodLogFindings, PodLogReader, ReadDepth, Run, Warning,
};
pub use recognise::{recognise, recognise_api, recognise_edge_proxy};
pub use scope::Scope;
pub use secrets::{
    state::{KeptUrls, MissingPart, ProcessorDatabases, SecretState, Secrets},
    urls::{CA_FILE, urls},
};
pub use serving::{ProbeSeen, Serving};
pub use thread_usage::{ThreadUsage, ThreadUsageSampler, exposition};
pub use trigger::{Trigger, Urgency};
pub use watch::Watches;
pub use workload::WorkloadState;
