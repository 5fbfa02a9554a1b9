//! Which lease a process competes for, as whom, and what the lease says of its holder.

use kube::api::ObjectMeta;

use crate::model::child::marks;

/// The label by which the leases of operators are found among all others, and its value.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/name", marks::OPERATOR);

/// The annotation that says which namespaces the holder looks after, separated by commas; empty for the whole cluster.
pub const NAMESPACES_ANNOTATION: &str = "operator.flagsmith.com/namespaces";

/// Which lease to compete for, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSettings {
    /// The namespace of the lease: the operator's own.
    pub namespace: String,
    /// The name of the lease, the same for all replicas.
    pub name: String,
    /// Who this process is; see [`LeaseSettings::new`].
    pub identity: String,
    /// The namespaces that this process looks after, for whoever asks why nobody looks at another one; empty for the
    /// whole cluster.
    pub namespaces: Vec<String>,
}

impl LeaseSettings {
    /// Settings with an identity that starts with `pod`, for people, and is unique to this process: a restarted
    /// container has the same pod name, but must not take the lease of its predecessor for its own.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, pod: &str) -> Self {
        let identity = format!("{pod}_{:016x}", rand::random::<u64>());
        Self { namespace: namespace.into(), name: name.into(), identity, namespaces: Vec::new() }
    }

    /// The same lease, held by a process that looks after these namespaces; none stands for the whole cluster.
    #[must_use]
    pub fn watching(self, namespaces: Vec<String>) -> Self {
        Self { namespaces, ..self }
    }

    /// Writes into the lease what it says of its holder.
    pub(super) fn mark(&self, metadata: &mut ObjectMeta) {
        let (label, value) = LABEL;
        metadata.labels.get_or_insert_default().insert(label.to_owned(), value.to_owned());
        metadata
            .annotations
            .get_or_insert_default()
            .insert(NAMESPACES_ANNOTATION.to_owned(), self.namespaces.join(","));
    }
}
