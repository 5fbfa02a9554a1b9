//! What differs in a sentence with who manages an installation, beyond the change itself.

use super::{Change, ManagedBy, change::key};
use crate::{
    flagsmith::{OF_A_WORKER, env},
    model::Component,
};

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
            (_, Component::EdgeProxy) => "the edge proxy's environment".to_owned(),
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
        let more = match component {
            // The chart's value for it and the field of the resource are not those of a component.
            Component::Database => "Raise resources.limits.memory of this component".to_owned(),
            _ => self.change(&[Change::Memory(component, limit)]),
        };
        let fewer = match component {
            Component::Api | Component::TaskProcessor => self.setting(component, env::GUNICORN_WORKERS),
            _ => None,
        };
        let fewer = fewer.map_or_else(String::new, |setting| {
            format!(", or lower {setting} (each process needs {OF_A_WORKER})")
        });
        format!("{more}{fewer}.")
    }

    /// The same where the present limit is not known, for a component of a managed installation.
    #[must_use]
    pub fn raise_memory(&self, component: Component) -> Option<String> {
        let field = self.field(component, "resources.limits.memory")?;
        let fewer = self.setting(component, env::GUNICORN_WORKERS).map_or_else(String::new, |setting| {
            format!(", or lower {setting} (each process needs {OF_A_WORKER})")
        });
        Some(format!("Raise {field}{fewer}."))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_owner_is_told_what_to_type() {
        let chart = ManagedBy::Helm { release: "acme".to_owned(), chart: None, namespace: "prod".to_owned() };
        assert_eq!(
            ManagedBy::Operator.more_memory(Component::Api, "1024Mi"),
            "Set spec.api.resources.limits.memory: 1024Mi, or lower spec.api.gunicorn.workers (each process needs 190 to 220 MiB idle)."
        );
        assert_eq!(
            ManagedBy::Operator.more_memory(Component::TaskProcessor, "2Gi"),
            "Set spec.taskProcessor.resources.limits.memory: 2Gi.",
            "the operator decides how many workers it has"
        );
        assert_eq!(
            chart.more_memory(Component::TaskProcessor, "2Gi"),
            "helm upgrade acme flagsmith/flagsmith --namespace prod --reuse-values --set taskProcessor.resources.limits.memory=2Gi, or lower GUNICORN_WORKERS (each process needs 190 to 220 MiB idle)."
        );
    }
}
