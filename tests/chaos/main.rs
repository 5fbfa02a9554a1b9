//! Random schedules: the whole operator against an API server in memory, with faults of the network, edits of users, crashes
//! and lost watches. After each change the invariants hold (`invariants.rs`), and when the trouble is over everything becomes
//! what was asked for, and quiet.
//!
//! `CHAOS_SCHEDULES` is how many are run: a few by default, `make chaos` many. `CHAOS_SEED` runs a single one again, and
//! `RUST_LOG` shows the operator's log, or with `chaos=debug` its requests.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test stops where something is not as it must be"
)]

mod cluster;
mod cost;
mod invariants;
#[path = "../reconcile/support/merge.rs"]
mod merge;
mod real;
mod server;
mod store;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use flagsmith_operator::{
    controller::{
        readiness::{Gate, Readiness},
        run::{Settings, run},
    },
    model::DocsUrl,
    observe::Scope,
    runtime::{
        client::connect_with,
        lock_key::{LockKey, LockKeySource},
        metrics::Metrics,
    },
};
use kube::Config;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    merge::merge,
    server::{Faults, Server},
    store::{Key, base64},
};

/// How many schedules are run where nobody says.
const SCHEDULES: u64 = 8;
/// After so many that failed no more are run.
const FAILURES: usize = 3;
/// The releases that a user asks for. No rule makes a stop of one.
const VERSIONS: [&str; 3] = ["2.262.0", "2.263.0", "2.264.0"];
/// How many Jobs fail while there is trouble.
const FAILING: f64 = 0.15;
/// After the trouble: longer than any back-off.
const SETTLES: Duration = Duration::from_mins(60);
/// A schedule takes some seconds; one that takes so long will not end.
const BUSY: Duration = Duration::from_mins(5);
/// How long nothing may be written afterwards.
const QUIET: Duration = Duration::from_mins(2);

#[test]
fn the_invariants_hold_in_every_schedule() {
    let _ = tracing_subscriber::fmt()
        .with_test_writer()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into()),
        )
        .try_init();
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let (first, count) = number("CHAOS_SEED").map_or_else(
        || (rand::random::<u32>().into(), number("CHAOS_SCHEDULES").unwrap_or(SCHEDULES)),
        |seed| (seed, 1),
    );
    let begun = std::time::Instant::now();
    let (next, totals) = (AtomicU64::new(first), Mutex::new(Totals::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || totals.lock().unwrap().failed.len() >= FAILURES {
                        return;
                    }
                    let outcome = apart(move || schedule(seed)).flatten();
                    totals.lock().unwrap().add(seed, outcome);
                }
            });
        }
    });
    let Totals { ran, events, writes, failed } = totals.into_inner().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{ran} schedules from {first}, {events} events, {writes} writes of the operator, {seconds:.0} s"
    );
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[derive(Default)]
struct Totals {
    ran: u64,
    events: usize,
    writes: usize,
    failed: Vec<String>,
}

impl Totals {
    fn add(&mut self, seed: u64, outcome: Result<(usize, usize), String>) {
        self.ran += 1;
        match outcome {
            Ok((events, writes)) => {
                self.events += events;
                self.writes += writes;
            }
            Err(why) => self.failed.push(format!("CHAOS_SEED={seed}: {why}")),
        }
    }
}

/// Runs something on a thread of its own, whose clock stands still while anybody works.
fn apart<T: Send + 'static, F: Future<Output = T>>(
    run: impl FnOnce() -> F + Send + 'static,
) -> Result<T, String> {
    let (done, ended) = mpsc::channel();
    // The operator's futures are deep without optimisation.
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let _ = done.send(runtime.block_on(run()));
    });
    thread.unwrap();
    ended.recv_timeout(BUSY).map_err(|error| match error {
        mpsc::RecvTimeoutError::Timeout => "something is always busy, and no time passes".to_owned(),
        mpsc::RecvTimeoutError::Disconnected => "it panicked".to_owned(),
    })
}

