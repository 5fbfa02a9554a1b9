//! Traefik. It waits for ever for a response and keeps idle connections for 90 s; both are static settings or those of a
//! `ServersTransport`, and its Gateway provider reads no timeouts of `HTTPRoutes`.

use super::{Idle, Limit, Proxy, Read};

pub(super) const PROXY: Proxy = Proxy {
    name: "traefik",
    ingress_controllers: &["traefik.io/ingress-controller"],
    ingress_classes: &[],
    gateway_controllers: &["traefik.io/gateway-controller"],
    ingress: Read::Nowhere,
    route: Read::Nowhere,
    default_read: Limit::Unlimited,
    idle: Idle::Seconds(90, "serversTransport.forwardingTimeouts.idleConnTimeout"),
    cluster_ip: &[("traefik.ingress.kubernetes.io/service.nativelb", "true")],
    outside: false,
    gives_up: "504",
    reset: "502",
    source: "traefik 3.7.9: pkg/config/static/static_config.go, pkg/provider/kubernetes",
};
