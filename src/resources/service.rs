//! The Services: of API, frontend and edge proxy, and of the metrics of API and task processor.

use serde_json::{Map, Value, json};

use super::child::{child, selector};
use crate::{
    api::{EdgeProxySpec, ServiceSpec},
    decide::Plan,
    flagsmith,
    model::{
        Component,
        child::{Child, Kind},
    },
    proxy::Place,
    timeouts::Front,
    validate::Installation,
};

pub(super) fn api(installation: &Installation, plan: &Plan) -> Child {
    let http =
        json!({ "name": "http", "port": flagsmith::HTTP_PORT, "targetPort": "http", "protocol": "TCP" });
    let spec = &installation.api.service;
    service(
        installation,
        Component::Api,
        spec,
        timeouts(plan, spec, &[&plan.front, &plan.api_front]),
        &json!([http, metrics()]),
    )
}

pub(super) fn frontend(installation: &Installation, plan: &Plan) -> Child {
    let http =
        json!({ "name": "http", "port": flagsmith::FRONTEND_PORT, "targetPort": "http", "protocol": "TCP" });
    let spec = &installation.frontend.service;
    service(installation, Component::Frontend, spec, timeouts(plan, spec, &[&plan.front]), &json!([http]))
}

pub(super) fn edge_proxy(installation: &Installation, plan: &Plan, spec: &EdgeProxySpec) -> Child {
    let http = json!({ "name": "http", "port": flagsmith::EDGE_PROXY_PORT, "targetPort": "http", "protocol": "TCP" });
    let spec = &spec.service;
    let computed = timeouts(plan, spec, &[&plan.edge_front]);
    service(installation, Component::EdgeProxy, spec, computed, &json!([http]))
}

/// Nobody calls the task processor; what scrapes metrics finds it as it finds the API.
pub(super) fn task_processor(installation: &Installation) -> Child {
    let spec = &installation.task_processor.service;
    service(installation, Component::TaskProcessor, spec, Map::new(), &json!([metrics()]))
}

fn metrics() -> Value {
    json!({ "name": "metrics", "port": flagsmith::METRICS_PORT, "targetPort": "metrics", "protocol": "TCP" })
}

/// Annotations by which a proxy learns of the timeouts; the user's own win.
fn timeouts(plan: &Plan, spec: &ServiceSpec, fronts: &[&Front]) -> Map<String, Value> {
    let annotations = fronts.iter().flat_map(|it| it.annotations(Place::Service, plan.timeouts.request));
    let merged = |key: &str| spec.annotations.get(key).map(String::as_str);
    annotations.map(|it| (it.key.to_owned(), json!(it.merged(merged(it.key))))).collect()
}

fn service(
    installation: &Installation,
    component: Component,
    spec: &ServiceSpec,
    computed: Map<String, Value>,
    ports: &Value,
) -> Child {
    let mut annotations: Map<String, Value> =
        spec.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    annotations.extend(computed);
    let mut service = child(
        installation,
        Kind::Service,
        &installation.child(component.as_str()),
        Some(component),
        annotations,
        json!({ "spec": { "type": spec.kind, "selector": selector(installation, component), "ports": ports } }),
    );
    if let Some(labels) = service.body.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.extend(spec.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    }
    service
}
