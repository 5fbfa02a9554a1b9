//! Random schedules: the whole operator against an API server in memory, with faults of the network, edits of users, crashes,
//! clocks that jump, often a second replica that takes over while the first one stands still or is cut off, and often a
//! second installation on the same database. After each change the invariants hold (`invariants.rs`), and when the trouble
//! is over everything becomes what was asked for, and quiet.
//!
//! `CHAOS_SCHEDULES` is how many are run: a few by default, `make chaos` many. One that fails prints what happened, in order.
//! `CHAOS_SEED` runs it again, request by request where there is one installation, some times where there are two (the
//! client library takes those that are due at one moment in the order of its hash tables), and `RUST_LOG` shows the operator's log, or with `chaos=debug` its
//! requests.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test stops where something is not as it must be"
)]

mod cluster;
mod cost;
mod installations;
mod invariants;
mod lists;
#[path = "../reconcile/support/merge.rs"]
mod merge;
mod network;
mod real;
mod replay;
mod replica;
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

use flagsmith_operator::runtime::{clock, random};
use jiff::SignedDuration;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    installations::{is_ready, resource},
    merge::merge,
    network::{Faults, Link},
    replica::Replica,
    server::{REPLICAS, Server},
    store::{BEGINNING, Key},
};

/// How many schedules are run where nobody says.
const SCHEDULES: u64 = 8;
/// How often one that failed is run again, until it fails.
const AGAIN: usize = 20;
/// After so many it is said how far it has come.
const PROGRESS: u64 = 500;
/// After so many that failed no more are run.
const FAILURES: usize = 3;
/// The releases that a user asks for. No rule makes a stop of one.
const VERSIONS: [&str; 3] = ["2.262.0", "2.263.0", "2.264.0"];
/// How many Jobs fail while there is trouble.
const FAILING: f64 = 0.15;
/// After the trouble: longer than any back-off.
const SETTLES: Duration = Duration::from_mins(60);
/// A schedule takes some seconds, and minutes where others need the machine; one that takes so long will not end.
const BUSY: Duration = Duration::from_mins(30);
/// How long the server takes for a write at most: less than lies between two leaders.
const BUSY_FOR: Duration = Duration::from_millis(2_500);
/// How far clocks jump, in seconds: when they are corrected, when a machine goes on, and when somebody sets them wrongly.
const JUMPS: [i64; 6] = [-86_400, -3_600, -20, 20, 3_600, 86_400];
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
    let (first, count, times) = number("CHAOS_SEED").map_or_else(
        || (rand::random::<u32>().into(), number("CHAOS_SCHEDULES").unwrap_or(SCHEDULES), 1),
        |seed| (seed, 1, AGAIN),
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
                    for _ in 0..times {
                        let outcome = apart(seed, move || schedule(seed, true)).flatten();
                        let failed = outcome.is_err();
                        totals.lock().unwrap().add(seed, outcome);
                        if failed {
                            break;
                        }
                    }
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
    fn add(&mut self, seed: u64, outcome: Result<Ran, String>) {
        self.ran += 1;
        match outcome {
            Ok(ran) => {
                self.events += ran.events;
                self.writes += ran.writes;
            }
            Err(why) => {
                // Said at once too: a run may be ended before the last schedule.
                println!("CHAOS_SEED={seed} fails");
                self.failed.push(format!("CHAOS_SEED={seed}: {why}"));
            }
        }
        if self.ran.is_multiple_of(PROGRESS) {
            println!("{} schedules so far", self.ran);
        }
    }
}

/// What a schedule had.
struct Ran {
    events: usize,
    writes: usize,
    journal: Vec<String>,
}

/// Runs something on a thread of its own, whose clock stands still while anybody works, and whose chance is the seed's.
fn apart<T: Send + 'static, F: Future<Output = T>>(
    seed: u64,
    run: impl FnOnce() -> F + Send + 'static,
) -> Result<T, String> {
    let (done, ended) = mpsc::channel();
    // The operator's futures are deep without optimisation.
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        random::seed(seed);
        // That of the client library's back-off.
        fastrand::seed(seed);
        let set = async {
            clock::set(BEGINNING.parse().unwrap());
            run().await
        };
        let _ = done.send(runtime.block_on(set));
    });
    thread.unwrap();
    ended.recv_timeout(BUSY).map_err(|error| match error {
        mpsc::RecvTimeoutError::Timeout => "something is always busy, and no time passes".to_owned(),
        mpsc::RecvTimeoutError::Disconnected => "it panicked".to_owned(),
    })
}

