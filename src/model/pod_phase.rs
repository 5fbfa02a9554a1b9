//! The phase of a pod.

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodPhase {
    /// Not all of its containers have been started.
    Pending,
    /// At least one of its containers runs or is being restarted.
    Running,
    /// All of its containers have ended well.
    Succeeded,
    /// All of its containers have ended, one of them badly.
    Failed,
    /// Its node does not answer, or it has no phase yet.
    #[default]
    Unknown,
}

impl PodPhase {
    /// The phase of a name; of any that Kubernetes does not have, `Unknown`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "Pending" => Self::Pending,
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            _ => Self::Unknown,
        }
    }

    /// The phase as Kubernetes and its users write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether none of its containers runs or will run again.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}
