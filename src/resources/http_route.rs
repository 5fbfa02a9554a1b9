//! The HTTPRoute (Gateway API, `gateway.networking.k8s.io/v1`).

use serde_json::{Map, Value, json};

use super::{
    child::child,
    route::{self, Backend},
};
use crate::{
    decide::Plan,
    model::child::{Child, Kind},
    proxy::{Read, RouteField},
    timeouts::Front,
    validate::{Entrance, Installation},
};

pub(super) fn build(
    installation: &Installation,
    plan: &Plan,
    entrance: &Entrance,
    front: &Front,
) -> Option<Child> {
    let spec = entrance.http_route.as_ref()?;
    let timeouts = timeouts(plan, front);
    let prefix = |path: &str| json!({ "path": { "type": "PathPrefix", "value": path } });
    let rule = |(paths, Backend { service, port }): (&[&str], Backend)| {
        json!({
            "matches": paths.iter().map(|path| prefix(path)).collect::<Vec<_>>(),
            "backendRefs": [{ "group": "", "kind": "Service", "name": service, "port": port, "weight": 1 }],
            "timeouts": timeouts,
        })
    };
    let rules: Vec<_> = route::paths(installation, entrance).into_iter().map(rule).collect();
    // A route without `hostnames` takes those of its listener, so one host that is any host takes them all.
    let hosts: Option<Vec<&str>> = route::hosts(entrance).collect();
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
    let annotations: Map<String, Value> =
        spec.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    Some(child(
        installation,
        Kind::HttpRoute,
        &entrance.name(&installation.identity),
        None,
        annotations,
        json!({ "spec": {
            "parentRefs": parents,
            "hostnames": hosts,
            "rules": rules,
        } }),
    ))
}

/// The timeouts of a rule. Without them the implementation's own default cuts: Envoy's is 15 seconds. So an
/// implementation that is not known yet gets them too; one that is known not to read them does not.
fn timeouts(plan: &Plan, front: &Front) -> Value {
    let limit = format!("{}s", plan.timeouts.proxy_read);
    match *front {
        Front::Proxy { read: Read::Route(RouteField::BackendRequest), .. } => {
            json!({ "backendRequest": limit })
        }
        Front::Proxy { proxy: Some(_), read, .. } if read != Read::Route(RouteField::Both) => Value::Null,
        _ => json!({ "request": limit, "backendRequest": limit }),
    }
}
