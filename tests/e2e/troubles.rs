//! One installation, one trouble after the other: for each, `kubectl describe` and `kubectl flagsmith diagnose` name the
//! cause first, and nothing is left of it once the remedy was followed.

use std::{
    io::Read as _,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    http,
    kubectl::{kubectl, pointer, require_cluster, wait_until},
    operator,
    place::{NEW, Place, START, Trials, database, step},
};

/// Seconds between two looks into a database in this story; a minute by default.
const INTERVAL: &str = "15";
/// How long a trouble may take to be named.
const NAMED: Duration = Duration::from_mins(1);
/// What must never be shown.
const PASSWORDS: [&str; 2] = ["Gr8-n0-guess", "An0ther-one"];

/// What goes wrong, the cause that has to come first, and what is done about it.
struct Trouble {
    what: &'static str,
    code: &'static str,
    make: fn(&Place),
    mend: fn(&Place),
}

/// A trouble of the specification, which ends when the change is taken back.
macro_rules! of_specification {
    ($what:literal, $code:literal, $($change:tt)+) => {
        Trouble {
            what: $what,
            code: $code,
            make: |place| change(place, json!($($change)+)),
            mend: |place| change(place, json!({})),
        }
    };
}

const TROUBLES: &[Trouble] = &[
    Trouble {
        what: "the database's Secret is deleted, and a pod restarts",
        code: "DatabaseSecretMissing",
        make: |place| {
            place.kubectl(&["delete", "secret", "db"]);
            restart_api(place);
        },
        mend: |place| secret(place, PASSWORDS[0], "flagsmith"),
    },
    Trouble {
        what: "the role's password is changed",
        code: "DatabaseAuthenticationFailed",
        make: |place| password(place, PASSWORDS[1]),
        mend: |place| secret(place, PASSWORDS[1], "flagsmith"),
    },
    Trouble {
        what: "the URL names a database that is not there",
        code: "DatabaseNotFound",
        // Pods read a Secret at their start.
        make: |place| {
            secret(place, PASSWORDS[1], "flagsmiht");
            restart_api(place);
        },
        mend: |place| secret(place, PASSWORDS[1], "flagsmith"),
    },
    Trouble {
        what: "the database is stopped",
        code: "DatabaseUnreachable",
        make: |place| scale_database(place, 0),
        mend: |place| scale_database(place, 1),
    },
    Trouble {
        what: "the database takes no writes",
        code: "DatabaseReadOnly",
        make: |place| {
            sql(
                place,
                "ALTER DATABASE flagsmith SET default_transaction_read_only = on",
            );
            end_sessions(place);
        },
        mend: |place| {
            let reset = "ALTER DATABASE flagsmith RESET default_transaction_read_only";
            let options = "PGOPTIONS='-c default_transaction_read_only=off'";
            in_database(
                place,
                &format!("{options} psql -U flagsmith -d flagsmith -c '{reset}'"),
            );
            end_sessions(place);
        },
    },
    Trouble {
        what: "somebody holds every connection",
        code: "DatabaseConnectionsExhausted",
        make: |place| {
            // The limit of the server is 30; a pool that is too large takes what is free, and what gets free.
            in_database(
                place,
                "for i in $(seq 40); do (while test ! -e /data/enough; do psql -U flagsmith -c 'SELECT pg_sleep(600)'; sleep 0.2; done) >/dev/null 2>&1 & done; sleep 1",
            );
            restart_api(place);
        },
        // The server's processes: one that sleeps does not see that its client is gone.
        mend: |place| {
            in_database(
                place,
                "touch /data/enough; for process in /proc/[0-9]*; do \
                 if tr '\\0' ' ' < $process/cmdline | grep -q '^postgres: flagsmith .*local'; then kill ${process#/proc/}; fi; done; \
                 sleep 2; rm /data/enough",
            );
        },
    },
    of_specification!("a release that does not exist", "MigrationImagePullFailed", { "version": "2.999.0" }),
    of_specification!("an image that does not exist", "ImagePullFailed", { "images": { "frontend": "docker.io/local/nothing" } }),
    of_specification!("a request above its limit", "AdmissionDenied", { "api": { "resources": { "limits": { "memory": "50Mi" } } } }),
    of_specification!("less memory than a start needs", "ContainerOutOfMemory", {
        "api": { "resources": { "requests": { "memory": "32Mi" }, "limits": { "memory": "50Mi" } } },
    }),
    of_specification!("more processors than any node has", "PodUnschedulable", { "api": { "resources": { "requests": { "cpu": "200" } } } }),
    of_specification!("no task processor", "TaskProcessorScaledToZero", { "taskProcessor": { "replicas": 0 } }),
    of_specification!("a variable that the operator computes", "InvalidSpec", { "env": [{ "name": "TASK_RUN_METHOD", "value": "SYNCHRONOUSLY" }] }),
    of_specification!("hosts that the user's own probe does not have", "AllowedHostsRejected", {
        "django": { "allowedHosts": ["flags.example.com"] },
        "api": { "readinessProbe": { "httpGet": { "path": "/health/readiness/", "port": "http" } } },
    }),
    of_specification!("a liveness probe that asks for nothing that is there", "LivenessProbeKilling", {
        "api": { "livenessProbe": { "httpGet": { "path": "/nothing/", "port": "http" }, "periodSeconds": 2, "failureThreshold": 2 } },
    }),
    of_specification!("a ConfigMap that does not exist", "ContainerConfigError", { "api": { "envFrom": [{ "configMapRef": { "name": "settings" } }] } }),
    Trouble {
        what: "a quota that has no room for a new pod",
        code: "QuotaExceeded",
        make: |place| {
            place.kubectl(&["create", "quota", "few", "--hard=pods=1"]);
            restart_api(place);
        },
        mend: |place| {
            place.kubectl(&["delete", "quota", "few"]);
            // A ReplicaSet that was refused tries again after a growing while; a change of it at once.
            place.kubectl(&["rollout", "restart", "deployment", "flagsmith-api"]);
        },
    },
    Trouble {
        what: "a LimitRange that forbids the pods",
        code: "AdmissionDenied",
        make: |place| {
            place.apply(
                "{apiVersion: v1, kind: LimitRange, metadata: {name: small}, spec: {limits: [{type: Container, max: {memory: 100Mi}}]}}",
            );
            restart_api(place);
        },
        mend: |place| {
            place.kubectl(&["delete", "limitrange", "small"]);
            place.kubectl(&["rollout", "restart", "deployment", "flagsmith-api"]);
        },
    },
    Trouble {
        what: "tasks that fail",
        code: "TasksFailing",
        make: |place| {
            let answer = http::post(
                &place.service("flagsmith-api"),
                8000,
                "/testbed/enqueue?task=fail&count=3&value=oh",
            );
            assert_eq!(answer.status, 202, "{}", answer.body);
        },
        mend: |place| {
            sql(
                place,
                "UPDATE task_processor_task SET num_failures = 0, task_identifier = 'tasks.write_result' WHERE task_identifier = 'tasks.fail'",
            );
        },
    },
];

