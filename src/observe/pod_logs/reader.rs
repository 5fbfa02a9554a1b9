//! Reads what is worth a request, without a pass waiting for it.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;
use kube::{Client, runtime::reflector::ObjectRef};
use tokio::sync::{Semaphore, mpsc::Sender};

use super::{
    super::{
        memory::Memory,
        pod::PodSummary,
        trigger::{Trigger, Urgency},
    },
    diagnose_log::{DiagnoseLog, LogDiagnosis},
    fetch,
    findings::{PodLogFindings, Run},
    follow::{self, End, Followed, Tail},
    memory,
    request::{self, LogRequest},
};
use crate::{
    flagsmith::WorkerClass,
    model::Component,
    runtime::{cache::PerInstallation, clock, turns::Turns},
    validate::Identity,
};

/// Logs in memory at once over all installations: the kubelets' logs go through the API server, and each may be long.
const AT_ONCE: usize = 8;

/// How closely pods are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadDepth {
    /// No log is read.
    None,
    /// As pass after pass reads, which must cost little.
    Sampled,
    /// Everything once.
    Thorough,
}

/// Reads logs and Events of pods, and remembers what they showed.
#[derive(Clone)]
pub struct PodLogReader {
    client: Client,
    depth: ReadDepth,
    diagnose: DiagnoseLog,
    /// A pass must not wait for a kubelet: it is woken when one has answered with news.
    wake: Option<Sender<Trigger>>,
    permits: Arc<Semaphore>,
    following: Arc<Turns>,
    known: Arc<PerInstallation<Known>>,
}

/// What is known of one installation.
#[derive(Default)]
struct Known {
    findings: PodLogFindings,
    followed: Followed,
    /// Logs are being read.
    reading: bool,
}

impl PodLogReader {
    /// A reader that knows nothing yet. Without `wake` a look waits for what it reads.
    #[must_use]
    pub fn new(
        client: Client,
        depth: ReadDepth,
        diagnose: DiagnoseLog,
        wake: Option<Sender<Trigger>>,
    ) -> Self {
        Self {
            client,
            depth,
            diagnose,
            wake,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            following: Arc::new(Turns::new(follow::AT_ONCE, follow::OF_A_NAMESPACE)),
            known: Arc::default(),
        }
    }

    /// What is known; begins to read what is worth it now.
    pub(in crate::observe) async fn look(
        &self,
        identity: &Identity,
        pods: &[PodSummary],
        worker_class: Option<WorkerClass>,
        now: Timestamp,
    ) -> PodLogFindings {
        let (findings, wanted, well) = self.known.entry(&identity.uid, |known| {
            memory::forget_past(&mut known.findings, pods, now);
            let well = match self.depth {
                ReadDepth::Sampled => request::of_the_well(pods, &known.findings.logs, now),
                ReadDepth::None | ReadDepth::Thorough => Vec::new(),
            };
            known.followed.retain(|name| well.iter().any(|request| request.pod == name), now);
            self.follow(known, identity, &well, worker_class);
            let wanted = match self.depth {
                _ if known.reading => Vec::new(),
                ReadDepth::None => Vec::new(),
                ReadDepth::Sampled => {
                    let followed = |pod: &str| known.followed.has(pod);
                    request::wanted(pods, &known.findings.logs, followed, now)
                }
                ReadDepth::Thorough => request::all(pods, now),
            };
            known.reading |= !wanted.is_empty();
            (known.findings.clone(), wanted, well)
        });
        if wanted.is_empty() {
            return findings;
        }
        let reading = self.clone().read_all(identity.clone(), wanted, well, worker_class, now);
        if self.wake.is_none() {
            return reading.await;
        }
        tokio::spawn(reading);
        findings
    }

    async fn read_all(
        self,
        identity: Identity,
        wanted: Vec<LogRequest>,
        well: Vec<LogRequest>,
        worker_class: Option<WorkerClass>,
        now: Timestamp,
    ) -> PodLogFindings {
        let namespace = &identity.namespace;
        let logs = join_all(wanted.iter().map(|request| {
            let worker_class = worker_class.filter(|_| request.component == Component::Api);
            self.read(namespace, request, worker_class)
        }))
        .await;
        let unready = wanted.iter().filter(|request| request.run == Run::Unready);
        let warnings = join_all(unready.map(|request| async {
            let warnings = fetch::warnings(&self.client, namespace, &request.pod, now).await;
            (&request.pod, warnings)
        }))
        .await;
        self.remember(&identity, |known| {
            for (request, shown) in wanted.iter().zip(logs) {
                if matches!(request.run, Run::Sample(_)) {
                    known.followed.read(shown.is_some());
                }
                memory::record(&mut known.findings.logs, request, shown, now);
            }
            self.follow(known, &identity, &well, worker_class);
            for (pod, warnings) in warnings {
                known.findings.warnings.retain(|warning| warning.pod != *pod);
                known.findings.warnings.extend(warnings);
            }
            known.reading = false;
        })
        .await
    }

