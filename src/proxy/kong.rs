//! Kong. Times are milliseconds in annotations of the Service; of an `HTTPRoute` only `backendRequest` is read.

use super::{Idle, Key, Limit, Place, Proxy, Read, RouteField, Unit, What};

pub(super) const PROXY: Proxy = Proxy {
    name: "kong",
    ingress_controllers: &["ingress-controllers.konghq.com/kong"],
    ingress_classes: &[],
    gateway_controllers: &["konghq.com/kic-gateway-controller", "konghq.com/gateway-operator"],
    ingress: Read::Annotations(
        Place::Service,
        &[
            Key { name: "konghq.com/read-timeout", unit: Unit::Milliseconds, what: What::Read },
            Key { name: "konghq.com/write-timeout", unit: Unit::Milliseconds, what: What::Send },
        ],
    ),
    route: Read::Route(RouteField::BackendRequest),
    default_read: Limit::Seconds(60),
    idle: Idle::Seconds(60, "upstream_keepalive_idle_timeout in kong.conf"),
    cluster_ip: &[("ingress.kubernetes.io/service-upstream", "true")],
    outside: false,
    gives_up: "504",
    reset: "502",
    source: "Kong/kubernetes-ingress-controller 3.5: internal/annotations/annotations.go",
};
