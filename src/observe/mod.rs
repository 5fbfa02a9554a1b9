//! The second step: what is there. Reads the index of watched objects, the Secrets and the database.

mod autoscaler;
mod children;
mod classes;
mod config_maps;
mod container;
pub mod database;
pub mod discover;
mod exposure;
mod front;
pub mod index;
mod kills;
mod logs;
mod migrators;
mod object;
mod observation;
mod observer;
pub mod once;
mod pod;
mod pod_logs;
mod preflight_cache;
mod priority;
mod recognise;
mod secret_reader;
mod secrets;
mod serving;
mod thread_usage;
mod tls;
pub mod watch;
mod workload;

pub use container::{ConfigMaps, ContainerState, Environment, Lookup, Variable};
pub use database::{
    DatabaseProbe, ProbeFailure, ProbeFailureKind,
    preflight::{History, OtherSession, Owner, Preflight},
};
pub use front::{Annotated, FrontSeen};
pub use index::{Index, Watched};
pub use kills::ProbeKill;
pub use logs::Run;
pub use object::Object;
pub use pod_logs::{LogFinding, LogReading, PodLogFindings, PodLogReader, ReadDepth, Warning};
pub use priority::Urgency;
pub use thread_usage::{ThreadUsage, ThreadUsageSampler};

pub use observation::{
    ContainerRun, ExposureState, MigratorRun, Observation, Pending, PodProblem, PodSummary,
    ProcessorDatabases, SecretState, Secrets,
};
pub use observer::{FRESH, FRESH_WHILE_FAILING, Observer};
pub use recognise::recognise;
pub use serving::{ProbeSeen, Serving};
pub use watch::{Scope, Trigger, Watches};
pub use workload::{JobOutcome, JobState, WorkloadState};
