//! The API in each of the troubles that a client sees as 502 or 504, made for real: each is named first, by the
//! status and by the command, is taken for no other, and its name is gone after the remedy.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    http,
    kubectl::{pointer, require_cluster, wait_until},
    namespace::{NEW, Namespace, Trials, demo},
    operator,
};

/// What the pods' status, the kubelet's Events and the database show is named in this time.
const SEEN: Duration = Duration::from_mins(1);
/// Only the log of a pod shows the end of a worker. Its logs are followed: a few seconds, and a busy machine.
const READ: Duration = Duration::from_secs(40);
/// How long a refused connection is remembered after the last one, and a look.
const REMEMBERED: Duration = Duration::from_mins(3);
/// The longest time of a request in this story, in seconds; Gunicorn's timeout.
const TIMEOUT: u32 = 5;

#[test]
#[ignore = "ten minutes: make trial-timeouts"]
fn every_trouble_of_the_api_is_named() {
    require_cluster();
    operator::install(&["--set", "databaseProbeIntervalSeconds=5"]);
    let namespace = Namespace::new("timeouts");
    let mut trials = Trials::new();
    let mut step =
        |name: &str, run: fn(&Namespace)| trials.trial(name, || run(&namespace), || recover(&namespace));
    apply(&namespace, THREADED);
    step("a healthy API has no alarm", |namespace| {
        assert_eq!(alarms(namespace), Vec::<String>::new());
    });
    step("a request longer than a sync worker's timeout", sync_timeout);
    step("a worker that is killed", worker_killed);
    step("more memory than the limit", out_of_memory);
    step("a process that stands still", stalled);
    step("more requests than threads", saturated);
    step("a liveness probe that is not patient", liveness);
    // The last: lines about it stand in the logs of every pod, and a sample of them may come minutes later.
    step("no connection is left in the database", |it| {
        exhausted(it, "deployment/flagsmith-api", &["DatabaseConnectionsExhausted"]);
    });
    step("the task processor has taken all connections", |it| {
        // Who has them can be told only where the operator got one before the last was taken.
        let names = ["DatabaseConnectionsExhausted", "TaskProcessorLeaksConnections"];
        exhausted(it, "deployment/flagsmith-task-processor", &names);
    });
    trials.verdict();
    namespace.remove();
    operator::uninstall();
}

/// To where every trial begins, from wherever one has ended: with pods that have no past.
fn recover(namespace: &Namespace) {
    apply(namespace, FRESH);
    apply(namespace, THREADED);
    gone(namespace);
}

const THREADED: &str = "    gunicorn: {workers: 1, threads: 2}\n";
const SYNC: &str = "    gunicorn: {workers: 1, threads: 1}\n";
/// Restarts the pods and says nothing about them.
const FRESH: &str = "    gunicorn: {workers: 1, threads: 2}\n    env: [{name: FRESH, value: \"1\"}]\n";
const IMPATIENT: &str = "    gunicorn: {workers: 1, threads: 2}\n    livenessProbe: {httpGet: {path: /health/liveness/, port: 8000}, periodSeconds: 2, timeoutSeconds: 1, failureThreshold: 3}\n";

fn sync_timeout(namespace: &Namespace) {
    apply(namespace, SYNC);
    ask(namespace, "slow?seconds=60");
    named(namespace, &["GunicornWorkerTimeout"], READ);
    apply(namespace, THREADED);
    gone(namespace);
    // The same request costs a threaded worker nothing.
    ask(namespace, "slow?seconds=9");
    thread::sleep(Duration::from_secs(10));
    assert_eq!(by_command(namespace), None);
}

/// As the kernel does where it kills one process of a container (cgroup v1, `singleProcessOOMKill`).
fn worker_killed(namespace: &Namespace) {
    ask(namespace, "crash?signal=KILL");
    named(namespace, &["GunicornWorkerOutOfMemory"], READ);
    apply(namespace, FRESH);
    gone(namespace);
}

fn out_of_memory(namespace: &Namespace) {
    // The pod's limit is 512Mi. Where the kernel kills the worker only, its log tells.
    ask(namespace, "allocate?mb=700&seconds=5");
    named(namespace, &["ContainerOutOfMemory", "GunicornWorkerOutOfMemory"], READ);
    apply(namespace, THREADED);
    gone(namespace);
}

fn stalled(namespace: &Namespace) {
    // The arbiter is process 1; its only child is the worker.
    let stop = "import glob, os, signal\n\
        for path in glob.glob('/proc/[0-9]*/stat'):\n    \
            fields = open(path).read().rsplit(')', 1)[1].split()\n    \
            pid = int(path.split('/')[2])\n    \
            if fields[1] == '1' and pid != os.getpid(): os.kill(pid, signal.SIGSTOP)\n";
    namespace.kubectl(&["exec", "deployment/flagsmith-api", "--", "python3", "-c", stop]);
    named(namespace, &["GunicornWorkerStalled"], READ);
    apply(namespace, FRESH);
    gone(namespace);
}

