//! Where a value is that is kept in a Secret.

use k8s_openapi::api::core::v1::SecretKeySelector;

use crate::api::SecretValueSource;

/// A key of a Secret in the installation's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretKey {
    /// The Secret's name.
    pub name: String,
    /// The key in it.
    pub key: String,
}

impl From<&SecretValueSource> for SecretKey {
    fn from(source: &SecretValueSource) -> Self {
        let SecretKeySelector { name, key, .. } = &source.secret_key_ref;
        Self { name: name.clone(), key: key.clone() }
    }
}
