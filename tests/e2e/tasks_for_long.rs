//! More of the task processor, which takes minutes: nothing to do and much to do, neither of which is a trouble; a
//! readiness check that fails; a queue that nobody reads.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    kubectl::{kubectl, pointer, require_cluster, wait_until},
    namespace::{NEW, Namespace, Trials, demo},
    operator::{self, SYSTEM},
    tasks::{
        INTERVAL, RESTART, SILENCE, condition, diagnosis, enqueue, gone, named, others, recover, resource,
        says,
    },
};

/// How long each of them is watched: a dozen looks of the story's interval.
const WATCHED: Duration = Duration::from_mins(1);
/// Tasks that are queued to see how many this machine runs in a second.
const MEASURED: u32 = 500;
/// What is wanted of a machine that bears it, in each second.
const WANTED: u32 = 500;
/// Of what this machine runs at most, to be busy and not overloaded: two parts of three.
const SHARE: (u32, u32) = (2, 3);

#[test]
#[ignore = "six minutes: make trial-tasks"]
fn a_quiet_and_a_busy_task_processor_are_no_trouble() {
    require_cluster();
    operator::install(&["--set", &format!("databaseProbeIntervalSeconds={INTERVAL}")]);
    let namespace = Namespace::new("tasks-for-long");
    let mut trials = Trials::new();
    let mut step =
        |name: &str, run: fn(&Namespace)| trials.trial(name, || run(&namespace), || recover(&namespace));
    namespace.apply(&demo(NEW));
    namespace.settled();
    step("a quiet minute", quiet);
    step("a busy minute", busy);
    step("an operator that is kept away from the database", kept_away);
    step("a processor whose readiness check fails", not_ready);
    step("a second database with nobody reading", mismatch);
    trials.verdict();
    namespace.remove();
    operator::uninstall();
}

/// Nothing happens: no diagnosis, and not one write of the status.
fn quiet(namespace: &Namespace) {
    let version = || pointer(&namespace.fsd(), "/metadata/resourceVersion").to_string();
    // What the step before has left is told first.
    sleep(Duration::from_secs(10));
    let before = version();
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        assert_eq!(others(namespace), Vec::<String>::new());
        sleep(Duration::from_secs(2));
    }
    assert_eq!(version(), before, "a quiet installation is written zero times");
}

/// As many tasks in each second as the machine bears for long: no diagnosis, and all are run.
fn busy(namespace: &Namespace) {
    let start = Instant::now();
    enqueue(namespace, "write_result", MEASURED, "measured");
    run_all(namespace, Duration::from_mins(1));
    let rate = f64::from(MEASURED) / start.elapsed().as_secs_f64();
    let bears = format!("{rate:.0}").parse::<u32>().unwrap() * SHARE.0 / SHARE.1;
    let each = bears.clamp(1, WANTED);
    let (start, mut queued) = (Instant::now(), 0);
    while start.elapsed() < WATCHED {
        let second = Instant::now();
        enqueue(namespace, "write_result", each, "busy");
        queued += each;
        assert_eq!(others(namespace), Vec::<String>::new(), "after {queued} tasks");
        sleep(Duration::from_secs(1).saturating_sub(second.elapsed()));
    }
    let took = start.elapsed().as_secs_f64();
    println!(
        "    the machine runs about {rate:.0} tasks/s; {queued} were queued in {took:.0} s, {:.0} in each second",
        f64::from(queued) / took
    );
    run_all(namespace, Duration::from_mins(1));
    assert_eq!(others(namespace), Vec::<String>::new());
}

fn run_all(namespace: &Namespace, limit: Duration) {
    wait_until(limit, "every task is run", || {
        let left = namespace.sql("SELECT count(*) FROM task_processor_task WHERE NOT completed");
        (left == "0").then_some(()).ok_or(left)
    });
}