#[test]
#[ignore = "twenty minutes: make trial-troubles"]
fn every_trouble_of_one_installation_is_named_first_and_leaves_nothing() {
    require_cluster();
    operator::install(&["--set", &format!("databaseProbeIntervalSeconds={INTERVAL}")]);
    let place = Place::new("troubles");
    step("an installation with a database of its own becomes Ready", || {
        place.apply(&database(PASSWORDS[0], 30));
        place.kubectl(&["rollout", "status", "deployment/database", "--timeout=120s"]);
        secret(&place, PASSWORDS[0], "flagsmith");
        change(&place, json!({}));
        well(&place);
    });
    let mut table = String::new();
    let mut trials = Trials::new();
    for trouble in TROUBLES {
        let row = trials.trial(
            trouble.what,
            || pass_through(&place, trouble),
            || mended(&place, trouble),
        );
        table += &row.unwrap_or_default();
    }
    println!("| trouble | first cause | describe | diagnose | well again |\n|---|---|---|---|---|\n{table}");
    trials.verdict();
    step("the report for a ticket has no secret", || report(&place));
    step("somebody without rights is told so", || without_rights(&place));
    place.remove();
    operator::uninstall();
    step("a cluster without the CRD", without_crd);
}

/// Makes the trouble, waits until both tools name it first, follows the remedy, waits until all is well. One row.
fn pass_through(place: &Place, trouble: &Trouble) -> String {
    let start = Instant::now();
    (trouble.make)(place);
    let (mut described, mut diagnosed) = (None, None);
    wait_until(NAMED, &format!("{} is named first", trouble.code), || {
        let (by_operator, by_command) = (described_first(place), diagnosed_first(place));
        for (seen, known) in [(&by_operator, &mut described), (&by_command, &mut diagnosed)] {
            if seen.as_deref() == Some(trouble.code) {
                known.get_or_insert_with(|| start.elapsed().as_secs());
            }
        }
        described.zip(diagnosed).map(drop).ok_or_else(|| {
            format!("describe: {by_operator:?} {described:?}, diagnose: {by_command:?} {diagnosed:?}")
        })
    });
    println!("{}", String::from_utf8_lossy(&diagnose(place, "text").stdout));
    let start = Instant::now();
    mended(place, trouble);
    let seconds = |named: Option<u64>| named.unwrap_or_default();
    format!(
        "| {} | {} | {} s | {} s | {} s |\n",
        trouble.what,
        trouble.code,
        seconds(described),
        seconds(diagnosed),
        start.elapsed().as_secs()
    )
}

