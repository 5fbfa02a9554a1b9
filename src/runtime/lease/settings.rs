//! Which lease a process competes for, and as whom.

/// Which lease to compete for, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSettings {
    /// The namespace of the lease: the operator's own.
    pub namespace: String,
    /// The name of the lease, the same for all replicas.
    pub name: String,
    /// Who this process is; see [`LeaseSettings::new`].
    pub identity: String,
}

impl LeaseSettings {
    /// Settings with an identity that starts with `pod`, for people, and is unique to this process: a restarted
    /// container has the same pod name, but must not take the lease of its predecessor for its own.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, pod: &str) -> Self {
        let identity = format!("{pod}_{:016x}", rand::random::<u64>());
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity,
        }
    }
}
