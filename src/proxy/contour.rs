//! Contour (Envoy). It goes by the name of the class and does not look at the `IngressClass`.

use super::{Idle, Key, Limit, Place, Proxy, Read, RouteField, Unit, What};

pub(super) const PROXY: Proxy = Proxy {
    name: "contour",
    ingress_controllers: &["projectcontour.io/ingress-controller"],
    ingress_classes: &["contour"],
    gateway_controllers: &["projectcontour.io/gateway-controller*"],
    ingress: Read::Annotations(
        Place::Ingress,
        &[Key { name: "projectcontour.io/response-timeout", unit: Unit::Go, what: What::Read }],
    ),
    route: Read::Route(RouteField::Both),
    default_read: Limit::Seconds(15),
    idle: Idle::Seconds(3600, "timeoutPolicy.idleConnection of an HTTPProxy"),
    cluster_ip: &[],
    outside: false,
    gives_up: "504",
    reset: "503",
    source: "contour: site/content/docs/main/config/{annotations,request-routing}.md",
};
