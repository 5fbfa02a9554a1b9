//! How an installation is reached from outside of the cluster, parsed: one entrance for everything, or two.

use super::identity::Identity;
use crate::api::{EntranceSpec, ExposureSpec, HttpRouteSpec, IngressSpec, ProxySpec};

/// One Ingress or `HTTPRoute`: hosts, and what is behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct Entrance {
    /// Only what clients of the API need is behind it: neither dashboard nor Django's admin.
    pub api_only: bool,
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
    /// Every entrance, that of the dashboard first.
    #[must_use]
    pub fn all(spec: &ExposureSpec) -> Vec<Self> {
        let of = |spec: &EntranceSpec, api_only, field| {
            let EntranceSpec { hosts, ingress, http_route, proxy } = spec.clone();
            Self { api_only, hosts, ingress, http_route, proxy, field }
        };
        if spec.api.is_none() && spec.frontend.is_none() {
            let ExposureSpec { hosts, ingress, http_route, proxy, .. } = spec.clone();
            return vec![of(&EntranceSpec { hosts, ingress, http_route, proxy }, false, "spec.exposure")];
        }
        let frontend = spec.frontend.iter().map(|it| of(it, false, "spec.exposure.frontend"));
        frontend.chain(spec.api.iter().map(|it| of(it, true, "spec.exposure.api"))).collect()
    }

    /// The name of its Ingress or `HTTPRoute`.
    #[must_use]
    pub fn name(&self, identity: &Identity) -> String {
        if self.api_only { format!("{}-api", identity.name) } else { identity.name.clone() }
    }

    /// The kind of its object.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        if self.ingress.is_some() { "Ingress" } else { "HTTPRoute" }
    }
}
