//! An upgrade of the operator while much is going on: two processes and their lease. The new one is ready before the old
//! one is asked to end, as the chart's Deployment has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flagsmith_operator::api::FlagsmithDeployment;
use futures::{StreamExt as _, future};
use k8s_openapi::api::{batch::v1::Job, coordination::v1::Lease, core::v1::Event};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, interval, sleep, timeout},
};

use crate::support::{SOON, Sandbox, condition, run};

const LEASE: &str = "operator";

const INSTALLATIONS: usize = 20;

/// Two installations are made in a second, and one that there is already is changed twice in it.
const PACE: Duration = Duration::from_millis(500);

/// How many there are when the new operator starts.
const AT_THE_START: usize = 5;

/// How long the old one may take to end: its passes for twelve seconds (`DRAIN` in src/controller/run.rs), and the release
/// of its lease. Kubernetes would grant it thirty.
const ENDS: Duration = Duration::from_secs(20);

/// How long nobody may lead. A released lease is taken at a standby's next look, within two seconds; this is what the
/// documentation says of a killed one (docs/troubleshooting.md), and what a busy machine cannot exceed by bad luck.
const WITHOUT_LEADER: Duration = Duration::from_secs(20);

/// One replica, as a process.
struct Replica {
    child: Child,
    probes: SocketAddr,
    home: TempDir,
}

impl Replica {
    fn start(namespace: &str, pod: &str) -> Self {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let (probes, metrics) = (free(), free());
        let home = tempfile::tempdir().unwrap();
        let log = fs::File::create(home.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_flagsmith-operator"));
        command
            .args(["run", "--database-probe=false", "--lock-key-secret=lock-key"])
            .arg(format!("--namespaces={namespace}"))
            .arg(format!("--lease-name={LEASE}"))
            .arg(format!("--probe-address={probes}"))
            .arg(format!("--metrics-address={metrics}"))
            .env("POD_NAME", pod)
            .env("POD_NAMESPACE", namespace);
        // The test cluster ends every process that carries its directory, also after a SIGKILL of this one.
        if let Some(cluster) = std::env::var_os("TESTBED_DIR") {
            command.env("TESTBED_PROCESS_OF", cluster).env("TESTBED_PROCESS_COMPONENT", "operator");
        }
        let child =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { child, probes, home }
    }

    async fn ready(&self) {
        let ready = timeout(SOON, async {
            while !self.answers().await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                sleep(Duration::from_millis(100)).await;
            }
        });
        assert!(ready.await.is_ok(), "not ready within {SOON:?}: {}", self.log());
    }

