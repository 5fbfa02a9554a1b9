//! The Application Load Balancer of AWS. Idle timeout and wait for a response are one number, so a longer request makes
//! idle connections last longer too. The attributes are a map that the user writes entries of as well.

use super::{Idle, Limit, Place, Proxy, Read};

pub(super) const PROXY: Proxy = Proxy {
    name: "aws-alb",
    ingress_controllers: &["ingress.k8s.aws/alb", "eks.amazonaws.com/alb"],
    ingress_classes: &["alb"],
    gateway_controllers: &["gateway.k8s.aws/alb"],
    ingress: Read::Entry(
        Place::Ingress,
        "alb.ingress.kubernetes.io/load-balancer-attributes",
        "idle_timeout.timeout_seconds",
    ),
    route: Read::Elsewhere(
        "set idle_timeout.timeout_seconds to {} in spec.loadBalancerAttributes of the Gateway's LoadBalancerConfiguration",
    ),
    default_read: Limit::Seconds(60),
    idle: Idle::ReadTimeout(60),
    cluster_ip: &[("alb.ingress.kubernetes.io/target-type", "instance")],
    outside: true,
    gives_up: "504",
    reset: "502",
    source: "aws-load-balancer-controller 3.5: docs/guide/ingress/annotations.md",
};
