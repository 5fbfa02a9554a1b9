//! The object that a pass is over.

use std::borrow::Cow;

use kube::{
    Resource,
    core::{ObjectMeta, PartialObjectMeta, error_boundary::InvalidObject},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, value::RawValue};

use crate::api::FlagsmithDeployment;

/// A `FlagsmithDeployment` without managed fields, or what is left of one that cannot be decoded: that is still an
/// object. The library's own guard decodes each object twice.
#[derive(Clone, Debug)]
pub(super) struct GuardedResource(pub Result<FlagsmithDeployment, InvalidObject>);

impl<'de> Deserialize<'de> for GuardedResource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let mut primary = match serde_json::from_str(text) {
            Ok(decoded) => Self(Ok(decoded)),
            Err(_) => Self(Err(invalid(text).map_err(D::Error::custom)?)),
        };
        primary.meta_mut().managed_fields = None;
        Ok(primary)
    }
}

fn invalid(text: &str) -> Result<InvalidObject, serde_json::Error> {
    let PartialObjectMeta { metadata, .. }: PartialObjectMeta<FlagsmithDeployment> =
        serde_json::from_str(text)?;
    // Once more from a tree: an error in text names its column, which moves with every write.
    let value: Value = serde_json::from_str(text)?;
    let error = serde_json::from_value::<FlagsmithDeployment>(value)
        .err()
        .map_or_else(String::new, |error| error.to_string());
    Ok(InvalidObject { error, metadata })
}

impl Resource for GuardedResource {
    type DynamicType = <FlagsmithDeployment as Resource>::DynamicType;
    type Scope = <FlagsmithDeployment as Resource>::Scope;

    fn kind(kind: &Self::DynamicType) -> Cow<'_, str> {
        FlagsmithDeployment::kind(kind)
    }

    fn group(kind: &Self::DynamicType) -> Cow<'_, str> {
        FlagsmithDeployment::group(kind)
    }

    fn version(kind: &Self::DynamicType) -> Cow<'_, str> {
        FlagsmithDeployment::version(kind)
    }

    fn plural(kind: &Self::DynamicType) -> Cow<'_, str> {
        FlagsmithDeployment::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|invalid| &invalid.metadata, Resource::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|invalid| &mut invalid.metadata, Resource::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(version: &Value) -> GuardedResource {
        let body = json!({
            "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment",
            "metadata": { "name": "a", "managedFields": [{ "manager": "somebody" }] },
            "spec": { "version": version, "database": { "embedded": {} } },
        });
        serde_json::from_str(&body.to_string()).unwrap()
    }

    #[test]
    fn what_can_be_decoded_is() {
        let primary = read(&json!("2.265.0"));
        assert_eq!(primary.meta().managed_fields, None);
        assert_eq!(primary.0.unwrap().spec.version.as_deref(), Some("2.265.0"));
    }

    #[test]
    fn what_cannot_be_decoded_keeps_its_name_and_says_why() {
        let invalid = read(&json!(7)).0.unwrap_err();
        assert_eq!(invalid.metadata.name.as_deref(), Some("a"));
        assert_eq!(invalid.error, "invalid type: integer `7`, expected a string");
    }
}
