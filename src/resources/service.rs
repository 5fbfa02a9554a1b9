//! The Services of API and frontend.

use serde_json::{Value, json};

use super::child::{child, selector};
use crate::{
    decide::Plan,
    flagsmith,
    model::{
        Component,
        child::{Child, Kind},
    },
    proxy::Place,
    validate::Installation,
};

pub(super) fn api(installation: &Installation, plan: &Plan) -> Child {
    service(
        installation,
        plan,
        Component::Api,
        &json!([
            { "name": "http", "port": flagsmith::HTTP_PORT, "targetPort": "http", "protocol": "TCP" },
            { "name": "metrics", "port": flagsmith::METRICS_PORT, "targetPort": "metrics", "protocol": "TCP" },
        ]),
    )
}

pub(super) fn frontend(installation: &Installation, plan: &Plan) -> Child {
    service(
        installation,
        plan,
        Component::Frontend,
        &json!([{ "name": "http", "port": flagsmith::FRONTEND_PORT, "targetPort": "http", "protocol": "TCP" }]),
    )
}

fn service(installation: &Installation, plan: &Plan, component: Component, ports: &Value) -> Child {
    let annotations = plan
        .front
        .annotations(Place::Service, plan.timeouts.request)
        .into_iter()
        .map(|annotation| (annotation.key.to_owned(), json!(annotation.value)))
        .collect();
    child(
        installation,
        Kind::Service,
        &installation.child(component.as_str()),
        Some(component),
        annotations,
        json!({ "spec": { "type": "ClusterIP", "selector": selector(installation, component), "ports": ports } }),
    )
}
