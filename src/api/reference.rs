//! `docs/api.md`: every field of the resource, read from the definition that is installed in a cluster.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::{
    GROUP,
    crd::{EMBEDDED, crd},
};

const HEAD: &str = "# API reference\n\n\
    Generated from the source by `make generate`. `kubectl explain fsd.spec` shows the same in a cluster. Fields \
    marked with ° are required. A type in parentheses is Kubernetes' own, documented there.\n";

/// The reference as Markdown: one section for each object of `spec` and `status`, one row for each field.
#[must_use]
pub fn api_markdown() -> String {
    let mut text = format!("{HEAD}\nResource: `flagsmithdeployments.{GROUP}`, short name `fsd`.\n");
    for version in crd().spec.versions {
        let schema = version.schema.and_then(|schema| schema.open_api_v3_schema);
        for (name, property) in schema.iter().flat_map(properties) {
            if ["spec", "status"].contains(&name.as_str()) {
                section(&mut text, name, property);
            }
        }
    }
    text
}

fn section(text: &mut String, path: &str, schema: &JSONSchemaProps) {
    let description = schema.description.as_deref().unwrap_or_default();
    write!(text, "\n## {path}\n\n{}\n", line(description)).ok();
    text.push_str("\n| field | type | default | |\n|---|---|---|---|\n");
    for (name, property) in properties(schema) {
        let required = schema.required.iter().flatten().any(|required| required == name);
        writeln!(
            text,
            "| `{name}`{} | {} | {} | {} |",
            if required { "°" } else { "" },
            kind(name, property),
            default(property),
            line(property.description.as_deref().unwrap_or_default()).replace('|', "\\|"),
        )
        .ok();
    }
    let mut rules: Vec<String> = rules(schema).cloned().collect();
    for (name, property) in properties(schema).filter(|(_, property)| object(property).is_none()) {
        let own = format!("{name} ");
        let named = |rule: &String| format!("`{name}` {}", rule.strip_prefix(&own).unwrap_or(rule));
        rules.extend(self::rules(property).map(named));
    }
    // Of one sentence there may be several rules, each about another field.
    rules.dedup();
    if !rules.is_empty() {
        text.push_str("\nThe API server refuses what breaks one of these rules:\n\n");
        for rule in rules {
            writeln!(text, "- {rule}").ok();
        }
    }
    for (name, property) in properties(schema) {
        if !EMBEDDED.contains(&name.as_str())
            && let Some((object, many)) = object(property)
        {
            section(text, &format!("{path}.{name}{}", if many { "[]" } else { "" }), object);
        }
    }
}

/// The object with own fields that a field holds, and whether it is a list of them.
fn object(schema: &JSONSchemaProps) -> Option<(&JSONSchemaProps, bool)> {
    let (schema, many) = match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => (items.as_ref(), true),
        _ => (schema, false),
    };
    schema.properties.as_ref().map(|_| (schema, many))
}

fn kind(name: &str, schema: &JSONSchemaProps) -> String {
    let plain = |schema: &JSONSchemaProps| {
        if schema.x_kubernetes_int_or_string == Some(true) {
            return "integer or string".to_owned();
        }
        schema.type_.clone().unwrap_or_else(|| "any".to_owned())
    };
    let kind = match (&schema.items, &schema.additional_properties) {
        (Some(JSONSchemaPropsOrArray::Schema(items)), _) => format!("list of {}", plain(items)),
        (_, Some(JSONSchemaPropsOrBool::Schema(value))) => format!("map of {}", plain(value)),
        _ => plain(schema),
    };
    if EMBEDDED.contains(&name) { format!("({kind})") } else { kind }
}

/// The default of a scalar or list; that of an object follows from its fields.
fn default(schema: &JSONSchemaProps) -> String {
    match &schema.default {
        Some(value) if !value.0.is_object() => format!("`{}`", value.0),
        _ => String::new(),
    }
}

fn rules(schema: &JSONSchemaProps) -> impl Iterator<Item = &String> {
    schema.x_kubernetes_validations.iter().flatten().filter_map(|rule| rule.message.as_ref())
}

fn properties(schema: &JSONSchemaProps) -> impl Iterator<Item = (&String, &JSONSchemaProps)> {
    schema.properties.iter().flatten()
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_defaults_and_rules_are_told() {
        let text = api_markdown();
        for part in [
            "## spec.api.gunicorn\n",
            "## status.diagnoses[]\n",
            "| `requestTimeoutSeconds` | integer | `30` |",
            "| `version`° | string |",
            "| `affinity` | (object) |",
            "- `version` must be an exact release such as",
            "- one of urlFrom, host and embedded is needed:",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(!text.contains("nodeAffinity"), "Kubernetes' own types are not repeated");
    }
}
