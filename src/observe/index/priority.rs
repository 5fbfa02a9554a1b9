//! What a change of a watched object is worth: a pass at once, one soon, or none.
//!
//! A rollout changes Deployments and pods many times a second, and nothing depends on the steps in between. What
//! somebody waits for is looked at without delay: a changed or deleted child, the end of a migration, a finished
//! rollout, trouble.

use super::{snapshot::Snapshot, watched::Watched};
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
    if decisive {
        Some(Urgency::Now)
    } else if before.annotations != after.annotations || status_is_observed(kind) {
        Some(Urgency::Soon)
    } else {
        None
    }
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
    #[case::revision(DEPLOYMENT, deployment(), "/metadata/annotations", json!({"a": "b"}), Some(Urgency::Soon))]
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
        index.record(kind, object(before, 1));
        assert_eq!(index.record(kind, object(after, 2)).unwrap().urgency, expected);
    }

    #[test]
    fn what_appears_or_goes_is_looked_at() {
        let index = Index::default();
        let appeared = |kind, body| index.record(kind, object(body, 1)).unwrap().urgency;
        assert_eq!(appeared(BUDGET, plain()), Some(Urgency::Now));
        assert_eq!(appeared(Watched::Pod, pod()), Some(Urgency::Soon));
        let gone = index.forget(Watched::Pod, &object(pod(), 2)).unwrap();
        assert_eq!(gone.urgency, Some(Urgency::Now));
    }
}
