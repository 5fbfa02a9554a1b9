//! the community's ingress-nginx, and Traefik's compatible provider, which has the same controller name and the same
//! annotations. Timeouts are between two reads. A timed-out GET is tried again on other pods without any limit in time
//! unless `proxy-next-upstream-timeout` is set; a POST never is.

use super::{Idle, Key, Limit, Place, Proxy, Read, Unit, What};

pub(super) const PROXY: Proxy = Proxy {
    name: "ingress-nginx",
    ingress_controllers: &["k8s.io/ingress-nginx"],
    ingress_classes: &[],
    gateway_controllers: &[],
    ingress: Read::Annotations(
        Place::Ingress,
        &[
            Key {
                name: "nginx.ingress.kubernetes.io/proxy-read-timeout",
                unit: Unit::Seconds,
                what: What::Read,
            },
            Key {
                name: "nginx.ingress.kubernetes.io/proxy-send-timeout",
                unit: Unit::Seconds,
                what: What::Send,
            },
            Key {
                name: "nginx.ingress.kubernetes.io/proxy-next-upstream-timeout",
                unit: Unit::Seconds,
                what: What::Retry,
            },
        ],
    ),
    route: Read::NotServed,
    default_read: Limit::Seconds(60),
    idle: Idle::Seconds(60, "upstream-keepalive-timeout in the controller's ConfigMap"),
    cluster_ip: &[("nginx.ingress.kubernetes.io/service-upstream", "true")],
    outside: false,
    gives_up: "504",
    reset: "502",
    source: "ingress-nginx 2026-03: internal/ingress/controller/config/config.go, docs annotations.md",
};
