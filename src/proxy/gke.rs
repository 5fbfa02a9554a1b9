//! Google's load balancers for GKE. The timeout is for the whole response; idle connections last 600 s, and nothing changes
//! that. Ingresses have no `IngressClass` but an annotation.

use super::{Idle, Limit, Proxy, Read};

pub(super) const PROXY: Proxy = Proxy {
    name: "gke",
    ingress_controllers: &[],
    ingress_classes: &["gce*"],
    gateway_controllers: &["networking.gke.io/gateway"],
    ingress: Read::Elsewhere(
        "set spec.timeoutSec: {} in a BackendConfig and name it in the annotation cloud.google.com/backend-config of the Services",
    ),
    route: Read::Elsewhere(
        "set spec.default.timeoutSec: {} in a GCPBackendPolicy whose targetRef is the API's Service",
    ),
    default_read: Limit::Seconds(30),
    idle: Idle::Seconds(600, "nothing: it is fixed"),
    cluster_ip: &[],
    outside: true,
    gives_up: "504",
    reset: "502",
    source: "ingress-gce: pkg/apis/backendconfig/v1/types.go; cloud.google.com/load-balancing/docs/https/request-distribution",
};
