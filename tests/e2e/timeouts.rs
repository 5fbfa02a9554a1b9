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
    operator,
    place::{NEW, Place, Trials, demo},
};

/// What the pods' status, the kubelet's Events and the database show is named in this time.
const SEEN: Duration = Duration::from_mins(1);
/// Only the log of a pod shows the end of a worker. One pod is read each 55 s (`logs.rs`), and here are two.
const READ: Duration = Duration::from_secs(130);
/// The longest time of a request in this story, in seconds; Gunicorn's timeout.
const TIMEOUT: u32 = 5;

#[test]
#[ignore = "ten minutes: make trial-timeouts"]
fn every_trouble_of_the_api_is_named() {
    require_cluster();
    operator::install(&["--set", "databaseProbeIntervalSeconds=5"]);
    let place = Place::new("timeouts");
    let mut trials = Trials::new();
    let mut step = |name: &str, run: fn(&Place)| trials.trial(name, || run(&place), || recover(&place));
    apply(&place, THREADED);
    step("a healthy API has no alarm", |place| {
        assert_eq!(alarms(place), Vec::<String>::new());
    });
    step("a request longer than a sync worker's timeout", sync_timeout);
    step("a worker that is killed", worker_killed);
    step("more memory than the limit", out_of_memory);
    step("a process that stands still", stalled);
    step("more requests than threads", saturated);
    step("a liveness probe that is not patient", liveness);
    // The last: lines about it stand in the logs of every pod, and a sample of them may come minutes later.
    step("no connection is left in the database", exhausted);
    trials.verdict();
    place.remove();
    operator::uninstall();
}

/// To where every trial begins, from wherever one has ended: with pods that have no past.
fn recover(place: &Place) {
    apply(place, FRESH);
    apply(place, THREADED);
    gone(place);
}

const THREADED: &str = "    gunicorn: {workers: 1, threads: 2}\n";
const SYNC: &str = "    gunicorn: {workers: 1, threads: 1}\n";
/// Restarts the pods and says nothing about them.
const FRESH: &str = "    gunicorn: {workers: 1, threads: 2}\n    env: [{name: FRESH, value: \"1\"}]\n";
const IMPATIENT: &str = "    gunicorn: {workers: 1, threads: 2}\n    livenessProbe: {httpGet: {path: /health/liveness/, port: 8000}, periodSeconds: 2, timeoutSeconds: 1, failureThreshold: 3}\n";

fn sync_timeout(place: &Place) {
    apply(place, SYNC);
    ask(place, "slow?seconds=60");
    named(place, &["GunicornWorkerTimeout"], READ);
    apply(place, THREADED);
    gone(place);
    // The same request costs a threaded worker nothing.
    ask(place, "slow?seconds=9");
    thread::sleep(Duration::from_secs(10));
    assert_eq!(by_command(place), None);
}

/// As the kernel does where it kills one process of a container (cgroup v1, `singleProcessOOMKill`).
fn worker_killed(place: &Place) {
    ask(place, "crash?signal=KILL");
    named(place, &["GunicornWorkerOutOfMemory"], READ);
    apply(place, FRESH);
    gone(place);
}

fn out_of_memory(place: &Place) {
    // The pod's limit is 512Mi. Where the kernel kills the worker only, its log tells.
    ask(place, "allocate?mb=700&seconds=5");
    named(
        place,
        &["ContainerOutOfMemory", "GunicornWorkerOutOfMemory"],
        READ,
    );
    apply(place, THREADED);
    gone(place);
}

fn stalled(place: &Place) {
    // The arbiter is process 1; its only child is the worker.
    let stop = "import glob, os, signal\n\
        for path in glob.glob('/proc/[0-9]*/stat'):\n    \
            fields = open(path).read().rsplit(')', 1)[1].split()\n    \
            pid = int(path.split('/')[2])\n    \
            if fields[1] == '1' and pid != os.getpid(): os.kill(pid, signal.SIGSTOP)\n";
    place.kubectl(&["exec", "deployment/flagsmith-api", "--", "python3", "-c", stop]);
    named(place, &["GunicornWorkerStalled"], READ);
    apply(place, FRESH);
    gone(place);
}

