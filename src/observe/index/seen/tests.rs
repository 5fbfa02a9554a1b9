//! That what is kept of an object is what its text says, also when only its status is read again.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    flagsmith::ProcessorPace,
    observe::index::{Index, Object, Selector, Snapshot},
};

const DEPLOYMENT: Watched = Watched::Child(Kind::Deployment);
const JOB: Watched = Watched::Child(Kind::Job);

/// An object of an installation.
fn body(version: u64, labels: &Value, spec: &Value, status: &Value) -> Value {
    json!({
        "metadata": {
            "name": "a", "namespace": "ns", "uid": "u", "resourceVersion": version.to_string(), "generation": 2,
            "labels": labels, "ownerReferences": [{
                "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment", "name": "a", "uid": "o",
                "controller": true,
            }],
        },
        "spec": spec, "status": status,
    })
}

fn recorded(index: &Index, kind: Watched, body: &Value) -> Arc<Snapshot> {
    let object: Object = serde_json::from_str(&body.to_string()).unwrap();
    index.record(kind, &object).unwrap().snapshot
}

fn deployment(version: u64, replicas: i32, env_from: &Value, status: &Value) -> Value {
    let container = json!({ "name": "api", "image": "flagsmith-api:2.265.0", "envFrom": env_from });
    let spec = json!({
        "replicas": replicas, "selector": { "matchLabels": { "a": "b" } },
        "template": { "metadata": {}, "spec": { "containers": [container] } },
    });
    body(version, &json!({}), &spec, status)
}

fn state(snapshot: &Snapshot) -> WorkloadState {
    let ObjectSeen::Deployment(seen) = snapshot.seen() else {
        panic!("{snapshot:?}");
    };
    seen.state.clone()
}

fn whole(body: &Value) -> WorkloadState {
    WorkloadState::from(&serde_json::from_value::<Deployment>(body.clone()).unwrap())
}

#[rstest]
#[case::counts(json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1 }))]
#[case::trouble(json!({ "observedGeneration": 1, "conditions": [
    { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m" },
    { "type": "ReplicaFailure", "status": "True", "message": "quota" },
] }))]
#[case::nothing(Value::Null)]
fn a_new_status_alone_is_read_as_the_whole_is(#[case] status: Value) {
    let index = Index::default();
    let before = deployment(1, 2, &json!([]), &json!({ "availableReplicas": 2, "replicas": 2 }));
    let settled = recorded(&index, DEPLOYMENT, &before);
    settled.settle("hash".to_owned());
    assert!(settled.parse::<Value>().is_none(), "a text that is not needed is kept");
    let after = deployment(2, 2, &json!([]), &status);
    let snapshot = recorded(&index, DEPLOYMENT, &after);
    assert_eq!(state(&snapshot), whole(&after));
    assert!(snapshot.is_settled("hash") && snapshot.parse::<Value>().is_none());
}

#[test]
fn a_changed_specification_is_compared_again() {
    let index = Index::default();
    recorded(&index, DEPLOYMENT, &deployment(1, 2, &json!([]), &json!({}))).settle("hash".to_owned());
    let after = deployment(2, 3, &json!([]), &json!({}));
    let snapshot = recorded(&index, DEPLOYMENT, &after);
    assert_eq!(state(&snapshot), whole(&after));
    assert!(!snapshot.is_settled("hash") && snapshot.parse::<Value>().is_some());
}

/// What a `ConfigMap` says may change without an event of the Deployment.
#[test]
fn a_deployment_that_reads_a_config_map_keeps_its_text() {
    let index = Index::default();
    let env_from = json!([{ "configMapRef": { "name": "shared" } }]);
    for version in [1, 2] {
        let snapshot = recorded(&index, DEPLOYMENT, &deployment(version, 2, &env_from, &json!({})));
        snapshot.settle("hash".to_owned());
        assert!(snapshot.parse::<Value>().is_some());
    }
}

#[rstest]
#[case::migration(json!({}), json!({}), JobPurpose::Migration)]
#[case::backup(json!({ marks::COMPONENT: "backup" }), json!({}), JobPurpose::Backup)]
#[case::pull(json!({}), json!({ marks::OPERATION: marks::PULL }), JobPurpose::Pull)]
fn of_a_job_what_it_is_for_is_kept(
    #[case] labels: Value,
    #[case] annotations: Value,
    #[case] expected: JobPurpose,
) {
    let status = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
    let mut job = body(1, &labels, &json!({ "template": {} }), &status);
    job["metadata"]["annotations"] = annotations;
    let snapshot = recorded(&Index::default(), JOB, &job);
    let ObjectSeen::Job(seen) = snapshot.seen() else {
        panic!("{snapshot:?}");
    };
    assert_eq!(seen.purpose, expected);
    assert_eq!(seen.state, JobState::from(&serde_json::from_value::<Job>(job).unwrap()));
    assert!(snapshot.parse::<Value>().is_none());
}

#[test]
fn of_a_pod_its_summary_is_kept() {
    let container = json!({ "name": "task-processor", "args": ["--numthreads", "5"] });
    let pod = body(
        1,
        &json!({ marks::COMPONENT: "task-processor" }),
        &json!({ "containers": [container] }),
        &json!({
            "phase": "Running", "containerStatuses": [{
                "name": "task-processor", "image": "", "imageID": "", "ready": true, "restartCount": 1, "state": {},
                "lastState": { "terminated": { "exitCode": 137, "reason": "Error", "finishedAt": "2026-11-24T10:00:00Z" } },
            }],
        }),
    );
    let snapshot = recorded(&Index::default(), Watched::Pod, &pod);
    let ObjectSeen::Pod(seen) = snapshot.seen() else {
        panic!("{snapshot:?}");
    };
    let whole: Pod = serde_json::from_value(pod).unwrap();
    assert_eq!(seen.summary, PodSummary::from(&whole));
    assert_eq!(seen.summary.pace, ProcessorPace::of(&["--numthreads", "5"], |_| None));
    assert_eq!((seen.ends.len(), &seen.ends), (1, &ContainerEnd::all(&whole)));
    assert!(snapshot.parse::<Value>().is_none());
}

/// Of an installation that the operator did not make everything is read from the text.
#[test]
fn elsewhere_only_the_text_is_kept() {
    let index = Index::new(Selector::Any, usize::MAX);
    let snapshot = recorded(&index, DEPLOYMENT, &deployment(1, 2, &json!([]), &json!({})));
    assert!(matches!(snapshot.seen(), ObjectSeen::Text) && snapshot.parse::<Deployment>().is_some());
}
