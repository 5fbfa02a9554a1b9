//! The leader election against a real API server. `KUBECONFIG` names the cluster; every test uses a lease of its
//! own in the namespace `default` and deletes it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use flagsmith_operator::controller::{
    client::{Wire, WireBody, connect, connect_with},
    lease::{Leadership, Lease, LeaseSettings, candidate::LEASE_DURATION},
    metrics::Metrics,
};
use http::{Request, Response};
use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use kube::{
    Api, Client, Config,
    api::{DeleteParams, Patch, PatchParams},
    client::Body,
    config::KubeConfigOptions,
};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Layer, Service};

const NAMESPACE: &str = "default";

/// How long an election without a holder may take on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(5);

/// How soon another replica leads after a kill.
const AFTER_KILL: Duration = Duration::from_secs(20);

/// How soon another replica leads after a release: one look of a standby, and the requests.
const AFTER_RELEASE: Duration = Duration::from_millis(2_500);

async fn config() -> Config {
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "KUBECONFIG is not set: this test needs a Kubernetes API server (`make test` starts one)"
    );
    Config::from_kubeconfig(&KubeConfigOptions::default())
        .await
        .expect("KUBECONFIG names a readable file")
}

async fn client() -> Client {
    connect(config().await, Metrics::new()).unwrap()
}

/// One replica of the operator, as far as the lease goes.
struct Replica {
    identity: String,
    leading: watch::Receiver<Leadership>,
    shutdown: CancellationToken,
    drained: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(client: Client, lease: &str, pod: &str) -> Self {
        let settings = LeaseSettings::new(NAMESPACE, lease, pod);
        let identity = settings.identity.clone();
        let (sender, leading) = watch::channel(Leadership::default());
        let (shutdown, drained) = (CancellationToken::new(), CancellationToken::new());
        let lease = Lease::new(client, settings, Metrics::new());
        let task = tokio::spawn(lease.run(sender, shutdown.clone(), drained.clone().cancelled_owned()));
        Self {
            identity,
            leading,
            shutdown,
            drained,
            task,
        }
    }

    fn leads(&self) -> bool {
        self.leading.borrow().leads()
    }

    /// Waits until this replica leads (or does not), by the notifications alone; returns how long it took.
    async fn until(&mut self, leads: bool, limit: Duration) -> Duration {
        let start = Instant::now();
        let changed = timeout(limit, self.leading.wait_for(|now| now.leads() == leads)).await;
        assert!(
            changed.is_ok(),
            "{}: leads={leads} took longer than {limit:?}",
            self.identity
        );
        start.elapsed()
    }

    /// Ends without a word to anybody, as after SIGKILL.
    fn kill(self) {
        self.task.abort();
    }
}

/// A lease with a name of its own, deleted at the end of the test.
struct TestLease {
    name: String,
    api: Api<LeaseObject>,
}

impl TestLease {
    async fn new(test: &str) -> Self {
        let name = format!("lease-test-{test}-{:08x}", rand::random::<u32>());
        Self {
            name,
            api: Api::namespaced(client().await, NAMESPACE),
        }
    }

    async fn holder(&self) -> Option<String> {
        self.api
            .get(&self.name)
            .await
            .unwrap()
            .spec
            .unwrap()
            .holder_identity
    }

