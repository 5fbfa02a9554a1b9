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
    memory,
    request::{self, LogRequest},
};
use crate::{flagsmith::WorkerClass, model::Component, runtime::cache::PerInstallation, validate::Identity};

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
    known: Arc<PerInstallation<Known>>,
}

/// What is known of one installation.
#[derive(Clone, Default)]
struct Known {
    findings: PodLogFindings,
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
        let (findings, wanted) = self.known.entry(&identity.uid, |known| {
            memory::forget_past(&mut known.findings, pods, now);
            let wanted = match self.depth {
                _ if known.reading => Vec::new(),
                ReadDepth::None => Vec::new(),
                ReadDepth::Sampled => request::wanted(pods, &known.findings.logs, now),
                ReadDepth::Thorough => request::all(pods, now),
            };
            known.reading |= !wanted.is_empty();
            (known.findings.clone(), wanted)
        });
        if wanted.is_empty() {
            return findings;
        }
        let reading = self.clone().read_all(identity.clone(), wanted, worker_class, now);
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
        let recorded = self.known.update(&identity.uid, |known| {
            let before = known.findings.clone();
            for (request, shown) in wanted.iter().zip(logs) {
                memory::record(&mut known.findings.logs, request, shown, now);
            }
            for (pod, warnings) in warnings {
                known.findings.warnings.retain(|warning| warning.pod != *pod);
                known.findings.warnings.extend(warnings);
            }
            known.reading = false;
            (before, known.findings.clone())
        });
        // An installation that was deleted meanwhile is not remembered again.
        let Some((before, after)) = recorded else {
            return PodLogFindings::default();
        };
        if let Some(wake) = self.wake.as_ref().filter(|_| memory::changed(&before, &after)) {
            let trigger = Trigger {
                installation: ObjectRef::new(&identity.name).within(namespace),
                urgency: Urgency::Now,
            };
            // Without a receiver the operator is ending.
            let _ = wake.send(trigger).await;
        }
        after
    }

    /// What one log shows; `None` where it cannot be read. Diagnosing a long one takes a while, in which the operator
    /// must not stand still.
    async fn read(
        &self,
        namespace: &str,
        request: &LogRequest,
        worker_class: Option<WorkerClass>,
    ) -> Option<Vec<LogDiagnosis>> {
        let _permit = self.permits.acquire().await.ok()?;
        let bytes = fetch::log(&self.client, namespace, request).await?;
        let (diagnose, component, name) = (self.diagnose, request.component, request.name());
        let diagnosing =
            tokio::task::spawn_blocking(move || diagnose(component, worker_class, &name, &bytes));
        diagnosing.await.inspect_err(|error| tracing::error!(%error, "a log could not be diagnosed")).ok()
    }
}

impl Memory for PodLogReader {
    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }

    /// A pod that is well is sampled, one that is not is read again.
    fn next_look(&self, uid: &str, now: Timestamp) -> Option<Duration> {
        let latest = |known: &Known| known.findings.logs.iter().map(|reading| reading.at).max();
        let latest = self.known.read(uid, latest)??;
        let left = request::SAMPLE.saturating_sub(now.duration_since(latest));
        Some(Duration::try_from(left).unwrap_or_default())
    }
}