    async fn answers(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.probes).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits for its end; returns how long that took.
    async fn ended(mut self) -> Duration {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", self.log());
                return begun.elapsed();
            }
            assert!(begun.elapsed() < ENDS, "SIGTERM has not ended it within {ENDS:?}: {}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Everything of a kind that ever was in the namespace, in the order in which it was seen.
fn follow<T>(sandbox: &Sandbox, mut seen: impl FnMut(T) + Send + 'static) -> tokio::task::JoinHandle<()>
where
    T: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let events = watcher(sandbox.api::<T>(), watcher::Config::default()).default_backoff().applied_objects();
    tokio::spawn(async move {
        let mut events = events.boxed();
        while let Some(event) = events.next().await {
            if let Ok(object) = event {
                seen(object);
            }
        }
    })
}

/// From when on, and who; nobody after a release.
type Holder = (Instant, Option<String>);

/// Who held the lease.
#[derive(Clone, Default)]
struct Holders(Arc<Mutex<Vec<Holder>>>);

impl Holders {
    fn saw(&self, lease: &Lease) {
        let holder =
            lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).filter(|it| !it.is_empty());
        let mut holders = self.0.lock().unwrap();
        if holders.last().is_none_or(|(_, last)| *last != holder) {
            holders.push((Instant::now(), holder));
        }
    }

    /// Between the release by one and the first write of the other.
    fn nobody_led(&self) -> Duration {
        let holders = self.0.lock().unwrap();
        let released = holders.windows(2).filter(|it| it[0].1.is_none()).map(|it| it[1].0 - it[0].0);
        released.max().unwrap_or_default()
    }

    fn last(&self) -> Option<String> {
        self.0.lock().unwrap().last().and_then(|(_, holder)| holder.clone())
    }
}

fn name(number: usize) -> String {
    format!("i{number:02}")
}

/// Makes one installation after the other and changes those that there are, until there are all and `ended` says so.
async fn load(sandbox: &Sandbox, made: &Mutex<usize>, ended: &AtomicBool) -> BTreeMap<String, i32> {
    let mut wanted = BTreeMap::new();
    let mut ticks = interval(PACE);
    let mut tick = 0;
    while wanted.len() < INSTALLATIONS || !ended.load(Ordering::Relaxed) {
        ticks.tick().await;
        if wanted.len() < INSTALLATIONS {
            let name = name(wanted.len());
            sandbox.database_secret_as(&name).await;
            install(sandbox, &name).await;
            wanted.insert(name, 30);
            *made.lock().unwrap() += 1;
        }
        // Each in its turn, also those whose migration runs.
        let changed = name(tick % wanted.len());
        let seconds = 31 + i32::try_from(tick).unwrap() % 200;
        let change = Patch::Merge(json!({ "spec": { "requestTimeoutSeconds": seconds } }));
        let resources: Api<FlagsmithDeployment> = sandbox.api();
        resources.patch(&changed, &PatchParams::default(), &change).await.unwrap();
        wanted.insert(changed, seconds);
        tick += 1;
    }
    wanted
}

async fn install(sandbox: &Sandbox, name: &str) {
    let url = json!({ "secretKeyRef": { "name": name, "key": "DATABASE_URL" } });
    // One pod each is enough: it is the operator that works.
    let spec = json!({ "version": "2.260.0", "database": { "urlFrom": url }, "api": { "replicas": 1 } });
    sandbox.create::<FlagsmithDeployment>(json!({ "metadata": { "name": name }, "spec": spec })).await;
}

#[test]
fn an_upgrade_of_the_operator_under_load_loses_nothing() {
    run(async {
        Box::pin(upgraded()).await;
    });
}

async fn upgraded() {
    let sandbox = Sandbox::empty("handover").await;
    let (holders, attempts) =
        (Holders::default(), Arc::<Mutex<BTreeMap<String, BTreeSet<String>>>>::default());
    let watches = [
        follow::<Lease>(&sandbox, {
            let holders = holders.clone();
            move |lease| holders.saw(&lease)
        }),
        follow::<Job>(&sandbox, {
            let attempts = Arc::clone(&attempts);
            move |job| {
                let (name, uid) = (job.name_any(), job.uid().unwrap());
                if let Some((of, _)) = name.split_once("-migrate-") {
                    attempts.lock().unwrap().entry(of.to_owned()).or_default().insert(uid);
                }
            }
        }),
    ];
    let old = Replica::start(&sandbox.namespace, "old");
    old.ready().await;
    let (made, ended) = (Mutex::new(0), AtomicBool::new(false));
    let exchange = async {
        while *made.lock().unwrap() < AT_THE_START {
            sleep(PACE).await;
        }
        let new = Replica::start(&sandbox.namespace, "new");
        new.ready().await;
        assert!(holders.last().is_some_and(|it| it.starts_with("old")), "{:?}", holders.0);
        old.terminate();
        let took = old.ended().await;
        let leads = timeout(SOON, async {
            while !holders.last().is_some_and(|it| it.starts_with("new")) {
                sleep(Duration::from_millis(20)).await;
            }
        });
        leads.await.expect("the new one leads");
        ended.store(true, Ordering::Relaxed);
        (new, took)
    };
    let ((new, took), wanted) = future::join(exchange, load(&sandbox, &made, &ended)).await;
    let nobody = holders.nobody_led();
    println!("the old one has ended {took:?} after SIGTERM; nobody led for {nobody:?}");
    assert!(nobody < WITHOUT_LEADER, "nobody led for {nobody:?}");

    // Each change is made in the end, without another one that would draw attention to it.
    let settled = timeout(SOON, async {
        loop {
            let missing = missing(&sandbox, &wanted).await;
            if missing.is_empty() {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
    });
    let late = if settled.await.is_err() { missing(&sandbox, &wanted).await } else { Vec::new() };
    assert!(late.is_empty(), "not as asked for within {SOON:?}: {late:?}; {}", new.log());
    let attempts = attempts.lock().unwrap().clone();
    assert_eq!(attempts.len(), INSTALLATIONS, "{attempts:?}");
    assert!(attempts.values().all(|jobs| jobs.len() == 1), "a second Job of a migration: {attempts:?}");
    let warnings: Vec<_> = sandbox
        .api::<Event>()
        .list(&ListParams::default())
        .await
        .unwrap()
        .into_iter()
        .filter(|it| it.involved_object.kind.as_deref() == Some("FlagsmithDeployment"))
        .filter(|it| it.type_.as_deref() != Some("Normal"))
        .collect();
    assert!(warnings.is_empty(), "{warnings:?}");
    new.terminate();
    new.ended().await;
    for watch in watches {
        watch.abort();
    }
    sandbox.end().await;
}

/// Those that are not yet as they were asked to be.
async fn missing(sandbox: &Sandbox, wanted: &BTreeMap<String, i32>) -> Vec<String> {
    let found = sandbox.api::<FlagsmithDeployment>().list(&ListParams::default()).await.unwrap();
    let settled: BTreeSet<String> = found
        .into_iter()
        .filter(|it| condition(it, "Ready").0 == "True")
        .filter(|it| {
            let timeouts = it.status.as_ref().and_then(|status| status.timeouts.as_ref());
            timeouts.and_then(|it| it.request) == wanted.get(&it.name_any()).copied()
        })
        .map(|it| it.name_any())
        .collect();
    wanted.keys().filter(|name| !settled.contains(*name)).cloned().collect()
}
