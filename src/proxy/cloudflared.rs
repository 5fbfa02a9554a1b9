//! Cloudflare's tunnel, which no class names. It waits for ever itself; Cloudflare's edge gives up after 120 s.

use super::{Idle, Limit, Proxy, Read};

pub(super) const PROXY: Proxy = Proxy {
    name: "cloudflared",
    ingress_controllers: &[],
    ingress_classes: &[],
    gateway_controllers: &[],
    ingress: Read::Elsewhere("raise Cloudflare's Proxy Read Timeout to {} s (Enterprise plan)"),
    route: Read::Elsewhere("raise Cloudflare's Proxy Read Timeout to {} s (Enterprise plan)"),
    default_read: Limit::Seconds(120),
    idle: Idle::Seconds(90, "originRequest.keepAliveTimeout of the tunnel"),
    cluster_ip: &[],
    outside: false,
    gives_up: "524",
    reset: "502",
    source: "cloudflared: ingress/config.go; developers.cloudflare.com/fundamentals/reference/connection-limits",
};
