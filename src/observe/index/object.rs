//! An object as the API server sends it, taken apart no further than needed.
//!
//! A rollout brings dozens of states of each object, and most are looked at once or never. Decoding all of them into
//! trees took a quarter of the operator's CPU; here text stays text, and only its outermost level is cut.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Resource,
    core::{ApiResource, DynamicResourceScope},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap as _};
use serde_json::value::RawValue;

/// Fields of a JSON object, still as text.
pub(super) type Parts = BTreeMap<String, Box<RawValue>>;

/// Any object. It can only be read from JSON text, as answers and watches bring it.
#[derive(Clone, Debug)]
pub struct Object {
    /// What is needed of the metadata.
    pub(in crate::observe) metadata: ObjectMeta,
    /// The fields of the metadata.
    pub(super) fields: Parts,
    /// The outermost fields besides.
    pub(super) parts: Parts,
    /// A hash of everything but status, annotations, managed fields, and what the server counts.
    pub(super) shape: u64,
}

/// See [`Object::metadata`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let outer = BTreeMap::<&str, &RawValue>::deserialize(deserializer)?;
        let text = outer.get("metadata").map_or("{}", |metadata| metadata.get());
        let metadata: Metadata = serde_json::from_str(text).map_err(D::Error::custom)?;
        let fields: Parts = serde_json::from_str(text).map_err(D::Error::custom)?;
        let mut shape = DefaultHasher::new();
        for (name, text) in &fields {
            let counted =
                matches!(name.as_str(), "annotations" | "generation" | "managedFields" | "resourceVersion");
            if !counted {
                (name, text.get()).hash(&mut shape);
            }
        }
        let mut parts = Parts::new();
        for (name, text) in outer.into_iter().filter(|(name, _)| *name != "metadata") {
            if name != "status" {
                (name, text.get()).hash(&mut shape);
            }
            parts.insert(name.to_owned(), text.to_owned());
        }
        Ok(Self {
            metadata: ObjectMeta {
                name: metadata.name,
                namespace: metadata.namespace,
                uid: metadata.uid,
                resource_version: metadata.resource_version,
                generation: metadata.generation,
                labels: metadata.labels,
                annotations: metadata.annotations,
                owner_references: metadata.owner_references,
                ..ObjectMeta::default()
            },
            fields,
            parts,
            shape: shape.finish(),
        })
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.parts.len() + 1))?;
        map.serialize_entry("metadata", &self.fields)?;
        for (name, text) in &self.parts {
            map.serialize_entry(name, text)?;
        }
        map.end()
    }
}

impl Resource for Object {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The uid of the `FlagsmithDeployment` that controls an object.
pub(in crate::observe) fn controller(metadata: &ObjectMeta) -> Option<&str> {
    let owners = metadata.owner_references.iter().flatten();
    let ours = |owner: &&OwnerReference| {
        owner.controller == Some(true) && owner.api_version.starts_with(crate::api::GROUP)
    };
    owners.into_iter().find(ours).map(|owner| owner.uid.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(body: &Value) -> Object {
        serde_json::from_str(&body.to_string()).unwrap()
    }

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "5", "generation": 1,
                "labels": { "l": "1" }, "annotations": { "a": "1" },
                "managedFields": [{ "manager": "somebody" }],
            },
            "spec": { "replicas": 1 },
            "status": { "replicas": 1 },
        })
    }

    #[test]
    fn everything_is_kept() {
        let expected = deployment();
        let read = object(&expected);
        assert_eq!(read.metadata.name.as_deref(), Some("a"));
        assert_eq!(read.metadata.labels, Some([("l".to_owned(), "1".to_owned())].into()));
        assert_eq!(serde_json::to_value(&read).unwrap(), expected);
    }

    #[test]
    fn it_is_read_from_lists_and_watches() {
        let list = json!({ "kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {}, "items": [deployment()] });
        let list: kube::core::ObjectList<Object> = serde_json::from_str(&list.to_string()).unwrap();
        let event = format!(r#"{{"type":"MODIFIED","object":{}}}"#, deployment());
        let event: kube::core::WatchEvent<Object> = serde_json::from_str(&event).unwrap();
        let kube::core::WatchEvent::Modified(watched) = event else {
            panic!("{event:?}");
        };
        assert_eq!(list.items[0].parts["spec"].get(), r#"{"replicas":1}"#);
        assert_eq!(watched.shape, list.items[0].shape);
    }

    #[rstest::rstest]
    #[case::status("/status/replicas", (false, false))]
    #[case::version("/metadata/resourceVersion", (false, false))]
    #[case::generation("/metadata/generation", (false, false))]
    #[case::managed("/metadata/managedFields/0/manager", (false, false))]
    #[case::annotation("/metadata/annotations/a", (false, true))]
    #[case::label("/metadata/labels/l", (true, false))]
    #[case::spec("/spec/replicas", (true, false))]
    fn the_hash_tells_what_changed(#[case] pointer: &str, #[case] expected: (bool, bool)) {
        let before = object(&deployment());
        let mut changed = deployment();
        let field = changed.pointer_mut(pointer).unwrap();
        *field = if field.is_string() { json!("7") } else { json!(7) };
        let after = object(&changed);
        let differ = (before.shape != after.shape, before.metadata.annotations != after.metadata.annotations);
        assert_eq!(differ, expected);
    }
}