/// Runs one, where there may be two installations if they may share a database, and says what it had.
async fn schedule(seed: u64, shares: bool) -> Result<Ran, String> {
    let server = Server::new(seed);
    let mut installations = installations::some(&server);
    installations.truncate(if shares { 2 } else { 1 });
    installations::make(&server, &installations);
    server.with(|state| state.installations = installations);
    let (events, count) =
        server.with(|state| (state.random.random_range(10..60), state.random.random_range(1..=REPLICAS)));
    let mut replicas: Vec<Replica> =
        (0..count).map(|place| Replica::start(&server, place, count > 1)).collect();
    for _ in 0..events {
        let (wait, event) = server.with(|state| {
            let wait = Duration::from_millis(state.random.random_range(0..8_000));
            (wait, state.random.random_range(0..117_u32))
        });
        sleep(wait).await;
        check(&server)?;
        let told = match event {
            0..100 => happens(&server, &mut replicas, event),
            100..114 if count > 1 => overlaps(&server, &mut replicas, event),
            _ => jumps(&server),
        };
        server.with(|state| state.note(told));
        check(&server)?;
    }
    settles(&server, replicas).await?;
    Ok(server.with(|state| Ran { events, writes: state.writes, journal: std::mem::take(&mut state.journal) }))
}

/// Something happens; it says what.
fn happens(server: &Server, replicas: &mut [Replica], event: u32) -> String {
    let pick = |count: usize| server.with(|state| state.random.random_range(0..count));
    let all = server.with(|state| state.installations.clone());
    let chosen = &all[pick(all.len())];
    let edit_one = |which: &Key, change: &Value| {
        server.with(|state| state.store.edit(which, |it| merge(it, change.clone())));
    };
    let edit = |change: Value| edit_one(chosen, &change);
    match event {
        0..45 => {
            let steps = pick(6);
            server.with(|state| (0..steps).filter(|_| state.step(FAILING)).count());
            format!("{steps} steps of Kubernetes")
        }
        45..55 => {
            let version = VERSIONS[pick(VERSIONS.len())];
            // Those who share a database are upgraded together, or one after the other.
            let together = pick(2) == 0;
            for which in all.iter().filter(|it| together || *it == chosen) {
                edit_one(which, &json!({ "spec": { "version": version } }));
            }
            format!("version {version} {}", if together { "of all" } else { &chosen.2 })
        }
        55..60 => {
            let (api, processors) = (1 + pick(3), pick(3));
            edit(
                json!({ "spec": { "api": { "replicas": api }, "taskProcessor": { "replicas": processors } } }),
            );
            format!("{}: {api} pods of the API, {processors} task processors", chosen.2)
        }
        60..63 => {
            let suspended = pick(2) == 0;
            edit(json!({ "spec": { "suspend": suspended } }));
            format!("{}: suspend {suspended}", chosen.2)
        }
        63..66 => {
            let retry = pick(1_000).to_string();
            edit(
                json!({ "metadata": { "annotations": { "operator.flagsmith.com/retry-migration": retry } } }),
            );
            format!("{}: another attempt", chosen.2)
        }
        66..70 => {
            let enabled = pick(2) == 0;
            edit(json!({ "spec": { "frontend": { "enabled": enabled } } }));
            format!("{}: frontend {enabled}", chosen.2)
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
            let place = pick(replicas.len());
            replicas[place].kill();
            format!("replica {place} of the operator is killed")
        }
        87..90 => {
            server.with(|state| state.store.delete(chosen, false));
            server.with(|state| state.store.create(chosen.clone(), resource(VERSIONS[0])).unwrap());
            // Nobody can know which release the database is at.
            format!("{} {} is deleted and made again", chosen.1, chosen.2)
        }
        90..96 => {
            // Where nobody waits for a lease a crash is no end of what is on its way.
            let busy = if replicas.len() > 1 { BUSY_FOR } else { Duration::ZERO };
            server.with(|state| state.faults = Faults::many(busy));
            "the network is bad".to_owned()
        }
        _ => {
            server.with(|state| state.faults = Faults::default());
            "the network is well".to_owned()
        }
    }
}

