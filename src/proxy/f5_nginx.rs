//! F5's NGINX Ingress Controller. Its Ingresses keep connections to pods since nginx 1.29.7 is in the image, which has
//! upstream keep-alive on by default.

use super::{Idle, Key, Limit, Place, Proxy, Read, Unit, What};

pub(super) const PROXY: Proxy = Proxy {
    name: "f5-nginx",
    ingress_controllers: &["nginx.org/ingress-controller"],
    ingress_classes: &[],
    gateway_controllers: &[],
    ingress: Read::Annotations(
        Place::Ingress,
        &[
            Key { name: "nginx.org/proxy-read-timeout", unit: Unit::Nginx, what: What::Read },
            Key { name: "nginx.org/proxy-send-timeout", unit: Unit::Nginx, what: What::Send },
            Key { name: "nginx.org/proxy-next-upstream-timeout", unit: Unit::Nginx, what: What::Retry },
        ],
    ),
    route: Read::NotServed,
    default_read: Limit::Seconds(60),
    idle: Idle::Seconds(60, "nothing: nginx has 60 s built in"),
    cluster_ip: &[("nginx.org/use-cluster-ip", "true")],
    outside: false,
    gives_up: "504",
    reset: "502",
    source: "nginx/kubernetes-ingress 5.5.4: internal/configs/config_params.go, annotations.go",
};
