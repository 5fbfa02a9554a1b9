//! Why a pass failed.

use std::time::Duration;

use crate::{apply, report, runtime::client};

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It took too long.
    #[error("the pass took longer than {} s", .0.as_secs())]
    Deadline(Duration),
    /// It panicked; the panic was logged where it happened.
    #[error("the pass panicked")]
    Panic,
    /// Children could not be written.
    #[error("children could not be written")]
    Apply(#[from] apply::Error),
    /// The status could not be written.
    #[error(transparent)]
    Report(#[from] report::Error),
}

impl Error {
    /// A constant label for metrics.
    pub(super) const fn category(&self) -> &'static str {
        match self {
            Self::Deadline(_) => "deadline",
            Self::Panic => "panic",
            Self::Apply(error) => error.category(),
            Self::Report(_) => "status",
        }
    }

    /// Whether a write was refused because this replica does not lead any more.
    pub(super) const fn is_not_leading(&self) -> bool {
        matches!(self, Self::Apply(apply::Error::NotLeading) | Self::Report(report::Error::NotLeading))
    }

    /// Whether the API server did not answer a write of a child in time.
    pub(super) fn is_request_deadline(&self) -> bool {
        matches!(self, Self::Apply(apply::Error::Kube(source)) if client::is_deadline(source))
    }
}