/// One replica is in trouble, so that the other takes over, or is well again.
fn overlaps(server: &Server, replicas: &mut [Replica], event: u32) -> String {
    let place = server.with(|state| state.random.random_range(0..replicas.len()));
    let link = |link: Link| {
        server.with(|state| state.links[place] = link);
        format!("the connection of replica {place}: {link:?}")
    };
    match event {
        100..103 => {
            replicas[place].stand(true);
            format!("replica {place} stands still")
        }
        103..107 => {
            replicas[place].stand(false);
            format!("replica {place} goes on")
        }
        107..108 => link(Link::Cut),
        108..109 => link(Link::Slow),
        109..110 => link(Link::WithoutLeases),
        110..112 => link(Link::Well),
        _ => {
            replicas[place].roll();
            format!("replica {place} is replaced")
        }
    }
}

/// The clocks of the operator jump; the cluster's is right.
fn jumps(server: &Server) -> String {
    let seconds = JUMPS[server.with(|state| state.random.random_range(0..JUMPS.len()))];
    clock::set(clock::now() + SignedDuration::from_secs(seconds));
    format!("the clock jumps by {seconds} s")
}

fn check(server: &Server) -> Result<(), String> {
    let broken = server.with(|state| std::mem::take(&mut state.invariants.broken));
    if broken.is_empty() { Ok(()) } else { Err(told(server, &format!("{broken:#?}"))) }
}

/// What went wrong, and what happened before: all that changes something.
fn told(server: &Server, why: &str) -> String {
    let journal = server.with(|state| std::mem::take(&mut state.journal));
    let shown: Vec<String> = journal.into_iter().filter(|it| !it.contains(": GET ")).collect();
    format!("{why}\nafter\n{}", shown.join("\n"))
}

/// The trouble ends: what is wanted comes true, and then nothing is written any more.
async fn settles(server: &Server, replicas: Vec<Replica>) -> Result<(), String> {
    for replica in &replicas {
        replica.stand(false);
    }
    server.with(|state| {
        state.note("the trouble is over");
        state.faults = Faults::default();
        state.links = [Link::default(); REPLICAS];
        let annotations = json!({ "operator.flagsmith.com/retry-migration": "last" });
        let change = json!({ "spec": { "suspend": false }, "metadata": { "annotations": annotations } });
        for which in state.installations.clone() {
            state.store.edit(&which, |it| merge(it, change.clone()));
        }
    });
    let mut left = SETTLES;
    loop {
        server.with(|state| {
            while state.step(0.0) {}
            // A downgrade waits for its confirmation.
            for which in state.installations.clone() {
                let migrated = state.invariants.migrated.get(&(which.1.clone(), which.2.clone()));
                let Some(newest) = migrated.and_then(|it| it.last()).cloned() else { continue };
                state.store.edit(&which, |it| {
                    if it["spec"]["version"].as_str().is_some_and(|wanted| *wanted < *newest) {
                        it["spec"]["version"] = json!(newest);
                    }
                });
            }
        });
        check(server)?;
        let waits: Vec<Value> = server.with(|state| {
            let all = state.installations.iter().map(|it| state.store.get(it).unwrap());
            all.filter(|it| !is_ready(it)).map(|it| it["status"].clone()).collect()
        });
        let due = server.with(|state| state.due().len());
        if waits.is_empty() && due == 0 {
            break;
        }
        if left.is_zero() {
            return Err(told(server, &format!("it does not settle, {due} steps are due: {waits:#?}")));
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
    let after = server.with(|state| state.writes);
    for replica in replicas {
        replica.end();
    }
    if after != before {
        return Err(told(server, &format!("{} writes after it has settled", after - before)));
    }
    check(server)
}
