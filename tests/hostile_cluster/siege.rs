//! One operator, one tenant who has nothing to do with it, and an attack; what must hold meanwhile.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    chart::{NAMESPACE, RELEASE},
    machine::{Addresses, DATABASES, Hosts},
    operator::{OperatorProcess, get},
    postgresql::Postgresql,
    support::{self, SOON, Sandbox, converged},
    tenant::Tenant,
};

/// Memory of the operator, whatever tenants do: half of the chart's limit.
const MOST_MIB: u64 = 128;

/// How soon it says that it lives. The kubelet would wait five times as long, three times.
const ANSWERED: Duration = Duration::from_secs(1);

/// How often it is asked.
const ASKED: Duration = Duration::from_millis(200);

/// A change of somebody else's takes tens of milliseconds, so that twice as long would be noise: of the API server, which
/// has the attackers' objects too, and of a machine with other work. Nobody notices a second. The same noise is why
/// medians are compared: a tenant who is starved waits each time.
const LEAST: Duration = Duration::from_secs(1);

/// Changes from which the usual time is taken, as their median.
const USUAL: usize = 5;

/// Changes without and with an attack from which the 99th percentile is taken.
const MANY: usize = 100;

/// The noise of a machine with other work, in the slowest of a hundred changes.
const LEAST_P99: Duration = Duration::from_millis(500);

/// What it may log in an attack. A server's notices once filled the disk of the node at 75 MB/s.
const MOST_LOGGED: u64 = 1 << 20;

/// The database password of every tenant who has nothing to do with it.
pub const PASSWORD: &str = "correct-horse";

/// One attack at a time: there is one lease.
static TURN: Mutex<()> = Mutex::new(());

/// The tenant's namespace, and the database, for all attacks.
static NEIGHBOUR: OnceLock<String> = OnceLock::new();
static DATABASE: OnceLock<Postgresql> = OnceLock::new();

/// An operator that is about to be attacked.
struct Siege {
    client: Client,
    operator: OperatorProcess,
    neighbour: Sandbox,
    usual: Times,
    changes: i32,
    in_place: Arc<AtomicBool>,
    /// Given back when the operator has ended.
    _addresses: Addresses,
}

/// What an attack is directed at.
pub struct Target {
    pub client: Client,
    /// Every port that the operator serves.
    pub served: Vec<SocketAddr>,
    /// What the operator finds besides addresses.
    pub hosts: Hosts,
    in_place: Arc<AtomicBool>,
}

impl Target {
    /// Everything that attacks is there: from now on it counts how slow the slowest of the other tenant's changes are.
    /// Returns when there were enough of them.
    pub async fn attack_is_in_place(&self) {
        self.in_place.store(true, Ordering::Relaxed);
        while self.in_place.load(Ordering::Relaxed) {
            sleep(ASKED).await;
        }
    }
}

/// Runs an attack, which returns when the status of its installations says what was found.
pub fn survives<F>(name: &'static str, attack: impl FnOnce(Target) -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    besieged(name, USUAL, attack);
}

/// The same of an attack that says when it is in place: then not only the usual change of another tenant's is as fast as
/// before, the slowest of a hundred are too.
pub fn goes_unnoticed<F>(name: &'static str, attack: impl FnOnce(Target) -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    besieged(name, MANY, attack);
}

fn besieged<F>(name: &'static str, usual: usize, attack: impl FnOnce(Target) -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    // Decoding a FlagsmithDeployment without optimisation takes more stack than a test's thread has.
    const STACK: usize = 16 << 20;
    let test = move || {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut siege = Siege::begin(usual).await;
            let target = Target {
                client: siege.client.clone(),
                served: siege.operator.served.clone(),
                hosts: siege.operator.hosts.clone(),
                in_place: Arc::clone(&siege.in_place),
            };
            siege.hold(name, attack(target)).await;
            siege.operator.stop();
        });
    };
    let thread = thread::Builder::new().stack_size(STACK).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

impl Siege {
    async fn begin(usual: usize) -> Self {
        let addresses = Addresses::take();
        let client = support::client().await;
        let operator = OperatorProcess::start();
        let neighbour = neighbour(client.clone()).await;
        let mut siege = Self {
            client,
            operator,
            neighbour,
            usual: Times::default(),
            changes: 0,
            in_place: Arc::default(),
            _addresses: addresses,
        };
        for _ in 0..usual {
            let took = siege.change().await;
            siege.usual.0.push(took);
            sleep(ASKED).await;
        }
        siege
    }

