//! The phase of a pod.

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodPhase {
    Pending,
    Running,
    Succeeded,
    Failed,
    /// Its node does not answer, or it has no phase yet.
    Unknown,
}

impl PodPhase {
    /// The phase of a name; of any that Kubernetes does not have, `Unknown`.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "Pending" => Self::Pending,
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            _ => Self::Unknown,
        }
    }

    /// Whether none of its containers runs or will run again.
    pub(crate) const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}
