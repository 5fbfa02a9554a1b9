//! A worker class that the image does not have.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};

/// What Gunicorn has without further packages; Flagsmith's images install none.
const INCLUDED: &[&str] = &["sync", "gthread"];

pub(super) fn check(running: &Running<'_>) -> Option<Diagnosis> {
    let class = running.gunicorn.worker_class.as_deref()?;
    (!INCLUDED.contains(&class)).then(|| {
        diagnosis(
            Code::GunicornWorkerClassUnavailable,
            Severity::Critical,
            Component::Api,
            format!("Flagsmith's image has no worker class {class:?}, so the API cannot start with it."),
            vec![format!(
                "Deployment {}: --worker-class {class}",
                running.deployment
            )],
            running.without_class(),
        )
    })
}
