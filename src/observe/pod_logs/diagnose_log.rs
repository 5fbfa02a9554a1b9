//! How the bytes of a log become causes.

use jiff::Timestamp;

use crate::{
    flagsmith::WorkerClass,
    model::{Component, Diagnosis},
};

/// Diagnoses a log: whose it is, how the API's workers handle requests (their log says so only at its beginning), a
/// name for the evidence, and the bytes. Returns each cause with the time of its last occurrence, the most likely
/// cause first.
///
/// Whoever starts a [`super::PodLogReader`] hands it in: a log is diagnosed right where its bytes arrive, so that a long
/// one is never kept, and yet nothing here depends on the causes.
pub type DiagnoseLog = fn(Component, Option<WorkerClass>, &str, &[u8]) -> Vec<(Option<Timestamp>, Diagnosis)>;
