//! What is kept of an object.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::{
    api::core::v1::EnvVar,
    apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry},
};
use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use super::{
    object::{Cut, Fields, Parts},
    watched::Watched,
};
use crate::{
    api::GROUP,
    flagsmith::ProcessorPace,
    model::child::{Kind, marks},
    observe::{pod, workload::sets_replicas},
};

/// The metadata that is read of an object that the operator did not make, besides annotations and managed fields.
const METADATA: &[&str] = &[
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "labels",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// `kubectl apply` keeps a copy of the whole object in it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Which objects a watch asks for, and what is kept of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selector {
    /// What the operator made, by its label, and the autoscalers of others. Its own objects are kept whole: they are
    /// compared with what they should be.
    #[default]
    Managed,
    /// Everything. Kept is what is read of an installation that the operator did not make.
    Any,
}

impl Selector {
    /// The kinds to watch.
    #[must_use]
    pub fn kinds(self) -> Vec<Watched> {
        match self {
            Self::Managed => Kind::ALL.into_iter().map(Watched::Child).chain([Watched::Pod]).collect(),
            Self::Any => vec![
                Watched::Child(Kind::Deployment),
                Watched::Child(Kind::Job),
                Watched::Pod,
                Watched::Child(Kind::Service),
                Watched::Child(Kind::Ingress),
                Watched::Child(Kind::HorizontalPodAutoscaler),
                Watched::Child(Kind::HttpRoute),
            ],
        }
    }

    /// The label selector to ask with.
    #[must_use]
    pub fn labels(self, kind: Watched) -> Option<String> {
        // An autoscaler of the user's own has no label of ours.
        let all = self == Self::Any || kind == Watched::Child(Kind::HorizontalPodAutoscaler);
        (!all).then(|| format!("{}={}", marks::MANAGED_BY, marks::OPERATOR))
    }

    /// Drops what nothing reads. `owned`: a `FlagsmithDeployment` controls it.
    pub(super) fn prune(self, kind: Watched, owned: bool, object: &mut Cut<'_>) {
        match (self, kind) {
            (_, Watched::Pod) => {
                prune_pod(object);
                if self == Self::Any {
                    prune_metadata(kind, object);
                } else {
                    object.fields.remove("managedFields");
                }
            }
            (Self::Managed, Watched::Child(_)) if !owned => prune_unowned(kind, object),
            (Self::Managed, Watched::Child(kind)) => prune_managed_fields(kind, object),
            (Self::Any, Watched::Child(_)) => {
                prune_metadata(kind, object);
                prune_parts(kind, object);
            }
        }
    }
}

/// An object with the operator's label that no `FlagsmithDeployment` controls, and an autoscaler of somebody else:
/// that it is there is all that is read, what it scales, and whether a Job still runs.
fn prune_unowned(kind: Watched, object: &mut Cut<'_>) {
    object.fields.retain(|name, _| METADATA.contains(name));
    let kept = match kind {
        Watched::Child(Kind::HorizontalPodAutoscaler) => Some(("spec", "scaleTargetRef")),
        Watched::Child(Kind::Job) => Some(("status", "conditions")),
        _ => None,
    };
    object.parts.retain(|name, _| kept.is_some_and(|(part, _)| part == *name));
    if let Some((part, field)) = kept {
        reduce(&mut object.parts, part, &[field]);
    }
}

/// Who else wrote a Service, Ingress or `HTTPRoute` is kept, to name whoever changes a timeout there; in a quiet
/// installation that is nobody.
fn prune_managed_fields(kind: Kind, object: &mut Cut<'_>) {
    let Some(text) = object.fields.remove("managedFields") else {
        return;
    };
    if !matches!(kind, Kind::Service | Kind::Ingress | Kind::HttpRoute) {
        return;
    }
    let mut entries: Vec<Fields<'_>> = serde_json::from_str(text.get()).unwrap_or_default();
    let ours = to_raw_value(marks::OPERATOR).ok();
    entries.retain(|entry| {
        let manager = entry.get("manager").map(|manager| manager.get());
        !entry.contains_key("subresource") && manager != ours.as_ref().map(|ours| ours.get())
    });
    if !entries.is_empty() {
        replace(&mut object.fields, "managedFields", &entries);
    }
}

/// Of a pod's specification only images, limits and the pace of a task processor matter here; the rest is the
/// template's.
fn prune_pod(pod: &mut Cut<'_>) {
    let pruned = pod.parts.get("spec").and_then(|spec| {
        let mut spec: Fields<'_> = serde_json::from_str(spec.get()).ok()?;
        let reduced = |list: &str| {
            let mut containers: Vec<Fields<'_>> = serde_json::from_str(spec.get(list)?.get()).ok()?;
            let paces: Vec<Option<Box<RawValue>>> = containers.iter().map(pace).collect();
            for (container, pace) in containers.iter_mut().zip(&paces) {
                container.retain(|key, _| matches!(*key, "name" | "image" | "resources"));
                if let Some(pace) = pace {
                    container.insert("args", pace);
                }
            }
            to_raw_value(&containers).ok()
        };
        let (containers, initial) = (reduced("containers")?, reduced("initContainers"));
        spec.retain(|key, _| *key == "nodeName");
        spec.insert("containers", &containers);
        if let Some(initial) = &initial {
            spec.insert("initContainers", initial);
        }
        to_raw_value(&spec).ok()
    });
    if let Some(pruned) = pruned {
        pod.parts.insert("spec", Cow::Owned(pruned));
    }
}

