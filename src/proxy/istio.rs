//! Istio (Envoy). Without a timeout it waits forever; idle connections last an hour unless a `DestinationRule` says
//! otherwise.

use super::{Idle, Limit, Proxy, Read, RouteField};

pub(super) const PROXY: Proxy = Proxy {
    name: "istio",
    ingress_controllers: &["istio.io/ingress-controller"],
    ingress_classes: &["istio"],
    gateway_controllers: &["istio.io/gateway-controller", "openshift.io/gateway-controller/v1"],
    ingress: Read::Nowhere,
    route: Read::Route(RouteField::Both),
    default_read: Limit::Unlimited,
    idle: Idle::Seconds(3600, "trafficPolicy.connectionPool.http.idleTimeout of a DestinationRule"),
    cluster_ip: &[],
    outside: false,
    gives_up: "504",
    reset: "503",
    source: "istio 1.31: pilot/pkg/networking/core/{route/route.go,cluster_traffic_policy.go}",
};
