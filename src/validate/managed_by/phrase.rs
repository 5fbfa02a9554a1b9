//! What differs in a sentence with who manages an installation, beyond the change itself.

use super::{Change, ManagedBy, change::key};
use crate::model::Component;

impl ManagedBy {
    /// A field of a component where the `FlagsmithDeployment` decides it, for example `spec.taskProcessor.replicas`;
    /// `None` where other objects do.
    #[must_use]
    pub fn field(&self, component: Component, field: &str) -> Option<String> {
        matches!(self, Self::Operator).then(|| format!("spec.{}.{field}", key(component)))
    }

    /// Where a setting is written: the field of the `FlagsmithDeployment`, or the environment of the component that
    /// reads it.
    #[must_use]
    pub fn place(&self, field: &str, component: Component) -> String {
        match (self, component) {
            (Self::Operator, _) => field.to_owned(),
            (_, Component::TaskProcessor) => "the task processor's environment".to_owned(),
            (_, Component::Migrations) => "the migration's environment".to_owned(),
            (_, Component::Frontend) => "the frontend's environment".to_owned(),
            _ => "the API's environment".to_owned(),
        }
    }

    /// What to correct about an image that cannot be pulled.
    #[must_use]
    pub fn correct_image(&self, component: Component) -> String {
        match self {
            Self::Operator => "Check that spec.version exists as a tag, the repository in spec.images, and the credentials in \
                               spec.images.pullSecrets."
                .to_owned(),
            _ => format!(
                "Check that this tag exists and that the pull Secret is right; then name one that exists: {}",
                self.change(&[Change::Tag(component, "RELEASE")])
            ),
        }
    }

    /// How a container gets more memory, or needs less.
    #[must_use]
    pub fn more_memory(&self, component: Component, limit: &str) -> String {
        match (self, component) {
            (Self::Operator, Component::Api) => {
                "Raise spec.api.resources.limits.memory, or lower spec.api.gunicorn.workers \
                                                 (each worker needs about 200 MB)."
                    .to_owned()
            }
            (Self::Operator, Component::TaskProcessor) => {
                "Raise spec.taskProcessor.resources.limits.memory.".to_owned()
            }
            (Self::Operator, Component::Migrations) => {
                "Raise spec.migrations.resources.limits.memory.".to_owned()
            }
            (Self::Operator, _) => "Raise resources.limits.memory of this component.".to_owned(),
            _ => format!(
                "{}, or lower GUNICORN_WORKERS (each worker needs about 200 MB).",
                self.change(&[Change::Memory(component, limit)])
            ),
        }
    }

    /// Where the key of the Secret with Django's secret key is named.
    #[must_use]
    pub const fn django_secret_key(&self) -> &'static str {
        match self {
            Self::Operator => "spec.django.secretKeyFrom.secretKeyRef.key",
            _ => "the API's environment",
        }
    }

    /// What is said of an API that is not there, and what to do; `None` where the operator itself makes it.
    #[must_use]
    pub fn not_found(&self, namespace: &str) -> Option<(String, String)> {
        match self {
            Self::Operator => None,
            Self::Helm { release, .. } => Some((
                format!(
                    "No API of a Helm release {release} of the official chart is in namespace {namespace}."
                ),
                format!(
                    "See which releases there are: helm list -n {namespace}; then name one in spec.observe.release, or the \
                     Deployments in spec.observe.components if another chart made them."
                ),
            )),
            Self::Manifests { .. } => Some((
                format!(
                    "No Deployment in namespace {namespace} is the one that spec.observe.components.api names."
                ),
                format!(
                    "See which there are: kubectl -n {namespace} get deployments --show-labels; then correct name or \
                     selector."
                ),
            )),
        }
    }
}
