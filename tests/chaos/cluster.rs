//! Kubernetes' controllers and its nodes, a step at a time.

use std::collections::BTreeSet;

use rand::RngExt as _;
use serde_json::{Value, json};

use crate::{invariants::ended, server::State, store::Key};

/// Something that a controller or a node has to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// A Deployment makes or ends a pod, or counts its pods.
    Deployment(Key),
    JobStarts(Key),
    PodRuns(Key),
    JobEnds(Key),
    /// What a Job's deletion waits for is gone.
    JobGone(Key),
    /// The garbage collector finds an object whose owner is gone.
    Orphan(Key),
}

impl State {
    /// All that is due.
    pub fn due(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let uids: BTreeSet<&str> =
            self.store.objects.values().filter_map(|it| it["metadata"]["uid"].as_str()).collect();
        for (key, object) in &self.store.objects {
            let owner = object["metadata"]["ownerReferences"][0]["uid"].as_str();
            if owner.is_some_and(|uid| !uids.contains(uid)) {
                steps.push(Step::Orphan(key.clone()));
            }
        }
        for (key, deployment) in self.store.all("deployments") {
            if self.next_of(deployment).is_some() {
                steps.push(Step::Deployment(key.clone()));
            }
        }
        for (key, job) in self.store.all("jobs") {
            let pod = self.store.pods_of(job).next().and_then(|key| Some((key, self.store.get(key)?)));
            if job["metadata"]["deletionTimestamp"].is_string() {
                steps.push(Step::JobGone(key.clone()));
            } else if ended(job).is_some() {
            } else if let Some((pod, state)) = pod {
                if state["status"]["phase"] == "Pending" {
                    steps.push(Step::PodRuns(pod.clone()));
                } else {
                    steps.push(Step::JobEnds(key.clone()));
                }
            } else {
                steps.push(Step::JobStarts(key.clone()));
            }
        }
        steps
    }

    /// One of them; `fails` is the share of Jobs that fail.
    pub fn step(&mut self, fails: f64) -> bool {
        let due = self.due();
        if due.is_empty() {
            return false;
        }
        let place = self.random.random_range(0..due.len());
        let now = self.store.now();
        self.note(format!("  {:?}", due[place]));
        match due[place].clone() {
            Step::Deployment(key) => self.deployment(&key),
            Step::JobStarts(key) => {
                let job = self.store.get(&key).unwrap().clone();
                let mut labels = job["spec"]["template"]["metadata"]["labels"].clone();
                if !labels.is_object() {
                    labels = json!({});
                }
                labels["batch.kubernetes.io/job-name"] = json!(key.2);
                self.pod(&key, "Job", &job, labels, &job["spec"]["template"]["spec"], "Pending");
                self.store.edit(&key, |it| {
                    it["status"] = json!({ "active": 1, "startTime": now });
                });
            }
            Step::PodRuns(key) => self.store.edit(&key, |it| it["status"]["phase"] = json!("Running")),
            Step::JobEnds(key) => {
                let failed = self.random.random_bool(fails);
                let (phase, condition, count) = if failed {
                    ("Failed", "Failed", "failed")
                } else {
                    ("Succeeded", "Complete", "succeeded")
                };
                let job = self.store.get(&key).unwrap().clone();
                let pods: Vec<Key> = self.store.pods_of(&job).cloned().collect();
                for pod in pods {
                    self.store.edit(&pod, |it| it["status"]["phase"] = json!(phase));
                }
                let reason = if failed { "BackoffLimitExceeded" } else { "CompletionsReached" };
                self.store.edit(&key, |it| {
                    it["status"] = json!({
                        count: 1, "startTime": now, "completionTime": now,
                        "conditions": [{ "type": condition, "status": "True", "reason": reason, "lastTransitionTime": now }],
                    });
                });
            }
            Step::Orphan(key) => self.store.delete(&key, false),
            Step::JobGone(key) => {
                let job = self.store.get(&key).unwrap().clone();
                let pods: Vec<Key> = self.store.pods_of(&job).cloned().collect();
                for pod in pods {
                    self.store.delete(&pod, false);
                }
                self.store.delete(&key, false);
            }
        }
        true
    }

    /// What a Deployment has to do next: which pod to end, or to make one, or to count.
    fn next_of(&self, deployment: &Value) -> Option<Next> {
        let wanted = usize::try_from(deployment["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap();
        let template = template(deployment);
        let (mut current, mut old) = (Vec::new(), Vec::new());
        for key in self.store.pods_of(deployment) {
            let pod = self.store.get(key).unwrap();
            if pod["metadata"]["annotations"]["template"] == template { &mut current } else { &mut old }
                .push(key.clone());
        }
        if let Some(pod) = old.pop().filter(|_| current.len() >= wanted) {
            return Some(Next::End(pod));
        }
        if current.len() < wanted {
            return Some(Next::Make);
        }
        if current.len() > wanted {
            return current.pop().map(Next::End);
        }
        let status = status(deployment, current.len());
        (deployment["status"] != status).then_some(Next::Count(status))
    }

    fn deployment(&mut self, key: &Key) {
        let deployment = self.store.get(key).unwrap().clone();
        match self.next_of(&deployment) {
            Some(Next::End(pod)) => self.store.delete(&pod, false),
            Some(Next::Make) => {
                let pod = &deployment["spec"]["template"];
                self.pod(
                    key,
                    "ReplicaSet",
                    &deployment,
                    pod["metadata"]["labels"].clone(),
                    &pod["spec"],
                    "Running",
                );
            }
            Some(Next::Count(status)) => self.store.edit(key, |it| it["status"] = status),
            None => {}
        }
    }

    fn pod(&mut self, owner: &Key, kind: &str, object: &Value, labels: Value, spec: &Value, phase: &str) {
        let name = format!("{}-{:06x}", owner.2, self.random.random_range(0..0x00ff_ffff));
        let key = ("pods".to_owned(), owner.1.clone(), name);
        let now = self.store.now();
        let containers: Vec<Value> = spec["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| {
                json!({
                    "name": it["name"], "image": it["image"], "imageID": "", "ready": phase == "Running", "restartCount": 0,
                    "state": { "running": { "startedAt": now } },
                })
            })
            .collect();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "labels": labels,
                "annotations": { "template": template(object) },
                "ownerReferences": [{ "apiVersion": "v1", "kind": kind, "name": owner.2, "uid": object["metadata"]["uid"], "controller": true }],
            },
            "spec": spec,
            "status": {
                "phase": phase, "startTime": now, "containerStatuses": containers,
                "conditions": [{ "type": "Ready", "status": if phase == "Running" { "True" } else { "False" }, "lastTransitionTime": now }],
            },
        });
        let _ = self.store.create(key, pod);
    }
}

enum Next {
    End(Key),
    Make,
    Count(Value),
}

fn template(deployment: &Value) -> String {
    deployment["spec"]["template"].to_string()
}

fn status(deployment: &Value, pods: usize) -> Value {
    let condition = |kind: &str, reason: &str| json!({ "type": kind, "status": "True", "reason": reason });
    json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": pods, "updatedReplicas": pods, "readyReplicas": pods, "availableReplicas": pods,
        "conditions": [condition("Available", "MinimumReplicasAvailable"), condition("Progressing", "NewReplicaSetAvailable")],
    })
}