    /// Measures while the attack lasts.
    async fn hold(&mut self, name: &str, attack: impl Future<Output = ()>) {
        self.operator.forget_peak();
        let (lease, logged) = (self.lease().await, self.operator.logged());
        let alive = Alive::watch(self.operator.liveness);
        let (mut times, mut in_place) = (Times::default(), Times::default());
        {
            let mut attack = std::pin::pin!(attack);
            loop {
                let change = async {
                    let took = self.change().await;
                    sleep(ASKED).await;
                    took
                };
                tokio::select! {
                    biased;
                    took = change => times.0.push(took),
                    () = &mut attack => break,
                }
                if self.in_place.load(Ordering::Relaxed) {
                    in_place.0.extend(times.0.last());
                    self.in_place.store(in_place.0.len() < MANY, Ordering::Relaxed);
                }
                self.operator.assert_alive();
            }
        }
        // At least once after everything has arrived.
        times.0.push(self.change().await);
        self.operator.assert_alive();
        let answers = alive.end();
        let (peak, usual, took) = (self.operator.peak(), self.usual.percentile(50), times.percentile(50));
        println!(
            "{name}: {peak} MiB at most; /livez within {:?}, {} times; another tenant's changes {took:?}, {} times, usually {usual:?}",
            answers.slowest,
            answers.count,
            times.0.len()
        );
        assert!(peak < MOST_MIB, "{peak} MiB at most, which must be below {MOST_MIB}");
        assert!(
            answers.failures.is_empty() && answers.slowest < ANSWERED,
            "/livez: {answers:?}; {}",
            self.operator.log()
        );
        assert_eq!(self.lease().await, lease, "holder, acquisition and transitions of the lease");
        assert!(
            took < LEAST.max(2 * usual),
            "another tenant's changes take {took:?}, and usually {usual:?}: {times:?}"
        );
        if !in_place.0.is_empty() {
            let (usual, took) = (self.usual.percentile(99), in_place.percentile(99));
            println!("{name}: the 99th percentile of them is {took:?}, usually {usual:?}");
            assert!(
                took < LEAST_P99.max(2 * usual),
                "the slowest of another tenant's changes take {took:?}, and usually {usual:?}: {in_place:?}"
            );
        }
        let logged = self.operator.logged() - logged;
        assert!(logged < MOST_LOGGED, "{logged} bytes of log");
    }

    /// How long it takes until a change of the other tenant's has arrived in a Deployment.
    async fn change(&mut self) -> Duration {
        self.changes += 1;
        let threads = 10 + self.changes % 50;
        self.neighbour.patch(json!({ "spec": { "taskProcessor": { "threads": threads } } })).await;
        let begun = Instant::now();
        let wanted = threads.to_string();
        self.neighbour
            .until_object::<Deployment>(SOON, "flagsmith-task-processor", "changed", |it| {
                let containers =
                    it.spec.iter().flat_map(|it| it.template.spec.iter()).flat_map(|it| &it.containers);
                let arguments: Vec<_> = containers.flat_map(|it| it.args.iter().flatten()).collect();
                arguments.windows(2).any(|it| it[0] == "--numthreads" && *it[1] == wanted)
            })
            .await;
        begun.elapsed()
    }

    /// What changes only when leadership does.
    async fn lease(&self) -> (Option<String>, Option<i32>, Option<String>) {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), NAMESPACE);
        let spec = leases.get(RELEASE).await.unwrap().spec.unwrap();
        let acquired = spec.acquire_time.map(|it| it.0.to_string());
        (spec.holder_identity, spec.lease_transitions, acquired)
    }
}

/// How long changes took.
#[derive(Debug, Default)]
struct Times(Vec<Duration>);

impl Times {
    fn percentile(&mut self, percent: usize) -> Duration {
        self.0.sort_unstable();
        self.0[self.0.len() * percent / 100]
    }
}

/// The URL of a database that works.
pub fn database(name: &str) -> String {
    let server = DATABASE.get_or_init(|| Postgresql::start(DATABASES, PASSWORD, None));
    format!("postgresql://flagsmith:{PASSWORD}@{}/{name}?sslmode=disable", server.address)
}

/// The other tenant, with an installation that is Ready.
async fn neighbour(client: Client) -> Sandbox {
    if let Some(namespace) = NEIGHBOUR.get() {
        let namespace = namespace.clone();
        return Sandbox { client, namespace };
    }
    let tenant = Tenant::new("neighbour").await;
    tenant.install(support::NAME, &database("flags"), json!({})).await;
    tenant.until(support::NAME, SOON, "Ready", converged).await;
    NEIGHBOUR.set(tenant.sandbox.namespace.clone()).unwrap();
    tenant.sandbox
}

/// Asks again and again whether the operator lives, on a thread of its own.
struct Alive {
    ended: Arc<AtomicBool>,
    thread: thread::JoinHandle<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    count: u32,
    slowest: Duration,
    failures: Vec<String>,
}

impl Alive {
    fn watch(address: SocketAddr) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let mut answers = Answers::default();
            while !end.load(Ordering::Relaxed) {
                let begun = Instant::now();
                match get(address, "/livez") {
                    Ok(answer) if answer.contains(" 200 ") => answers.count += 1,
                    Ok(answer) => answers.failures.push(answer),
                    Err(error) => answers.failures.push(error.to_string()),
                }
                answers.slowest = answers.slowest.max(begun.elapsed());
                thread::sleep(ASKED);
            }
            answers
        });
        Self { ended, thread }
    }

    fn end(self) -> Answers {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