fn exhausted(namespace: &Namespace, holder: &str, codes: &[&str]) {
    let hold = "import os, time, psycopg2\n\
        held = []\n\
        try:\n    \
            while True: held.append(psycopg2.connect(os.environ['DATABASE_URL']))\n\
        except psycopg2.OperationalError: print(len(held), flush=True)\n\
        time.sleep(600)\n";
    let mut holding = namespace.spawn(&["exec", holder, "--", "python3", "-c", hold]);
    named(namespace, codes, SEEN);
    // Its end in the container: kubectl's alone would leave it.
    let end = "import glob, os, signal\n\
        for path in glob.glob('/proc/[0-9]*/cmdline'):\n    \
            pid = int(path.split('/')[2])\n    \
            if b'psycopg2.connect' in open(path, 'rb').read() and pid != os.getpid(): os.kill(pid, signal.SIGKILL)\n";
    namespace.kubectl(&["exec", holder, "--", "python3", "-c", end]);
    let _ = holding.wait();
    // It comes and goes: its name stays for two minutes, in the past tense.
    wait_until(SEEN, "what is over is told in the past tense", || {
        let fsd = namespace.fsd();
        let alarms = pointer(&fsd, "/status/diagnoses").as_array().into_iter().flatten();
        let lasting: Vec<_> = alarms
            .filter(|it| it["severity"] != "Info")
            .filter(|it| !it["message"].as_str().is_some_and(|it| it.starts_with("Last seen at ")))
            .collect();
        lasting.is_empty().then_some(()).ok_or_else(|| format!("{lasting:#?}"))
    });
    wait_until(REMEMBERED, "no alarm is left", || {
        let alarms = alarms(namespace);
        alarms.is_empty().then_some(()).ok_or_else(|| alarms.join(" "))
    });
}

/// Four clients that each wait for a second, and two threads.
fn saturated(namespace: &Namespace) {
    let address = namespace.service("flagsmith-api");
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, stop) = (address.clone(), Arc::clone(&stop));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    http::get(&address, 8000, "/testbed/slow?seconds=1", &[]);
                }
            })
        })
        .collect();
    // What the command does not see: it looks once.
    named_by_status(namespace, &["GunicornWorkersSaturated"], 2 * SEEN);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    gone(namespace);
}

fn liveness(namespace: &Namespace) {
    apply(namespace, IMPATIENT);
    for _ in 0..4 {
        ask(namespace, "slow?seconds=30");
    }
    named(namespace, &["LivenessProbeKilling"], SEEN);
    apply(namespace, THREADED);
    gone(namespace);
}

/// The demo's resource with these settings of the API, and waits until it is as asked for.
fn apply(namespace: &Namespace, api: &str) {
    let text = demo(NEW)
        .replace("    gunicorn: {workers: 1, threads: 2}\n", api)
        .replace("spec:\n", &format!("spec:\n  requestTimeoutSeconds: {TIMEOUT}\n"));
    assert!(text.contains(api) && text.contains("requestTimeoutSeconds"));
    namespace.apply(&text);
    namespace.settled();
    // A request just after a rollout may still reach a pod that ends.
    wait_until(SEEN, "one pod of the API is left", || {
        let pods =
            namespace.kubectl(&["get", "pods", "-l", "app.kubernetes.io/name=flagsmith-api", "-o", "name"]);
        (pods.lines().count() == 1).then_some(()).ok_or(pods)
    });
}

/// A request that nobody waits for.
fn ask(namespace: &Namespace, view: &str) {
    let address = namespace.service("flagsmith-api");
    let path = format!("/testbed/{view}");
    thread::spawn(move || http::get(&address, 8000, &path, &[]));
}

/// The codes of the status above Info.
fn alarms(namespace: &Namespace) -> Vec<String> {
    alarms_of(pointer(&namespace.fsd(), "/status/diagnoses"))
}

fn alarms_of(diagnoses: &Value) -> Vec<String> {
    let all = diagnoses.as_array().into_iter().flatten();
    all.filter(|it| it["severity"] != "Info")
        .filter_map(|it| it["code"].as_str().map(str::to_owned))
        .collect()
}

/// The first alarm of the command, which reads every log at once.
fn by_command(namespace: &Namespace) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_flagsmith-operator"))
        .args(["diagnose", "flagsmith", "--namespace", namespace.name(), "--output", "json"])
        .output()
        .unwrap();
    let page: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    alarms_of(&page["diagnoses"]).into_iter().next()
}

/// One of these is named first, by the command within a minute, by the status within `limit`; and nothing else is.
fn named(namespace: &Namespace, codes: &[&str], limit: Duration) {
    let expected = |code: &str| codes.contains(&code);
    let start = Instant::now();
    wait_until(SEEN, &format!("the command names {codes:?} first"), || {
        let first = by_command(namespace).unwrap_or_default();
        expected(&first).then_some(()).ok_or(first)
    });
    println!("    {codes:?} by the command after {:.1} s", start.elapsed().as_secs_f32());
    named_by_status(namespace, codes, limit);
}

fn named_by_status(namespace: &Namespace, codes: &[&str], limit: Duration) {
    let expected = |code: &str| codes.contains(&code);
    let start = Instant::now();
    wait_until(limit, &format!("{codes:?} is named first"), || {
        let alarms = alarms(namespace);
        alarms.first().is_some_and(|first| expected(first)).then_some(()).ok_or_else(|| alarms.join(" "))
    });
    println!("    by the status after {:.1} s", start.elapsed().as_secs_f32());
    let fsd = namespace.fsd();
    println!("{:#}", pointer(&fsd, "/status/diagnoses/0"));
    let others: Vec<String> = alarms(namespace).into_iter().filter(|code| !expected(code)).collect();
    assert_eq!(others, Vec::<String>::new(), "one trouble has one name");
}

fn gone(namespace: &Namespace) {
    wait_until(SEEN, "no alarm is left", || {
        let alarms = alarms(namespace);
        alarms.is_empty().then_some(()).ok_or_else(|| alarms.join(" "))
    });
}
