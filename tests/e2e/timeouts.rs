//! Timeouts of what runs: a drift that is repaired and named, an annotation that cuts, and workers in trouble.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    http,
    kubectl::{pointer, wait_until},
    operator,
    place::{NEW, Place, REACTION, demo, step},
};

/// The class by whose controller the operator knows ingress-nginx.
const CLASS: &str = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: timeouts}\nspec: {controller: k8s.io/ingress-nginx}\n";
const READ: &str = "nginx.ingress.kubernetes.io/proxy-read-timeout";
/// Gunicorn looks for silent workers once in half its timeout, and kills a second after it has aborted.
const WORKER_KILLED: Duration = Duration::from_secs(60);
/// A new pod, and the end of the old one.
const ROLLOUT: Duration = Duration::from_mins(3);

#[test]
fn timeouts_fit_and_what_breaks_them_is_named() {
    step("install the operator by its chart", operator::installed);
    let place = Place::new("timeouts");
    let step = |name: &str, run: fn(&Place)| step(name, || run(&place));
    step(
        "the proxy is recognised and everything is aligned",
        become_aligned,
    );
    step(
        "an annotation that somebody changes is repaired, with his name",
        repair_drift,
    );
    step(
        "an annotation of the specification that cuts is named",
        name_a_conflict,
    );
    step("a worker that stands still is named", stall_a_worker);
    step("a worker that the kernel kills is named", exhaust_memory);
    step(
        "a request that a sync worker is killed for is named",
        time_out_a_request,
    );
    step("a container that its liveness probe ends is named", fail_liveness);
    place.remove();
}

/// The demo with requests of 5 s behind the class, and further lines of `spec.api` and of the Ingress.
fn resource(api: &str, ingress: &str) -> String {
    let text = demo(NEW);
    let text = text.replace("className: none", &format!("className: timeouts{ingress}"));
    let text = text.replace("  api:\n", &format!("  requestTimeoutSeconds: 5\n  api:\n{api}"));
    assert!(text.contains("timeouts") && text.contains("requestTimeoutSeconds"));
    text
}

fn become_aligned(place: &Place) {
    place.apply(CLASS);
    place.apply(&resource("", ""));
    place.await_ready();
    let timeouts = pointer(&place.fsd(), "/status/timeouts").clone();
    assert_eq!(
        (
            &timeouts["proxy"],
            &timeouts["proxyRead"],
            &timeouts["gunicornKeepAlive"]
        ),
        (&Value::from("ingress-nginx"), &Value::from(10), &Value::from(65)),
        "{timeouts}"
    );
    assert_eq!(read_timeout(place), "10");
    assert_eq!(place.condition("TimeoutsAligned"), "True");
}

fn read_timeout(place: &Place) -> String {
    let ingress = place.json(&["get", "ingress", "flagsmith"]);
    let value = &pointer(&ingress, "/metadata/annotations")[READ];
    value.as_str().unwrap_or_default().to_owned()
}

fn repair_drift(place: &Place) {
    place.kubectl(&[
        "annotate",
        "ingress",
        "flagsmith",
        &format!("{READ}=3"),
        "--overwrite",
    ]);
    wait_until(REACTION, "the annotation is as it was", || {
        let value = read_timeout(place);
        (value == "10").then_some(()).ok_or(value)
    });
    wait_until(REACTION, "an Event says who changed it", || {
        let events = place.kubectl(&["get", "events", "-o", "jsonpath={.items[*].message}"]);
        let named = format!("{READ} was \"3\", set by field manager \"kubectl-annotate\" on ");
        events.contains(&named).then_some(()).ok_or(events)
    });
}

fn name_a_conflict(place: &Place) {
    place.apply(&resource("", &format!(", annotations: {{{READ}: \"3\"}}")));
    wait_until(REACTION, "the annotation is named", || {
        let codes = place.codes();
        codes
            .contains(&"ProxyTimeoutBelowGunicorn".to_owned())
            .then_some(())
            .ok_or_else(|| format!("{codes:?}"))
    });
    assert_eq!(place.condition("TimeoutsAligned"), "False");
    place.apply(&resource("", ""));
    wait_until(REACTION, "aligned again", || {
        let condition = place.condition("TimeoutsAligned");
        (condition == "True" && read_timeout(place) == "10")
            .then_some(())
            .ok_or(condition)
    });
}