fn installation() -> Key {
    ("flagsmithdeployments".to_owned(), "prod".to_owned(), "flagsmith".to_owned())
}

/// Runs one, and says how many events it had and how many writes.
async fn schedule(seed: u64) -> Result<(usize, usize), String> {
    let server = Server::new(seed);
    prepare(&server);
    let mut operator = start(&server);
    let mut told = Vec::new();
    let events = server.with(|state| state.random.random_range(10..60));
    for _ in 0..events {
        let (wait, event) = server.with(|state| {
            let wait = Duration::from_millis(state.random.random_range(0..8_000));
            (wait, state.random.random_range(0..100_u32))
        });
        sleep(wait).await;
        told.push(happens(&server, &mut operator, event));
        check(&server, &told)?;
    }
    settles(&server, operator, &told).await?;
    Ok((events, server.with(|state| state.writes)))
}

/// An installation whose database is known by its Secret.
fn prepare(server: &Server) {
    server.with(|state| {
        let url = base64("postgresql://flagsmith:secret@192.0.2.1:5432/flagsmith");
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "data": { "DATABASE_URL": url } });
        let key = |resource: &str, name: &str| (resource.to_owned(), "prod".to_owned(), name.to_owned());
        state.store.create(key("secrets", "db"), secret).unwrap();
        state.store.create(installation(), resource(VERSIONS[0])).unwrap();
    });
}

fn resource(version: &str) -> Value {
    json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment", "metadata": {},
        "spec": {
            "version": version,
            "database": { "urlFrom": { "secretKeyRef": { "name": "db", "key": "DATABASE_URL" } } },
        },
    })
}

fn start(server: &Server) -> JoinHandle<()> {
    let metrics = Metrics::new();
    let config = Config::new("http://192.0.2.2".parse().unwrap());
    let client = connect_with(config, metrics.clone(), server).unwrap();
    let readiness = Readiness::new();
    readiness.open(Gate::Rights);
    let settings = Settings {
        loopback_databases: false,
        scope: Scope::Cluster,
        concurrency: 8,
        lease: None,
        lock_key: LockKeySource::Given(LockKey::new(b"chaos")),
        database_interval: None,
        docs: DocsUrl::default(),
        instance: Some("chaos".to_owned()),
    };
    tokio::spawn(run(client, settings, readiness, metrics, CancellationToken::new()))
}

/// Something happens; it says what.
fn happens(server: &Server, operator: &mut JoinHandle<()>, event: u32) -> String {
    let edit = |change: Value| {
        server.with(|state| {
            if state.store.get(&installation()).is_some() {
                state.store.edit(&installation(), |it| merge(it, change));
            }
        });
    };
    let pick = |count: usize| server.with(|state| state.random.random_range(0..count));
    match event {
        0..45 => {
            let steps = pick(6);
            server.with(|state| (0..steps).filter(|_| state.step(FAILING)).count());
            format!("{steps} steps of Kubernetes")
        }
        45..55 => {
            let version = VERSIONS[pick(VERSIONS.len())];
            edit(json!({ "spec": { "version": version } }));
            format!("version {version}")
        }
        55..60 => {
            let (api, processors) = (1 + pick(3), pick(3));
            edit(
                json!({ "spec": { "api": { "replicas": api }, "taskProcessor": { "replicas": processors } } }),
            );
            format!("{api} pods of the API, {processors} task processors")
        }
        60..63 => {
            let suspended = pick(2) == 0;
            edit(json!({ "spec": { "suspend": suspended } }));
            format!("suspend {suspended}")
        }
        63..66 => {
            let retry = pick(1_000).to_string();
            edit(
                json!({ "metadata": { "annotations": { "operator.flagsmith.com/retry-migration": retry } } }),
            );
            "another attempt".to_owned()
        }
        66..70 => {
            let enabled = pick(2) == 0;
            edit(json!({ "spec": { "frontend": { "enabled": enabled } } }));
            format!("frontend {enabled}")
        }
        70..75 => {
            let children = server.with(|state| {
                ["deployments", "services", "poddisruptionbudgets", "serviceaccounts"]
                    .iter()
                    .flat_map(|it| state.store.of(it))
                    .collect::<Vec<_>>()
            });
            let Some((key, _)) = children.get(pick(children.len().max(1))) else {
                return "nothing".to_owned();
            };
            server.with(|state| state.store.delete(key, false));
            format!("{} {} is deleted", key.0, key.2)
        }
        75..79 => {
            let deployments = server.with(|state| state.store.of("deployments"));
            let Some((key, _)) = deployments.get(pick(deployments.len().max(1))) else {
                return "nothing".to_owned();
            };
            server.with(|state| {
                state
                    .store
                    .edit(key, |it| it["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil"));
            });
            format!("somebody changes {}", key.2)
        }
        79..87 => {
            operator.abort();
            *operator = start(server);
            "the operator is killed".to_owned()
        }
        87..90 => {
            server.with(|state| state.store.delete(&installation(), false));
            server.with(|state| state.store.create(installation(), resource(VERSIONS[0])).unwrap());
            // Nobody can know which release the database is at.
            "deleted and made again".to_owned()
        }
        90..96 => {
            let faults = Faults {
                refuse: 0.1,
                lose: 0.1,
                hang: 0.03,
                end_watch: 0.05,
                gone: 0.03,
                lag: Duration::from_secs(5),
            };
            server.with(|state| state.faults = faults);
            "the network is bad".to_owned()
        }
        _ => {
            server.with(|state| state.faults = Faults::default());
            "the network is well".to_owned()
        }
    }
}

