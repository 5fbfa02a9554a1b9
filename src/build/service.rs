//! The Services of API and frontend.

use serde_json::{Map, Value, json};

use super::{Component, child, selector};
use crate::{
    child::{Child, Kind},
    flagsmith,
    validate::Installation,
};

pub(super) fn api(installation: &Installation) -> Child {
    service(
        installation,
        Component::Api,
        &json!([
            { "name": "http", "port": flagsmith::HTTP_PORT, "targetPort": "http", "protocol": "TCP" },
            { "name": "metrics", "port": flagsmith::METRICS_PORT, "targetPort": "metrics", "protocol": "TCP" },
        ]),
    )
}

pub(super) fn frontend(installation: &Installation) -> Child {
    service(
        installation,
        Component::Frontend,
        &json!([{ "name": "http", "port": flagsmith::FRONTEND_PORT, "targetPort": "http", "protocol": "TCP" }]),
    )
}

fn service(installation: &Installation, component: Component, ports: &Value) -> Child {
    child(
        installation,
        Kind::Service,
        &installation.child(component.as_str()),
        Some(component),
        Map::new(),
        json!({ "spec": { "type": "ClusterIP", "selector": selector(installation, component), "ports": ports } }),
    )
}
