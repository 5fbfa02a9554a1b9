//! What a change of a watched object is worth: a pass at once, one soon, or none.
//!
//! A rollout changes Deployments and pods many times a second, and nothing depends on the steps in between. What
//! somebody waits for is looked at without delay: a changed or deleted child, the end of a migration, a finished
//! rollout, trouble.

use super::{seen::ObjectSeen, snapshot::Snapshot, watched::Watched};
use crate::{model::child::Kind, observe::Urgency};

/// What the change from one state of an object to the next is worth.
pub(super) fn urgency(kind: Watched, before: Option<&Snapshot>, after: &Snapshot) -> Option<Urgency> {
    let Some(before) = before.filter(|before| before.uid == after.uid) else {
        // Pods come and go in a rollout; the end of one, for which a migration may wait, is a deletion.
        return Some(if kind == Watched::Pod { Urgency::Soon } else { Urgency::Now });
    };
    let decisive = before.significant_status != after.significant_status
        // A pod's specification only changes when it is bound to a node.
        || (before.shape != after.shape && kind != Watched::Pod);
    if decisive && !has_only_started(before, after) {
        Some(Urgency::Now)
    } else if before.annotations != after.annotations || status_is_observed(kind) {
        Some(Urgency::Soon)
    } else {
        None
    }
}

/// Whether a pod has started and nothing else: what was waited for is its end, or trouble.
fn has_only_started(before: &Snapshot, after: &Snapshot) -> bool {
    match (before.seen(), after.seen()) {
        (ObjectSeen::Pod(before), ObjectSeen::Pod(after)) => {
            let (before, after) = (&before.summary, &after.summary);
            (before.started.is_none() && after.started.is_some())
                && before.problems == after.problems
                && !after.phase.has_ended()
        }
        _ => false,
    }
}

/// Whether a Deployment has become rolled out and is otherwise as it was: while others of its installation are not, that
/// is one step of several.
pub(super) fn has_only_rolled_out(before: &Snapshot, after: &Snapshot) -> bool {
    before.shape == after.shape && !is_rolled_out(before) && is_rolled_out(after)
}

/// Whether it is a Deployment that is rolled out.
pub(super) fn is_rolled_out(snapshot: &Snapshot) -> bool {
    matches!(snapshot.seen(), ObjectSeen::Deployment(it) if it.state.rolled_out())
}

