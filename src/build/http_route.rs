//! The HTTPRoute (Gateway API, `gateway.networking.k8s.io/v1`).

use serde_json::{Map, Value, json};

use super::{Component, child, ingress::API_PATHS};
use crate::{
    api::ExposureSpec,
    child::{Child, Kind},
    decide::Timeouts,
    flagsmith,
    validate::Installation,
};

/// Every host: a route without `hostnames` takes those of its listener.
const ANY_HOST: &str = "*";

pub(super) fn build(
    installation: &Installation,
    exposure: &ExposureSpec,
    timeouts: Timeouts,
) -> Option<Child> {
    let spec = exposure.http_route.as_ref()?;
    // Without them the implementation's own default cuts: Envoy's is 15 seconds.
    let limit = format!("{}s", timeouts.proxy_read);
    let timeouts = json!({ "request": limit, "backendRequest": limit });
    let prefix = |path: &str| json!({ "path": { "type": "PathPrefix", "value": path } });
    let backend = |component: Component, port: i32| {
        json!([{
            "group": "",
            "kind": "Service",
            "name": installation.child(component.as_str()),
            "port": port,
            "weight": 1,
        }])
    };
    let api = || backend(Component::Api, flagsmith::HTTP_PORT);
    let rest = if installation.frontend.enabled {
        backend(Component::Frontend, flagsmith::FRONTEND_PORT)
    } else {
        api()
    };
    let hosts: Vec<_> = exposure.hosts.iter().filter(|host| *host != ANY_HOST).collect();
    let parents: Vec<_> = spec
        .parent_refs
        .iter()
        .map(|parent| {
            json!({
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "name": parent.name,
                "namespace": parent.namespace,
                "sectionName": parent.section_name,
                "port": parent.port,
            })
        })
        .collect();
    let annotations: Map<String, Value> = spec
        .annotations
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    Some(child(
        installation,
        Kind::HttpRoute,
        &installation.identity.name,
        None,
        annotations,
        json!({ "spec": {
            "parentRefs": parents,
            "hostnames": (hosts.len() == exposure.hosts.len()).then_some(hosts),
            "rules": [
                { "matches": API_PATHS.iter().map(|path| prefix(path)).collect::<Vec<_>>(), "backendRefs": api(), "timeouts": timeouts },
                { "matches": [prefix("/")], "backendRefs": rest, "timeouts": timeouts },
            ],
        } }),
    ))
}
