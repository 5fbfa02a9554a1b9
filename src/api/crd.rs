//! The `CustomResourceDefinition`, generated from the types of this module.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use super::{
    FlagsmithDeployment,
    object_name::{KEY_PATTERN, LONGEST_NAME, NAME_PATTERN},
};

/// Types of Kubernetes that are embedded in the specification; their own fields are documented by Kubernetes.
pub(super) const EMBEDDED: &[&str] = &[
    "affinity",
    "behavior",
    "conditions",
    "configMapKeyRef",
    "containerSecurityContext",
    "dnsConfig",
    "env",
    "envFrom",
    "extraContainers",
    "hostAliases",
    "initContainers",
    "livenessProbe",
    "pullSecrets",
    "readinessProbe",
    "resources",
    "secretKeyRef",
    "securityContext",
    "selector",
    "startupProbe",
    "tls",
    "tolerations",
    "topologySpreadConstraints",
    "volumeMounts",
    "volumes",
];

/// Items of a list and entries of a map: more than anybody has, of variables for example.
const MOST_ITEMS: i64 = 256;

/// Characters of a text: room for a script as a container's argument, or a certificate as a variable.
const LONGEST_TEXT: i64 = 65_536;

/// The definition as it is installed in a cluster.
///
/// Descriptions inside embedded Kubernetes types are left out: with them the object would exceed the 256 KiB
/// that `kubectl apply` can keep in its last-applied annotation.
#[must_use]
pub fn crd() -> CustomResourceDefinition {
    let mut crd = FlagsmithDeployment::crd();
    for version in &mut crd.spec.versions {
        if let Some(root) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            trim(root);
            name_references(root);
            if let Some(status) = root.properties.as_mut().and_then(|all| all.get_mut("status")) {
                status.default = Some(JSON(unseen()));
            }
            // The status is bounded as a whole where it is written: a rule here could keep it from being written.
            root.properties
                .iter_mut()
                .flatten()
                .filter(|(name, _)| *name == "spec")
                .for_each(|(_, it)| bound(it));
        }
    }
    crd
}

/// The status until the operator has written one. A resource without any counts as done to those who read conditions as
/// kstatus does (Helm 4, Flux): they would not wait for a new one.
fn unseen() -> Value {
    json!({ "conditions": [{
        "type": "Ready",
        "status": "Unknown",
        "reason": "Pending",
        "message": "no operator has looked at it yet",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }] })
}

/// The definition as YAML, as in `crds/` and in the chart.
pub fn crd_yaml() -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(&crd())
}

fn trim(schema: &mut JSONSchemaProps) {
    for (name, property) in schema.properties.iter_mut().flatten() {
        if EMBEDDED.contains(&name.as_str()) {
            strip_below(property);
        } else {
            trim(property);
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        trim(items);
    }
}

/// Names and keys are checked where a field refers to an object: Kubernetes' own types only say that they are text.
fn name_references(schema: &mut JSONSchemaProps) {
    for (field, property) in schema.properties.iter_mut().flatten() {
        let keyed = matches!(field.as_str(), "secretKeyRef" | "configMapKeyRef");
        if keyed || matches!(field.as_str(), "secretRef" | "configMapRef") {
            for (name, property) in property.properties.iter_mut().flatten() {
                let pattern = match name.as_str() {
                    "name" => NAME_PATTERN,
                    "key" if keyed => KEY_PATTERN,
                    _ => continue,
                };
                property.pattern = Some(pattern.to_owned());
                property.max_length = i64::try_from(LONGEST_NAME).ok();
            }
        }
        if field == "className" {
            property.pattern = Some(NAME_PATTERN.to_owned());
        }
        name_references(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = schema.items.as_mut() {
        name_references(items);
    }
}

/// Gives every list, map and text an end where its type gives it none: what one field may hold is otherwise as much as
/// the API server takes at all, for which it counts the costs of the rules of validation, too.
fn bound(schema: &mut JSONSchemaProps) {
    match schema.type_.as_deref() {
        Some("array") => _ = schema.max_items.get_or_insert(MOST_ITEMS),
        Some("string") if schema.enum_.is_none() => _ = schema.max_length.get_or_insert(LONGEST_TEXT),
        _ => {}
    }
    if matches!(schema.additional_properties, Some(JSONSchemaPropsOrBool::Schema(_))) {
        schema.max_properties.get_or_insert(MOST_ITEMS);
    }
    children(schema).for_each(bound);
}

/// Removes the descriptions of everything inside of `schema`, keeping its own.
fn strip_below(schema: &mut JSONSchemaProps) {
    for child in children(schema) {
        child.description = None;
        strip_below(child);
    }
}

/// The schemas of fields, items and values.
fn children(schema: &mut JSONSchemaProps) -> impl Iterator<Item = &mut JSONSchemaProps> {
    schema
        .properties
        .iter_mut()
        .flatten()
        .map(|(_, property)| property)
        .chain(schema.items.iter_mut().filter_map(|items| match items {
            JSONSchemaPropsOrArray::Schema(items) => Some(items.as_mut()),
            JSONSchemaPropsOrArray::Schemas(_) => None,
        }))
        .chain(schema.additional_properties.iter_mut().filter_map(|additional| match additional {
            JSONSchemaPropsOrBool::Schema(additional) => Some(additional.as_mut()),
            JSONSchemaPropsOrBool::Bool(_) => None,
        }))
}
