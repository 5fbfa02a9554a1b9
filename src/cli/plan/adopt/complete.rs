//! What of an installation only its whole objects show, in the words of a specification. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    live::{Live, at},
    routes::{self, Places, items_of},
};
use crate::{
    api::{
        DisruptionBudgetSpec, FlagsmithDeploymentSpec, ProxySpec, ServiceSpec, ServiceType,
        TaskAutoscalingSpec, UnhealthyPodEviction,
    },
    model::{Component, child::Kind},
};

/// Completes the specification of an adoption.
pub(super) fn complete(
    spec: &mut FlagsmithDeploymentSpec,
    objects: &[Live],
    places: &Places<'_>,
    proxy: Option<&ProxySpec>,
) {
    spec.exposure = routes::exposure(places, proxy);
    let of = |kind: Kind, component: Component| {
        objects.iter().find(move |it| it.kind == kind && it.component == component).map(|it| &it.body)
    };
    let deployments: Vec<&Value> =
        objects.iter().filter(|it| it.kind == Kind::Deployment).map(|it| &it.body).collect();
    spec.common_labels = common(&deployments, "labels");
    spec.common_annotations = common(&deployments, "annotations");
    let shared = (&spec.common_labels.clone(), &spec.common_annotations.clone());
    for (component, service) in [
        (Component::Api, &mut spec.api.service),
        (Component::TaskProcessor, &mut spec.task_processor.service),
        (Component::Frontend, &mut spec.frontend.service),
    ] {
        if let Some(found) = of(Kind::Service, component) {
            *service = self::service(found, shared);
        }
    }
    for (component, budget) in [
        (Component::Api, &mut spec.api.pod_disruption_budget),
        (Component::Frontend, &mut spec.frontend.pod_disruption_budget),
    ] {
        if let Some(found) = of(Kind::PodDisruptionBudget, component) {
            *budget = self::budget(at(found, "/spec"));
        }
    }
    if let Some(found) = of(Kind::HorizontalPodAutoscaler, Component::TaskProcessor) {
        let number = |field: &str| {
            at(found, &format!("/spec/{field}"))
                .as_i64()
                .and_then(|it| i32::try_from(it).ok())
                .unwrap_or(1)
                .max(1)
        };
        let max_replicas = number("maxReplicas");
        let default = serde_json::json!({ "minReplicas": number("minReplicas").min(max_replicas), "maxReplicas": max_replicas });
        let scaling: Option<TaskAutoscalingSpec> = serde_json::from_value(default).ok();
        if scaling.is_some() {
            (spec.task_processor.replicas, spec.task_processor.autoscaling) = (None, scaling);
        }
    }
}

/// Labels or annotations that all Deployments have alike.
fn common(deployments: &[&Value], part: &str) -> BTreeMap<String, String> {
    let mut all = deployments.iter().map(|it| items_of(at(it, &format!("/metadata/{part}"))));
    let mut common = all.next().unwrap_or_default();
    for other in all {
        common.retain(|key, value| other.get(key) == Some(value));
    }
    common
}

fn service(found: &Value, shared: (&BTreeMap<String, String>, &BTreeMap<String, String>)) -> ServiceSpec {
    let own = |part: &str, shared: &BTreeMap<String, String>| {
        let mut all = items_of(at(found, &format!("/metadata/{part}")));
        all.retain(|key, value| shared.get(key) != Some(value));
        all
    };
    let kind: Option<ServiceType> = serde_json::from_value(at(found, "/spec/type").clone()).ok();
    ServiceSpec {
        kind: kind.unwrap_or_default(),
        annotations: own("annotations", shared.1),
        labels: own("labels", shared.0),
    }
}

fn budget(spec: &Value) -> DisruptionBudgetSpec {
    let bound = |field: &str| serde_json::from_value(spec.get(field)?.clone()).ok();
    let policy: Option<UnhealthyPodEviction> =
        serde_json::from_value(at(spec, "/unhealthyPodEvictionPolicy").clone()).ok();
    DisruptionBudgetSpec {
        enabled: true,
        max_unavailable: bound("maxUnavailable"),
        min_available: bound("minAvailable"),
        // What Kubernetes does where nothing is said.
        unhealthy_pod_eviction_policy: policy.unwrap_or(UnhealthyPodEviction::IfHealthyBudget),
    }
}
