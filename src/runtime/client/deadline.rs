//! How long a request may take.

use std::time::Duration;

use thiserror::Error;

use super::request::Call;
use crate::runtime::metrics::{Kind, Verb};

/// How long a request may take, from the first attempt to the last byte of the answer. A healthy API server answers
/// within a second (the service level objective of Kubernetes for writes), the slowest lists within a few.
///
/// Of an answer without an end (a watch, a followed log) only the head has this deadline; what follows is
/// bounded by the watch's own timeout, which the server and the watcher enforce.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// The API server did not answer within [`CALL_DEADLINE`].
#[derive(Debug, Clone, Copy, Error)]
#[error("the API server did not answer {} {kind} within {} s", verb.as_str(), CALL_DEADLINE.as_secs())]
pub struct DeadlineExceeded {
    /// What was asked.
    pub verb: Verb,
    /// Of which resource.
    pub kind: Kind,
}

impl DeadlineExceeded {
    pub(super) const fn of(call: Call) -> Self {
        Self { verb: call.verb, kind: call.kind }
    }
}
