//! How an installation is reached from outside of the cluster, parsed: one entrance for everything, or two, and one of the edge proxy.

use super::identity::Identity;
use crate::api::{EntranceSpec, ExposureSpec, HttpRouteSpec, IngressSpec, ProxySpec};

/// What is behind an entrance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Dashboard, API and Django's admin.
    Everything,
    /// Only what clients of the API need: neither dashboard nor Django's admin.
    Api,
    /// The edge proxy.
    EdgeProxy,
}

/// One Ingress or `HTTPRoute`: hosts, and what is behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Entrance {
    /// What is behind it.
    pub behind: Behind,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// An Ingress.
    pub ingress: Option<IngressSpec>,
    /// An `HTTPRoute`.
    pub http_route: Option<HttpRouteSpec>,
    /// What the user says of its proxy.
    pub proxy: Option<ProxySpec>,
    /// The field that describes it.
    pub field: &'static str,
}

impl Entrance {
    /// Every entrance: that of the dashboard first, that of the edge proxy last.
    #[must_use]
    pub fn all(spec: &ExposureSpec) -> Vec<Self> {
        let mut entrances = Self::of_flagsmith(spec);
        entrances.extend(Self::of_edge_proxy(spec));
        entrances
    }

    /// Those of dashboard and API, that of the dashboard first.
    pub(super) fn of_flagsmith(spec: &ExposureSpec) -> Vec<Self> {
        let apart = spec.api.is_some() || spec.frontend.is_some();
        let has_whole = !spec.hosts.is_empty()
            || spec.ingress.is_some()
            || spec.http_route.is_some()
            || spec.proxy.is_some();
        if !apart && !has_whole && spec.edge_proxy.is_some() {
            return Vec::new();
        }
        if !apart {
            let ExposureSpec { hosts, ingress, http_route, proxy, .. } = spec.clone();
            let whole = EntranceSpec { hosts, ingress, http_route, proxy };
            return vec![Self::new(&whole, Behind::Everything, "spec.exposure")];
        }
        let frontend =
            spec.frontend.iter().map(|it| Self::new(it, Behind::Everything, "spec.exposure.frontend"));
        frontend.chain(spec.api.iter().map(|it| Self::new(it, Behind::Api, "spec.exposure.api"))).collect()
    }

    pub(super) fn of_edge_proxy(spec: &ExposureSpec) -> Option<Self> {
        let spec = spec.edge_proxy.as_ref()?;
        Some(Self::new(spec, Behind::EdgeProxy, "spec.exposure.edgeProxy"))
    }

    fn new(spec: &EntranceSpec, behind: Behind, field: &'static str) -> Self {
        let EntranceSpec { hosts, ingress, http_route, proxy } = spec.clone();
        Self { behind, hosts, ingress, http_route, proxy, field }
    }

    /// The name of its Ingress or `HTTPRoute`.
    #[must_use]
    pub fn name(&self, identity: &Identity) -> String {
        match self.behind {
            Behind::Everything => identity.name.clone(),
            Behind::Api => format!("{}-api", identity.name),
            Behind::EdgeProxy => format!("{}-edge-proxy", identity.name),
        }
    }

    /// Whether only what clients of the API need is behind it.
    #[must_use]
    pub fn is_of_api(&self) -> bool {
        self.behind == Behind::Api
    }

    /// The kind of its object.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        if self.ingress.is_some() { "Ingress" } else { "HTTPRoute" }
    }
}
