//! What a request to the API server asks for, read from its method and path.

use http::{Method, Uri};

use crate::runtime::metrics::{Kind, Verb};

/// The resources that this operator touches. Others are counted as `other`, so that the labels stay bounded.
const RESOURCES: [&str; 26] = [
    "configmaps",
    "customresourcedefinitions",
    "deployments",
    "endpointslices",
    "events",
    "flagsmithdeployments",
    "gateways",
    "horizontalpodautoscalers",
    "httproutes",
    "ingressclasses",
    "ingresses",
    "jobs",
    "leases",
    "namespaces",
    "networkpolicies",
    "nodes",
    "persistentvolumeclaims",
    "poddisruptionbudgets",
    "podmonitors",
    "pods",
    "replicasets",
    "secrets",
    "selfsubjectaccessreviews",
    "serviceaccounts",
    "services",
    "statefulsets",
];

/// The subresources that this operator touches.
const SUBRESOURCES: [&str; 5] = ["eviction", "finalizers", "log", "scale", "status"];

/// Questions about the API itself: its groups, resources and version.
const DISCOVERY: Kind = Kind { resource: "discovery", subresource: None };

/// Anything else.
const OTHER: Kind = Kind { resource: "other", subresource: None };

/// What one request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// The verb of Kubernetes' RBAC.
    pub verb: Verb,
    /// The resource.
    pub kind: Kind,
    /// Whether the answer has no end: a watch, or a log that is followed.
    pub streams: bool,
}

impl Call {
    /// Reads a request's method and URI.
    pub(super) fn of(method: &Method, uri: &Uri) -> Self {
        let (kind, named) = kind(uri.path());
        let asks = |parameter: &str| {
            uri.query().unwrap_or_default().split('&').any(|pair| {
                pair.split_once('=')
                    .is_some_and(|(name, value)| name == parameter && matches!(value, "true" | "1"))
            })
        };
        let watch = *method == Method::GET && asks("watch");
        let verb = match *method {
            Method::GET if watch => Verb::Watch,
            Method::GET if named => Verb::Get,
            Method::GET => Verb::List,
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE if named => Verb::Delete,
            Method::DELETE => Verb::DeleteCollection,
            _ => Verb::Other,
        };
        Self { verb, kind, streams: watch || (kind.subresource == Some("log") && asks("follow")) }
    }
}

/// The resource that a path names, and whether it names a single object (or the API itself).
fn kind(path: &str) -> (Kind, bool) {
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let rest = match segments.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] if !rest.is_empty() => rest,
        ["api" | "apis" | "version" | "openapi", ..] => return (DISCOVERY, true),
        _ => return (OTHER, true),
    };
    let (resource, rest) = match rest {
        // `namespaces/x` and `namespaces/x/status` are about the namespace itself.
        ["namespaces", _, resource, rest @ ..] if !SUBRESOURCES.contains(resource) => (*resource, rest),
        [resource, rest @ ..] => (*resource, rest),
        [] => return (DISCOVERY, true),
    };
    let Some(&resource) = RESOURCES.iter().find(|known| **known == resource) else {
        return (OTHER, !rest.is_empty());
    };
    let subresource = rest.get(1).and_then(|sub| SUBRESOURCES.iter().copied().find(|known| known == sub));
    (Kind { resource, subresource }, !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn call(method: &str, uri: &str) -> Call {
        Call::of(&method.parse().unwrap(), &uri.parse().unwrap())
    }

    #[rstest]
    #[case("GET", "/api/v1/namespaces/x/pods/y", "get pods")]
    #[case("GET", "/api/v1/namespaces/x/pods/y?", "get pods")]
    #[case("GET", "/api/v1/namespaces/x/pods", "list pods")]
    #[case("GET", "/api/v1/namespaces/x/pods?&limit=50", "list pods")]
    #[case("GET", "/api/v1/pods?watch=true&x=1", "watch pods")]
    #[case("GET", "/api/v1/pods?x=watch&watch=1", "watch pods")]
    #[case("GET", "/api/v1/pods?watch=false", "list pods")]
    #[case("GET", "/api/v1/namespaces/x/pods/y/log?tailLines=5", "get pods/log")]
    #[case("GET", "/api/v1/namespaces", "list namespaces")]
    #[case("GET", "/api/v1/namespaces/x", "get namespaces")]
    #[case("PUT", "/api/v1/namespaces/x/status", "update namespaces/status")]
    #[case("PATCH", "/apis/apps/v1/namespaces/x/deployments/y", "patch deployments")]
    #[case(
        "PATCH",
        "/apis/operator.flagsmith.com/v1alpha1/namespaces/x/flagsmithdeployments/y/status",
        "patch flagsmithdeployments/status"
    )]
    #[case("POST", "/apis/batch/v1/namespaces/x/jobs", "create jobs")]
    #[case("DELETE", "/apis/batch/v1/namespaces/x/jobs/y", "delete jobs")]
    #[case("DELETE", "/apis/batch/v1/namespaces/x/jobs", "deletecollection jobs")]
    #[case("PUT", "/apis/coordination.k8s.io/v1/namespaces/x/leases/y", "update leases")]
    #[case("GET", "https://127.0.0.1:6443/apis/networking.k8s.io/v1/ingressclasses/y", "get ingressclasses")]
    #[case("GET", "/apis/example.com/v1/namespaces/x/secretthings/password", "get other")]
    #[case("GET", "/apis/example.com/v1/secretthings", "list other")]
    #[case("GET", "/api/v1/namespaces/x/pods/y/weird", "get pods")]
    #[case("GET", "/apis/batch/v1", "get discovery")]
    #[case("GET", "/apis", "get discovery")]
    #[case("GET", "/api/v1", "get discovery")]
    #[case("GET", "/version", "get discovery")]
    #[case("GET", "/healthz", "get other")]
    #[case("GET", "/", "get other")]
    #[case("OPTIONS", "/api/v1/pods", "other pods")]
    fn a_request_is_named(#[case] method: &str, #[case] uri: &str, #[case] expected: &str) {
        let call = call(method, uri);
        assert_eq!(format!("{} {}", call.verb.as_str(), call.kind), expected);
    }

    #[rstest]
    #[case("GET", "/api/v1/pods?watch=true", true)]
    #[case("GET", "/api/v1/namespaces/x/pods/y/log?follow=true", true)]
    #[case("GET", "/api/v1/namespaces/x/pods/y/log?", false)]
    #[case("GET", "/api/v1/pods?follow=true", false)]
    #[case("POST", "/api/v1/namespaces/x/pods?watch=true", false)]
    fn an_endless_answer_is_recognised(#[case] method: &str, #[case] uri: &str, #[case] streams: bool) {
        assert_eq!(call(method, uri).streams, streams);
    }

    #[test]
    fn the_lists_are_sorted() {
        assert!(RESOURCES.is_sorted() && SUBRESOURCES.is_sorted());
    }

    proptest! {
        #[test]
        fn a_label_never_repeats_the_path(path in "/(api|apis|x)?(/[a-z.0-9]{0,9}){0,8}") {
            let kind = kind(&path).0;
            let known = ["discovery", "other"].iter().chain(&RESOURCES).any(|name| *name == kind.resource);
            prop_assert!(known && kind.subresource.is_none_or(|sub| SUBRESOURCES.contains(&sub)));
        }
    }
}
