//! Containers that the kubelet ended because their liveness probe failed. Only its Events say so: the container's own
//! status shows an ordinary end.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::{Api, Client, api::ListParams};

use crate::{
    model::Component,
    runtime::{cache::Cache, client::listed},
};

/// How long a kill is told: as long as the API server keeps Events by default.
const TOLD: SignedDuration = SignedDuration::from_hours(1);

/// How long the API server may take to answer: a pass goes on without.
const DEADLINE: Duration = Duration::from_secs(5);

/// Pods that one pass asks about at most; the others are asked about in the next.
const PODS: usize = 3;

/// Events of one pod that are read at most.
const EVENTS: usize = 100;

/// Answers that are remembered: where more pods restart at once, the oldest are asked about again.
const REMEMBERED: usize = 1000;

/// Exit statuses of a container that was ended: by SIGKILL, by SIGTERM, or by itself after SIGTERM (Gunicorn).
const ENDED: &[i32] = &[137, 143, 0];

/// A container that was ended because its liveness probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeKill {
    /// Its pod.
    pub pod: String,
    /// Its component.
    pub component: Component,
    /// Why the probe failed last, in the kubelet's words.
    pub probe: String,
    /// How the container ended.
    pub exit_code: i32,
    /// How often it was started again.
    pub restarts: i32,
}

/// What Events said, by pod and number of restarts: each end is asked about once.
#[derive(Debug)]
pub(super) struct Kills {
    known: Cache<(String, i32), Option<String>>,
}

impl Default for Kills {
    fn default() -> Self {
        Self { known: Cache::with_capacity(REMEMBERED) }
    }
}

impl Kills {
    /// The containers of these pods, each with its component, that were ended by their liveness probe within the last
    /// hour.
    pub(super) async fn of<'a>(
        &self,
        client: &Client,
        pods: impl Iterator<Item = (Component, &'a Pod)>,
        now: Timestamp,
    ) -> Vec<ProbeKill> {
        let mut found = Vec::new();
        let mut asked = 0;
        let ended = pods.filter_map(|(component, pod)| {
            let (status, exit_code) = ended(pod, now)?;
            Some((component, pod, status, exit_code))
        });
        for (component, pod, status, exit_code) in ended {
            let (Some(name), Some(namespace), Some(uid)) =
                (&pod.metadata.name, &pod.metadata.namespace, &pod.metadata.uid)
            else {
                continue;
            };
            let key = (uid.clone(), status.restart_count);
            let probe = match self.known.get(&key) {
                Some(probe) => probe,
                None if asked < PODS => {
                    asked += 1;
                    let Some(probe) = ask(client, namespace, uid).await else {
                        continue;
                    };
                    self.known.put(key, probe.clone());
                    probe
                }
                None => None,
            };
            found.extend(probe.map(|probe| ProbeKill {
                pod: name.clone(),
                component,
                probe,
                exit_code,
                restarts: status.restart_count,
            }));
        }
        found
    }
}

/// The container of a pod that was ended from outside a while ago and runs again.
fn ended(pod: &Pod, now: Timestamp) -> Option<(&ContainerStatus, i32)> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find_map(|status| {
        let last = status.last_state.as_ref()?.terminated.as_ref()?;
        let at = last.finished_at.as_ref()?.0;
        let outside = ENDED.contains(&last.exit_code) && last.reason.as_deref() != Some("OOMKilled");
        (outside && now.duration_since(at) < TOLD).then_some((status, last.exit_code))
    })
}

/// Why the liveness probe of a pod failed, if the kubelet ended a container for it; `None` without an answer.
async fn ask(client: &Client, namespace: &str, uid: &str) -> Option<Option<String>> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let parameters = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
    let events = listed(api, parameters).take(EVENTS).try_collect::<Vec<_>>();
    let events = match tokio::time::timeout(DEADLINE, events).await {
        Ok(Ok(events)) => events,
        Ok(Err(error)) => {
            tracing::debug!(%error, "Events of a pod could not be read");
            return None;
        }
        Err(_) => return None,
    };
    Some(probe(&events))
}

fn probe(events: &[Event]) -> Option<String> {
    let message = |event: &Event| event.message.clone().unwrap_or_default();
    let of =
        |reason: &'static str| events.iter().filter(move |event| event.reason.as_deref() == Some(reason));
    let killed = of("Killing").any(|event| message(event).contains("failed liveness probe"));
    let why = of("Unhealthy").map(message).rfind(|it| it.starts_with("Liveness probe"));
    killed.then(|| why.unwrap_or_else(|| "Liveness probe failed".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(reason: &str, message: &str) -> Event {
        Event { reason: Some(reason.to_owned()), message: Some(message.to_owned()), ..Event::default() }
    }

    #[test]
    fn an_end_for_another_reason_is_no_kill() {
        let failed = event("Unhealthy", "Liveness probe failed: context deadline exceeded");
        let killed = event("Killing", "Container api failed liveness probe, will be restarted");
        assert_eq!(probe(&[failed.clone(), killed]), failed.message.clone());
        assert_eq!(probe(&[failed, event("Killing", "Stopping container api")]), None);
    }

    fn pod(last: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "p" },
            "status": { "containerStatuses": [{
                "name": "api", "image": "i", "imageID": "", "ready": true, "restartCount": 1,
                "lastState": { "terminated": last },
            }] },
        }))
        .unwrap()
    }

    #[test]
    fn only_an_end_from_outside_is_asked_about() {
        let now: Timestamp = "2026-11-24T10:30:00Z".parse().unwrap();
        let at = "2026-11-24T10:00:00Z";
        let asks = |last: Value| ended(&pod(&last), now).is_some();
        assert!(asks(json!({ "exitCode": 0, "reason": "Completed", "finishedAt": at })));
        assert!(asks(json!({ "exitCode": 137, "reason": "Error", "finishedAt": at })));
        assert!(!asks(json!({ "exitCode": 137, "reason": "OOMKilled", "finishedAt": at })));
        assert!(!asks(json!({ "exitCode": 1, "reason": "Error", "finishedAt": at })));
        assert!(!asks(json!({ "exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-24T09:00:00Z" })));
    }
}
