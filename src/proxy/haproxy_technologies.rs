//! `HAProxy` Technologies' controller. `HAProxy` has no idle limit towards servers but closes half of the idle connections
//! each 5 s (`pool-purge-delay`), so that one hardly outlasts a minute; a failure on one ends the client's connection
//! without any status. Behind Debian's haproxy 2.6 and with keep-alive 65, whose servers change through the runtime API as
//! the controller changes them, one request in a hundred failed so during rolling restarts (`tests/load`).

use super::{Idle, Key, Limit, Place, Proxy, Read, Unit, What};

pub(super) const PROXY: Proxy = Proxy {
    name: "haproxy",
    ingress_controllers: &["haproxy.org/ingress-controller*"],
    ingress_classes: &[],
    gateway_controllers: &[],
    ingress: Read::Annotations(
        Place::Ingress,
        &[Key { name: "haproxy.org/timeout-server", unit: Unit::Haproxy, what: What::Read }],
    ),
    route: Read::NotServed,
    default_read: Limit::Seconds(50),
    idle: Idle::Shrinking(60),
    cluster_ip: &[],
    outside: false,
    gives_up: "504",
    reset: "a closed connection without any status",
    source: "haproxytech/kubernetes-ingress 3.2: documentation/annotations.md, pkg/haproxy/env/defaults.go",
};
