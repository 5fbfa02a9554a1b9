use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn crd(schema: &Value) -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"kind": "Thing", "plural": "things"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    }))
    .unwrap()
}

fn object(properties: &Value) -> Value {
    json!({"type": "object", "properties": properties})
}

/// What this release knows: a scalar, a nested object, a list of objects, a map of objects, a free-form object.
fn known() -> Value {
    object(&json!({
        "spec": object(&json!({
            "size": {"type": "integer"},
            "nested": object(&json!({"inner": {"type": "string"}})),
            "list": {"type": "array", "items": object(&json!({"name": {"type": "string"}}))},
            "map": {"type": "object", "additionalProperties": object(&json!({"value": {"type": "string"}}))},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        })),
        "status": object(&json!({"ready": {"type": "boolean"}})),
    }))
}

/// `known()` with the value at `pointer` removed.
fn without(pointer: &str) -> Value {
    let mut schema = known();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let removed = schema.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field);
    assert!(removed.is_some(), "{pointer} names nothing");
    schema
}

fn outdated(stored: &CustomResourceDefinition) -> Vec<String> {
    match crd_freshness(Some(stored), &crd(&known())) {
        Ok(()) => vec![],
        Err(CrdProblem::Outdated { paths, .. }) => paths,
        Err(other) => panic!("{other}"),
    }
}

#[rstest]
#[case("/properties/status", "v1: status")]
#[case("/properties/spec/properties/size", "v1: spec.size")]
#[case("/properties/spec/properties/free", "v1: spec.free")]
#[case("/properties/spec/properties/nested/properties/inner", "v1: spec.nested.inner")]
#[case("/properties/spec/properties/nested/properties", "v1: spec.nested.inner")]
#[case("/properties/spec/properties/list/items/properties/name", "v1: spec.list[].name")]
#[case("/properties/spec/properties/list/items", "v1: spec.list[]")]
#[case("/properties/spec/properties/map/additionalProperties", "v1: spec.map{}")]
#[case("/properties/spec/properties/map/additionalProperties/properties/value", "v1: spec.map{}.value")]
fn a_missing_field_is_named(#[case] pointer: &str, #[case] path: &str) {
    assert_eq!(outdated(&crd(&without(pointer))), [path]);
}

#[test]
fn the_same_crd_is_fresh() {
    assert_eq!(outdated(&crd(&known())), [""; 0]);
}

#[test]
fn a_newer_crd_is_fresh() {
    let mut newer = known();
    newer["properties"]["spec"]["properties"]["future"] = json!({"type": "string"});
    newer["properties"]["spec"]["properties"]["size"] = json!({"type": "string", "default": "x"});
    assert_eq!(outdated(&crd(&newer)), [""; 0]);
}

#[test]
fn a_schema_that_keeps_unknown_fields_lacks_nothing() {
    let mut open = without("/properties/spec/properties/size");
    open["properties"]["spec"]["x-kubernetes-preserve-unknown-fields"] = json!(true);
    assert_eq!(outdated(&crd(&open)), [""; 0]);
}

#[test]
fn a_missing_version_or_subresource_is_named() {
    let mut stored = crd(&known());
    stored.spec.versions[0].subresources = None;
    assert_eq!(outdated(&stored), ["v1: the status subresource"]);
    stored.spec.versions[0].served = false;
    assert_eq!(outdated(&stored), ["version v1"]);
    stored.spec.versions.clear();
    assert_eq!(outdated(&stored), ["version v1"]);
}

#[test]
fn the_messages_say_what_is_wrong() {
    let generated = crd(&known());
    let missing = crd_freshness(None, &generated).unwrap_err();
    assert_eq!(missing.to_string(), "the CRD things.example.com is not installed");

    let bare = crd(&object(&json!({"spec": object(&json!({})), "status": object(&json!({}))})));
    let outdated = crd_freshness(Some(&bare), &generated).unwrap_err();
    assert_eq!(
        outdated.to_string(),
        "the CRD things.example.com is older than this operator, it lacks v1: spec.free, v1: spec.list, \
         v1: spec.map, v1: spec.nested, v1: spec.size and 1 more"
    );
}
