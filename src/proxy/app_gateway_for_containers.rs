//! Azure's Application Gateway for Containers. Its timeout is for the whole response.

use super::{Idle, Limit, Proxy, Read};

pub(super) const PROXY: Proxy = Proxy {
    name: "azure-app-gateway-for-containers",
    ingress_controllers: &["alb.networking.azure.io/alb-controller"],
    ingress_classes: &[],
    gateway_controllers: &["alb.networking.azure.io/alb-controller"],
    ingress: Read::Elsewhere(
        "set spec.backendSettings[].timeouts.requestTimeout: {}s in an IngressExtension and name it in the annotation alb.networking.azure.io/alb-ingress-extension",
    ),
    route: Read::Elsewhere(
        "set spec.default.timeouts.routeTimeout: {}s in a RoutePolicy whose targetRef is the HTTPRoute",
    ),
    default_read: Limit::Seconds(60),
    idle: Idle::Seconds(300, "nothing: it is fixed"),
    cluster_ip: &[],
    outside: true,
    gives_up: "504",
    reset: "502",
    source: "learn.microsoft.com: application-gateway/for-containers, components and API specification",
};
