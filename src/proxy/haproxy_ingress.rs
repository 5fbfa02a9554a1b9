//! jcmoraisjr's `HAProxy` Ingress. Annotations of a Service work for Ingresses and `HTTPRoutes` alike; about idle connections see
//! `haproxy_technologies`.

use super::{Idle, Key, Limit, Place, Proxy, Read, Unit, What};

pub(super) const PROXY: Proxy = Proxy {
    name: "haproxy-ingress",
    ingress_controllers: &["haproxy-ingress.github.io/controller*"],
    ingress_classes: &[],
    gateway_controllers: &["haproxy-ingress.github.io/controller*"],
    ingress: Read::Annotations(
        Place::Service,
        &[Key { name: "haproxy-ingress.github.io/timeout-server", unit: Unit::Haproxy, what: What::Read }],
    ),
    route: Read::Annotations(
        Place::Service,
        &[Key { name: "haproxy-ingress.github.io/timeout-server", unit: Unit::Haproxy, what: What::Read }],
    ),
    default_read: Limit::Seconds(50),
    idle: Idle::Shrinking(60),
    cluster_ip: &[("haproxy-ingress.github.io/service-upstream", "true")],
    outside: false,
    gives_up: "504",
    reset: "a closed connection without any status",
    source: "haproxy-ingress 0.17: docs/content/en/docs/configuration/keys.md",
};
