//! Settings that all components share.

use k8s_openapi::api::core::v1::LocalObjectReference;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretValueSource;

/// Image repositories. The tag is `spec.version`, unless a repository comes with one of its own (`repository:TAG`, a
/// build of yours of that release). With a digest (`repository@sha256:…`) exactly that image is pulled, whatever the tag
/// means by then. Tag and digest belong to `spec.version` and change with it. An older or newer release that a rollback
/// needs is pulled by the tag that is its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ImagesSpec {
    /// The repository of the API's image, which the task processor and the migration Job use as well.
    #[schemars(length(min = 1, max = 255))]
    pub api: String,

    /// The repository of the frontend's image.
    #[schemars(length(min = 1, max = 255))]
    pub frontend: String,

    /// `imagePullPolicy` of every container: Always, `IfNotPresent` or Never.
    #[schemars(length(max = 32))]
    pub pull_policy: String,

    /// `imagePullSecrets` of every pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<LocalObjectReference>,
}

impl Default for ImagesSpec {
    fn default() -> Self {
        Self {
            api: "docker.flagsmith.com/flagsmith/flagsmith-api".to_owned(),
            frontend: "docker.flagsmith.com/flagsmith/flagsmith-frontend".to_owned(),
            pull_policy: "IfNotPresent".to_owned(),
            pull_secrets: Vec::new(),
        }
    }
}

/// Settings of Django.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DjangoSpec {
    /// An existing Secret with `DJANGO_SECRET_KEY`. By default the operator generates a key once, in the Secret
    /// `<name>-django`, and never changes it: sessions, JWTs and stored credentials depend on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_from: Option<SecretValueSource>,

    /// `DJANGO_ALLOWED_HOSTS`: the Host headers that Django accepts. The default accepts every host, because
    /// the kubelet's probes and requests through a Service use IP addresses and Service names.
    #[schemars(length(min = 1, max = 64))]
    pub allowed_hosts: Vec<String>,
}

impl Default for DjangoSpec {
    fn default() -> Self {
        Self { secret_key_from: None, allowed_hosts: vec!["*".to_owned()] }
    }
}

/// What becomes of what cannot be made again when a `FlagsmithDeployment` is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It is kept.
    #[default]
    Retain,
    /// It is deleted too.
    Delete,
}