fn exhausted(place: &Place) {
    let hold = "import os, time, psycopg2\n\
        held = []\n\
        try:\n    \
            while True: held.append(psycopg2.connect(os.environ['DATABASE_URL']))\n\
        except psycopg2.OperationalError: print(len(held), flush=True)\n\
        time.sleep(600)\n";
    let mut holder = place.spawn(&[
        "exec",
        "deployment/flagsmith-task-processor",
        "--",
        "python3",
        "-c",
        hold,
    ]);
    named(place, &["DatabaseConnectionsExhausted"], SEEN);
    // Its end in the container: kubectl's alone would leave it.
    let end = "import glob, os, signal\n\
        for path in glob.glob('/proc/[0-9]*/cmdline'):\n    \
            pid = int(path.split('/')[2])\n    \
            if b'psycopg2.connect' in open(path, 'rb').read() and pid != os.getpid(): os.kill(pid, signal.SIGKILL)\n";
    place.kubectl(&[
        "exec",
        "deployment/flagsmith-task-processor",
        "--",
        "python3",
        "-c",
        end,
    ]);
    let _ = holder.wait();
    gone(place);
}

/// Four clients that each wait for a second, and two threads.
fn saturated(place: &Place) {
    let address = place.service("flagsmith-api");
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
    named_by_status(place, &["GunicornWorkersSaturated"], 2 * SEEN);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    gone(place);
}

fn liveness(place: &Place) {
    apply(place, IMPATIENT);
    for _ in 0..4 {
        ask(place, "slow?seconds=30");
    }
    named(place, &["LivenessProbeKilling"], SEEN);
    apply(place, THREADED);
    gone(place);
}

/// The demo's resource with these settings of the API, and waits until it is as asked for.
fn apply(place: &Place, api: &str) {
    let text = demo(NEW)
        .replace("    gunicorn: {workers: 1, threads: 2}\n", api)
        .replace("spec:\n", &format!("spec:\n  requestTimeoutSeconds: {TIMEOUT}\n"));
    assert!(text.contains(api) && text.contains("requestTimeoutSeconds"));
    place.apply(&text);
    place.settled();
}

/// A request that nobody waits for.
fn ask(place: &Place, view: &str) {
    let address = place.service("flagsmith-api");
    let path = format!("/testbed/{view}");
    thread::spawn(move || http::get(&address, 8000, &path, &[]));
}

/// The codes of the status above Info.
fn alarms(place: &Place) -> Vec<String> {
    alarms_of(pointer(&place.fsd(), "/status/diagnoses"))
}

fn alarms_of(diagnoses: &Value) -> Vec<String> {
    let all = diagnoses.as_array().into_iter().flatten();
    all.filter(|it| it["severity"] != "Info")
        .filter_map(|it| it["code"].as_str().map(str::to_owned))
        .collect()
}

/// The first alarm of the command, which reads every log at once.
fn by_command(place: &Place) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_flagsmith-operator"))
        .args([
            "diagnose",
            "flagsmith",
            "--namespace",
            place.namespace(),
            "--output",
            "json",
        ])
        .output()
        .unwrap();
    let page: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    alarms_of(&page["diagnoses"]).into_iter().next()
}

/// One of these is named first, by the command within a minute, by the status within `limit`; and nothing else is.
fn named(place: &Place, codes: &[&str], limit: Duration) {
    let expected = |code: &str| codes.contains(&code);
    let start = Instant::now();
    wait_until(SEEN, &format!("the command names {codes:?} first"), || {
        let first = by_command(place).unwrap_or_default();
        expected(&first).then_some(()).ok_or(first)
    });
    println!(
        "    {codes:?} by the command after {:.1} s",
        start.elapsed().as_secs_f32()
    );
    named_by_status(place, codes, limit);
}

fn named_by_status(place: &Place, codes: &[&str], limit: Duration) {
    let expected = |code: &str| codes.contains(&code);
    let start = Instant::now();
    wait_until(limit, &format!("{codes:?} is named first"), || {
        let alarms = alarms(place);
        alarms
            .first()
            .is_some_and(|first| expected(first))
            .then_some(())
            .ok_or_else(|| alarms.join(" "))
    });
    println!("    by the status after {:.1} s", start.elapsed().as_secs_f32());
    let fsd = place.fsd();
    println!("{:#}", pointer(&fsd, "/status/diagnoses/0"));
    let others: Vec<String> = alarms(place).into_iter().filter(|code| !expected(code)).collect();
    assert_eq!(others, Vec::<String>::new(), "one trouble has one name");
}

fn gone(place: &Place) {
    wait_until(SEEN, "no alarm is left", || {
        let alarms = alarms(place);
        alarms.is_empty().then_some(()).ok_or_else(|| alarms.join(" "))
    });
}
