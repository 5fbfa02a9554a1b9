//! How many of the API's threads are busy, by the pods' own metrics: the time that requests took, summed up, grows by
//! one second in each second for each thread that works.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{memory::Memory, pod::PodSummary};
use crate::runtime::cache::PerInstallation;

/// Where Flagsmith serves metrics while `PROMETHEUS_ENABLED` is true, since 2.211.0 (flagsmith-common 3.3,
/// `common/gunicorn/metrics_server.py`).
const PORT: u16 = 9100;

/// The sum of the times of all requests, one line for each route, method and status.
const SUM: &str = "flagsmith_http_server_request_duration_seconds_sum";

/// How often pods are asked: twice within the minute in which a trouble should be named.
const INTERVAL: Duration = Duration::from_secs(30);

/// How long nobody asks after no pod has answered: a `NetworkPolicy` keeps the operator out, or there are no metrics.
const SILENCE: Duration = Duration::from_mins(10);

/// How long a pod may take to answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// The longest answer that is read: a Flagsmith with all its routes has a few hundred kilobytes.
const LONGEST: u64 = 4 << 20;

/// Pods that are asked at most: the replicas of one template share the load.
const PODS: usize = 8;

/// How many threads of a pod were busy between two looks, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThreadUsage {
    /// Threads.
    pub threads: f64,
    /// Pods that this is the average of.
    pub pods: usize,
}

/// What is known of each installation.
#[derive(Clone, Default)]
pub struct ThreadUsageSampler {
    known: Arc<PerInstallation<Known>>,
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
        formatter
            .debug_struct("ThreadUsageSampler")
            .finish_non_exhaustive()
    }
}

impl ThreadUsageSampler {
    /// What the last two looks have shown; begins another one when it is due. A pass never waits for a pod.
    pub(super) fn look(&self, uid: &str, pods: &[PodSummary]) -> Option<ThreadUsage> {
        let pods: Vec<(String, IpAddr)> = pods
            .iter()
            .filter(|pod| pod.component == "api" && pod.ready && !pod.terminating)
            .filter_map(|pod| Some((pod.name.clone(), pod.address?)))
            .take(PODS)
            .collect();
        self.known.entry(&uid.to_owned(), |known| {
            if known.due.is_none_or(|due| due <= Instant::now()) {
                known.due = Some(Instant::now() + INTERVAL);
                if !pods.is_empty() {
                    tokio::spawn(self.clone().ask(uid.to_owned(), pods));
                }
            }
            known.busy
        })
    }

    async fn ask(self, uid: String, pods: Vec<(String, IpAddr)>) {
        let answers = join_all(pods.into_iter().map(|(name, address)| async move {
            let text = tokio::time::timeout(DEADLINE, metrics(address))
                .await
                .ok()?
                .ok()?;
            Some((name, (Instant::now(), total(&text)?)))
        }))
        .await;
        let answers: HashMap<String, (Instant, f64)> = answers.into_iter().flatten().collect();
        // An installation that was deleted meanwhile is not remembered again.
        self.known.update(&uid, |known| {
            if answers.is_empty() {
                known.due = Some(Instant::now() + SILENCE);
            }
            known.busy = between(&known.samples, &answers);
            known.samples = answers;
        });
    }
}

impl Memory for ThreadUsageSampler {
    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }

    fn look_again(&self, uid: &str) {
        self.forget(uid);
    }

    fn next_look(&self, uid: &str, _now: Timestamp) -> Option<Duration> {
        let due = self.known.read(uid, |known| known.due)??;
        Some(due.saturating_duration_since(Instant::now()))
    }
}

/// One request over HTTP/1.0: the answer ends where the connection does.
async fn metrics(address: IpAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((address, PORT)).await?;
    stream
        .write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        .await?;
    let mut text = String::new();
    stream.take(LONGEST).read_to_string(&mut text).await?;
    Ok(text)
}

/// The seconds that all requests have taken; `None` where there is no such series.
fn total(text: &str) -> Option<f64> {
    let mut values = text
        .lines()
        .filter(|line| line.starts_with(SUM))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .peekable();
    values.peek()?;
    Some(values.sum())
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
    Some(ThreadUsage {
        threads: rates.iter().sum::<f64>() / f64::from(count),
        pods,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "HTTP/1.0 200 OK\r\n\r\n\
        # TYPE flagsmith_http_server_request_duration_seconds histogram\n\
        flagsmith_http_server_request_duration_seconds_sum{method=\"GET\",response_status=\"200\",route=\"/api/v1/flags/\"} 12.5\n\
        flagsmith_http_server_request_duration_seconds_bucket{le=\"0.1\",method=\"GET\"} 99\n\
        flagsmith_http_server_request_duration_seconds_sum{method=\"GET\",response_status=\"500\",route=\"/x y/\"} 1.0e+1\n";

    #[test]
    fn adds_up_every_route() {
        assert_eq!(total(METRICS), Some(22.5));
        assert_eq!(total("python_info 1\n"), None);
    }

    #[test]
    fn a_pod_that_restarted_is_left_out() {
        let start = Instant::now();
        let at = |seconds: u64, sums: &[(&str, f64)]| -> HashMap<String, (Instant, f64)> {
            let at = start + Duration::from_secs(seconds);
            sums.iter()
                .map(|(pod, sum)| ((*pod).to_owned(), (at, *sum)))
                .collect()
        };
        let before = at(0, &[("a", 100.0), ("b", 50.0), ("c", 40.0)]);
        let now = at(30, &[("a", 160.0), ("b", 80.0), ("c", 3.0), ("d", 9.0)]);
        assert_eq!(
            between(&before, &now),
            Some(ThreadUsage {
                threads: 1.5,
                pods: 2
            })
        );
        assert_eq!(between(&before, &at(30, &[("d", 9.0)])), None);
    }
}
