//! What is kept, and that it is all that is read.

use serde_json::{Value, json};

use super::*;
use crate::observe::{Object, index::Index};

/// What an index keeps of an object.
fn kept(selector: Selector, kind: Watched, body: &Value) -> Value {
    let object: Object = serde_json::from_str(&body.to_string()).unwrap();
    let index = Index::new(selector, usize::MAX);
    index.record(kind, &object).unwrap().snapshot.parse().unwrap()
}

const DEPLOYMENT: Watched = Watched::Child(Kind::Deployment);
const JOB: Watched = Watched::Child(Kind::Job);
const SERVICE: Watched = Watched::Child(Kind::Service);
const AUTOSCALER: Watched = Watched::Child(Kind::HorizontalPodAutoscaler);

#[test]
fn of_a_pod_only_images_and_limits_are_kept() {
    let pod = json!({
        "metadata": { "name": "a", "uid": "u" },
        "spec": { "nodeName": "n", "volumes": [], "containers": [{ "name": "c", "image": "i", "env": [] }] },
    });
    let expected = json!({ "nodeName": "n", "containers": [{ "name": "c", "image": "i" }] });
    assert_eq!(kept(Selector::Any, Watched::Pod, &pod)["spec"], expected);
}

/// What it was started with stays when its Deployment has been changed.
#[test]
fn of_a_task_processor_its_pace_is_kept() {
    let expected = json!(["--numthreads", "5", "--sleepintervalms", "60000"]);
    let told = [
        json!({ "args": ["start", "task-processor", "--numthreads", "5", "--sleepintervalms", "60000"] }),
        json!({ "env": [
            { "name": "DATABASE_URL", "value": "postgresql://u:s3cr3t@db/flags" },
            { "name": "TASK_PROCESSOR_NUM_THREADS", "value": "5" },
            { "name": "TASK_PROCESSOR_SLEEP_INTERVAL", "value": "60000" },
        ] }),
    ];
    for mut container in told {
        container["name"] = json!("c");
        let pod = json!({ "metadata": { "name": "a", "uid": "u" }, "spec": { "containers": [container] } });
        let kept = kept(Selector::Any, Watched::Pod, &pod);
        assert_eq!(kept["spec"]["containers"], json!([{ "name": "c", "args": expected }]), "{kept}");
    }
}

#[test]
fn of_a_job_somebody_else_made_only_images_and_outcome_are_kept() {
    let job = json!({
        "metadata": {
            "name": "a", "uid": "u", "labels": { "l": "1" },
            "annotations": { "big": "x".repeat(2000), "operator.flagsmith.com/operation": "RollBack" },
            "managedFields": [{ "manager": "somebody" }],
        },
        "spec": { "backoffLimit": 3, "template": { "metadata": { "labels": {} }, "spec": { "volumes": [], "containers": [
            { "name": "c", "image": "i", "env": [{ "name": "A", "value": "b" }] },
        ] } } },
        "status": { "startTime": "2026-11-24T10:00:00Z", "conditions": [], "uncountedTerminatedPods": {} },
    });
    let expected = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": "a", "uid": "u", "labels": { "l": "1" },
            "annotations": { "operator.flagsmith.com/operation": "RollBack" },
        },
        "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "i" }] } } },
        "status": { "startTime": "2026-11-24T10:00:00Z", "conditions": [] },
    });
    assert_eq!(kept(Selector::Any, JOB, &job), expected);
}

#[test]
fn who_sets_the_number_of_pods_is_kept() {
    let deployment = json!({
        "metadata": { "name": "a", "uid": "u", "annotations": { "big": "x" }, "managedFields": [
            { "manager": "helm", "fieldsV1": { "f:spec": { "f:replicas": {}, "f:template": {} } } },
            { "manager": "somebody", "fieldsV1": { "f:spec": { "f:paused": {} } } },
        ] },
        "spec": { "replicas": 1, "template": { "spec": { "containers": [] } } },
        "status": { "replicas": 1 },
    });
    let kept = kept(Selector::Any, DEPLOYMENT, &deployment);
    assert_eq!(
        kept["metadata"],
        json!({ "name": "a", "uid": "u", "managedFields": [
            { "manager": "helm", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
        ] })
    );
    assert_eq!((&kept["spec"], &kept["status"]), (&deployment["spec"], &deployment["status"]));
}

#[test]
fn who_sets_an_annotation_of_a_service_is_kept() {
    let service = json!({
        "metadata": {
            "name": "a", "uid": "u", "annotations": { "timeout": "30s", LAST_APPLIED: "{}" },
            "managedFields": [
                { "manager": "kubectl", "fieldsV1": { "f:spec": {}, "f:metadata": { "f:annotations": { "f:timeout": {} } } } },
                { "manager": "somebody", "fieldsV1": { "f:spec": {} } },
            ],
        },
        "spec": { "selector": { "app": "a" }, "ports": [{ "port": 80 }] },
        "status": { "loadBalancer": {} },
    });
    let expected = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "a", "uid": "u", "annotations": { "timeout": "30s" },
            "managedFields": [
                { "manager": "kubectl", "fieldsV1": { "f:metadata": { "f:annotations": { "f:timeout": {} } } } },
            ],
        },
        "spec": { "selector": { "app": "a" } },
    });
    assert_eq!(kept(Selector::Any, SERVICE, &service), expected);
}

#[test]
fn of_an_autoscaler_somebody_else_made_only_its_target_is_kept() {
    let autoscaler = |owners: Value| {
        json!({
            "metadata": { "name": "a", "uid": "u", "annotations": { "big": "x".repeat(2000) }, "ownerReferences": owners },
            "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "d" }, "maxReplicas": 3, "metrics": [] },
            "status": { "currentReplicas": 1 },
        })
    };
    let expected = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "a", "uid": "u", "ownerReferences": [] },
        "spec": { "scaleTargetRef": { "kind": "Deployment", "name": "d" } },
    });
    assert_eq!(kept(Selector::Managed, AUTOSCALER, &autoscaler(json!([]))), expected);
    let owner = json!([{
        "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment", "name": "f", "uid": "o",
        "controller": true,
    }]);
    let own = autoscaler(owner);
    let kept = kept(Selector::Managed, AUTOSCALER, &own);
    assert_eq!((&kept["metadata"], &kept["spec"]), (&own["metadata"], &own["spec"]));
}

#[test]
fn an_object_with_a_forged_label_takes_little() {
    let service = json!({
        "metadata": { "name": "a", "uid": "u", "annotations": { "big": "x".repeat(2000) } },
        "spec": { "ports": [{ "name": "x".repeat(2000) }] },
    });
    let expected = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a", "uid": "u" } });
    assert_eq!(kept(Selector::Managed, SERVICE, &service), expected);
}
