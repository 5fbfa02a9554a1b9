//! Containers that the kubelet ended because their liveness probe failed. Only its Events say so: the container's own
//! status shows an ordinary end.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, Pod};
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

/// That a container was ended from outside, and runs again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContainerEnd {
    /// The uid of its pod.
    uid: String,
    /// The name of its pod.
    pod: String,
    exit_code: i32,
    at: Timestamp,
    /// How often it was started again.
    restarts: i32,
}

impl ContainerEnd {
    /// The last of each container of a pod.
    pub(super) fn all(pod: &Pod) -> Vec<Self> {
        let (Some(uid), Some(name)) = (&pod.metadata.uid, &pod.metadata.name) else {
            return Vec::new();
        };
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        statuses
            .filter_map(|status| {
                let last = status.last_state.as_ref()?.terminated.as_ref()?;
                let outside = ENDED.contains(&last.exit_code) && last.reason.as_deref() != Some("OOMKilled");
                outside.then_some(Self {
                    uid: uid.clone(),
                    pod: name.clone(),
                    exit_code: last.exit_code,
                    at: last.finished_at.as_ref()?.0,
                    restarts: status.restart_count,
                })
            })
            .collect()
    }
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
    /// Which of these containers, each with its component, were ended by their liveness probe within the last hour; one of
    /// each pod.
    pub(super) async fn of(
        &self,
        client: &Client,
        namespace: &str,
        ends: impl Iterator<Item = (Component, ContainerEnd)>,
        now: Timestamp,
    ) -> Vec<ProbeKill> {
        let mut found: Vec<ProbeKill> = Vec::new();
        let (mut asked, mut pods) = (0, BTreeSet::new());
        for (component, end) in ends {
            if now.duration_since(end.at) >= TOLD || !pods.insert(end.uid.clone()) {
                continue;
            }
            let key = (end.uid, end.restarts);
            let probe = match self.known.get(&key) {
                Some(probe) => probe,
                None if asked < PODS => {
                    asked += 1;
                    let Some(probe) = ask(client, namespace, &key.0).await else {
                        continue;
                    };
                    self.known.put(key, probe.clone());
                    probe
                }
                None => None,
            };
            found.extend(probe.map(|probe| ProbeKill {
                pod: end.pod,
                component,
                probe,
                exit_code: end.exit_code,
                restarts: end.restarts,
            }));
        }
        found
    }
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
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use http::{Request, Response};
    use kube::client::Body;
    use rstest::rstest;
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
            "metadata": { "name": "p", "uid": "u" },
            "status": { "containerStatuses": [{
                "name": "api", "image": "i", "imageID": "", "ready": true, "restartCount": 1,
                "lastState": { "terminated": last },
            }] },
        }))
        .unwrap()
    }

    #[rstest]
    #[case::by_itself_when_told_to(0, "Completed", "10:00", 1)]
    #[case::killed(137, "Error", "10:00", 1)]
    #[case::for_lack_of_memory(137, "OOMKilled", "10:00", 0)]
    #[case::by_an_error(1, "Error", "10:00", 0)]
    #[case::long_ago(0, "Completed", "09:00", 0)]
    #[tokio::test]
    async fn only_an_end_from_outside_is_asked_about(
        #[case] exit_code: i32,
        #[case] reason: &str,
        #[case] at: &str,
        #[case] expected: usize,
    ) {
        let now: Timestamp = "2026-11-24T10:30:00Z".parse().unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&asked);
        let answer = move |_: Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            async {
                Ok::<_, Infallible>(Response::new(Body::from(br#"{"metadata":{},"items":[]}"#.to_vec())))
            }
        };
        let client = Client::new(tower::service_fn(answer), "prod");
        let at = format!("2026-11-24T{at}:00Z");
        let pod = pod(&json!({ "exitCode": exit_code, "reason": reason, "finishedAt": at }));
        let ends = || ContainerEnd::all(&pod).into_iter().map(|end| (Component::Api, end));
        let kills = Kills::default();
        for _ in 0..2 {
            assert_eq!(kills.of(&client, "prod", ends(), now).await, []);
        }
        assert_eq!(asked.load(Ordering::Relaxed), expected, "each is asked about once");
    }
}
