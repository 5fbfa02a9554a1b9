//! How many of the API's threads are busy, by the pods' own metrics: the time that requests took, summed up, grows by
//! one second in each second for each thread that works.

pub mod exposition;
mod scrape;

use std::{collections::HashMap, fmt, net::IpAddr, sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{memory::Memory, pod::PodSummary};
use crate::{
    model::Component,
    runtime::{cache::PerInstallation, client::chain, turns::Turns},
    validate::Identity,
};

/// Where Flagsmith serves metrics while `PROMETHEUS_ENABLED` is true, since 2.211.0 (flagsmith-common 3.3,
/// `common/gunicorn/metrics_server.py`).
const PORT: u16 = 9100;

/// How often pods are asked: twice within the minute in which a trouble should be named.
const INTERVAL: Duration = Duration::from_secs(30);

/// How long nobody asks after no pod has answered: a `NetworkPolicy` keeps the operator out, or there are no metrics.
const SILENCE: Duration = Duration::from_mins(10);

/// Pods that are asked at most: the replicas of one template share the load.
const PODS: usize = 8;

/// Installations whose pods are asked at the same time, over all and of one namespace: a pod that keeps silent costs
/// three seconds of a turn.
const ASKED: usize = 16;
const ASKED_OF_NAMESPACE: usize = 4;

/// How long an installation waits for its turn: then the next look is near.
const PATIENCE: Duration = Duration::from_secs(20);

/// What all answers together may hold in memory, whatever the pods send: far below the 256 MiB of the chart.
const TOGETHER: usize = 8 << 20;
const _: () = assert!(ASKED * PODS * scrape::HELD <= TOGETHER);

/// How many threads of a pod were busy between two looks, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThreadUsage {
    /// Threads.
    pub threads: f64,
    /// Pods that this is the average of.
    pub pods: usize,
}

/// What is known of each installation.
#[derive(Clone)]
pub struct ThreadUsageSampler {
    known: Arc<PerInstallation<Known>>,
    turns: Arc<Turns>,
}

impl Default for ThreadUsageSampler {
    fn default() -> Self {
        Self { known: Arc::default(), turns: Arc::new(Turns::new(ASKED, ASKED_OF_NAMESPACE)) }
    }
}

#[derive(Debug, Default)]
struct Known {
    due: Option<Instant>,
    /// By pod: when it was asked, and the seconds that its requests had taken until then.
    samples: HashMap<String, (Instant, f64)>,
    busy: Option<ThreadUsage>,
}

impl fmt::Debug for ThreadUsageSampler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ThreadUsageSampler").finish_non_exhaustive()
    }
}

impl ThreadUsageSampler {
    /// What the last two looks have shown; begins another one when it is due. A pass never waits for a pod.
    pub(super) fn look(&self, identity: &Identity, pods: &[PodSummary]) -> Option<ThreadUsage> {
        let pods: Vec<(String, IpAddr)> = pods
            .iter()
            .filter(|pod| pod.component == Some(Component::Api) && pod.ready && !pod.terminating)
            .filter_map(|pod| Some((pod.name.clone(), pod.address?)))
            .take(PODS)
            .collect();
        self.known.entry(&identity.uid, |known| {
            let now = Instant::now();
            if pods.is_empty() {
                // A pass follows when one is ready.
                known.due = None;
                return known.busy;
            }
            // Not as soon as the first is ready: what does not answer then would not be asked again for long.
            let due = *known.due.get_or_insert(now + INTERVAL);
            if due <= now {
                known.due = Some(now + INTERVAL);
                tokio::spawn(self.clone().ask(identity.clone(), pods));
            }
            known.busy
        })
    }

    async fn ask(self, installation: Identity, pods: Vec<(String, IpAddr)>) {
        let Some(_turn) = self.turns.take(&installation.namespace, PATIENCE).await else {
            return;
        };
        let answers = join_all(pods.into_iter().map(|(name, address)| async move {
            match scrape::request_seconds((address, PORT).into()).await {
                Ok(seconds) => Some((name, (Instant::now(), seconds))),
                Err(error) => {
                    tracing::debug!(pod = name, error = chain(&error), "a pod's metrics could not be read");
                    None
                }
            }
        }))
        .await;
        let answers: HashMap<String, (Instant, f64)> = answers.into_iter().flatten().collect();
        // An installation that was deleted meanwhile is not remembered again.
        self.known.update(&installation.uid, |known| {
            if answers.is_empty() {
                known.due = Some(Instant::now() + SILENCE);
            }
            known.busy = between(&known.samples, &answers);
            known.samples = answers;
        });
    }
}

impl Memory for ThreadUsageSampler {
    fn remembers(&self) -> (&'static str, usize) {
        ("thread_usage", self.known.count())
    }

    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }

    fn next_look(&self, uid: &str, _now: Timestamp) -> Option<Duration> {
        let due = self.known.read(uid, |known| known.due)??;
        Some(due.saturating_duration_since(Instant::now()))
    }
}

/// The average of the pods that were asked twice and did not restart in between.
fn between(
    before: &HashMap<String, (Instant, f64)>,
    now: &HashMap<String, (Instant, f64)>,
) -> Option<ThreadUsage> {
    let rates: Vec<f64> = now
        .iter()
        .filter_map(|(pod, (at, sum))| {
            let (then, base) = before.get(pod)?;
            let seconds = at.duration_since(*then).as_secs_f64();
            (sum >= base && seconds > 1.0).then(|| (sum - base) / seconds)
        })
        .collect();
    let pods = rates.len();
    let count = u32::try_from(pods).ok().filter(|count| *count > 0)?;
    Some(ThreadUsage { threads: rates.iter().sum::<f64>() / f64::from(count), pods })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[tokio::test(start_paused = true)]
    async fn no_pass_comes_for_pods_that_cannot_be_asked() {
        let installation = fixtures::installation(&fixtures::minimal());
        let identity = &installation.identity;
        let sampler = ThreadUsageSampler::default();
        let next_look = |pods: &[PodSummary]| {
            sampler.look(identity, pods);
            sampler.next_look(&identity.uid, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(next_look(&[]), None, "none is there");
        let mut pod = PodSummary {
            name: "api".to_owned(),
            component: Some(Component::Api),
            ready: true,
            address: Some([127, 0, 0, 1].into()),
            ..PodSummary::default()
        };
        assert_eq!(next_look(std::slice::from_ref(&pod)), Some(INTERVAL));
        pod.ready = false;
        assert_eq!(next_look(&[pod]), None, "none is ready any more");
    }

    #[test]
    fn a_pod_that_restarted_is_left_out() {
        let start = Instant::now();
        let at = |seconds: u64, sums: &[(&str, f64)]| -> HashMap<String, (Instant, f64)> {
            let at = start + Duration::from_secs(seconds);
            sums.iter().map(|(pod, sum)| ((*pod).to_owned(), (at, *sum))).collect()
        };
        let before = at(0, &[("a", 100.0), ("b", 50.0), ("c", 40.0)]);
        let now = at(30, &[("a", 160.0), ("b", 80.0), ("c", 3.0), ("d", 9.0)]);
        assert_eq!(between(&before, &now), Some(ThreadUsage { threads: 1.5, pods: 2 }));
        assert_eq!(between(&before, &at(30, &[("d", 9.0)])), None);
    }
}
