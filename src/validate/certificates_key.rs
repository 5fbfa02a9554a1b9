//! Where certificates are kept.

use super::secret_key::SecretKey;
use crate::api::CertificatesSource;

/// Certificates in the installation's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificatesKey {
    /// A key of a Secret.
    Secret(SecretKey),
    /// A key of a `ConfigMap`.
    ConfigMap {
        /// The `ConfigMap`'s name.
        name: String,
        /// The key in it.
        key: String,
    },
}

impl CertificatesKey {
    /// What a source names, if it names one thing.
    #[must_use]
    pub fn of(source: &CertificatesSource) -> Option<Self> {
        match (&source.secret_key_ref, &source.config_map_key_ref) {
            (Some(reference), None) => {
                Some(Self::Secret(SecretKey { name: reference.name.clone(), key: reference.key.clone() }))
            }
            (None, Some(reference)) => {
                Some(Self::ConfigMap { name: reference.name.clone(), key: reference.key.clone() })
            }
            _ => None,
        }
    }
}
