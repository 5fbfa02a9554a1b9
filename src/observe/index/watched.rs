//! What is watched.

use k8s_openapi::api::core::v1::Pod;
use kube::core::ApiResource;

use crate::model::child::Kind;

/// What is watched: the kinds of children, and pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watched {
    /// A kind that the operator makes.
    Child(Kind),
    /// Pods of installations.
    Pod,
}

impl Watched {
    /// The resource, for a dynamic client.
    #[must_use]
    pub fn api_resource(self) -> ApiResource {
        match self {
            Self::Child(kind) => kind.api_resource(),
            Self::Pod => ApiResource::erase::<Pod>(&()),
        }
    }

    /// The kind of child, where a cluster may be without it.
    #[must_use]
    pub fn optional(self) -> Option<Kind> {
        match self {
            Self::Child(kind) if kind.is_optional() => Some(kind),
            _ => None,
        }
    }

    /// The plural name, as metrics and logs show it.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Child(kind) => kind.plural(),
            Self::Pod => "pods",
        }
    }

    /// Several of them, as a sentence has it.
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Self::Child(Kind::Ingress) => "Ingresses".to_owned(),
            Self::Child(kind) => format!("{}s", kind.as_str()),
            Self::Pod => "pods".to_owned(),
        }
    }
}
