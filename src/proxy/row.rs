//! The form of a row: everything that can be said of one proxy.

use super::{limit::Limit, unit::Unit};

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
    /// Nowhere: it waits forever.
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