/// As a `NetworkPolicy` would: to the operator alone, the database's name leads where nobody answers (an address for
/// documentation, RFC 5737). Nothing is wrong with Flagsmith, and what the operator cannot know it does not deny.
fn kept_away(namespace: &Namespace) {
    let name = format!("flagsmith-database.{}.svc", namespace.name());
    aliases(&format!("[{{\"ip\": \"192.0.2.1\", \"hostnames\": [\"{name}\"]}}]"));
    let kinds = ["DatabaseReachable", "TaskProcessorAvailable"];
    let become_all = |status: &str| {
        for kind in kinds {
            wait_until(RESTART, &format!("{kind} is {status}"), || {
                let is = namespace.condition(kind);
                (is == status).then_some(()).ok_or(is)
            });
        }
    };
    become_all("Unknown");
    for kind in kinds {
        assert_eq!(condition(namespace, kind, "reason"), "ProbeBlocked");
        println!("    {}", condition(namespace, kind, "message"));
    }
    assert_eq!(namespace.condition("ApiAvailable"), "True");
    assert_eq!(others(namespace), Vec::<String>::new());
    aliases("null");
    become_all("True");
}

/// Gives the operator's pods an `/etc/hosts` of their own.
fn aliases(list: &str) {
    let patch = format!("{{\"spec\":{{\"template\":{{\"spec\":{{\"hostAliases\":{list}}}}}}}}}");
    let deployment = "deployment/flagsmith-operator";
    kubectl(&["-n", SYSTEM, "patch", deployment, "-p", &patch]);
    kubectl(&["-n", SYSTEM, "rollout", "status", deployment, "--timeout=120s"]);
}

fn not_ready(namespace: &Namespace) {
    namespace.apply(&resource(
        "  taskProcessor: {readinessProbe: {httpGet: {path: /nothing/, port: http}, periodSeconds: 2}}\n",
    ));
    let diagnosis = named(namespace, "TaskProcessorNotReady", RESTART + SILENCE);
    assert_eq!(others(namespace), ["TaskProcessorNotReady"], "one trouble is one diagnosis");
    says(&diagnosis, &["readiness probe fails", "404"]);
    namespace.apply(&resource(""));
    gone(namespace, "TaskProcessorNotReady", RESTART);
    namespace.settled();
}

/// Settings behind `envFrom` give the API a queue of its own, of which neither specification nor processor know.
fn mismatch(namespace: &Namespace) {
    namespace.sql("CREATE DATABASE queue");
    let url = namespace.secret("flagsmith-database", "DATABASE_URL");
    let (server, _) = url.rsplit_once('/').unwrap();
    let literal = format!("--from-literal=TASK_PROCESSOR_DATABASE_URL={server}/queue");
    namespace.kubectl(&["create", "configmap", "apart", &literal]);
    namespace
        .apply(&resource("").replace("  api:\n", "  api:\n    envFrom: [{configMapRef: {name: apart}}]\n"));
    let diagnosis = named(namespace, "TaskProcessorDatabaseMismatch", RESTART);
    says(&diagnosis, &["TASK_PROCESSOR_DATABASE_URL is set", "spec.database.taskProcessorUrlFrom"]);
    settled_but_for(namespace, "TaskProcessorDatabaseMismatch");
    let migrate = "flagsmith migrate task_processor --database task_processor";
    namespace.kubectl(&["exec", "deployment/flagsmith-api", "--", "sh", "-c", migrate]);
    enqueue(namespace, "write_result", 3, "nobody");
    let waits = namespace.sql("SELECT count(*) FROM task_processor_task WHERE NOT completed");
    assert_eq!(waits, "0", "they wait in the other database");
    namespace.apply(&resource(""));
    gone(namespace, "TaskProcessorDatabaseMismatch", RESTART);
    namespace.settled();
    namespace.kubectl(&["delete", "configmap", "apart"]);
}

/// Waits until the API's pods are of the newest template while a diagnosis stands.
fn settled_but_for(namespace: &Namespace, code: &str) {
    namespace.kubectl(&["rollout", "status", "deployment/flagsmith-api", "--timeout=120s"]);
    assert!(diagnosis(namespace, code).is_some(), "{code} stands");
}
