//! The Ingress.

use serde_json::{Map, Value, json};

use super::{
    child::child,
    route::{self, API_PATHS, Backend},
};
use crate::{
    api::ExposureSpec,
    decide::Plan,
    model::child::{Child, Kind},
    proxy::Place,
    validate::Installation,
};

pub(super) fn build(installation: &Installation, plan: &Plan, exposure: &ExposureSpec) -> Option<Child> {
    let spec = exposure.ingress.as_ref()?;
    let paths = paths(installation);
    let rules: Vec<_> =
        route::hosts(exposure).map(|host| json!({ "host": host, "http": { "paths": paths } })).collect();
    let mut annotations: Map<String, Value> =
        spec.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    for annotation in plan.front.annotations(Place::Ingress, plan.timeouts.request) {
        let own = spec.annotations.get(annotation.key).map(String::as_str);
        annotations.insert(annotation.key.to_owned(), json!(annotation.merged(own)));
    }
    let tls = (!spec.tls.is_empty()).then_some(&spec.tls);
    Some(child(
        installation,
        Kind::Ingress,
        &installation.identity.name,
        None,
        annotations,
        json!({ "spec": { "ingressClassName": spec.class_name, "rules": rules, "tls": tls } }),
    ))
}

fn paths(installation: &Installation) -> Vec<Value> {
    let backend = |Backend { service, port }: Backend| json!({ "service": { "name": service, "port": { "number": port } } });
    API_PATHS
        .iter()
        .map(|path| json!({ "path": path, "pathType": "Prefix", "backend": backend(route::api(installation)) }))
        .chain([json!({ "path": "/", "pathType": "Prefix", "backend": backend(route::rest(installation)) })])
        .collect()
}
