//! Close looks at pods: their logs, and the Warning Events of those in trouble. Reads little, keeps only what was
//! found, and forgets it when the pod is well again.
//!
//! A log is read by the same pure reader as `diagnose --logs`, right where its bytes arrive, so that a long one is
//! never kept.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{AsyncReadExt as _, future::join_all};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client,
    api::{ListParams, LogParams},
    runtime::reflector::ObjectRef,
};
use tokio::sync::{Semaphore, mpsc::Sender};

use super::{
    PodSummary, Trigger, Urgency,
    logs::{self, LogRequest, Run},
};
use crate::{
    causes::diagnose_log,
    flagsmith::WorkerClass,
    model::{Component, Diagnosis},
    validate::Identity,
};

/// Requests at once over all installations: the kubelets' logs go through the API server.
const AT_ONCE: usize = 8;

/// The longest log of a run that failed: that of a migration is read whole (a failing upgrade logs 100 KB).
const WHOLE: i64 = 4 << 20;

/// The longest sample of a healthy pod's new lines.
const SAMPLE_BYTES: i64 = 256 << 10;

/// Lines of a failed or unready run's end that are read where the log is longer: the cause is at its end.
const TAIL_LINES: i64 = 20_000;

/// How long one log may take: a kubelet that is there answers at once.
const DEADLINE: Duration = Duration::from_secs(4);

/// How long what a sample showed counts: troubles of a running process come back within minutes, or are over.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(3);

/// Warning Events of a pod that are read.
const EVENTS: u32 = 20;

/// How long an Event counts: the kubelet repeats that of a failing probe each ten seconds, and its recorder folds
/// repetitions into one Event with a fresh time.
const EVENT_COUNTS: SignedDuration = SignedDuration::from_mins(2);

/// What close looks at the pods of one installation have shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodLogFindings {
    /// Logs.
    pub logs: Vec<LogReading>,
    /// Warning Events of pods that are not ready.
    pub warnings: Vec<Warning>,
}

/// What the log of one run of a container showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogReading {
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// Whose log it is.
    pub component: Component,
    /// Which run.
    pub run: Run,
    /// When it was read.
    pub at: Timestamp,
    /// What it showed, the most likely cause first.
    pub found: Vec<LogFinding>,
}

/// What a log showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFinding {
    /// When it was read last.
    pub read: Timestamp,
    /// When it happened last, by the log's own times; when it was read, where the log has none.
    pub happened: Timestamp,
    /// What it is.
    pub diagnosis: Diagnosis,
}

/// A Warning Event about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The pod.
    pub pod: String,
    /// For example `Unhealthy`, `BackOff`.
    pub reason: String,
    /// The kubelet's words.
    pub message: String,
}

/// How closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadDepth {
    /// Not at all.
    None,
    /// As pass after pass does, which must cost little.
    Sampled,
    /// At everything once.
    Thorough,
}

/// Whom to tell that something new was found.
pub type Notify = Sender<Trigger>;

/// Looks closely, and remembers.
#[derive(Clone)]
pub struct PodLogReader {
    client: Client,
    closeness: ReadDepth,
    /// Where a pass must not wait for a kubelet: it is woken when one has answered with news.
    wake: Option<Notify>,
    permits: Arc<Semaphore>,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

/// What is known of one installation.
#[derive(Clone, Default)]
struct Known {
    looks: PodLogFindings,
    /// Logs are being read.
    reading: bool,
}

impl PodLogReader {
    /// Nothing is known yet. Without `wake` a look waits for what it reads.
    #[must_use]
    pub fn new(client: Client, closeness: ReadDepth, wake: Option<Notify>) -> Self {
        Self {
            client,
            closeness,
            wake,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            known: Arc::default(),
        }
    }

    /// Forgets a deleted installation.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// When the next look is due: a pod that is well is sampled, one that is not is read again.
    #[must_use]
    pub fn next(&self, uid: &str, now: Timestamp) -> Duration {
        let known = self.lock();
        let latest = known
            .get(uid)
            .and_then(|known| known.looks.logs.iter().map(|reading| reading.at).max());
        latest.map_or(Duration::MAX, |latest| {
            let left = logs::SAMPLE.saturating_sub(now.duration_since(latest));
            Duration::try_from(left).unwrap_or_default()
        })
    }

