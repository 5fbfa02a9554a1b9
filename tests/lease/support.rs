//! Replicas and leases for the tests.

use std::time::Duration;

use flagsmith_operator::runtime::{
    client::connect,
    lease::{Leadership, Lease, LeaseSettings},
    metrics::Metrics,
};
use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, Patch, PatchParams},
    config::KubeConfigOptions,
};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

pub const NAMESPACE: &str = "default";

/// How long an election without a holder may take on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(5);

/// How soon another replica leads after a kill.
pub const AFTER_KILL: Duration = Duration::from_secs(20);

/// How soon another replica leads after a release: one look of a standby, and the requests.
pub const AFTER_RELEASE: Duration = Duration::from_millis(2_500);

pub async fn config() -> Config {
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "KUBECONFIG is not set: this test needs a Kubernetes API server (`make test` starts one)"
    );
    Config::from_kubeconfig(&KubeConfigOptions::default()).await.expect("KUBECONFIG names a readable file")
}

pub async fn client() -> Client {
    connect(config().await, Metrics::new()).unwrap()
}

/// One replica of the operator, as far as the lease goes.
pub struct Replica {
    pub identity: String,
    pub leading: watch::Receiver<Leadership>,
    pub shutdown: CancellationToken,
    pub drained: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Replica {
    pub fn start(client: Client, lease: &str, pod: &str) -> Self {
        let settings = LeaseSettings::new(NAMESPACE, lease, pod);
        let identity = settings.identity.clone();
        let (sender, leading) = watch::channel(Leadership::default());
        let (shutdown, drained) = (CancellationToken::new(), CancellationToken::new());
        let lease = Lease::new(client, settings, Metrics::new());
        let task = tokio::spawn(lease.run(sender, shutdown.clone(), drained.clone().cancelled_owned()));
        Self { identity, leading, shutdown, drained, task }
    }

    pub fn leads(&self) -> bool {
        self.leading.borrow().leads()
    }

    /// Waits until this replica leads (or does not), by the notifications alone; returns how long it took.
    pub async fn until(&mut self, leads: bool, limit: Duration) -> Duration {
        let start = Instant::now();
        let changed = timeout(limit, self.leading.wait_for(|now| now.leads() == leads)).await;
        assert!(changed.is_ok(), "{}: leads={leads} took longer than {limit:?}", self.identity);
        start.elapsed()
    }

    /// Ends without a word to anybody, as after SIGKILL.
    pub fn kill(self) {
        self.task.abort();
    }
}

/// A lease with a name of its own, deleted at the end of the test.
pub struct TestLease {
    pub name: String,
    pub api: Api<LeaseObject>,
}

impl TestLease {
    pub async fn new(test: &str) -> Self {
        let name = format!("lease-test-{test}-{:08x}", rand::random::<u32>());
        Self { name, api: Api::namespaced(client().await, NAMESPACE) }
    }

    pub async fn holder(&self) -> Option<String> {
        self.api.get(&self.name).await.unwrap().spec.unwrap().holder_identity
    }

    pub async fn edit(&self, spec: serde_json::Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api.patch(&self.name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Changes the lease in a way that has nothing to do with who holds it.
    pub async fn label(&self) {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"seen": "yes"}}}));
        self.api.patch(&self.name, &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn end(self, replicas: impl IntoIterator<Item = Replica>) {
        replicas.into_iter().for_each(Replica::kill);
        self.api.delete(&self.name, &DeleteParams::default()).await.unwrap();
    }
}

/// Two replicas, the first of which leads.
pub async fn pair(lease: &TestLease) -> [Replica; 2] {
    let mut first = Replica::start(client().await, &lease.name, "first");
    first.until(true, SOON).await;
    let second = Replica::start(client().await, &lease.name, "second");
    [first, second]
}
