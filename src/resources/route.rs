//! What an Ingress and an `HTTPRoute` have in common: hosts, and which paths go where.

use crate::{
    flagsmith,
    model::Component,
    validate::{Behind, Entrance, Installation},
};

/// What Django serves; everything else belongs to the frontend. (The official chart leaves out `/o/` and
/// `/.well-known/`, which OAuth needs.)
const API_PATHS: &[&str] = &["/api", "/health", "/admin", "/static/admin", "/o", "/.well-known"];

/// What clients of the API need of that: neither Django's admin nor its files.
const CLIENT_PATHS: &[&str] = &["/api", "/health", "/o", "/.well-known"];

/// What SDKs ask the edge proxy for, and its own health.
const EDGE_PROXY_PATHS: &[&str] = &["/api/v1", "/proxy/health"];

/// The paths of an entrance, and where each goes.
pub(super) fn paths(
    installation: &Installation,
    entrance: &Entrance,
) -> Vec<(&'static [&'static str], Backend)> {
    match entrance.behind {
        Behind::Everything => vec![(API_PATHS, api(installation)), (&["/"], rest(installation))],
        Behind::Api => vec![(CLIENT_PATHS, api(installation))],
        Behind::EdgeProxy => vec![(EDGE_PROXY_PATHS, edge_proxy(installation))],
    }
}

/// Every host, in the specification.
const ANY_HOST: &str = "*";

/// A Service and its port.
pub(super) struct Backend {
    pub(super) service: String,
    pub(super) port: i32,
}

/// Where [`API_PATHS`] go.
fn api(installation: &Installation) -> Backend {
    Backend { service: installation.child(Component::Api.as_str()), port: flagsmith::HTTP_PORT }
}

fn edge_proxy(installation: &Installation) -> Backend {
    Backend { service: installation.child(Component::EdgeProxy.as_str()), port: flagsmith::EDGE_PROXY_PORT }
}

/// Where every other path goes.
fn rest(installation: &Installation) -> Backend {
    if installation.frontend.enabled {
        Backend { service: installation.child(Component::Frontend.as_str()), port: flagsmith::FRONTEND_PORT }
    } else {
        api(installation)
    }
}

/// The hosts, `None` for every host: neither kind of object can write "*".
pub(super) fn hosts(entrance: &Entrance) -> impl Iterator<Item = Option<&str>> {
    entrance.hosts.iter().map(|host| (host != ANY_HOST).then_some(host.as_str()))
}
