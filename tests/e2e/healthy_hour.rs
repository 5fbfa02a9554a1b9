//! An hour in which much happens and nothing is wrong: pods and operator restart, a release replaces another, 20,000 tasks
//! are run. Nobody is woken for any of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    audit, http,
    kubectl::{kubectl, pointer, wait_until},
    namespace::{NEW, Namespace, OLD, demo, step},
    operator::{self, SYSTEM},
    statuses::{Status, Statuses},
};

/// What is done last has been said in this time: troubles of the past are told for a while (`causes/pod_logs.rs`).
const SAID: Duration = Duration::from_mins(3);
/// Nothing happens, and nothing is written.
const QUIET: Duration = Duration::from_mins(5);
/// Between two of the things that are done.
const BETWEEN: Duration = Duration::from_mins(5);
/// Queued in each second, which two cores run beside a whole cluster.
const TASKS: u32 = 10;
/// Queued in the hour.
const QUEUED: u32 = 20_000;

/// What Events may say.
const DONE: &[&str] = &["Available", "MigrationStarted", "MigrationSucceeded"];

#[test]
#[ignore = "an hour: make trial-healthy"]
fn an_hour_of_healthy_running_is_no_trouble() {
    step("install the operator by its chart", operator::installed);
    let namespace = Namespace::new("healthy");
    step("a FlagsmithDeployment becomes Ready", || {
        namespace.apply(&resource(OLD));
        namespace.settled();
    });
    let statuses = Statuses::follow(namespace.name());
    step("nothing happens", || quiet(&namespace, &statuses));
    let tasks = Tasks::queue(namespace.service("flagsmith-api"));
    let step = |name: &str, run: &dyn Fn()| {
        let start = Instant::now();
        step(name, run);
        sleep(BETWEEN.saturating_sub(start.elapsed()));
    };
    step("tasks are queued", &|| {});
    step("a pod of the API is deleted", &|| deleted(&namespace, "api"));
    step("the pod of the task processor is deleted", &|| deleted(&namespace, "task-processor"));
    step("both pods of the operator are killed", &operator::killed);
    step("the operator's pods are replaced", &|| {
        kubectl(&["-n", SYSTEM, "rollout", "restart", "deployment/flagsmith-operator"]);
    });
    step("a newer release", &|| {
        namespace.apply(&resource(NEW));
        namespace.settled();
    });
    step("the API's pods are replaced", &|| {
        namespace.kubectl(&["rollout", "restart", "deployment/flagsmith-api"]);
    });
    step("the pod of the frontend is deleted", &|| deleted(&namespace, "frontend"));
    step("tasks are queued again", &|| {
        wait_until(BETWEEN, "enough is queued", || {
            let queued = tasks.queued.load(Ordering::Relaxed);
            (queued >= QUEUED).then_some(()).ok_or(queued.to_string())
        });
    });
    let queued = tasks.end();
    println!("    {queued} tasks were queued");
    wait_until(BETWEEN, "every task is run", || {
        let left = namespace.sql("SELECT count(*) FROM task_processor_task WHERE NOT completed");
        (left == "0").then_some(()).ok_or(left)
    });
    quiet(&namespace, &statuses);
    println!("{}", namespace.kubectl(&["describe", "fsd", "flagsmith"]));
    let seen = statuses.seen();
    println!("    {} statuses were seen", seen.len());
    let alarms: Vec<_> = seen.iter().flat_map(Status::alarms).collect();
    assert!(alarms.is_empty(), "{} alarms: {alarms:#?}", alarms.len());
    events(&namespace);
    namespace.remove();
    operator::uninstall();
}

/// The demo's resource with an API that a restart of a pod does not take away.
fn resource(version: &str) -> String {
    demo(version).replace("  api:\n    replicas: 1\n", "  api:\n    replicas: 2\n")
}

fn deleted(namespace: &Namespace, component: &str) {
    let label = format!("app.kubernetes.io/component={component}");
    let names = namespace.kubectl(&["get", "pods", "-l", &label, "-o", "name"]);
    namespace.kubectl(&["delete", names.lines().next().unwrap()]);
}

/// The operator writes nothing, whatever it reads.
fn quiet(namespace: &Namespace, statuses: &Statuses) {
    sleep(SAID);
    let since = audit::now();
    let version = || pointer(&namespace.fsd(), "/metadata/resourceVersion").to_string();
    let before = version();
    sleep(QUIET);
    let requests = audit::of_the_operator(&since);
    let writes: Vec<_> = requests.iter().filter(|it| it.writes() && it.resource() != "leases").collect();
    println!("    {} requests, {} writes", requests.len(), writes.len());
    assert!(writes.is_empty(), "{}\n{writes:#?}", statuses.last_change());
    assert!(!requests.is_empty(), "the operator's requests are in the log");
    assert_eq!(version(), before, "nobody else has written either");
}

/// Only of what was done, each of them Normal.
fn events(namespace: &Namespace) {
    let list =
        namespace.json(&["get", "events", "--field-selector", "involvedObject.kind=FlagsmithDeployment"]);
    let items = pointer(&list, "/items").as_array().unwrap();
    for item in items {
        println!("    {} {} {}", item["type"], item["reason"], item["message"]);
    }
    let unexpected: Vec<&Value> = items
        .iter()
        .filter(|it| it["type"] != "Normal" || !DONE.iter().any(|reason| it["reason"] == **reason))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

/// Tasks that are queued in each second until it ends.
struct Tasks {
    queued: Arc<AtomicU32>,
    ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Tasks {
    fn queue(api: String) -> Self {
        let (queued, ended) = (Arc::<AtomicU32>::default(), Arc::<AtomicBool>::default());
        let (count, end) = (Arc::clone(&queued), Arc::clone(&ended));
        let path = format!("/testbed/enqueue?task=write_result&count={TASKS}&value=healthy");
        let thread = spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let second = Instant::now();
                if http::post(&api, 8000, &path).status == 202 {
                    count.fetch_add(TASKS, Ordering::Relaxed);
                }
                sleep(Duration::from_secs(1).saturating_sub(second.elapsed()));
            }
        });
        Self { queued, ended, thread }
    }

    fn end(self) -> u32 {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.queued.load(Ordering::Relaxed)
    }
}
