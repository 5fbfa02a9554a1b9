//! What an Ingress and an `HTTPRoute` have in common: hosts, and which paths go where.

use crate::model::Component;
use crate::{api::ExposureSpec, flagsmith, validate::Installation};

/// What Django serves; everything else belongs to the frontend. (The official chart leaves out `/o/` and
/// `/.well-known/`, which OAuth needs.)
pub(super) const API_PATHS: &[&str] = &["/api", "/health", "/admin", "/static/admin", "/o", "/.well-known"];

/// Every host, in the specification.
const ANY_HOST: &str = "*";

/// A Service and its port.
pub(super) struct Backend {
    pub(super) service: String,
    pub(super) port: i32,
}

/// Where [`API_PATHS`] go.
pub(super) fn api(installation: &Installation) -> Backend {
    Backend { service: installation.child(Component::Api.as_str()), port: flagsmith::HTTP_PORT }
}

/// Where every other path goes.
pub(super) fn rest(installation: &Installation) -> Backend {
    if installation.frontend.enabled {
        Backend { service: installation.child(Component::Frontend.as_str()), port: flagsmith::FRONTEND_PORT }
    } else {
        api(installation)
    }
}

/// The hosts, `None` for every host: neither kind of object can write "*".
pub(super) fn hosts(exposure: &ExposureSpec) -> impl Iterator<Item = Option<&str>> {
    exposure.hosts.iter().map(|host| (host != ANY_HOST).then_some(host.as_str()))
}
