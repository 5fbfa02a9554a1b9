//! An installation that the official chart made, and the resource that watches it. The chart in `tests/official-chart`
//! makes objects of the same shape on the test images.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    kubectl::{self, pointer, wait_until},
    namespace::{NEW, Namespace, START, database},
    operator,
};

/// What the chart is installed as; the name makes every full name differ from the release's.
pub const RELEASE: &str = "acme";

/// How long a trouble may take to be named.
const NAMED: Duration = Duration::from_mins(1);

/// What the hook Job of the chart makes, and the resource.
const AROUND: &str = "
apiVersion: v1
kind: Secret
metadata: {name: acme-flagsmith-django-secret-key}
stringData: {django-secret-key: kept-for-ever-and-ever}
---
apiVersion: operator.flagsmith.com/v1alpha1
kind: FlagsmithDeployment
metadata: {name: watched}
spec:
  mode: Observed
  observe: {release: acme}
";

/// Two looks into a database, one each minute, and what a busy machine adds.
const TWO_LOOKS: Duration = Duration::from_secs(130);

const COMPONENTS: &[&str] = &[
    "DatabaseReachable",
    "MigrationsApplied",
    "ApiAvailable",
    "TaskProcessorAvailable",
    "FrontendAvailable",
];

/// A task processor, one Job that migrates, and processes that are few enough for the test machine.
const VALUES: &[&str] = &[
    "--set",
    "taskProcessor.enabled=true,jobs.migrateDb.enabled=true,api.enableMigrateDbInitContainer=false",
    "--set-string",
    "api.extraEnv.GUNICORN_WORKERS=1",
];

pub fn read_only_operator() {
    kubectl::require_cluster();
    operator::install(&["--set", "rbac.readOnly=true"]);
}

fn helm(namespace: &Namespace, command: &str, values: &[&str]) {
    let fixed = [command, RELEASE, "tests/official-chart", "--namespace", namespace.name()];
    kubectl::helm(&fixed.iter().chain(values).copied().collect::<Vec<_>>());
}

pub fn upgrade(namespace: &Namespace, values: &[&str]) {
    helm(namespace, "upgrade", &[&["--reuse-values"], values].concat());
}

/// To where every trial begins, from wherever one has ended.
pub fn recover(namespace: &Namespace) {
    // Of a variable that stood there twice Helm removes both, and puts one back at the next upgrade.
    for _ in 0..2 {
        helm(namespace, "upgrade", &[&["--reset-values"], VALUES].concat());
    }
    await_health(namespace);
}

pub fn healthy(namespace: &Namespace) {
    namespace.apply(AROUND);
    namespace.apply(&database("flagsmith", 100));
    namespace.kubectl(&["rollout", "status", "deployment/database", "--timeout=120s"]);
    helm(namespace, "install", VALUES);
    await_health(namespace);
    // The queue is looked at each minute, and may have been looked at before it was there.
    wait_until(TWO_LOOKS, "every component is said to be well", || {
        let fsd = watched(namespace);
        let unwell: Vec<&str> =
            COMPONENTS.iter().copied().filter(|kind| condition(&fsd, kind) != "True").collect();
        unwell.is_empty().then_some(()).ok_or_else(|| unwell.join(" "))
    });
    println!("{}", namespace.kubectl(&["describe", "fsd", "watched"]));
    let fsd = watched(namespace);
    assert_eq!(pointer(&fsd, "/status/version"), NEW);
    // What the chart starts, and not what the operator would: the image's keep-alive, and no preStop.
    assert_eq!(condition(&fsd, "TimeoutsAligned"), "False");
    let timeouts = pointer(&fsd, "/status/timeouts");
    assert_eq!(
        (&timeouts["gunicornKeepAlive"], &timeouts["preStop"], &timeouts["terminationGracePeriod"]),
        (&2.into(), &0.into(), &30.into()),
        "{timeouts}"
    );
}

pub fn watched(namespace: &Namespace) -> Value {
    namespace.json(&["get", "fsd", "watched"])
}

pub fn condition(fsd: &Value, kind: &str) -> String {
    let conditions = pointer(fsd, "/status/conditions").as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|it| it["type"] == kind);
    found.and_then(|it| it["status"].as_str()).unwrap_or_default().to_owned()
}

/// The diagnoses above Info.
pub fn alarms(namespace: &Namespace) -> Vec<Value> {
    let fsd = watched(namespace);
    let all = pointer(&fsd, "/status/diagnoses").as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|it| it["severity"] != "Info").collect()
}

pub fn await_health(namespace: &Namespace) {
    wait_until(START, "Ready, and nothing above Info", || {
        let (ready, alarms) = (condition(&watched(namespace), "Ready"), alarms(namespace));
        (ready == "True" && alarms.is_empty()).then_some(()).ok_or_else(|| format!("{ready} {alarms:#?}"))
    });
}