    async fn edit(&self, spec: serde_json::Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api
            .patch(&self.name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    async fn end(self, replicas: impl IntoIterator<Item = Replica>) {
        replicas.into_iter().for_each(Replica::kill);
        self.api
            .delete(&self.name, &DeleteParams::default())
            .await
            .unwrap();
    }
}

/// Two replicas, the first of which leads.
async fn pair(lease: &TestLease) -> [Replica; 2] {
    let mut first = Replica::start(client().await, &lease.name, "first");
    first.until(true, SOON).await;
    let second = Replica::start(client().await, &lease.name, "second");
    [first, second]
}

#[tokio::test]
async fn of_several_replicas_exactly_one_leads() {
    let lease = TestLease::new("several").await;
    let mut replicas = Vec::new();
    for pod in ["a", "b", "c"] {
        replicas.push(Replica::start(client().await, &lease.name, pod));
    }
    let elected = async {
        while !replicas.iter().any(Replica::leads) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, elected).await.expect("one leads soon");
    let leader = replicas.iter().position(Replica::leads).unwrap();
    // Longer than a lease lasts, so that it is also renewed.
    let start = Instant::now();
    while start.elapsed() < LEASE_DURATION + SOON {
        let leaders: Vec<_> = replicas.iter().map(Replica::leads).collect();
        assert!(
            leaders
                .iter()
                .enumerate()
                .all(|(i, leads)| *leads == (i == leader)),
            "{leaders:?}"
        );
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(lease.holder().await.as_ref(), Some(&replicas[leader].identity));
    lease.end(replicas).await;
}

#[tokio::test]
async fn a_killed_leader_is_replaced() {
    let lease = TestLease::new("kill").await;
    let [first, mut second] = pair(&lease).await;
    sleep(Duration::from_secs(7)).await;
    assert!(!second.leads());
    let leading = first.leading.clone();
    first.kill();
    let took = second.until(true, AFTER_KILL).await;
    assert!(
        !leading.borrow().leads(),
        "the killed one still counts as leader after {took:?}"
    );
    assert_eq!(
        lease
            .api
            .get(&lease.name)
            .await
            .unwrap()
            .spec
            .unwrap()
            .lease_transitions,
        Some(1)
    );
    lease.end([second]).await;
}

#[tokio::test]
async fn a_released_lease_is_taken_at_once_but_not_before_the_work_has_ended() {
    let lease = TestLease::new("release").await;
    let [mut first, mut second] = pair(&lease).await;
    first.shutdown.cancel();
    sleep(Duration::from_secs(3)).await;
    assert!(
        first.leads() && !second.leads(),
        "leadership moved before the work had ended"
    );
    first.drained.cancel();
    first.until(false, SOON).await;
    let took = second.until(true, AFTER_RELEASE).await;
    timeout(SOON, &mut first.task).await.expect("ends").unwrap();
    println!("taken {took:?} after the release");
    lease.end([second]).await;
}

#[tokio::test]
async fn a_standby_ends_at_once_and_leaves_the_lease_alone() {
    let lease = TestLease::new("standby").await;
    let [first, mut second] = pair(&lease).await;
    sleep(Duration::from_secs(1)).await;
    second.shutdown.cancel();
    timeout(SOON, &mut second.task)
        .await
        .expect("ends without its work having drained")
        .unwrap();
    assert_eq!(lease.holder().await.as_ref(), Some(&first.identity));
    assert!(first.leads());
    lease.end([first]).await;
}

#[tokio::test]
async fn a_leader_whose_lease_was_given_to_another_steps_down() {
    let lease = TestLease::new("foreign").await;
    let mut leader = Replica::start(client().await, &lease.name, "leader");
    leader.until(true, SOON).await;
    lease.edit(json!({"holderIdentity": "somebody-else"})).await;
    // Noticed at the next renewal.
    let took = leader.until(false, Duration::from_secs(7)).await;
    println!("stepped down after {took:?}");
    assert_eq!(lease.holder().await.as_deref(), Some("somebody-else"));
    // Somebody else never renews.
    leader.until(true, AFTER_KILL).await;
    lease.end([leader]).await;
}

#[tokio::test]
async fn an_edit_that_leaves_the_holder_does_not_cost_leadership() {
    let lease = TestLease::new("label").await;
    let mut leader = Replica::start(client().await, &lease.name, "leader");
    leader.until(true, SOON).await;
    let patch = Patch::Merge(json!({"metadata": {"labels": {"seen": "yes"}}}));
    lease
        .api
        .patch(&lease.name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    leader.leading.mark_unchanged();
    sleep(Duration::from_secs(14)).await;
    assert!(!leader.leading.has_changed().unwrap() && leader.leads());
    assert!(
        lease
            .api
            .get(&lease.name)
            .await
            .unwrap()
            .metadata
            .labels
            .unwrap()
            .contains_key("seen")
    );
    lease.end([leader]).await;
}

#[tokio::test]
async fn a_deleted_lease_is_not_taken_while_its_holder_may_still_lead() {
    let lease = TestLease::new("deleted").await;
    let [first, second] = pair(&lease).await;
    sleep(Duration::from_secs(2)).await;
    lease
        .api
        .delete(&lease.name, &DeleteParams::default())
        .await
        .unwrap();
    let start = Instant::now();
    while start.elapsed() < AFTER_KILL {
        assert!(
            !(first.leads() && second.leads()),
            "both lead {:?} after the deletion",
            start.elapsed()
        );
        sleep(Duration::from_millis(20)).await;
    }
    assert!(
        first.leads() || second.leads(),
        "nobody leads after {AFTER_KILL:?}"
    );
    lease.end([first, second]).await;
}

/// What happens to requests on their way to the API server.
#[derive(Clone, Default)]
struct Network(Arc<AtomicU8>);

impl Network {
    const WORKS: u8 = 0;
    const REFUSES: u8 = 1;
    const SWALLOWS: u8 = 2;

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::SeqCst);
    }
}

impl Layer<Wire> for Network {
    type Service = Faulty;

    fn layer(&self, inner: Wire) -> Faulty {
        Faulty {
            inner,
            network: self.clone(),
        }
    }
}

struct Faulty {
    inner: Wire,
    network: Network,
}

impl Service<Request<Body>> for Faulty {
    type Response = Response<WireBody>;
    type Error = BoxError;
    type Future = futures::future::BoxFuture<'static, Result<Response<WireBody>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.network.0.load(Ordering::SeqCst) {
            Network::WORKS => self.inner.call(request),
            Network::REFUSES => Box::pin(async { Err("the test refuses the connection".into()) }),
            _ => Box::pin(std::future::pending()),
        }
    }
}

async fn survives_an_outage(test: &str, outage: u8) {
    let lease = TestLease::new(test).await;
    let network = Network::default();
    let cut_off = connect_with(config().await, Metrics::new(), &network).unwrap();
    let mut first = Replica::start(cut_off, &lease.name, "first");
    first.until(true, SOON).await;
    let mut second = Replica::start(client().await, &lease.name, "second");
    sleep(Duration::from_secs(6)).await;

    network.set(outage);
    let took = first.until(false, LEASE_DURATION).await;
    assert!(
        !second.leads(),
        "the other took over before the leader stepped down after {took:?}"
    );
    second.until(true, AFTER_KILL).await;
    println!("stepped down after {took:?}");

    // Back, it is a standby like any other.
    network.set(Network::WORKS);
    sleep(Duration::from_secs(4)).await;
    assert!(!first.leads() && second.leads());
    second.kill();
    first.until(true, AFTER_KILL).await;
    lease.end([first]).await;
}

#[tokio::test]
async fn a_leader_that_is_refused_steps_down_in_time_and_comes_back() {
    survives_an_outage("refused", Network::REFUSES).await;
}

#[tokio::test]
async fn a_leader_that_gets_no_answer_steps_down_in_time_and_comes_back() {
    survives_an_outage("silent", Network::SWALLOWS).await;
}