fn mended(place: &Place, trouble: &Trouble) {
    (trouble.mend)(place);
    well(place);
}

/// The first code that `kubectl describe` shows, unless it is only worth knowing.
fn described_first(place: &Place) -> Option<String> {
    let page = place.kubectl(&["describe", "fsd", "flagsmith"]);
    let (_, diagnoses) = page.split_once("Diagnoses:")?;
    let field = |name: &str| {
        let line = diagnoses
            .lines()
            .map(str::trim)
            .find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    (field("Severity:")? != "Info").then(|| field("Code:"))?
}

fn diagnosed_first(place: &Place) -> Option<String> {
    let output = diagnose(place, "json");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let first = pointer(&report, "/diagnoses/0");
    (first["severity"] != "Info").then(|| first["code"].as_str().map(str::to_owned))?
}

fn diagnose(place: &Place, output: &str) -> Output {
    flagsmith(
        place,
        &["diagnose", "flagsmith", "--connect-database", "--output", output],
    )
}

/// `kubectl flagsmith ...`: the binary under the name that makes it a plugin.
fn flagsmith(place: &Place, arguments: &[&str]) -> Output {
    run(&[arguments, &["--namespace", place.namespace()]].concat())
}

fn run(arguments: &[&str]) -> Output {
    let folder = std::env::temp_dir().join("flagsmith-plugin");
    let plugin = folder.join("kubectl-flagsmith");
    std::fs::create_dir_all(&folder).unwrap();
    let _ = std::fs::remove_file(&plugin);
    std::os::unix::fs::symlink(PathBuf::from(env!("CARGO_BIN_EXE_flagsmith-operator")), &plugin).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    Command::new("kubectl")
        .arg("flagsmith")
        .args(arguments)
        .env("PATH", path)
        .output()
        .unwrap()
}

/// Waits until what was applied last is Ready and nothing above Info is left, for the operator and for the command.
fn well(place: &Place) {
    wait_until(START, "Ready, and no diagnosis above Info", || {
        let fsd = place.fsd();
        let conditions = pointer(&fsd, "/status/conditions").as_array();
        let ready = conditions.into_iter().flatten().find(|it| it["type"] == "Ready");
        let holds = ready.is_some_and(|ready| {
            ready["status"] == "True" && ready["observedGeneration"] == *pointer(&fsd, "/metadata/generation")
        });
        let left = (described_first(place), diagnosed_first(place));
        (holds && left == (None, None))
            .then_some(())
            .ok_or_else(|| format!("{left:?} {ready:?}"))
    });
}

/// The installation with some fields changed, and no other trace of an earlier change.
fn change(place: &Place, changes: Value) {
    let mut resource = json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1",
        "kind": "FlagsmithDeployment",
        "metadata": { "name": "flagsmith" },
        "spec": {
            "version": NEW,
            "images": {
                "api": "docker.io/local/flagsmith-api",
                "frontend": "docker.io/local/flagsmith-frontend",
                "pullPolicy": "Never",
            },
            "database": { "urlFrom": { "secretKeyRef": { "name": "db", "key": "DATABASE_URL" } } },
            "api": {
                "replicas": 1,
                "gunicorn": { "workers": 1, "threads": 2 },
                "resources": { "requests": { "cpu": "50m", "memory": "128Mi" }, "limits": { "memory": "512Mi" } },
            },
            "taskProcessor": {
                "resources": { "requests": { "cpu": "20m", "memory": "128Mi" }, "limits": { "memory": "512Mi" } },
            },
            "frontend": {
                "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } },
            },
            "migrations": {
                "resources": { "requests": { "cpu": "50m", "memory": "128Mi" }, "limits": { "memory": "512Mi" } },
            },
        },
    });
    merge(&mut resource["spec"], changes);
    place.apply(&resource.to_string());
}

