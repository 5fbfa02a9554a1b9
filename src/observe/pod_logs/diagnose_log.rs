//! How the bytes of a log become causes.

use jiff::Timestamp;

use crate::{
    flagsmith::WorkerClass,
    model::{Component, Diagnosis},
};

/// Diagnoses a log: whose it is, how the API's workers handle requests (their log says so only at its beginning), a
/// name for the evidence, and the bytes. The most likely cause comes first.
///
/// Whoever starts a [`super::PodLogReader`] hands it in: a log is diagnosed right where its bytes arrive, so that a long
/// one is never kept, and yet nothing here depends on the causes.
pub type DiagnoseLog = fn(Component, Option<WorkerClass>, &str, &[u8]) -> Vec<LogDiagnosis>;

/// A cause that a log shows.
#[derive(Clone, Debug)]
pub struct LogDiagnosis {
    /// The time of its last occurrence, where the log has times.
    pub happened: Option<Timestamp>,
    /// Whether it is a connection to the database that cannot be made, or breaks.
    pub of_connection: bool,
    /// What it is.
    pub diagnosis: Diagnosis,
}
