//! How an installation is reached from outside of the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::IngressTLS;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exactly one of an Ingress and an `HTTPRoute`, for the same hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.ingress) || has(self.httpRoute)").message("one of ingress and httpRoute is needed; remove exposure to have Services only"),
    validation = Rule::new("!(has(self.ingress) && has(self.httpRoute))").message("ingress and httpRoute exclude each other: two proxies with different timeouts cannot be aligned; keep one of them"),
)]
pub struct ExposureSpec {
    /// The host names that clients use, for example "flags.example.com"; "*" matches every host.
    #[schemars(length(max = 16), inner(length(max = 253)))]
    #[x_kube(validation = Rule::new("self.size() >= 1").message("name at least one host, such as \"flags.example.com\", or \"*\" for every host"))]
    #[x_kube(validation = Rule::new("self.all(h, h.matches('^([*]|([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$'))").message("each host must be a DNS name in lower case without scheme, port or path, such as \"flags.example.com\""))]
    pub hosts: Vec<String>,

    /// An Ingress (networking.k8s.io/v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,

    /// An `HTTPRoute` (gateway.networking.k8s.io/v1), made once the cluster has that API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteSpec>,

    /// What stands in front of the Ingress or `HTTPRoute`, where the operator cannot see it by itself: it recognises a
    /// proxy by the controller of the `IngressClass` or of the Gateway's class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxySpec>,
}

/// A proxy: its name, or its timeouts where the operator cannot set them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxySpec {
    /// A proxy that the operator knows, for example "ingress-nginx", for a controller with a name of its own
    /// (--controller-class). An unknown name is refused with the list of those that are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub name: Option<String>,
    /// How long it waits for a response, in seconds, where no annotation or field of the operator sets that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub read_timeout_seconds: Option<i32>,
    /// How long it keeps an idle connection to a pod, in seconds, where that differs from its default. Gunicorn's
    /// keep-alive becomes longer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub idle_timeout_seconds: Option<i32>,
}

/// Settings of the Ingress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// `ingressClassName`; the cluster's default class when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,

    /// Annotations of the Ingress.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    /// Hosts and the Secrets with their certificates.
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

/// A Gateway and optionally one listener of it (`ParentReference` of Gateway API 1.4, for Gateways).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// The name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; the one of the `FlagsmithDeployment` when not set.
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
