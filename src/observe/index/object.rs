//! An object as the API server sends it, taken apart no further than needed.
//!
//! A rollout brings dozens of states of each object, and most are looked at once or never. Decoding all of them into
//! trees took a quarter of the operator's CPU; here text stays text, in one piece, and is cut where somebody asks.

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
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error as _};
use serde_json::value::RawValue;

/// Fields of a JSON object, still as text.
pub(super) type Fields<'a> = BTreeMap<&'a str, &'a RawValue>;

/// The same where some of the text may be replaced.
pub(super) type Parts<'a> = BTreeMap<&'a str, Cow<'a, RawValue>>;

/// Any object. It can only be read from JSON text, as answers and watches bring it.
#[derive(Clone, Debug)]
pub struct Object {
    /// What is needed of the metadata.
    pub(in crate::observe) metadata: ObjectMeta,
    /// All of it.
    text: Box<RawValue>,
    /// A hash of everything but status, annotations, managed fields, and what the server counts.
    pub(super) shape: u64,
}

/// An object, cut at its outermost level and at that of its metadata.
#[derive(Serialize)]
pub(super) struct Cut<'a> {
    /// The fields of the metadata.
    #[serde(rename = "metadata")]
    pub(super) fields: Parts<'a>,
    /// The outermost fields besides.
    #[serde(flatten)]
    pub(super) parts: Parts<'a>,
}

impl Object {
    /// Its text, cut into pieces.
    pub(super) fn cut(&self) -> serde_json::Result<Cut<'_>> {
        let (fields, mut parts) = cut(&self.text)?;
        parts.remove("metadata");
        let borrowed = |(name, text)| (name, Cow::Borrowed(text));
        Ok(Cut {
            fields: fields.into_iter().map(borrowed).collect(),
            parts: parts.into_iter().map(borrowed).collect(),
        })
    }

    /// Its status, if it has one.
    pub(super) fn status(&self) -> Option<&RawValue> {
        /// What else there is, is passed over.
        #[derive(Deserialize)]
        struct Status<'a> {
            #[serde(borrow)]
            status: Option<&'a RawValue>,
        }
        serde_json::from_str::<Status<'_>>(self.text.get()).ok()?.status
    }
}

/// The fields of the metadata, and all outermost ones.
fn cut(text: &RawValue) -> serde_json::Result<(Fields<'_>, Fields<'_>)> {
    let outer: Fields<'_> = serde_json::from_str(text.get())?;
    let metadata = outer.get("metadata").map_or("{}", |metadata| metadata.get());
    Ok((serde_json::from_str(metadata)?, outer))
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn read<T: DeserializeOwned, E: serde::de::Error>(
            fields: &Fields<'_>,
            name: &str,
        ) -> Result<Option<T>, E> {
            fields.get(name).map_or(Ok(None), |text| serde_json::from_str(text.get()).map_err(E::custom))
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let (fields, outer) = cut(&text).map_err(D::Error::custom)?;
        let mut shape = DefaultHasher::new();
        let counted = ["annotations", "generation", "managedFields", "resourceVersion"];
        for (name, text) in fields.iter().filter(|(name, _)| !counted.contains(name)) {
            (name, text.get()).hash(&mut shape);
        }
        for (name, text) in outer.iter().filter(|(name, _)| !["metadata", "status"].contains(name)) {
            (name, text.get()).hash(&mut shape);
        }
        let metadata = ObjectMeta {
            name: read(&fields, "name")?,
            namespace: read(&fields, "namespace")?,
            uid: read(&fields, "uid")?,
            resource_version: read(&fields, "resourceVersion")?,
            generation: read(&fields, "generation")?,
            labels: read(&fields, "labels")?,
            annotations: read(&fields, "annotations")?,
            owner_references: read(&fields, "ownerReferences")?,
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, shape: shape.finish(), text })
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
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
        assert_eq!(list.items[0].cut().unwrap().parts["spec"].get(), r#"{"replicas":1}"#);
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
