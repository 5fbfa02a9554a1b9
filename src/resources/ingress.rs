//! The Ingress.

use serde_json::{Map, Value, json};

use super::{
    child::child,
    route::{self, Backend},
};
use crate::{
    decide::Plan,
    model::child::{Child, Kind},
    proxy::Place,
    timeouts::Front,
    validate::{Entrance, Installation},
};

pub(super) fn build(
    installation: &Installation,
    plan: &Plan,
    entrance: &Entrance,
    front: &Front,
) -> Option<Child> {
    let spec = entrance.ingress.as_ref()?;
    let paths = paths(installation, entrance);
    let rules: Vec<_> =
        route::hosts(entrance).map(|host| json!({ "host": host, "http": { "paths": paths } })).collect();
    let mut annotations: Map<String, Value> =
        spec.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    for annotation in front.annotations(Place::Ingress, plan.timeouts.request) {
        let own = spec.annotations.get(annotation.key).map(String::as_str);
        annotations.insert(annotation.key.to_owned(), json!(annotation.merged(own)));
    }
    let tls = (!spec.tls.is_empty()).then_some(&spec.tls);
    Some(child(
        installation,
        Kind::Ingress,
        &entrance.name(&installation.identity),
        None,
        annotations,
        json!({ "spec": { "ingressClassName": spec.class_name, "rules": rules, "tls": tls } }),
    ))
}

fn paths(installation: &Installation, entrance: &Entrance) -> Vec<Value> {
    let path = |path: &str, Backend { service, port }: &Backend| {
        let backend = json!({ "service": { "name": service, "port": { "number": port } } });
        json!({ "path": path, "pathType": "Prefix", "backend": backend })
    };
    let all = route::paths(installation, entrance);
    all.iter().flat_map(|(paths, backend)| paths.iter().map(move |it| path(it, backend))).collect()
}
