//! Whether the CRD in the cluster has every field that this release knows.
//!
//! The API server prunes unknown fields without a word. An operator that is newer than the CRD (Helm never
//! upgrades the files of a chart's `crds/` folder) would write a status that is not stored, and read a spec that
//! lacks what the user wrote.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};
use thiserror::Error;

/// How many missing fields a message names; the rest is counted.
const NAMED: usize = 5;

/// Why the stored CRD does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CrdProblem {
    /// It is not in the cluster.
    #[error("the CRD {name} is not installed")]
    Missing {
        /// The name of the CRD.
        name: String,
    },
    /// It is older than this release.
    #[error("the CRD {name} is older than this operator, it lacks {}", summary(paths))]
    Outdated {
        /// The name of the CRD.
        name: String,
        /// What is missing, such as `v1alpha1: spec.database.replicas[].urlFrom`, in alphabetical order.
        paths: Vec<String>,
    },
}

/// Compares the CRD in the cluster (`None`: there is none) with the one that this release was built with.
///
/// Fields that only the stored CRD has are of no interest: they belong to a newer release. Types, defaults and
/// rules are not compared either, since they change what the API server accepts, not what it stores.
pub fn crd_freshness(
    stored: Option<&CustomResourceDefinition>,
    generated: &CustomResourceDefinition,
) -> Result<(), CrdProblem> {
    let name = || generated.metadata.name.clone().unwrap_or_default();
    let Some(stored) = stored else {
        return Err(CrdProblem::Missing { name: name() });
    };
    let mut paths = Vec::new();
    for version in generated.spec.versions.iter().filter(|version| version.served) {
        let found = stored.spec.versions.iter().find(|other| other.name == version.name && other.served);
        match found {
            None => paths.push(format!("version {}", version.name)),
            Some(found) => compare_versions(found, version, &mut paths),
        }
    }
    paths.sort();
    if paths.is_empty() { Ok(()) } else { Err(CrdProblem::Outdated { name: name(), paths }) }
}

fn compare_versions(
    stored: &CustomResourceDefinitionVersion,
    generated: &CustomResourceDefinitionVersion,
    missing: &mut Vec<String>,
) {
    let has = |version: &CustomResourceDefinitionVersion, pick: fn(&_) -> bool| {
        version.subresources.as_ref().is_some_and(pick)
    };
    let version = &generated.name;
    if has(generated, |sub| sub.status.is_some()) && !has(stored, |sub| sub.status.is_some()) {
        missing.push(format!("{version}: the status subresource"));
    }
    if has(generated, |sub| sub.scale.is_some()) && !has(stored, |sub| sub.scale.is_some()) {
        missing.push(format!("{version}: the scale subresource"));
    }
    let Some(wanted) = schema(generated) else { return };
    let nothing = JSONSchemaProps::default();
    let stored = schema(stored).unwrap_or(&nothing);
    compare_schemas(stored, wanted, &mut Path { version, segments: vec![] }, missing);
}

fn schema(version: &CustomResourceDefinitionVersion) -> Option<&JSONSchemaProps> {
    version.schema.as_ref()?.open_api_v3_schema.as_ref()
}

/// Where in a version's schema the comparison is.
struct Path<'a> {
    version: &'a str,
    segments: Vec<String>,
}

impl Path<'_> {
    fn within(&mut self, segment: &str, inner: impl FnOnce(&mut Self)) {
        self.segments.push(segment.to_owned());
        inner(self);
        self.segments.pop();
    }

    /// `v1alpha1: spec.hosts[].name`.
    fn render(&self) -> String {
        format!("{}: {}", self.version, self.segments.join(".").replace(".[]", "[]").replace(".{}", "{}"))
    }
}

fn compare_schemas(
    stored: &JSONSchemaProps,
    generated: &JSONSchemaProps,
    at: &mut Path,
    missing: &mut Vec<String>,
) {
    if stored.x_kubernetes_preserve_unknown_fields == Some(true) {
        return;
    }
    for (field, wanted) in generated.properties.iter().flatten() {
        let found = stored.properties.as_ref().and_then(|fields| fields.get(field));
        at.within(field, |at| match found {
            Some(found) => compare_schemas(found, wanted, at, missing),
            None => missing.push(at.render()),
        });
    }
    if let Some(wanted) = item(generated) {
        at.within("[]", |at| match item(stored) {
            Some(found) => compare_schemas(found, wanted, at, missing),
            None => missing.push(at.render()),
        });
    }
    match (&stored.additional_properties, &generated.additional_properties) {
        (_, None | Some(JSONSchemaPropsOrBool::Bool(false)))
        | (Some(JSONSchemaPropsOrBool::Bool(true)), _) => {}
        (Some(JSONSchemaPropsOrBool::Schema(found)), Some(JSONSchemaPropsOrBool::Schema(wanted))) => {
            at.within("{}", |at| compare_schemas(found, wanted, at, missing));
        }
        _ => at.within("{}", |at| missing.push(at.render())),
    }
}

fn item(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(item) => Some(item),
        // A list of schemas is not structural, so no CRD of apiextensions/v1 can have one.
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

fn summary(paths: &[String]) -> String {
    let named = paths.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