pub fn await_code(namespace: &Namespace, expected: &str) -> Value {
    await_code_within(NAMED, namespace, expected)
}

/// Named first, with a remedy that can be typed: what only a log has told has another one until a Secret that has
/// changed was read again.
fn await_code_within(limit: Duration, namespace: &Namespace, expected: &str) -> Value {
    wait_until(limit, &format!("{expected} is named first"), || {
        let alarms = alarms(namespace);
        let first = alarms.first().cloned().unwrap_or_default();
        let typed = first["remedy"].as_str().is_some_and(|it| !it.contains(" POD "));
        (first["code"] == expected && typed).then_some(()).ok_or_else(|| format!("{alarms:#?}"))
    });
    alarms(namespace).remove(0)
}

/// Makes a trouble, waits until it is named first, does literally what the remedy says, waits until all is well.
pub fn trouble(namespace: &Namespace, expected: &str, make: impl FnOnce()) {
    trouble_within(NAMED, namespace, expected, make);
}

pub fn trouble_within(limit: Duration, namespace: &Namespace, expected: &str, make: impl FnOnce()) {
    let start = Instant::now();
    make();
    let diagnosis = await_code_within(limit, namespace, expected);
    println!("    named after {:.0} s: {}", start.elapsed().as_secs_f32(), diagnosis["message"]);
    let about = |it: &Value| (it["code"].clone(), it["component"].clone());
    let mut followed = vec![about(&diagnosis)];
    follow(&diagnosis);
    // One trouble may be several: an image that cannot be pulled for two components, and then their releases.
    wait_until(START, "healthy again by what is said", || {
        let alarms = alarms(namespace);
        let Some(first) = alarms.first() else {
            let ready = condition(&watched(namespace), "Ready");
            return (ready == "True").then_some(()).ok_or(ready);
        };
        let command = first["remedy"].as_str().unwrap().contains("helm upgrade");
        if command && !followed.contains(&about(first)) {
            followed.push(about(first));
            follow(first);
        }
        Err(format!("{alarms:#?}"))
    });
    println!("    healthy after {:.0} s", start.elapsed().as_secs_f32());
}

pub fn binary() -> std::path::PathBuf {
    env!("CARGO_BIN_EXE_flagsmith-operator").into()
}

/// What `plan --adopt` prints, and its exit status.
pub fn adoption(namespace: &Namespace) -> (String, Option<i32>) {
    let arguments = ["plan", "--adopt", RELEASE, "--namespace", namespace.name()];
    let output = std::process::Command::new(binary()).args(arguments).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    println!("{page}{}", String::from_utf8_lossy(&output.stderr));
    (page, output.status.code())
}

/// Does what the page says, one step after the other, until nothing of the chart runs.
pub fn moved(namespace: &Namespace, page: &str) {
    namespace.apply(page);
    namespace.kubectl(&["wait", "fsd/acme-op", "--for=condition=Ready", "--timeout=300s"]);
    let steps = page.lines().filter_map(|line| Some(line.strip_prefix("#  ")?.split_once(". ")?.1));
    for step in steps {
        let Some(command) =
            step.split_once(": ").map(|(_, rest)| rest).filter(|_| step.contains("kubectl -n"))
        else {
            continue;
        };
        if step.starts_with("Save this page") {
            continue;
        }
        // The minute that connections of clients are given; those of this load are short.
        std::thread::sleep(Duration::from_secs(5));
        let command = command.split(". Until").next().unwrap();
        println!("    {command}");
        let done = std::process::Command::new("bash").args(["-c", command]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    wait_until(START, "the old pods are gone", || {
        let pods = namespace.kubectl(&["get", "pods", "-l", "app.kubernetes.io/instance=acme", "-o", "name"]);
        pods.is_empty().then_some(()).ok_or(pods)
    });
}

/// Runs the command of a remedy as it stands; only the chart comes from this directory instead of a repository.
pub fn follow(diagnosis: &Value) {
    let remedy = diagnosis["remedy"].as_str().unwrap();
    println!("    remedy: {remedy}");
    let command = command(remedy)
        .replace("flagsmith/flagsmith", "tests/official-chart")
        .replace("--version 0.81.0 ", "")
        .replace("image.tag=RELEASE", &format!("image.tag={NEW}"));
    let output = std::process::Command::new("bash").args(["-c", &command]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}\n{said}");
}

/// The first command in a remedy.
fn command(remedy: &str) -> &str {
    let start = ["helm ", "kubectl "].iter().filter_map(|it| remedy.find(it)).min().unwrap();
    let rest = &remedy[start..];
    let end = ["; the", ". The", " If it", ", or ", ". What"].iter().filter_map(|it| rest.find(it)).min();
    &rest[..end.unwrap_or(rest.len())]
}