const fn status_is_observed(kind: Watched) -> bool {
    !matches!(
        kind,
        Watched::Child(
            Kind::ServiceAccount
                | Kind::Service
                | Kind::PodDisruptionBudget
                | Kind::HorizontalPodAutoscaler
                | Kind::PodMonitor
        )
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::observe::{Object, index::Index};

    const DEPLOYMENT: Watched = Watched::Child(Kind::Deployment);
    const JOB: Watched = Watched::Child(Kind::Job);
    const BUDGET: Watched = Watched::Child(Kind::PodDisruptionBudget);
    const INGRESS: Watched = Watched::Child(Kind::Ingress);

    fn deployment() -> Value {
        json!({
            "metadata": { "generation": 1, "annotations": {} },
            "spec": { "replicas": 2, "selector": {}, "template": { "spec": { "containers": [] } } },
            "status": { "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1 },
        })
    }

    fn job() -> Value {
        json!({
            "metadata": {},
            "spec": { "template": { "spec": { "containers": [] } } },
            "status": { "active": 1, "conditions": [{ "type": "Complete", "status": "Unknown" }] },
        })
    }

    fn pod() -> Value {
        json!({
            "metadata": {},
            "spec": { "containers": [{ "name": "a" }] },
            "status": { "phase": "Running", "containerStatuses": [
                { "name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {} },
            ] },
        })
    }

    fn plain() -> Value {
        json!({ "metadata": { "labels": { "a": "b" } }, "spec": {}, "status": { "a": 1 } })
    }

    fn object(mut body: Value, version: u64) -> Object {
        for (field, value) in [("name", "a"), ("uid", "u"), ("resourceVersion", &version.to_string())] {
            body["metadata"][field] = json!(value);
        }
        body["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment", "name": "a", "uid": "o",
            "controller": true,
        }]);
        serde_json::from_str(&body.to_string()).unwrap()
    }

    #[rstest]
    #[case::count(DEPLOYMENT, deployment(), "/status/replicas", json!(1), Some(Urgency::Soon))]
    #[case::rolled_out(DEPLOYMENT, deployment(), "/status/availableReplicas", json!(2), Some(Urgency::Now))]
    #[case::drift(DEPLOYMENT, deployment(), "/spec/replicas", json!(3), Some(Urgency::Now))]
    #[case::annotation(DEPLOYMENT, deployment(), "/metadata/annotations", json!({"a": "b"}), Some(Urgency::Soon))]
    #[case::echo(DEPLOYMENT, deployment(), "/metadata/generation", json!(1), Some(Urgency::Soon))]
    #[case::job_count(JOB, job(), "/status/active", json!(2), Some(Urgency::Soon))]
    #[case::job_end(JOB, job(), "/status/conditions/0/status", json!("True"), Some(Urgency::Now))]
    #[case::pod_bound(Watched::Pod, pod(), "/spec/nodeName", json!("n"), Some(Urgency::Soon))]
    #[case::pod_ready(Watched::Pod, pod(), "/status/containerStatuses/0/ready", json!(true), Some(Urgency::Soon))]
    #[case::pod_over(Watched::Pod, pod(), "/status/phase", json!("Failed"), Some(Urgency::Now))]
    #[case::pod_trouble(
        Watched::Pod, pod(), "/status/containerStatuses/0/state",
        json!({"waiting": {"reason": "ImagePullBackOff"}}), Some(Urgency::Now)
    )]
    #[case::counted_by_nobody(BUDGET, plain(), "/status/a", json!(2), None)]
    #[case::label(BUDGET, plain(), "/metadata/labels/a", json!("c"), Some(Urgency::Now))]
    #[case::address(INGRESS, plain(), "/status/a", json!(2), Some(Urgency::Soon))]
    fn a_change_is_worth(
        #[case] kind: Watched,
        #[case] before: Value,
        #[case] pointer: &str,
        #[case] value: Value,
        #[case] expected: Option<Urgency>,
    ) {
        let index = Index::default();
        let mut after = before.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        after.pointer_mut(parent).unwrap()[field] = value;
        index.record(kind, &object(before, 1));
        assert_eq!(index.record(kind, &object(after, 2)).unwrap().urgency, expected);
    }

    /// A pod of a task processor whose container runs, or does not.
    fn processor(running: bool) -> Value {
        let mut pod = pod();
        pod["metadata"]["labels"] = json!({ "app.kubernetes.io/component": "task-processor" });
        let state =
            if running { json!({ "running": { "startedAt": "2026-12-01T00:00:00Z" } }) } else { json!({}) };
        pod["status"]["containerStatuses"][0]["state"] = state;
        pod
    }

    #[rstest]
    #[case::start(false, true, Urgency::Soon)]
    #[case::end(true, false, Urgency::Now)]
    fn the_end_of_a_processor_is_waited_for(
        #[case] before: bool,
        #[case] after: bool,
        #[case] expected: Urgency,
    ) {
        let index = Index::default();
        index.record(Watched::Pod, &object(processor(before), 1));
        let change = index.record(Watched::Pod, &object(processor(after), 2)).unwrap();
        assert_eq!(change.urgency, Some(expected));
    }

    /// A Deployment of this name, rolled out or not.
    fn rollout(name: &str, available: i32, version: u64) -> Object {
        let mut body = deployment();
        body["status"]["availableReplicas"] = json!(available);
        let mut body: Value = serde_json::to_value(object(body, version)).unwrap();
        body["metadata"]["name"] = json!(name);
        serde_json::from_str(&body.to_string()).unwrap()
    }

    #[test]
    fn of_several_rollouts_the_end_of_the_last_is_waited_for() {
        let index = Index::default();
        index.record(DEPLOYMENT, &rollout("a", 1, 1));
        index.record(DEPLOYMENT, &rollout("b", 1, 2));
        let after = |name, available, version| {
            index.record(DEPLOYMENT, &rollout(name, available, version)).unwrap().urgency
        };
        assert_eq!(after("a", 2, 3), Some(Urgency::Soon));
        assert_eq!(after("b", 2, 4), Some(Urgency::Now));
        assert_eq!(after("a", 1, 5), Some(Urgency::Now), "it is rolled out no more");
    }

    #[test]
    fn what_appears_or_goes_is_looked_at() {
        let index = Index::default();
        let appeared = |kind, body| index.record(kind, &object(body, 1)).unwrap().urgency;
        assert_eq!(appeared(BUDGET, plain()), Some(Urgency::Now));
        assert_eq!(appeared(Watched::Pod, pod()), Some(Urgency::Soon));
        let gone = index.forget(Watched::Pod, &object(pod(), 2)).unwrap();
        assert_eq!(gone.urgency, Some(Urgency::Now));
    }
}
