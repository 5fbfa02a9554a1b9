//! The second step: what is there. Reads the index of watched objects, the Secrets and the database.

mod observation;
mod workload;

pub use observation::{
    DatabaseProbe, ExposureState, Observation, PodProblem, PodSummary, ProbeFailure, ProbeFailureKind,
    Refusal, SecretState, Secrets,
};
pub use workload::{JobOutcome, JobState, WorkloadState};
