//! The Ingress.

use serde_json::{Map, Value, json};

use super::{Component, child};
use crate::{
    api::ExposureSpec,
    child::{Child, Kind},
    flagsmith,
    validate::Installation,
};

/// What Django serves; everything else belongs to the frontend. (The official chart leaves out `/o/` and
/// `/.well-known/`, which OAuth needs.)
pub(super) const API_PATHS: &[&str] = &["/api", "/health", "/admin", "/static/admin", "/o", "/.well-known"];

/// Every host.
const ANY_HOST: &str = "*";

pub(super) fn build(installation: &Installation, exposure: &ExposureSpec) -> Option<Child> {
    let spec = exposure.ingress.as_ref()?;
    let paths = paths(installation);
    let rules: Vec<_> = exposure
        .hosts
        .iter()
        .map(|host| json!({ "host": (host != ANY_HOST).then_some(host), "http": { "paths": paths } }))
        .collect();
    let annotations: Map<String, Value> = spec
        .annotations
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
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
    let backend = |component: Component, port: i32| json!({ "service": { "name": installation.child(component.as_str()), "port": { "number": port } } });
    let api = || backend(Component::Api, flagsmith::HTTP_PORT);
    let rest = if installation.frontend.enabled {
        backend(Component::Frontend, flagsmith::FRONTEND_PORT)
    } else {
        api()
    };
    API_PATHS
        .iter()
        .map(|path| json!({ "path": path, "pathType": "Prefix", "backend": api() }))
        .chain([json!({ "path": "/", "pathType": "Prefix", "backend": rest })])
        .collect()
}
