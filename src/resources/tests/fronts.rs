//! Where each proxy's timeouts are written.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};

use super::migrated;
use crate::{
    decide::decide,
    fixtures::{installation, spec},
    model::child::Kind,
    resources::build,
};

/// Annotations of an object, or the timeouts of a route, behind a proxy of this name.
fn written(exposure: &Value, kind: Kind, path: &str) -> Value {
    let installation = installation(&spec(json!({ "requestTimeoutSeconds": 60, "exposure": exposure })));
    let observation = migrated(&installation);
    let children = build(&installation, &decide(&installation, &observation, &[]));
    let child = children.iter().find(|child| child.kind == kind).unwrap();
    child.body.pointer(path).cloned().unwrap_or_default()
}

fn annotations(exposure: &Value, kind: Kind) -> BTreeMap<String, String> {
    serde_json::from_value(written(exposure, kind, "/metadata/annotations")).unwrap_or_default()
}

#[rstest]
#[case("ingress-nginx", Kind::Ingress, &[
    ("nginx.ingress.kubernetes.io/proxy-next-upstream-timeout", "60"),
    ("nginx.ingress.kubernetes.io/proxy-read-timeout", "65"),
    ("nginx.ingress.kubernetes.io/proxy-send-timeout", "65"),
])]
#[case("f5-nginx", Kind::Ingress, &[
    ("nginx.org/proxy-next-upstream-timeout", "60s"),
    ("nginx.org/proxy-read-timeout", "65s"),
    ("nginx.org/proxy-send-timeout", "65s"),
])]
#[case("aws-alb", Kind::Ingress, &[("alb.ingress.kubernetes.io/load-balancer-attributes", "idle_timeout.timeout_seconds=65")])]
#[case("contour", Kind::Ingress, &[("projectcontour.io/response-timeout", "65s")])]
#[case("kong", Kind::Ingress, &[])]
#[case("kong", Kind::Service, &[("konghq.com/read-timeout", "65000"), ("konghq.com/write-timeout", "65000")])]
#[case("haproxy", Kind::Service, &[])]
#[case("gke", Kind::Ingress, &[])]
fn annotates(#[case] proxy: &str, #[case] kind: Kind, #[case] expected: &[(&str, &str)]) {
    let exposure = json!({ "hosts": ["*"], "ingress": {}, "proxy": { "name": proxy } });
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    assert_eq!(annotations(&exposure, kind), expected);
}

#[test]
fn an_annotation_of_the_users_own_stays() {
    let key = "nginx.ingress.kubernetes.io/proxy-read-timeout";
    let exposure = json!({
        "hosts": ["*"], "ingress": { "annotations": { key: "10" } }, "proxy": { "name": "ingress-nginx" },
    });
    assert_eq!(annotations(&exposure, Kind::Ingress).get(key).map(String::as_str), Some("10"));
}

#[rstest]
#[case(json!({}), json!({ "request": "65s", "backendRequest": "65s" }))]
#[case(json!({ "name": "envoy-gateway" }), json!({ "request": "65s", "backendRequest": "65s" }))]
#[case(json!({ "name": "kong" }), json!({ "backendRequest": "65s" }))]
#[case(json!({ "name": "traefik" }), Value::Null)]
fn times_a_route(#[case] proxy: Value, #[case] expected: Value) {
    let exposure =
        json!({ "hosts": ["*"], "httpRoute": { "parentRefs": [{ "name": "public" }] }, "proxy": proxy });
    assert_eq!(written(&exposure, Kind::HttpRoute, "/spec/rules/0/timeouts"), expected);
}