/// A JSON merge patch without deletions.
fn merge(target: &mut Value, changes: Value) {
    match (target, changes) {
        (Value::Object(target), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, changes) => *target = changes,
    }
}

/// The Secret with `DATABASE_URL`. The host is an address that this machine reaches too, so that the command can ask
/// the database itself.
fn secret(place: &Place, password: &str, database: &str) {
    let host = place.service("database");
    let url = format!("postgresql://flagsmith:{password}@{host}:5432/{database}");
    place.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "db" }, "stringData": { "DATABASE_URL": url },
    })
    .to_string());
}

fn in_database(place: &Place, shell: &str) -> String {
    place.kubectl(&["exec", "deployment/database", "--", "sh", "-c", shell])
}

/// As the server's own user through its socket, which needs no password.
fn sql(place: &Place, statements: &str) -> String {
    in_database(
        place,
        &format!("psql -U flagsmith -d flagsmith -Atc \"{statements}\""),
    )
}

fn end_sessions(place: &Place) {
    sql(
        place,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'flagsmith' AND pid <> pg_backend_pid()",
    );
}

fn password(place: &Place, password: &str) {
    sql(place, &format!("ALTER ROLE flagsmith PASSWORD '{password}'"));
    end_sessions(place);
}

fn scale_database(place: &Place, pods: u32) {
    place.kubectl(&["scale", "deployment", "database", &format!("--replicas={pods}")]);
}

fn restart_api(place: &Place) {
    place.kubectl(&[
        "delete",
        "pod",
        "-l",
        "app.kubernetes.io/component=api",
        "--wait=false",
    ]);
}

fn report(place: &Place) {
    let file = std::env::temp_dir().join(format!("report-{}.zip", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let name = file.to_str().unwrap();
    let output = flagsmith(place, &["report", "flagsmith", "--file", name]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&file).unwrap()).unwrap();
    let django = place.secret("flagsmith-django", "DJANGO_SECRET_KEY");
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in PASSWORDS.iter().copied().chain([django.as_str()]) {
            assert!(!text.contains(secret), "{name} has a secret in it");
        }
        names.push(name);
    }
    println!(
        "    {} files, {} bytes",
        names.len(),
        std::fs::metadata(&file).unwrap().len()
    );
    for expected in [
        "diagnoses.txt",
        "flagsmithdeployment.yaml",
        "events.txt",
        "logs/flagsmith-api-",
    ] {
        assert!(
            names.iter().any(|name| name.starts_with(expected)),
            "{expected}: {names:?}"
        );
    }
    std::fs::remove_file(&file).unwrap();
}

/// Exit status 3, what is not allowed, and what to ask for.
fn without_rights(place: &Place) {
    let directory = std::env::var("TESTBED_DIR").unwrap();
    let user = Command::new("testbed")
        .args(["kubeconfig", "--dir", &directory, "--user", "somebody"])
        .output()
        .unwrap();
    assert!(user.status.success(), "{}", String::from_utf8_lossy(&user.stderr));
    let file = std::env::temp_dir().join(format!("somebody-{}.kubeconfig", std::process::id()));
    std::fs::write(&file, &user.stdout).unwrap();
    let output = flagsmith(
        place,
        &["diagnose", "flagsmith", "--kubeconfig", file.to_str().unwrap()],
    );
    std::fs::remove_file(&file).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("somebody") && said.contains("ask for the role \"view\""),
        "{said}"
    );
}

/// The next story's chart brings it again.
fn without_crd() {
    kubectl(&[
        "delete",
        "crd",
        "flagsmithdeployments.operator.flagsmith.com",
        "--ignore-not-found",
    ]);
    let output = run(&["diagnose", "flagsmith", "--namespace", "default"]);
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("the CRD is not installed") && said.contains("helm install"),
        "{said}"
    );
}