/// What a container is told of a task processor's pace, as arguments: a pod keeps it while its template has another.
fn pace(container: &Fields<'_>) -> Option<Box<RawValue>> {
    let told = |key: &str| {
        let text = container.get(key)?.get();
        ProcessorPace::may_be_in(text).then_some(text)
    };
    let (args, env) = (told("args"), told("env"));
    if args.is_none() && env.is_none() {
        return None;
    }
    let args: Vec<String> = args.and_then(|args| serde_json::from_str(args).ok()).unwrap_or_default();
    let env: Vec<EnvVar> = env.and_then(|env| serde_json::from_str(env).ok()).unwrap_or_default();
    to_raw_value(&pod::pace(&args, &env).arguments()).ok()
}

/// Of annotations only those are read that say how a proxy treats a Service or an Ingress, and the operator's own;
/// of the managed fields who sets them, and who sets the number of pods.
fn prune_metadata(kind: Watched, object: &mut Cut<'_>) {
    let front = matches!(kind, Watched::Child(Kind::Service | Kind::Ingress));
    let workload = matches!(kind, Watched::Child(Kind::Deployment | Kind::Job));
    let annotations = object.fields.get("annotations").map_or("{}", |text| text.get());
    let mut annotations: BTreeMap<String, String> = serde_json::from_str(annotations).unwrap_or_default();
    annotations.retain(|key, _| (front && key != LAST_APPLIED) || (workload && key.starts_with(GROUP)));
    let managers = managers(kind, object);
    object.fields.retain(|name, _| METADATA.contains(name));
    if !annotations.is_empty() {
        replace(&mut object.fields, "annotations", &annotations);
    }
    if !managers.is_empty() {
        replace(&mut object.fields, "managedFields", &managers);
    }
}

fn managers(kind: Watched, object: &Cut<'_>) -> Vec<ManagedFieldsEntry> {
    let parse = |text: &RawValue| serde_json::from_str::<Vec<ManagedFieldsEntry>>(text.get()).ok();
    let entries = object.fields.get("managedFields").and_then(|text| parse(text));
    let reduced = |entry: ManagedFieldsEntry| {
        let fields = match kind {
            Watched::Child(Kind::Deployment) if sets_replicas(&entry) => {
                json!({ "f:spec": { "f:replicas": {} } })
            }
            Watched::Child(Kind::Service | Kind::Ingress) => {
                let annotations = entry.fields_v1.as_ref()?.0.pointer("/f:metadata/f:annotations")?;
                json!({ "f:metadata": { "f:annotations": annotations } })
            }
            _ => return None,
        };
        Some(ManagedFieldsEntry { fields_v1: Some(FieldsV1(fields)), ..entry })
    };
    entries.into_iter().flatten().filter_map(reduced).collect()
}

/// Of specification and status only what is read.
fn prune_parts(kind: Watched, object: &mut Cut<'_>) {
    match kind {
        Watched::Child(Kind::Service) => {
            object.parts.remove("status");
            reduce(&mut object.parts, "spec", &["selector"]);
        }
        Watched::Child(Kind::HorizontalPodAutoscaler) => {
            object.parts.remove("status");
        }
        Watched::Child(Kind::Job) => {
            reduce(&mut object.parts, "status", &["conditions", "startTime"]);
            prune_job(object);
        }
        _ => {}
    }
}

/// Of a Job's pods only the images matter.
fn prune_job(job: &mut Cut<'_>) {
    let containers = job.parts.get("spec").and_then(|spec| {
        let spec: Fields<'_> = serde_json::from_str(spec.get()).ok()?;
        let template: Fields<'_> = serde_json::from_str(spec.get("template")?.get()).ok()?;
        let pods: Fields<'_> = serde_json::from_str(template.get("spec")?.get()).ok()?;
        let mut containers: Vec<Fields<'_>> = serde_json::from_str(pods.get("containers")?.get()).ok()?;
        for container in &mut containers {
            container.retain(|key, _| matches!(*key, "name" | "image"));
        }
        to_raw_value(&containers).ok()
    });
    match containers {
        Some(containers) => {
            let spec = BTreeMap::from([("containers", containers)]);
            let template = BTreeMap::from([("spec", spec)]);
            replace(&mut job.parts, "spec", &BTreeMap::from([("template", template)]));
        }
        None => {
            job.parts.remove("spec");
        }
    }
}

/// Keeps only some fields of a part.
fn reduce<'a>(parts: &mut Parts<'a>, part: &'a str, kept: &[&str]) {
    let Some(text) = parts.remove(part) else { return };
    let Ok(mut fields) = serde_json::from_str::<Fields<'_>>(text.get()) else {
        return;
    };
    fields.retain(|name, _| kept.contains(name));
    replace(parts, part, &fields);
}

fn replace<'a>(parts: &mut Parts<'a>, name: &'a str, value: &impl Serialize) {
    if let Ok(text) = to_raw_value(value) {
        parts.insert(name, Cow::Owned(text));
    }
}

#[cfg(test)]
mod tests;
