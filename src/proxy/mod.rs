//! What is known of proxies, as data: one file for each, with the row of one proxy.
//!
//! A row says how the proxy is recognised, where its timeout for a response is set and in which unit, how long it keeps
//! idle connections to pods, and what a client sees when something goes wrong. The figures are those of the release or
//! document that the row names. To add a proxy: its file, its line in [`ALL`], its lines in `tests.rs`.

mod agic;
mod alb;
mod app_gateway_for_containers;
mod cilium;
mod cloudflared;
mod contour;
mod envoy_gateway;
mod f5_nginx;
mod gke;
mod haproxy_ingress;
mod haproxy_technologies;
mod ingress_nginx;
mod istio;
mod kong;
mod limit;
mod openshift;
mod row;
#[cfg(test)]
mod tests;
mod traefik;
mod unit;

pub(crate) use limit::Limit;
pub(crate) use row::{Idle, Key, Place, Proxy, Read, RouteField, What};
pub(crate) use unit::Unit;

/// Every proxy that is known.
pub(crate) const ALL: &[&Proxy] = &[
    &ingress_nginx::PROXY,
    &f5_nginx::PROXY,
    &traefik::PROXY,
    &haproxy_technologies::PROXY,
    &haproxy_ingress::PROXY,
    &alb::PROXY,
    &gke::PROXY,
    &agic::PROXY,
    &app_gateway_for_containers::PROXY,
    &contour::PROXY,
    &kong::PROXY,
    &istio::PROXY,
    &envoy_gateway::PROXY,
    &cilium::PROXY,
    &openshift::PROXY,
    &cloudflared::PROXY,
];

/// The proxy of this name.
pub(crate) fn named(name: &str) -> Option<&'static Proxy> {
    ALL.iter().copied().find(|proxy| proxy.name == name)
}

/// The proxy that serves an Ingress, by the controller of its class or, where that says nothing, by the name of the
/// class.
pub(crate) fn of_ingress(controller: Option<&str>, class: Option<&str>) -> Option<&'static Proxy> {
    let by = |patterns: fn(&Proxy) -> &'static [&'static str], text: Option<&str>| {
        ALL.iter()
            .copied()
            .find(|proxy| text.is_some_and(|text| patterns(proxy).iter().any(|it| matches(it, text))))
    };
    by(|proxy| proxy.ingress_controllers, controller).or_else(|| by(|proxy| proxy.ingress_classes, class))
}

/// The proxy behind a Gateway, by the controller of its class.
pub(crate) fn of_gateway(controller: &str) -> Option<&'static Proxy> {
    ALL.iter().copied().find(|proxy| proxy.gateway_controllers.iter().any(|it| matches(it, controller)))
}

fn matches(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |prefix| text.starts_with(prefix))
}