    /// Takes in what was read, and starts a pass where that is news.
    async fn remember(&self, identity: &Identity, record: impl FnOnce(&mut Known)) -> PodLogFindings {
        let recorded = self.known.update(&identity.uid, |known| {
            let before = known.findings.clone();
            record(known);
            (before, known.findings.clone())
        });
        // An installation that was deleted meanwhile is not remembered again.
        let Some((before, after)) = recorded else {
            return PodLogFindings::default();
        };
        if let Some(wake) = self.wake.as_ref().filter(|_| memory::changed(&before, &after)) {
            let trigger = Trigger {
                installation: ObjectRef::new(&identity.name).within(&identity.namespace),
                urgency: Urgency::Now,
            };
            // Without a receiver the operator is ending.
            let _ = wake.send(trigger).await;
        }
        after
    }

    /// Begins to follow the logs of pods that are `well` where that is worth a try.
    fn follow(
        &self,
        known: &mut Known,
        identity: &Identity,
        well: &[LogRequest],
        worker_class: Option<WorkerClass>,
    ) {
        for request in well {
            if known.followed.wants(&request.pod) {
                let following = self.clone().follow_one(identity.clone(), request.clone(), worker_class);
                known.followed.begin(request.pod.clone(), tokio::spawn(following));
            }
        }
    }

    async fn follow_one(self, identity: Identity, request: LogRequest, worker_class: Option<WorkerClass>) {
        let end = self.follow_to_its_end(&identity, &request, worker_class).await;
        self.known.update(&identity.uid, |known| known.followed.end(&request.pod, end, clock::now()));
    }

    async fn follow_to_its_end(
        &self,
        identity: &Identity,
        request: &LogRequest,
        worker_class: Option<WorkerClass>,
    ) -> End {
        let Run::Sample(since) = request.run else {
            return End::Failed;
        };
        // Who gets none now is sampled.
        let Some(_turn) = self.following.take(&identity.namespace, Duration::ZERO).await else {
            return End::Failed;
        };
        let Some(log) = fetch::followed(&self.client, &identity.namespace, request).await else {
            return End::Refused;
        };
        let worker_class = worker_class.filter(|_| request.component == Component::Api);
        let mut tail = Tail::new(log, since);
        loop {
            let (since, shown) = match tail.next().await {
                Ok(Some((since, bytes))) => {
                    let Ok(_permit) = self.permits.acquire().await else {
                        return End::Over;
                    };
                    (since, self.diagnosed(request, worker_class, bytes).await)
                }
                Ok(None) => (since, Some(Vec::new())),
                Err(end) => return end,
            };
            let read = LogRequest { run: Run::Sample(since), ..request.clone() };
            self.remember(identity, |known| {
                memory::record(&mut known.findings.logs, &read, shown, clock::now());
            })
            .await;
        }
    }

    /// What one log shows; `None` where it cannot be read.
    async fn read(
        &self,
        namespace: &str,
        request: &LogRequest,
        worker_class: Option<WorkerClass>,
    ) -> Option<Vec<LogDiagnosis>> {
        let _permit = self.permits.acquire().await.ok()?;
        let bytes = fetch::log(&self.client, namespace, request).await?;
        self.diagnosed(request, worker_class, bytes).await
    }

    /// Diagnosing a long log takes a while, in which the operator must not stand still.
    async fn diagnosed(
        &self,
        request: &LogRequest,
        worker_class: Option<WorkerClass>,
        bytes: Vec<u8>,
    ) -> Option<Vec<LogDiagnosis>> {
        if bytes.is_empty() {
            return Some(Vec::new());
        }
        let (diagnose, component, name) = (self.diagnose, request.component, request.name());
        let diagnosing =
            tokio::task::spawn_blocking(move || diagnose(component, worker_class, &name, &bytes));
        diagnosing.await.inspect_err(|error| tracing::error!(%error, "a log could not be diagnosed")).ok()
    }
}

impl Memory for PodLogReader {
    fn remembers(&self) -> (&'static str, usize) {
        ("pod_logs", self.known.count())
    }

    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }

    /// A pod that is well is sampled where its log is not followed, one that is not is read again.
    fn next_look(&self, uid: &str, now: Timestamp) -> Option<Duration> {
        let latest = |known: &Known| known.findings.logs.iter().map(|reading| reading.at).max();
        let latest = self.known.read(uid, latest)??;
        Some(request::until_sample(latest, now))
    }
}