fn check(server: &Server, told: &[String]) -> Result<(), String> {
    let broken = server.with(|state| std::mem::take(&mut state.invariants.broken));
    if broken.is_empty() {
        return Ok(());
    }
    Err(format!("{broken:#?}\nafter {told:#?}"))
}

/// The trouble ends: what is wanted comes true, and then nothing is written any more.
async fn settles(server: &Server, operator: JoinHandle<()>, told: &[String]) -> Result<(), String> {
    server.with(|state| {
        state.faults = Faults::default();
        let annotations = json!({ "operator.flagsmith.com/retry-migration": "last" });
        let change = json!({ "spec": { "suspend": false }, "metadata": { "annotations": annotations } });
        state.store.edit(&installation(), |it| merge(it, change));
    });
    let mut left = SETTLES;
    loop {
        server.with(|state| {
            while state.step(0.0) {}
            // A downgrade waits for its confirmation.
            if let Some(newest) = state.invariants.migrated.iter().max().cloned() {
                state.store.edit(&installation(), |it| {
                    if it["spec"]["version"].as_str().is_some_and(|wanted| *wanted < *newest) {
                        it["spec"]["version"] = json!(newest);
                    }
                });
            }
        });
        check(server, told)?;
        let ready = server.with(|state| is_ready(state.store.get(&installation()).unwrap()));
        let due = server.with(|state| state.due().len());
        if ready && due == 0 {
            break;
        }
        if left.is_zero() {
            let status = server.with(|state| state.store.get(&installation()).unwrap()["status"].clone());
            return Err(format!("it does not settle: {status:#}\nafter {told:#?}"));
        }
        sleep(Duration::from_secs(5)).await;
        left = left.saturating_sub(Duration::from_secs(5));
    }
    // The last counts, and what is cleared away afterwards.
    sleep(QUIET).await;
    server.with(|state| while state.step(0.0) {});
    sleep(QUIET).await;
    let before = server.with(|state| state.writes);
    sleep(QUIET).await;
    let (after, requests) = server.with(|state| (state.writes, state.requests.clone()));
    operator.abort();
    if after != before {
        return Err(format!(
            "{} writes after it has settled: {requests:#?}\nafter {told:#?}",
            after - before
        ));
    }
    check(server, told)
}

fn is_ready(installation: &Value) -> bool {
    let conditions = installation["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| {
        it["type"] == "Ready"
            && it["status"] == "True"
            && it["observedGeneration"] == installation["metadata"]["generation"]
    })
}
