//! Azure's Application Gateway Ingress Controller. How long it keeps idle connections to pods is not documented.

use super::{Idle, Key, Limit, Place, Proxy, Read, Unit, What};

pub(super) const PROXY: Proxy = Proxy {
    name: "azure-application-gateway",
    ingress_controllers: &["azure/application-gateway"],
    ingress_classes: &["azure/application-gateway"],
    gateway_controllers: &[],
    ingress: Read::Annotations(
        Place::Ingress,
        &[Key { name: "appgw.ingress.kubernetes.io/request-timeout", unit: Unit::Seconds, what: What::Read }],
    ),
    route: Read::NotServed,
    default_read: Limit::Seconds(30),
    idle: Idle::Unknown,
    cluster_ip: &[],
    outside: true,
    gives_up: "504",
    reset: "502",
    source: "application-gateway-kubernetes-ingress: docs/annotations.md",
};
