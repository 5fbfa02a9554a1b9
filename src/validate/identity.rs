//! Which resource an installation belongs to.

use crate::api::FlagsmithDeployment;

/// Which resource an installation belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The resource's name, at most 40 characters; children are named after it.
    pub name: String,
    /// The namespace of the resource and of everything that it owns.
    pub namespace: String,
    /// The resource's uid.
    pub uid: String,
    /// The resource's `metadata.generation`.
    pub generation: i64,
}

impl Identity {
    /// The identity of a resource that a server has stored.
    #[must_use]
    pub fn of(resource: &FlagsmithDeployment) -> Option<Self> {
        Some(Self {
            name: resource.metadata.name.clone()?,
            namespace: resource.metadata.namespace.clone()?,
            uid: resource.metadata.uid.clone()?,
            generation: resource.metadata.generation.unwrap_or_default(),
        })
    }
}
