//! Envoy Gateway. Idle connections last an hour unless a `BackendTrafficPolicy` says otherwise.

use super::{Idle, Limit, Proxy, Read, RouteField};

pub(super) const PROXY: Proxy = Proxy {
    name: "envoy-gateway",
    ingress_controllers: &[],
    ingress_classes: &[],
    gateway_controllers: &["gateway.envoyproxy.io/gatewayclass-controller*"],
    ingress: Read::NotServed,
    route: Read::Route(RouteField::Both),
    default_read: Limit::Seconds(15),
    idle: Idle::Seconds(3600, "spec.timeout.http.connectionIdleTimeout of a BackendTrafficPolicy"),
    cluster_ip: &[],
    outside: false,
    gives_up: "504",
    reset: "503",
    source: "envoyproxy/gateway 1.9: api/v1alpha1/timeout_types.go",
};