    /// What is known; begins to read what is worth it now.
    ///
    /// `regime` is how the API's workers handle requests: their log says so only at its beginning.
    pub async fn look(
        &self,
        identity: &Identity,
        pods: &[PodSummary],
        regime: Option<WorkerClass>,
        now: Timestamp,
    ) -> PodLogFindings {
        let (looks, wanted) = {
            let mut all = self.lock();
            let known = all.entry(identity.uid.clone()).or_default();
            forget_past(&mut known.looks, pods, now);
            let wanted = match self.closeness {
                _ if known.reading => Vec::new(),
                ReadDepth::None => Vec::new(),
                ReadDepth::Sampled => logs::wanted(pods, &known.looks.logs, now),
                ReadDepth::Thorough => logs::all(pods, now),
            };
            known.reading |= !wanted.is_empty();
            (known.looks.clone(), wanted)
        };
        if wanted.is_empty() {
            return looks;
        }
        let reading = self.clone().read_all(identity.clone(), wanted, regime, now);
        if self.wake.is_none() {
            return reading.await;
        }
        tokio::spawn(reading);
        looks
    }

    async fn read_all(
        self,
        identity: Identity,
        wanted: Vec<LogRequest>,
        regime: Option<WorkerClass>,
        now: Timestamp,
    ) -> PodLogFindings {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &identity.namespace);
        let logs = join_all(wanted.iter().map(|wanted| self.read(&api, wanted))).await;
        let unready = wanted.iter().filter(|wanted| wanted.run == Run::Unready);
        let warnings =
            join_all(unready.map(|wanted| self.warnings(&identity.namespace, &wanted.pod, now))).await;
        let (before, after) = {
            let mut all = self.lock();
            // Deleted meanwhile.
            let Some(known) = all.get_mut(&identity.uid) else {
                return PodLogFindings::default();
            };
            let before = known.looks.clone();
            for (wanted, bytes) in wanted.iter().zip(logs) {
                let regime = regime.filter(|_| wanted.component == Component::Api);
                record(&mut known.looks.logs, wanted, bytes.as_deref(), regime, now);
            }
            for (pod, warnings) in warnings {
                known.looks.warnings.retain(|warning| warning.pod != pod);
                known.looks.warnings.extend(warnings);
            }
            known.reading = false;
            (before, known.looks.clone())
        };
        if let Some(wake) = self.wake.as_ref().filter(|_| news(&before, &after)) {
            // Without a receiver the operator is ending.
            let trigger = Trigger {
                installation: ObjectRef::new(&identity.name).within(&identity.namespace),
                urgency: Urgency::Now,
            };
            let _ = wake.send(trigger).await;
        }
        after
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One log; `None` where it cannot be had, which a kubelet that restarts or a container that has not begun
    /// are enough for.
    async fn read(&self, api: &Api<Pod>, wanted: &LogRequest) -> Option<Vec<u8>> {
        let _permit = self.permits.acquire().await.ok()?;
        let parameters = parameters(wanted);
        let limit = usize::try_from(parameters.limit_bytes.unwrap_or(WHOLE)).unwrap_or_default();
        let reading = async {
            let stream = api.log_stream(&wanted.pod, &parameters).await?;
            let mut bytes = Vec::new();
            // The server's limit is approximate.
            Box::pin(stream)
                .take(limit.saturating_add(1 << 16) as u64)
                .read_to_end(&mut bytes)
                .await
                .map_err(|error: io::Error| kube::Error::Service(error.into()))?;
            Ok::<_, kube::Error>(bytes)
        };
        match tokio::time::timeout(DEADLINE, reading).await {
            Ok(Ok(bytes)) => Some(bytes),
            Ok(Err(error)) => {
                tracing::debug!(pod = wanted.pod, %error, "a pod's log could not be read");
                None
            }
            Err(_) => None,
        }
    }

