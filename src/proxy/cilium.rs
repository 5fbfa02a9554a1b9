//! Cilium (Envoy). Idle connections last 60 s, a setting of the agent. Its users report 15 s for a response where nothing
//! is set, so it always is.

use super::{Idle, Key, Limit, Place, Proxy, Read, RouteField, Unit, What};

pub(super) const PROXY: Proxy = Proxy {
    name: "cilium",
    ingress_controllers: &["cilium.io/ingress-controller"],
    ingress_classes: &[],
    gateway_controllers: &["io.cilium/gateway-controller"],
    ingress: Read::Annotations(
        Place::Ingress,
        &[Key { name: "ingress.cilium.io/request-timeout", unit: Unit::Go, what: What::Read }],
    ),
    route: Read::Route(RouteField::Both),
    default_read: Limit::Seconds(15),
    idle: Idle::Seconds(60, "--proxy-idle-timeout-seconds of the agent"),
    cluster_ip: &[],
    outside: false,
    gives_up: "504",
    reset: "503",
    source: "cilium 1.20: operator/pkg/model/ingestion/ingress.go",
};
