//! What stands in front of the pods: the Ingress or `HTTPRoute` as it is, and whose it is. Pure conversions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::networking::v1::Ingress,
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta},
};
use serde_json::Value;

/// The annotation that named a class before `spec.ingressClassName` existed, and still does for GKE.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// What stands in front of the pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontSeen {
    /// The class of the Ingress.
    pub class: Option<String>,
    /// `spec.controller` of that class; `None` also while it could not be read.
    pub controller: Option<String>,
    /// The controller of the Gateway that answered for the `HTTPRoute`.
    pub gateway: Option<String>,
    /// The name of the Ingress or `HTTPRoute`.
    pub name: String,
    /// The official chart made it.
    pub by_chart: bool,
    /// It leads to the frontend only, whose server forwards requests to the API.
    pub through_frontend: bool,
    /// Annotations of the Ingress.
    pub ingress: BTreeMap<String, Annotated>,
    /// The name of the API's Service.
    pub service_name: String,
    /// Its annotations.
    pub service: BTreeMap<String, Annotated>,
    /// `timeouts.request` and `timeouts.backendRequest` of each rule of the `HTTPRoute`.
    pub route: Vec<(Option<String>, Option<String>)>,
}

/// The value of an annotation, and who set it if that was not the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotated {
    /// Its value.
    pub value: String,
    /// The field manager and when it last wrote.
    pub by: Option<(String, Option<Timestamp>)>,
}

impl FrontSeen {
    /// Notes what an Ingress says.
    pub fn see_ingress(&mut self, ingress: &Ingress) {
        let annotations = annotations(&ingress.metadata);
        self.class = ingress
            .spec
            .as_ref()
            .and_then(|spec| spec.ingress_class_name.clone())
            .or_else(|| annotations.get(CLASS_ANNOTATION).map(|it| it.value.clone()));
        self.ingress = annotations;
        self.name = ingress.metadata.name.clone().unwrap_or_default();
    }

    /// Notes what an `HTTPRoute` says.
    pub fn see_route(&mut self, route: &Value) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let list = |path: &str| route.pointer(path).and_then(Value::as_array).into_iter().flatten();
        self.name = route.pointer("/metadata/name").and_then(text).unwrap_or_default();
        self.gateway = list("/status/parents").find_map(|parent| text(&parent["controllerName"]));
        self.route = list("/spec/rules")
            .map(|rule| {
                let timeouts = &rule["timeouts"];
                (text(&timeouts["request"]), text(&timeouts["backendRequest"]))
            })
            .collect();
    }

    /// Notes what the API's Service says.
    pub fn see_service(&mut self, metadata: &ObjectMeta) {
        self.service = annotations(metadata);
        self.service_name = metadata.name.clone().unwrap_or_default();
    }

    /// The value of an annotation of the Ingress or the Service.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.ingress.get(key).or_else(|| self.service.get(key)).map(|annotation| annotation.value.as_str())
    }
}

fn annotations(metadata: &ObjectMeta) -> BTreeMap<String, Annotated> {
    let managers = metadata.managed_fields.iter().flatten();
    let by = |key: &str| {
        managers
            .clone()
            .find(|entry| sets(entry, key))
            .map(|entry| (entry.manager.clone().unwrap_or_default(), entry.time.as_ref().map(|time| time.0)))
    };
    metadata
        .annotations
        .iter()
        .flatten()
        .map(|(key, value)| {
            let annotated = Annotated { value: value.clone(), by: by(key) };
            (key.clone(), annotated)
        })
        .collect()
}

/// Whether a field manager owns an annotation.
fn sets(entry: &ManagedFieldsEntry, key: &str) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    fields
        .and_then(|fields| fields.get("f:metadata")?.get("f:annotations")?.get(format!("f:{key}")))
        .is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_who_set_an_annotation() {
        let ingress: Ingress = serde_json::from_value(json!({
            "metadata": {
                "annotations": { "a": "1", "b": "2", CLASS_ANNOTATION: "gce" },
                "managedFields": [{
                    "manager": "kubectl-annotate", "operation": "Update", "time": "2026-11-21T10:00:00Z",
                    "fieldsV1": { "f:metadata": { "f:annotations": { "f:a": {} } } },
                }],
            },
            "spec": {},
        }))
        .unwrap();
        let mut observation = FrontSeen::default();
        observation.see_ingress(&ingress);
        let by = |key: &str| observation.ingress.get(key).unwrap().by.clone();
        assert_eq!(by("a"), Some(("kubectl-annotate".to_owned(), "2026-11-21T10:00:00Z".parse().ok())));
        assert_eq!(by("b"), None);
        assert_eq!(observation.class.as_deref(), Some("gce"));
    }

    #[test]
    fn says_which_gateway_answered() {
        let mut observation = FrontSeen::default();
        observation.see_route(&json!({
            "spec": { "rules": [{ "timeouts": { "request": "35s" } }, {}] },
            "status": { "parents": [{ "controllerName": "io.cilium/gateway-controller" }] },
        }));
        assert_eq!(observation.gateway.as_deref(), Some("io.cilium/gateway-controller"));
        assert_eq!(observation.route, [(Some("35s".to_owned()), None), (None, None)]);
    }
}
