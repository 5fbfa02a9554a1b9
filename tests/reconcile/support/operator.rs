//! The operator, in this process.

use std::time::Duration;

use flagsmith_operator::{
    controller::{
        readiness::{Gate, Readiness},
        run::{Settings, run},
    },
    model::DocsUrl,
    observe::Scope,
    runtime::{
        client::connect_with,
        lease::LeaseSettings,
        lock_key::{LockKey, LockKeySource},
        metrics::Metrics,
    },
};
use kube::Config;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Network, config};

/// How long an orderly end may take: nothing is under way, or the network answers.
const END: Duration = Duration::from_secs(5);

/// A running operator.
pub struct Operator {
    pub network: Network,
    pub readiness: Readiness,
    pub metrics: Metrics,
    pub shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Operator {
    /// Starts an operator for one namespace, without a lease.
    pub async fn start(namespace: &str, network: Network) -> Self {
        Self::start_with(config().await, vec![namespace.to_owned()], network, None)
    }

    pub fn start_with(
        config: Config,
        namespaces: Vec<String>,
        network: Network,
        lease: Option<LeaseSettings>,
    ) -> Self {
        super::log();
        let metrics = Metrics::new();
        let client = connect_with(config, metrics.clone(), &network).unwrap();
        let (readiness, shutdown) = (Readiness::new(), CancellationToken::new());
        // The process asks for its rights beside this, before it does anything.
        readiness.open(Gate::Rights);
        let settings = Settings {
            loopback_databases: false,
            scope: Scope::Namespaces(namespaces),
            concurrency: 8,
            lease,
            // A process that follows another one knows its labels.
            lock_key: LockKeySource::Given(LockKey::new(b"tests")),
            // Simulated nodes run no database.
            database_interval: None,
            docs: DocsUrl::default(),
            instance: Some("test".to_owned()),
        };
        let task = tokio::spawn(run(client, settings, readiness.clone(), metrics.clone(), shutdown.clone()));
        Self { network, readiness, metrics, shutdown, task }
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        !self.task.is_finished()
    }

    /// Ends without a word to anybody, as after SIGKILL.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Ends in order; fails when that takes longer than [`END`]. Returns how long it took.
    pub async fn stop(self) -> Duration {
        self.stop_within(END).await
    }

    /// Ends in order; fails when that takes longer than `limit`.
    pub async fn stop_within(self, limit: Duration) -> Duration {
        let start = Instant::now();
        self.shutdown.cancel();
        timeout(limit, self.task)
            .await
            .expect("the operator ends within seconds")
            .expect("the operator ends without a panic");
        start.elapsed()
    }
}
