//! `OpenShift`'s router (`HAProxy`), which copies the annotations of an Ingress to the Route that it makes; about idle
//! connections see `haproxy_technologies`.

use super::{Idle, Key, Limit, Place, Proxy, Read, Unit, What};

pub(super) const PROXY: Proxy = Proxy {
    name: "openshift-router",
    ingress_controllers: &["openshift.io/ingress-to-route"],
    ingress_classes: &["openshift-default"],
    gateway_controllers: &[],
    ingress: Read::Annotations(
        Place::Ingress,
        &[Key { name: "haproxy.router.openshift.io/timeout", unit: Unit::Haproxy, what: What::Read }],
    ),
    route: Read::NotServed,
    default_read: Limit::Seconds(30),
    idle: Idle::Shrinking(60),
    cluster_ip: &[],
    outside: false,
    gives_up: "504",
    reset: "a closed connection without any status",
    source: "openshift/router: images/router/haproxy/conf/haproxy-config.template",
};