    async fn warnings(&self, namespace: &str, pod: &str, now: Timestamp) -> (String, Vec<Warning>) {
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let parameters = ListParams::default()
            .fields(&format!(
                "involvedObject.kind=Pod,involvedObject.name={pod},type=Warning"
            ))
            .limit(EVENTS);
        let events = api
            .list(&parameters)
            .await
            .map(|list| list.items)
            .unwrap_or_default();
        let recent = |event: &Event| {
            let last = event.last_timestamp.as_ref().map(|time| time.0);
            let last = last.or_else(|| event.event_time.as_ref().map(|time| time.0));
            last.is_some_and(|last| now.duration_since(last) < EVENT_COUNTS)
        };
        let warnings = events
            .into_iter()
            .filter(recent)
            .map(|event| Warning {
                pod: pod.to_owned(),
                reason: event.reason.unwrap_or_default(),
                message: event.message.unwrap_or_default(),
            })
            .collect();
        (pod.to_owned(), warnings)
    }
}

/// Whether a reading changes what can be diagnosed: times alone do not.
fn news(before: &PodLogFindings, after: &PodLogFindings) -> bool {
    let said = |looks: &PodLogFindings| -> Vec<(String, Diagnosis)> {
        let of = |reading: &LogReading| {
            let pod = reading.pod.clone();
            reading
                .found
                .iter()
                .map(move |it| (pod.clone(), it.diagnosis.clone()))
                .collect::<Vec<_>>()
        };
        looks.logs.iter().flat_map(of).collect()
    };
    before.warnings != after.warnings || said(before) != said(after)
}

fn parameters(wanted: &LogRequest) -> LogParams {
    let base = LogParams {
        container: Some(wanted.container.clone()),
        previous: wanted.previous,
        ..LogParams::default()
    };
    match wanted.run {
        Run::Sample(since) => LogParams {
            since_time: Some(since),
            limit_bytes: Some(SAMPLE_BYTES),
            ..base
        },
        Run::Failed { .. } | Run::Unready => LogParams {
            tail_lines: Some(TAIL_LINES),
            limit_bytes: Some(WHOLE),
            ..base
        },
    }
}

/// Drops what was read of pods that are gone or well again, and what has not been seen for long.
fn forget_past(looks: &mut PodLogFindings, pods: &[PodSummary], now: Timestamp) {
    let well = |name: &str| pods.iter().find(|pod| pod.name == name).map(|pod| pod.ready);
    looks
        .logs
        .retain_mut(|reading| match (well(&reading.pod), &reading.run) {
            (None, _) => false,
            (Some(ready), Run::Sample(_)) => {
                reading
                    .found
                    .retain(|it| now.duration_since(it.read) < REMEMBERED);
                ready || !reading.found.is_empty()
            }
            (Some(ready), _) => !ready,
        });
    looks.warnings.retain(|warning| well(&warning.pod) == Some(false));
}

/// Takes a new reading in. What was found before keeps its words while it is found again, so that figures in it
/// do not rewrite the status at every sample.
fn record(
    known: &mut Vec<LogReading>,
    wanted: &LogRequest,
    bytes: Option<&[u8]>,
    regime: Option<WorkerClass>,
    now: Timestamp,
) {
    let same = |reading: &LogReading| {
        reading.pod == wanted.pod
            && reading.container == wanted.container
            && std::mem::discriminant(&reading.run) == std::mem::discriminant(&wanted.run)
    };
    let before = known
        .iter()
        .position(same)
        .map(|position| known.swap_remove(position));
    let name = match wanted.run {
        Run::Failed { .. } => format!("log of pod {}, last run", wanted.pod),
        Run::Unready | Run::Sample(_) => format!("log of pod {}", wanted.pod),
    };
    let new = bytes.map(|bytes| diagnose_log(wanted.component, regime, &name, bytes));
    let mut old = before.map(|before| before.found).unwrap_or_default();
    let mut found = Vec::new();
    for (happened, diagnosis) in new.into_iter().flatten() {
        let known = old
            .iter()
            .position(|known| known.diagnosis.code == diagnosis.code);
        found.push(LogFinding {
            read: now,
            // A clock that runs ahead cannot make it last longer.
            happened: happened.map_or(now, |it| it.min(now)),
            diagnosis: known.map_or(diagnosis, |position| old.swap_remove(position).diagnosis),
        });
    }
    // One window of a running process shows only what happened in it, and a log that could not be read shows nothing.
    if bytes.is_none() || matches!(wanted.run, Run::Sample(_)) {
        found.extend(old);
    }
    known.push(LogReading {
        pod: wanted.pod.clone(),
        container: wanted.container.clone(),
        component: wanted.component,
        run: wanted.run.clone(),
        at: now,
        found,
    });
}
