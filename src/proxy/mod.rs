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
mod openshift;
#[cfg(test)]
mod tests;
mod traefik;
mod unit;

pub use unit::Unit;

/// Every proxy that is known.
pub const ALL: &[&Proxy] = &[
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

/// What is known of one proxy.
#[derive(Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The name that messages, `spec.exposure.proxy.name` and `status.timeouts.proxy` use.
    pub name: &'static str,
    /// `spec.controller` of its `IngressClasses`; a trailing `*` stands for anything.
    pub ingress_controllers: &'static [&'static str],
    /// Names of classes that it serves without an `IngressClass` that tells: `spec.ingressClassName` or the annotation
    /// `kubernetes.io/ingress.class`; a trailing `*` stands for anything.
    pub ingress_classes: &'static [&'static str],
    /// `spec.controllerName` of its `GatewayClasses`, as an `HTTPRoute`'s status repeats it; a trailing `*` stands for
    /// anything.
    pub gateway_controllers: &'static [&'static str],
    /// Where the timeout for a response is set when an Ingress is served.
    pub ingress: Read,
    /// The same for an `HTTPRoute`.
    pub route: Read,
    /// How long it waits for a response when nothing is set.
    pub default_read: Limit,
    /// How long it keeps an idle connection to a pod.
    pub idle: Idle,
    /// Annotations that make it send requests to a Service's address instead of to pods: connections then stay with
    /// pods that are about to end.
    pub cluster_ip: &'static [(&'static str, &'static str)],
    /// Whether it stands outside of the cluster and learns of pods later than those inside.
    pub outside: bool,
    /// What the client sees when the response takes too long.
    pub gives_up: &'static str,
    /// What the client sees when a pod closes the connection on a request.
    pub reset: &'static str,
    /// Where the figures are from.
    pub source: &'static str,
}

/// A time that something takes or waits at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many seconds.
    Seconds(i32),
    /// For ever.
    Unlimited,
    /// Nobody has said so far.
    Unknown,
}

/// How long a proxy keeps an idle connection to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// So many seconds, unless the setting that is named says otherwise.
    Seconds(i32, &'static str),
    /// As long as it waits for a response, and at least so many seconds: both are one setting.
    ReadTimeout(i32),
    /// Without a limit, but hardly longer than so many seconds, and possibly on to a pod that ends: only closing each
    /// connection is safe.
    Shrinking(i32),
    /// Its documentation does not say.
    Unknown,
}

/// Where a proxy's timeout for a response is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// In annotations.
    Annotations(Place, &'static [Key]),
    /// In one entry, in seconds, of an annotation that holds `key=value` pairs separated by commas.
    Entry(Place, &'static str, &'static str),
    /// In the fields of the `HTTPRoute`.
    Route(RouteField),
    /// In an object that is somebody else's; how it is set there, with `{}` for the seconds.
    Elsewhere(&'static str),
    /// Nowhere: it waits for ever.
    Nowhere,
    /// It does not serve this kind of object.
    NotServed,
}

/// Fields of an `HTTPRoute`'s rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteField {
    /// `timeouts.request` and `timeouts.backendRequest`.
    Both,
    /// `timeouts.backendRequest` only.
    BackendRequest,
}

/// The object that carries an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The Ingress.
    Ingress,
    /// The Services that it sends requests to.
    Service,
}

/// One annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its key.
    pub name: &'static str,
    /// How its value is written.
    pub unit: Unit,
    /// What it limits.
    pub what: What,
}

/// What an annotation limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The wait for a response.
    Read,
    /// The wait for a request's body to be taken.
    Send,
    /// The time within which other pods are tried.
    Retry,
}

impl Read {
    /// The annotation with the timeout for a response: where, its key and unit, and the entry within it.
    #[must_use]
    pub fn annotation(&self) -> Option<(Place, &'static str, Unit, Option<&'static str>)> {
        match *self {
            Self::Annotations(place, keys) => {
                let key = keys.iter().find(|key| key.what == What::Read)?;
                Some((place, key.name, key.unit, None))
            }
            Self::Entry(place, annotation, entry) => Some((place, annotation, Unit::Seconds, Some(entry))),
            _ => None,
        }
    }
}

/// The proxy of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Proxy> {
    ALL.iter().copied().find(|proxy| proxy.name == name)
}

/// The proxy that serves an Ingress, by the controller of its class or, where that says nothing, by the name of the
/// class.
#[must_use]
pub fn of_ingress(controller: Option<&str>, class: Option<&str>) -> Option<&'static Proxy> {
    let by = |patterns: fn(&Proxy) -> &'static [&'static str], text: Option<&str>| {
        ALL.iter()
            .copied()
            .find(|proxy| text.is_some_and(|text| patterns(proxy).iter().any(|it| matches(it, text))))
    };
    by(|proxy| proxy.ingress_controllers, controller).or_else(|| by(|proxy| proxy.ingress_classes, class))
}

/// The proxy behind a Gateway, by the controller of its class.
#[must_use]
pub fn of_gateway(controller: &str) -> Option<&'static Proxy> {
    ALL.iter()
        .copied()
        .find(|proxy| proxy.gateway_controllers.iter().any(|it| matches(it, controller)))
}

fn matches(pattern: &str, text: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == text, |prefix| text.starts_with(prefix))
}
