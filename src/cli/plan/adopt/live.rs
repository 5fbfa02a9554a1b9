//! The objects of an installation as they are, whole.

use std::collections::BTreeMap;

use kube::{Api, api::ListParams, core::DynamicObject};
use serde_json::Value;

use super::super::super::{cluster::Cluster, failure::Failure};
use crate::{
    model::{Component, child::Kind},
    observe::discover::Found,
};

/// The kinds whose objects are compared.
const KINDS: [Kind; 6] = [
    Kind::Deployment,
    Kind::Service,
    Kind::Ingress,
    Kind::HttpRoute,
    Kind::HorizontalPodAutoscaler,
    Kind::PodDisruptionBudget,
];

/// One object that is there.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Whose pods it is about; of an Ingress or `HTTPRoute` that of the first backend.
    pub(super) component: Component,
    pub(super) body: Value,
}

/// Lists the objects of the namespace. What a cluster does not have is not there.
pub(super) async fn all(cluster: &Cluster) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    for kind in KINDS {
        let resource = kind.api_resource();
        let api: Api<DynamicObject> =
            Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource);
        let listed = match api.list(&ListParams::default()).await {
            Ok(listed) => listed.items,
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => return Err(Failure::internal(&error)),
        };
        for object in listed {
            let mut body = serde_json::to_value(object).map_err(|error| Failure::internal(&error))?;
            if let Some(body) = body.as_object_mut() {
                body.insert("kind".to_owned(), Value::from(kind.as_str()));
            }
            all.push(body);
        }
    }
    Ok(all)
}

/// Those of an installation.
pub(super) fn of(all: &[Value], found: &Found) -> Vec<Live> {
    let named: Vec<(Component, &str)> = [
        (Component::Api, &found.api),
        (Component::TaskProcessor, &found.task_processor),
        (Component::Frontend, &found.frontend),
    ]
    .into_iter()
    .filter_map(|(component, state)| Some((component, state.as_ref()?.name.as_str())))
    .collect();
    let deployments = of_kind(all, Kind::Deployment);
    let templates: Vec<(Component, BTreeMap<String, String>)> = named
        .iter()
        .filter_map(|(component, name)| {
            let deployment = deployments.iter().find(|it| text(it, "/metadata/name") == *name)?;
            let labels = deployment.pointer("/spec/template/metadata/labels")?.clone();
            Some((*component, serde_json::from_value(labels).ok()?))
        })
        .collect();
    let selected = |selector: &Value| -> Option<Component> {
        let selector: BTreeMap<String, String> = serde_json::from_value(selector.clone()).ok()?;
        let matches = |labels: &BTreeMap<String, String>| {
            !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        templates.iter().find(|(_, labels)| matches(labels)).map(|(component, _)| *component)
    };
    let services: Vec<(String, Component)> = of_kind(all, Kind::Service)
        .into_iter()
        .filter_map(|it| Some((text(it, "/metadata/name").to_owned(), selected(at(it, "/spec/selector"))?)))
        .collect();
    let by_name = |name: &str| named.iter().find(|(_, it)| *it == name).map(|(component, _)| *component);
    let backend = |object: &Value| {
        backends(object).into_iter().find_map(|name| services.iter().find(|(it, _)| *it == name))
    };
    let component = |kind: Kind, object: &Value| match kind {
        Kind::Deployment => by_name(text(object, "/metadata/name")),
        Kind::Service => selected(at(object, "/spec/selector")),
        Kind::HorizontalPodAutoscaler => by_name(text(object, "/spec/scaleTargetRef/name")),
        Kind::PodDisruptionBudget => selected(at(object, "/spec/selector/matchLabels")),
        _ => backend(object).map(|(_, component)| *component),
    };
    let of_kinds =
        KINDS.into_iter().flat_map(|kind| of_kind(all, kind).into_iter().map(move |it| (kind, it)));
    of_kinds
        .filter_map(|(kind, body)| {
            let name = text(body, "/metadata/name").to_owned();
            Some(Live { kind, name, component: component(kind, body)?, body: body.clone() })
        })
        .collect()
}

/// Which component a Service leads to.
pub(super) fn leads_to(objects: &[Live], service: &str) -> Option<Component> {
    let found = objects.iter().find(|it| it.kind == Kind::Service && it.name == service);
    found.map(|it| it.component)
}

fn of_kind(all: &[Value], kind: Kind) -> Vec<&Value> {
    all.iter().filter(|object| object["kind"] == kind.as_str()).collect()
}

/// What stands there; null where nothing does.
pub(super) fn at<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&Value::Null)
}

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The Services that an Ingress or an `HTTPRoute` leads to.
fn backends(object: &Value) -> Vec<String> {
    let rules = || items(object, "/spec/rules");
    let of_ingress =
        rules().flat_map(|rule| items(rule, "/http/paths")).map(|path| text(path, "/backend/service/name"));
    let of_route = rules().flat_map(|rule| items(rule, "/backendRefs")).map(|backend| text(backend, "/name"));
    let default = text(object, "/spec/defaultBackend/service/name");
    of_ingress.chain(of_route).chain([default]).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
