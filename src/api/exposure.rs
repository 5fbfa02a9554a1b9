//! How an installation is reached from outside the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::IngressTLS;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the installation is reached from outside the cluster: by one Ingress or `HTTPRoute` for everything, or by one of its
/// own for the API, for clients, and for the dashboard. The edge proxy always has its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.hosts) || has(self.api) || has(self.frontend) || (has(self.edgeProxy) && !has(self.ingress) && !has(self.httpRoute) && !has(self.proxy))").message("hosts is needed: name at least one host, such as \"flags.example.com\", or \"*\" for every host; or give API and dashboard hosts of their own in api and frontend"),
    validation = Rule::new("!(has(self.api) || has(self.frontend)) || !(has(self.hosts) || has(self.ingress) || has(self.httpRoute) || has(self.proxy))").message("hosts, ingress, httpRoute and proxy are for everything in one: move them into api and frontend, or remove these"),
    validation = Rule::new("!has(self.api) || !has(self.frontend) || !self.api.hosts.exists(h, h in self.frontend.hosts)").message("a host is in both api and frontend: the dashboard's hosts serve the API as well, so leave it out of api"),
    validation = Rule::new("has(self.api) || has(self.frontend) || (has(self.edgeProxy) && !has(self.hosts)) || has(self.ingress) || has(self.httpRoute)").message("one of ingress and httpRoute is needed; remove exposure to have Services only"),
    validation = Rule::new("!(has(self.ingress) && has(self.httpRoute))").message("ingress and httpRoute exclude each other: two proxies with different timeouts cannot be aligned; keep one of them"),
    validation = Rule::new("!has(self.edgeProxy) || !self.edgeProxy.hosts.exists(h, (has(self.hosts) && h in self.hosts) || (has(self.api) && h in self.api.hosts) || (has(self.frontend) && h in self.frontend.hosts))").message("a host is in edgeProxy and elsewhere: the edge proxy needs hosts of its own, because its paths are those of the API"),
)]
pub struct ExposureSpec {
    /// The host names that clients use, for example "flags.example.com". "*" matches every host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    #[x_kube(validation = Rule::new("self.size() >= 1").message("name at least one host, such as \"flags.example.com\", or \"*\" for every host"))]
    #[x_kube(validation = Rule::new("self.all(h, h.matches('^([*]|([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$'))").message("each host must be a DNS name in lower case without scheme, port or path, such as \"flags.example.com\""))]
    pub hosts: Vec<String>,

    /// An Ingress (networking.k8s.io/v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,

    /// An `HTTPRoute` (gateway.networking.k8s.io/v1), created once the cluster has that API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteSpec>,

    /// The proxy that serves the Ingress or `HTTPRoute`, for cases in which the operator cannot recognise it by the
    /// controller of the `IngressClass` or `GatewayClass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxySpec>,

    /// Hosts for clients of the API only. The dashboard (`/`) and Django's admin (`/admin`) do not exist there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<EntranceSpec>,

    /// Hosts for the dashboard, and with it for the API and Django's admin: what the dashboard's users need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend: Option<EntranceSpec>,

    /// Hosts for SDKs that ask the edge proxy. Nothing but its own paths exists there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_proxy: Option<EntranceSpec>,
}

/// Hosts of their own, with an Ingress or `HTTPRoute` of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.ingress) || has(self.httpRoute)").message("one of ingress and httpRoute is needed; remove it to have Services only"),
    validation = Rule::new("!(has(self.ingress) && has(self.httpRoute))").message("ingress and httpRoute exclude each other: two proxies with different timeouts cannot be aligned; keep one of them"),
)]
pub struct EntranceSpec {
    /// The host names, for example "flags.example.com". "*" matches every host.
    #[schemars(length(max = 16), inner(length(max = 253)))]
    #[x_kube(validation = Rule::new("self.size() >= 1").message("name at least one host, such as \"flags.example.com\", or \"*\" for every host"))]
    #[x_kube(validation = Rule::new("self.all(h, h.matches('^([*]|([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$'))").message("each host must be a DNS name in lower case without scheme, port or path, such as \"flags.example.com\""))]
    pub hosts: Vec<String>,

    /// An Ingress (networking.k8s.io/v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,

    /// An `HTTPRoute` (gateway.networking.k8s.io/v1), created once the cluster has that API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteSpec>,

    /// The proxy that serves the Ingress or `HTTPRoute`, for cases in which the operator cannot recognise it by the
    /// controller of the `IngressClass` or `GatewayClass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxySpec>,
}

/// A proxy: its name, and its timeouts where the operator cannot set them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxySpec {
    /// The name of a proxy that the operator knows, for example "ingress-nginx". Needed if its controller runs under a
    /// custom name (--controller-class). An unknown name is rejected with the list of known ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,
    /// How long the proxy waits for a response, in seconds, where the operator has no annotation or field to set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub read_timeout_seconds: Option<i32>,
    /// How long the proxy keeps an idle connection to a pod, in seconds, if that differs from its default. Gunicorn's
    /// keep-alive is set to more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub idle_timeout_seconds: Option<i32>,
}

/// Settings of the Ingress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// `ingressClassName`. Defaults to the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,

    /// Annotations of the Ingress.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    /// Hosts, and the Secrets that hold their certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<IngressTLS>,
}

/// Settings of the `HTTPRoute`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// The Gateways that the route attaches to.
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.size() >= 1").message("name at least one Gateway, such as {name: public, namespace: gateways}"))]
    pub parent_refs: Vec<ParentReference>,

    /// Annotations of the `HTTPRoute`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A Gateway, and optionally one of its listeners (`ParentReference` of Gateway API 1.4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// The name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of the Gateway. Defaults to that of the `FlagsmithDeployment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The name of a listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
    /// The port of a listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}
