//! Back to an older release while requests come in: none is lost, also when undoing fails half-way.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::{Duration, Instant},
};

use crate::{
    http,
    kubectl::{pointer, wait_until},
    migrations::{ready_at, resource, retry},
    namespace::{Namespace, START, step},
    operator,
};

/// Releases between which nothing is known that older pods cannot do: 0005 and 0006 lie between them.
const OLDER: &str = "2.253.0";
const NEWER: &str = "2.260.0";

/// Requests of all clients in a second.
const RATE: u32 = 100;
/// So many that one which waits does not slow the others down.
const CLIENTS: u32 = 25;

/// Clients that ask the API through its Service at a steady rate.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
    began: Instant,
}

impl Load {
    fn begin(api: &str) -> Self {
        let (stop, sent, failed) = <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<Mutex<Vec<String>>>)>::default();
        let pause = Duration::from_secs(1) * CLIENTS / RATE;
        let client = |number: u32| {
            let (stop, sent, failed) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&failed));
            let api = api.to_owned();
            spawn(move || {
                let mut due = Instant::now() + pause * number / CLIENTS;
                while !stop.load(Ordering::Relaxed) {
                    sleep(due.saturating_duration_since(Instant::now()));
                    due += pause;
                    let answer =
                        http::get(&api, 8000, "/api/v1/flags/", &[("X-Environment-Key", "anything")]);
                    sent.fetch_add(1, Ordering::Relaxed);
                    if answer.status != 200 {
                        let now = jiff::Timestamp::now();
                        failed.lock().unwrap().push(format!("{now:.0} {} {}", answer.status, answer.body));
                    }
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { stop, sent, failed, clients, began: Instant::now() }
    }

    /// Ends, and says how many were sent in a second: none may have failed.
    fn verdict(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        let (sent, failed) = (self.sent.load(Ordering::Relaxed), self.failed.lock().unwrap());
        let seconds = self.began.elapsed().as_secs_f64();
        println!("    load: {sent} requests in {seconds:.0} s, {} failed", failed.len());
        assert!(failed.is_empty(), "{} of {sent}: {:#?}", failed.len(), &failed[..failed.len().min(20)]);
    }
}

#[test]
fn a_rollback_under_load_loses_no_request() {
    step("install the operator by its chart", operator::installed);
    let namespace = Namespace::new("rollback");
    let back = format!("    rollback: {{from: \"{NEWER}\", to: \"{OLDER}\"}}\n");
    step("an upgrade", || {
        namespace.apply(&resource(OLDER, ""));
        ready_at(&namespace, OLDER);
        namespace.apply(&resource(NEWER, ""));
        ready_at(&namespace, NEWER);
        namespace.settled();
    });
    let api = namespace.service("flagsmith-api");
    step("undoing fails half-way, and the older release serves on", || {
        namespace.sql("CREATE VIEW in_the_way AS SELECT duration FROM testbed_result");
        let load = Load::begin(&api);
        namespace.apply(&resource(OLDER, &back));
        wait_until(START, "the undoing has failed", || {
            let fsd = namespace.fsd();
            let undoing = namespace.kubectl(&["get", "jobs", "-o", "name"]).contains("rollback-");
            if undoing {
                let pods = namespace.kubectl(&[
                    "get",
                    "pods",
                    "-l",
                    "app.kubernetes.io/component=api",
                    "-o",
                    IMAGES,
                ]);
                assert!(!pods.contains(NEWER), "it is undone while newer pods serve: {pods}");
            }
            let migration = pointer(&fsd, "/status/migration").clone();
            (migration["result"] == "Failed" && migration["operation"] == "RollBack")
                .then_some(())
                .ok_or_else(|| namespace.kubectl(&["get", "fsd", "flagsmith", "-o", "wide"]))
        });
        wait_until(START, "the older task processor works", || {
            let processor = namespace.condition("TaskProcessorAvailable");
            let fsd = namespace.fsd();
            let version = pointer(&fsd, "/status/components/taskProcessor/version").clone();
            (processor == "True" && version == OLDER)
                .then_some(())
                .ok_or_else(|| format!("{processor} {version}"))
        });
        assert_eq!(namespace.condition("ApiAvailable"), "True");
        assert_eq!(namespace.sql("SELECT to_regclass('testbed_delivery') IS NULL"), "t", "0006 is undone");
        println!("    {}", pointer(&namespace.fsd(), "/status/diagnoses/0"));
        load.verdict();
    });
    step("after the cause is mended it is undone, and no request is lost", || {
        namespace.sql("DROP VIEW in_the_way");
        let load = Load::begin(&api);
        retry(&namespace, "1");
        ready_at(&namespace, OLDER);
        load.verdict();
        assert_eq!(
            namespace
                .sql("SELECT count(*) FROM django_migrations WHERE app = 'testbed' AND name ~ '^000[56]'"),
            "0"
        );
    });
    step("there and back again under load", || {
        let load = Load::begin(&api);
        namespace.apply(&resource(NEWER, ""));
        ready_at(&namespace, NEWER);
        namespace.settled();
        namespace.apply(&resource(OLDER, &back));
        ready_at(&namespace, OLDER);
        namespace.settled();
        load.verdict();
        println!("    {:?}", namespace.codes());
    });
    namespace.remove();
}

/// The images of pods.
const IMAGES: &str = "jsonpath={.items[*].spec.containers[*].image}";