/// The pod of the API, once there is one and no other.
fn pod(place: &Place) -> String {
    let mut name = String::new();
    wait_until(ROLLOUT, "one pod of the API, ready", || {
        let pods = place.json(&["get", "pods", "-l", "app.kubernetes.io/component=api"]);
        let pods = pointer(&pods, "/items").as_array().unwrap().clone();
        let ready = pods
            .iter()
            .all(|pod| pointer(pod, "/status/containerStatuses/0/ready") == true);
        name = pods
            .first()
            .map(|pod| pointer(pod, "/metadata/name").as_str().unwrap().to_owned())
            .unwrap_or_default();
        (pods.len() == 1 && ready)
            .then_some(())
            .ok_or_else(|| format!("{} pods", pods.len()))
    });
    name
}

/// The cause that the log of a pod shows, by the operator's own command.
fn diagnosed(place: &Place, pod: &str) -> String {
    let log = place.kubectl(&["logs", pod]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_flagsmith-operator"))
        .args([
            "diagnose",
            "--logs",
            "-",
            "--component",
            "api",
            "--output",
            "json",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    command.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
    let output = command.wait_with_output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    found["diagnoses"][0]["code"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}

fn await_cause(place: &Place, pod: &str, expected: &str) {
    wait_until(WORKER_KILLED, expected, || {
        let code = diagnosed(place, pod);
        (code == expected).then_some(()).ok_or(code)
    });
}

/// Sends a signal to the workers of a pod, the children of its first process.
fn signal(place: &Place, pod: &str, signal: &str) {
    let script = format!(
        "for stat in /proc/[0-9]*/stat; do read -r pid _ _ parent _ <\"$stat\" || continue; \
         [ \"$parent\" = 1 ] && kill -{signal} \"$pid\"; done; true"
    );
    place.kubectl(&["exec", pod, "--", "sh", "-c", &script]);
}

fn stall_a_worker(place: &Place) {
    let pod = pod(place);
    signal(place, &pod, "STOP");
    await_cause(place, &pod, "GunicornWorkerStalled");
}

/// More than the limit of the container, which is 512 MiB: the kernel ends the worker and leaves the arbiter.
fn exhaust_memory(place: &Place) {
    let before = pod(place);
    place.kubectl(&["delete", "pod", &before, "--wait=false"]);
    let pod = pod(place);
    let answer = http::get(
        &place.service("flagsmith-api"),
        8000,
        "/testbed/allocate?mb=600&seconds=5",
        &[],
    );
    assert_eq!(
        answer.status, 0,
        "the client sees a closed connection: {}",
        answer.body
    );
    await_cause(place, &pod, "GunicornWorkerOutOfMemory");
}

fn time_out_a_request(place: &Place) {
    place.apply(&resource("", "").replace("threads: 2", "threads: 1"));
    wait_until(ROLLOUT, "sync workers", || {
        let fsd = place.fsd();
        let current =
            pointer(&fsd, "/status/timeouts/workerClass") == "sync" && place.condition("Ready") == "True";
        current
            .then_some(())
            .ok_or_else(|| pointer(&fsd, "/status/timeouts").to_string())
    });
    let pod = pod(place);
    let answer = http::get(
        &place.service("flagsmith-api"),
        8000,
        "/testbed/slow?seconds=9",
        &[],
    );
    assert_eq!(
        answer.status, 0,
        "the client sees an empty reply: {}",
        answer.body
    );
    await_cause(place, &pod, "GunicornWorkerTimeout");
}

/// A probe that gives up after 2 s, before Gunicorn's own watch replaces a worker that was stopped.
fn fail_liveness(place: &Place) {
    let probe = "    livenessProbe: {httpGet: {path: /health/liveness/, port: http}, periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 2}\n";
    place.apply(&resource(probe, ""));
    wait_until(ROLLOUT, "threaded workers", || {
        let current = pointer(&place.fsd(), "/status/timeouts/workerClass") == "gthread"
            && place.condition("Ready") == "True";
        current.then_some(()).ok_or_else(|| place.condition("Ready"))
    });
    let pod = pod(place);
    signal(place, &pod, "STOP");
    wait_until(ROLLOUT, "the kill is named", || {
        let codes = place.codes();
        codes
            .contains(&"LivenessProbeKilling".to_owned())
            .then_some(())
            .ok_or_else(|| format!("{codes:?}"))
    });
}
