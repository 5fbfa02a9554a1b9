//! The objects of an installation as they are, whole.

use std::collections::BTreeMap;

use kube::{
    Api,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
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

/// The kinds whose objects are looked at for what becomes of them.
const BESIDE: [Kind; 2] = [Kind::StatefulSet, Kind::Job];

/// The group that only `OpenShift` serves.
pub(super) const OPENSHIFT: &str = "route.openshift.io";

/// Its kind that stands where an Ingress does.
pub(super) const OPENSHIFT_ROUTE: &str = "Route";

/// One object that is there.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Whose pods it is about; of an Ingress or `HTTPRoute` that of the first backend.
    pub(super) component: Component,
    pub(super) body: Value,
}

/// Lists the objects of the namespace. Of kinds that a cluster may be without only those that it serves are asked for: a
/// role that does not name them is refused, whether they exist or not.
pub(super) async fn all(cluster: &Cluster) -> Result<Vec<Value>, Failure> {
    let groups = cluster.client.list_api_groups().await;
    let groups = groups.map_err(|error| Failure::request("list the API groups of the cluster", &error))?;
    let serves = |group: &str| groups.groups.iter().any(|it| it.name == group);
    let kinds = KINDS.into_iter().chain(BESIDE).filter(|it| !it.is_optional() || serves(it.group()));
    let mut resources: Vec<ApiResource> = kinds.map(Kind::api_resource).collect();
    if serves(OPENSHIFT) {
        let route = GroupVersionKind::gvk(OPENSHIFT, "v1", OPENSHIFT_ROUTE);
        resources.push(ApiResource::from_gvk_with_plural(&route, "routes"));
    }
    let mut all = Vec::new();
    for resource in resources {
        let api: Api<DynamicObject> =
            Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource);
        let listed = match api.list(&ListParams::default()).await {
            Ok(listed) => listed.items,
            // The group is served, in a version without this kind.
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => {
                let what = format!("list {} in namespace {}", resource.plural, cluster.namespace);
                return Err(Failure::request(&what, &error));
            }
        };
        for object in listed {
            let mut body = serde_json::to_value(object).map_err(|error| Failure::internal(&error))?;
            if let Some(body) = body.as_object_mut() {
                body.insert("kind".to_owned(), Value::from(resource.kind.as_str()));
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
pub(super) fn backends(object: &Value) -> Vec<String> {
    let rules = || items(object, "/spec/rules");
    let of_ingress =
        rules().flat_map(|rule| items(rule, "/http/paths")).map(|path| text(path, "/backend/service/name"));
    let of_route = rules().flat_map(|rule| items(rule, "/backendRefs")).map(|backend| text(backend, "/name"));
    let default = text(object, "/spec/defaultBackend/service/name");
    of_ingress.chain(of_route).chain([default]).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
