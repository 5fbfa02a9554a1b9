//! An installation that the official chart made: looked at, brought into trouble, healed by what the operator says, and
//! moved to the operator. The chart in `tests/official-chart` makes objects of the same shape on the test images.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    http,
    kubectl::{self, pointer, wait_until},
    operator,
    place::{NEW, Place, START, Trials, step},
};

/// What the chart is installed as; the name makes every full name differ from the release's.
const RELEASE: &str = "acme";

/// How long a trouble may take to be named.
pub const NAMED: Duration = Duration::from_mins(1);

/// As the hook Job of the chart and an administrator would make them.
const AROUND: &str = "
apiVersion: v1
kind: Secret
metadata: {name: acme-flagsmith-django-secret-key}
stringData: {django-secret-key: kept-for-ever-and-ever}
---
apiVersion: v1
kind: Service
metadata: {name: database}
spec: {selector: {app: database}, ports: [{port: 5432}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: database}
spec:
  selector: {matchLabels: {app: database}}
  template:
    metadata: {labels: {app: database}}
    spec:
      securityContext: {runAsUser: 999, runAsGroup: 999, fsGroup: 999}
      terminationGracePeriodSeconds: 1
      containers:
      - name: postgres
        image: docker.io/local/postgres:15
        env:
        - {name: POSTGRES_USER, value: flagsmith}
        - {name: POSTGRES_PASSWORD, value: flagsmith}
        - {name: POSTGRES_DB, value: flagsmith}
        - {name: PGDATA, value: /data/pg}
        readinessProbe: {tcpSocket: {port: 5432}, periodSeconds: 1}
        volumeMounts:
        - {name: data, mountPath: /data}
        - {name: run, mountPath: /var/run/postgresql}
      volumes: [{name: data, emptyDir: {}}, {name: run, emptyDir: {}}]
---
apiVersion: operator.flagsmith.com/v1alpha1
kind: FlagsmithDeployment
metadata: {name: watched}
spec:
  mode: Observed
  observe: {release: acme}
";

/// A task processor, one Job that migrates, and processes that are few enough for the test machine.
const VALUES: &[&str] = &[
    "--set",
    "taskProcessor.enabled=true,jobs.migrateDb.enabled=true,api.enableMigrateDbInitContainer=false",
    "--set-string",
    "api.extraEnv.GUNICORN_WORKERS=1",
];

#[test]
fn an_observed_installation_is_diagnosed_and_moved() {
    step("install an operator that may write nothing", read_only_operator);
    let place = Place::new("observed");
    let since = now();
    step("an installation of the official chart is healthy", || {
        healthy(&place);
    });
    step("one command without the operator says the same", || {
        without_operator(&place);
    });
    step("a risk of the chart's defaults goes by what is said", || {
        heed(&place, "PreStopTooShort");
    });
    step("a task processor of another release", || {
        trouble(&place, "TaskProcessorVersionSkew", || {
            upgrade(&place, &["--set", "taskProcessor.image.tag=2.260.0"]);
        });
    });
    step("no task processor", || {
        trouble(&place, "TaskProcessorScaledToZero", || {
            place.kubectl(&[
                "scale",
                "deployment",
                "acme-flagsmith-task-processor",
                "--replicas=0",
            ]);
        });
    });
    step("hosts that the probes do not have", || {
        trouble(&place, "AllowedHostsRejected", || {
            let set = "DJANGO_ALLOWED_HOSTS=flags.example.com";
            place.kubectl(&["set", "env", "deployment/acme-flagsmith-api", set]);
        });
    });
    step("the operator has written nothing but its status", || {
        wrote_nothing(&since);
    });
    step("moved to the operator under load", || adopt(&place));
    place.remove();
}

/// Longer: every trouble that only such installations have.
#[test]
#[ignore = "ten minutes; make trial-observed"]
fn every_trouble_of_an_observed_installation() {
    step("install an operator that may write nothing", read_only_operator);
    let place = Place::new("observed-trial");
    step("an installation of the official chart is healthy", || {
        healthy(&place);
    });
    let mut trials = Trials::new();
    let set: &[(&str, &[&str])] = &[
        (
            "TaskProcessorReleaseBroken",
            &["--set", "taskProcessor.image.tag=2.259.0"],
        ),
        (
            "TaskProcessorMissing",
            &[
                "--set",
                "taskProcessor.enabled=false",
                "--set-string",
                "api.extraEnv.TASK_RUN_METHOD=TASK_PROCESSOR",
            ],
        ),
        (
            "ReplicasContested",
            &["--set", "api.replicacount=2,hpa.enabled=true"],
        ),
        (
            "GunicornSettingsIgnored",
            &["--set-string", "api.extraEnv.GUNICORN_KEEP_ALIVE=75"],
        ),
        (
            "DatabaseHostNotFound",
            &[
                "--set",
                "hpa.enabled=false,api.replicacount=1,pgbouncer.enabled=true",
            ],
        ),
        (
            "ImagePullFailed",
            &["--set", "api.image.tag=2.999.0,taskProcessor.image.tag=2.999.0"],
        ),
        (
            "TaskProcessorMigratesItself",
            &["--set", "taskProcessor.replicacount=2"],
        ),
    ];
    for (expected, values) in set {
        let make = || trouble(&place, expected, || upgrade(&place, values));
        trials.trial(expected, make, || ());
    }
    for (expected, variable) in [
        ("TaskRunMethodUnset", "TASK_RUN_METHOD-"),
        ("SecretKeyEphemeral", "DJANGO_SECRET_KEY-"),
    ] {
        let unset = || drop(place.kubectl(&["set", "env", "deployment/acme-flagsmith-api", variable]));
        trials.trial(expected, || trouble(&place, expected, unset), || ());
    }
    trials.trial(
        "another release in the namespace, whose pods race each other",
        || race(&place),
        || (),
    );
    let on_purpose = || {
        let name = "acme-flagsmith";
        place.kubectl(&["scale", "deployment", name, "--replicas=0"]);
        await_code(&place, "ScaledToZero");
        let note = "operator.flagsmith.com/scaled-to-zero=intended";
        place.kubectl(&["annotate", "deployment", name, note]);
        await_health(&place);
    };
    trials.trial("no pods on purpose", on_purpose, || ());
    trials.verdict();
    place.remove();
}

/// Three pods that migrate an empty database at the same time; the losers fail, and one Job is the remedy.
fn race(place: &Place) {
    place.kubectl(&[
        "exec",
        "deployment/database",
        "--",
        "createdb",
        "-U",
        "flagsmith",
        "beta",
    ]);
    place.apply(BETA);
    kubectl::helm(&[
        "install",
        "beta",
        "tests/official-chart",
        "--namespace",
        place.namespace(),
        "--set",
        "api.replicacount=3,frontend.enabled=false,databaseExternal.url=postgresql://flagsmith:flagsmith@database:5432/beta",
        "--set-string",
        "api.extraEnv.GUNICORN_WORKERS=1",
    ]);
    let mut race = Value::Null;
    wait_until(START, "the race is named with its evidence", || {
        let fsd = place.json(&["get", "fsd", "beta"]);
        let all = pointer(&fsd, "/status/diagnoses")
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = all
            .iter()
            .find(|it| it["code"] == "MigrationConcurrent" && it["severity"] == "Warning");
        race = found.cloned().unwrap_or_default();
        found.map(|_| ()).ok_or_else(|| format!("{all:#?}"))
    });
    println!("    {}\n    {:#}", race["message"], race["evidence"]);
    assert!(race["evidence"].to_string().contains("failed"), "{race}");
    follow(&race);
    wait_until(START, "one Job migrates, and the race is history", || {
        let fsd = place.json(&["get", "fsd", "beta"]);
        let all = pointer(&fsd, "/status/diagnoses").to_string();
        let well = condition(&fsd, "Ready") == "True" && !all.contains("MigrationConcurrent");
        well.then_some(()).ok_or(all)
    });
    let own = alarms(place);
    assert!(own.is_empty(), "the release beside is another matter: {own:#?}");
    kubectl::helm(&["uninstall", "beta", "--namespace", place.namespace()]);
    place.kubectl(&["delete", "fsd", "beta"]);
}

const BETA: &str = "
apiVersion: v1
kind: Secret
metadata: {name: beta-flagsmith-django-secret-key}
stringData: {django-secret-key: of-beta}
---
apiVersion: operator.flagsmith.com/v1alpha1
kind: FlagsmithDeployment
metadata: {name: beta}
spec:
  mode: Observed
  observe: {release: beta}
";

pub fn read_only_operator() {
    kubectl::require_cluster();
    operator::install(&["--set", "rbac.readOnly=true"]);
}

fn helm(place: &Place, command: &str, values: &[&str]) {
    let fixed = [
        command,
        RELEASE,
        "tests/official-chart",
        "--namespace",
        place.namespace(),
    ];
    kubectl::helm(&fixed.iter().chain(values).copied().collect::<Vec<_>>());
}

pub fn upgrade(place: &Place, values: &[&str]) {
    helm(place, "upgrade", &[&["--reuse-values"], values].concat());
}

pub fn healthy(place: &Place) {
    place.apply(AROUND);
    place.kubectl(&["rollout", "status", "deployment/database", "--timeout=120s"]);
    helm(place, "install", VALUES);
    await_health(place);
    println!("{}", place.kubectl(&["describe", "fsd", "watched"]));
    let fsd = watched(place);
    assert_eq!(pointer(&fsd, "/status/version"), NEW);
    for kind in [
        "DatabaseReachable",
        "MigrationsApplied",
        "ApiAvailable",
        "TaskProcessorAvailable",
        "FrontendAvailable",
    ] {
        assert_eq!(condition(&fsd, kind), "True", "{kind}");
    }
    // What the chart starts, and not what the operator would: the image's keep-alive, and no preStop.
    assert_eq!(condition(&fsd, "TimeoutsAligned"), "False");
    let timeouts = pointer(&fsd, "/status/timeouts");
    assert_eq!(
        (
            &timeouts["gunicornKeepAlive"],
            &timeouts["preStop"],
            &timeouts["terminationGracePeriod"]
        ),
        (&2.into(), &0.into(), &30.into()),
        "{timeouts}"
    );
}

fn watched(place: &Place) -> Value {
    place.json(&["get", "fsd", "watched"])
}

fn condition(fsd: &Value, kind: &str) -> String {
    let conditions = pointer(fsd, "/status/conditions")
        .as_array()
        .cloned()
        .unwrap_or_default();
    let found = conditions.iter().find(|it| it["type"] == kind);
    found
        .and_then(|it| it["status"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// The diagnoses above Info.
pub fn alarms(place: &Place) -> Vec<Value> {
    let fsd = watched(place);
    let all = pointer(&fsd, "/status/diagnoses")
        .as_array()
        .cloned()
        .unwrap_or_default();
    all.into_iter().filter(|it| it["severity"] != "Info").collect()
}

pub fn await_health(place: &Place) {
    wait_until(START, "Ready, and nothing above Info", || {
        let (ready, alarms) = (condition(&watched(place), "Ready"), alarms(place));
        (ready == "True" && alarms.is_empty())
            .then_some(())
            .ok_or_else(|| format!("{ready} {alarms:#?}"))
    });
}

pub fn await_code(place: &Place, expected: &str) -> Value {
    wait_until(NAMED, &format!("{expected} is named first"), || {
        let alarms = alarms(place);
        let first = alarms.first().map(|it| it["code"].clone()).unwrap_or_default();
        (first == expected)
            .then_some(())
            .ok_or_else(|| format!("{alarms:#?}"))
    });
    alarms(place).remove(0)
}

/// Makes a trouble, waits until it is named first, does literally what the remedy says, waits until all is well.
pub fn trouble(place: &Place, expected: &str, make: impl FnOnce()) {
    let start = Instant::now();
    make();
    let diagnosis = await_code(place, expected);
    println!(
        "    named after {:.0} s: {}",
        start.elapsed().as_secs_f32(),
        diagnosis["message"]
    );
    let about = |it: &Value| (it["code"].clone(), it["component"].clone());
    let mut followed = vec![about(&diagnosis)];
    follow(&diagnosis);
    // One trouble may be several: an image that cannot be pulled for two components, and then their releases.
    wait_until(START, "healthy again by what is said", || {
        let alarms = alarms(place);
        let Some(first) = alarms.first() else {
            let ready = condition(&watched(place), "Ready");
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

/// Does what is said of a risk that is no alarm.
fn heed(place: &Place, code: &str) {
    let fsd = watched(place);
    let all = pointer(&fsd, "/status/diagnoses").as_array();
    let risk = all.into_iter().flatten().find(|it| it["code"] == code).unwrap();
    assert_eq!(risk["severity"], "Info");
    follow(risk);
    wait_until(START, "the timeouts that run are aligned", || {
        let fsd = watched(place);
        let (aligned, ready) = (condition(&fsd, "TimeoutsAligned"), condition(&fsd, "Ready"));
        (aligned == "True" && ready == "True")
            .then_some(())
            .ok_or_else(|| pointer(&fsd, "/status/timeouts").to_string())
    });
}

/// Runs the command of a remedy as it stands; only the chart comes from this directory instead of a repository.
fn follow(diagnosis: &Value) {
    let remedy = diagnosis["remedy"].as_str().unwrap();
    println!("    remedy: {remedy}");
    let command = command(remedy)
        .replace("flagsmith/flagsmith", "tests/official-chart")
        .replace("--version 0.81.0 ", "")
        .replace("image.tag=RELEASE", &format!("image.tag={NEW}"));
    let output = std::process::Command::new("bash")
        .args(["-c", &command])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}\n{said}");
}

/// The first command in a remedy.
fn command(remedy: &str) -> &str {
    let start = ["helm ", "kubectl "]
        .iter()
        .filter_map(|it| remedy.find(it))
        .min()
        .unwrap();
    let rest = &remedy[start..];
    let end = ["; the", ". The", " If it", ", or ", ". What"]
        .iter()
        .filter_map(|it| rest.find(it))
        .min();
    &rest[..end.unwrap_or(rest.len())]
}

fn binary() -> std::path::PathBuf {
    env!("CARGO_BIN_EXE_flagsmith-operator").into()
}

fn without_operator(place: &Place) {
    let output = std::process::Command::new(binary())
        .args(["diagnose", "--release", RELEASE, "--namespace", place.namespace()])
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{page}");
    assert_eq!(output.status.code(), Some(0), "nothing above Info");
    assert!(page.contains("acme-flagsmith-api") && page.lines().count() < 60);
}

fn now() -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%S"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// By the API server's own log of requests.
fn wrote_nothing(since: &str) {
    let directory = std::env::var("TESTBED_DIR").unwrap();
    let log = std::fs::read_to_string(format!("{directory}/audit.log")).unwrap();
    let mut requests = 0;
    for line in log.lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let ours = entry["user"]["username"] == "system:serviceaccount:flagsmith-system:flagsmith-operator";
        if !ours
            || entry["requestReceivedTimestamp"]
                .as_str()
                .is_none_or(|time| time < since)
        {
            continue;
        }
        requests += 1;
        let verb = entry["verb"].as_str().unwrap_or_default();
        let of = &entry["objectRef"];
        let allowed = matches!(verb, "get" | "list" | "watch")
            || (of["resource"] == "flagsmithdeployments" && of["subresource"] == "status")
            || of["resource"] == "events"
            || of["resource"] == "leases";
        assert!(allowed, "{line}");
    }
    println!("    {requests} requests");
    assert!(requests > 10, "the operator's requests are in the log");
}

/// Requests all the time; each must be answered.
struct Load {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU32>,
    sent: Arc<AtomicU32>,
    thread: thread::JoinHandle<()>,
}

impl Load {
    fn on(address: String) -> Self {
        let (stop, failed, sent) = (
            Arc::<AtomicBool>::default(),
            Arc::<AtomicU32>::default(),
            Arc::<AtomicU32>::default(),
        );
        let (stopped, failures, requests) = (Arc::clone(&stop), Arc::clone(&failed), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let answer = http::get(
                    &address,
                    8000,
                    "/api/v1/flags/",
                    &[("X-Environment-Key", "anything")],
                );
                requests.fetch_add(1, Ordering::Relaxed);
                if answer.status != 200 {
                    println!("    a request failed: {} {}", answer.status, answer.body);
                    failures.fetch_add(1, Ordering::Relaxed);
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self {
            stop,
            failed,
            sent,
            thread,
        }
    }

    fn end(self) -> (u32, u32) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        (
            self.sent.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
        )
    }
}

fn adopt(place: &Place) {
    operator::install(&[]);
    let output = std::process::Command::new(binary())
        .args(["plan", "--adopt", RELEASE, "--namespace", place.namespace()])
        .output()
        .unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    println!("{page}");
    let load = Load::on(place.service("acme-flagsmith-api"));
    place.apply(&page);
    place.kubectl(&["wait", "fsd/acme-op", "--for=condition=Ready", "--timeout=300s"]);
    let steps: Vec<&str> = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix("#  ")?.split_once(". ")?.1))
        .collect();
    for step in &steps {
        let Some(command) = step
            .split_once(": ")
            .map(|(_, rest)| rest)
            .filter(|_| step.contains("kubectl -n"))
        else {
            continue;
        };
        if step.starts_with("Save this page") {
            continue;
        }
        // The minute that connections of clients are given; those of this load are short.
        thread::sleep(Duration::from_secs(5));
        for command in command.split("; and what belongs to them: ") {
            let command = command.split(". Until").next().unwrap();
            println!("    {command}");
            let done = std::process::Command::new("bash")
                .args(["-c", command])
                .output()
                .unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }
    wait_until(START, "the old pods are gone", || {
        let pods = place.kubectl(&[
            "get",
            "pods",
            "-l",
            "app.kubernetes.io/instance=acme",
            "-o",
            "name",
        ]);
        pods.is_empty().then_some(()).ok_or(pods)
    });
    let (sent, failed) = load.end();
    println!("    {failed} of {sent} requests failed");
    assert!(sent > 100 && failed == 0);
    let key = place.secret("acme-flagsmith-django-secret-key", "django-secret-key");
    assert_eq!(key, "kept-for-ever-and-ever");
    let used = place.kubectl(&[
        "exec",
        "deployment/acme-op-api",
        "--",
        "printenv",
        "DJANGO_SECRET_KEY",
    ]);
    assert_eq!(used.trim(), key, "sessions stay valid");
    let fsd = place.json(&["get", "fsd", "acme-op"]);
    assert_eq!(pointer(&fsd, "/status/version"), NEW);
}
