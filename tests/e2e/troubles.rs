//! One installation, one trouble after the other: for each, `kubectl describe` and `kubectl flagsmith diagnose` name the
//! cause first, and nothing is left of it once the remedy was followed.

use std::{
    io::Read as _,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    http,
    installation::{
        PASSWORDS, begun, change, described_first, diagnose, diagnosed_first, end_sessions, flagsmith,
        in_database, password, restart_api, run, scale_database, secret, sql, well,
    },
    kubectl::{kubectl, require_cluster, wait_until},
    namespace::{Namespace, Trials, step},
    operator,
};

/// How long a trouble may take to be named.
const NAMED: Duration = Duration::from_mins(1);
/// What goes wrong, the cause that has to come first, and what is done about it.
struct Trouble {
    what: &'static str,
    code: &'static str,
    make: fn(&Namespace),
    mend: fn(&Namespace),
}

/// A trouble of the specification, which ends when the change is taken back.
macro_rules! of_specification {
    ($what:literal, $code:literal, $($change:tt)+) => {
        Trouble {
            what: $what,
            code: $code,
            make: |namespace| change(namespace, json!($($change)+)),
            mend: |namespace| change(namespace, json!({})),
        }
    };
}

const TROUBLES: &[Trouble] = &[
    Trouble {
        what: "the database's Secret is deleted, and a pod restarts",
        code: "DatabaseSecretMissing",
        make: |namespace| {
            namespace.kubectl(&["delete", "secret", "db"]);
            restart_api(namespace);
        },
        mend: |namespace| secret(namespace, PASSWORDS[0], "flagsmith"),
    },
    Trouble {
        what: "the role's password is changed",
        code: "DatabaseAuthenticationFailed",
        make: |namespace| password(namespace, PASSWORDS[1]),
        mend: |namespace| secret(namespace, PASSWORDS[1], "flagsmith"),
    },
    Trouble {
        what: "the URL names a database that is not there",
        code: "DatabaseNotFound",
        // Pods read a Secret at their start.
        make: |namespace| {
            secret(namespace, PASSWORDS[1], "flagsmiht");
            restart_api(namespace);
        },
        mend: |namespace| secret(namespace, PASSWORDS[1], "flagsmith"),
    },
    Trouble {
        what: "the database is stopped",
        code: "DatabaseUnreachable",
        make: |namespace| scale_database(namespace, 0),
        mend: |namespace| scale_database(namespace, 1),
    },
    Trouble {
        what: "the database takes no writes",
        code: "DatabaseReadOnly",
        make: |namespace| {
            sql(namespace, "ALTER DATABASE flagsmith SET default_transaction_read_only = on");
            end_sessions(namespace);
        },
        mend: |namespace| {
            let reset = "ALTER DATABASE flagsmith RESET default_transaction_read_only";
            let options = "PGOPTIONS='-c default_transaction_read_only=off'";
            in_database(namespace, &format!("{options} psql -U flagsmith -d flagsmith -c '{reset}'"));
            end_sessions(namespace);
        },
    },
    Trouble {
        what: "somebody holds every connection",
        code: "DatabaseConnectionsExhausted",
        make: |namespace| {
            // The limit of the server is 30; a pool that is too large takes what is free, and what gets free.
            in_database(
                namespace,
                "for i in $(seq 40); do (while test ! -e /data/enough; do psql -U flagsmith -c 'SELECT pg_sleep(600)'; sleep 0.2; done) >/dev/null 2>&1 & done; sleep 1",
            );
            restart_api(namespace);
        },
        // The server's processes: one that sleeps does not see that its client is gone.
        mend: |namespace| {
            in_database(
                namespace,
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
        make: |namespace| {
            namespace.kubectl(&["create", "quota", "few", "--hard=pods=1"]);
            restart_api(namespace);
        },
        mend: |namespace| {
            namespace.kubectl(&["delete", "quota", "few"]);
            // A ReplicaSet that was refused tries again after a growing while; a change of it at once.
            namespace.kubectl(&["rollout", "restart", "deployment", "flagsmith-api"]);
        },
    },
    Trouble {
        what: "a LimitRange that forbids the pods",
        code: "AdmissionDenied",
        make: |namespace| {
            namespace.apply(
                "{apiVersion: v1, kind: LimitRange, metadata: {name: small}, spec: {limits: [{type: Container, max: {memory: 100Mi}}]}}",
            );
            restart_api(namespace);
        },
        mend: |namespace| {
            namespace.kubectl(&["delete", "limitrange", "small"]);
            namespace.kubectl(&["rollout", "restart", "deployment", "flagsmith-api"]);
        },
    },
    Trouble {
        what: "tasks that fail",
        code: "TasksFailing",
        make: |namespace| {
            let answer = http::post(
                &namespace.service("flagsmith-api"),
                8000,
                "/testbed/enqueue?task=fail&count=3&value=oh",
            );
            assert_eq!(answer.status, 202, "{}", answer.body);
        },
        mend: |namespace| {
            sql(
                namespace,
                "UPDATE task_processor_task SET num_failures = 0, task_identifier = 'tasks.write_result' WHERE task_identifier = 'tasks.fail'",
            );
        },
    },
];

#[test]
#[ignore = "twenty minutes: make trial-troubles"]
fn every_trouble_of_one_installation_is_named_first_and_leaves_nothing() {
    require_cluster();
    let namespace = step("an installation with a database of its own becomes Ready", || {
        let namespace = begun("troubles");
        change(&namespace, json!({}));
        well(&namespace);
        namespace
    });
    let mut table = String::new();
    let mut trials = Trials::new();
    for trouble in TROUBLES {
        let row =
            trials.trial(trouble.what, || pass_through(&namespace, trouble), || mended(&namespace, trouble));
        table += &row.unwrap_or_default();
    }
    println!("| trouble | first cause | describe | diagnose | well again |\n|---|---|---|---|---|\n{table}");
    trials.verdict();
    step("the report for a ticket has no secret", || report(&namespace));
    step("somebody without rights is told so", || {
        without_rights(&namespace);
    });
    namespace.remove();
    operator::uninstall();
    step("a cluster without the CRD", without_crd);
}

/// Makes the trouble, waits until both tools name it first, follows the remedy, waits until all is well. One row.
fn pass_through(namespace: &Namespace, trouble: &Trouble) -> String {
    let start = Instant::now();
    (trouble.make)(namespace);
    let (mut described, mut diagnosed) = (None, None);
    wait_until(NAMED, &format!("{} is named first", trouble.code), || {
        let (by_operator, by_command) = (described_first(namespace), diagnosed_first(namespace));
        for (seen, known) in [(&by_operator, &mut described), (&by_command, &mut diagnosed)] {
            if seen.as_deref() == Some(trouble.code) {
                known.get_or_insert_with(|| start.elapsed().as_secs());
            }
        }
        described.zip(diagnosed).map(drop).ok_or_else(|| {
            format!("describe: {by_operator:?} {described:?}, diagnose: {by_command:?} {diagnosed:?}")
        })
    });
    println!("{}", String::from_utf8_lossy(&diagnose(namespace, "text").stdout));
    let start = Instant::now();
    mended(namespace, trouble);
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

fn mended(namespace: &Namespace, trouble: &Trouble) {
    (trouble.mend)(namespace);
    well(namespace);
}

fn report(namespace: &Namespace) {
    let file = std::env::temp_dir().join(format!("report-{}.zip", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let name = file.to_str().unwrap();
    let output = flagsmith(namespace, &["report", "flagsmith", "--file", name]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&file).unwrap()).unwrap();
    let django = namespace.secret("flagsmith-django", "DJANGO_SECRET_KEY");
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
    println!("    {} files, {} bytes", names.len(), std::fs::metadata(&file).unwrap().len());
    for expected in ["diagnoses.txt", "flagsmithdeployment.yaml", "events.txt", "logs/flagsmith-api-"] {
        assert!(names.iter().any(|name| name.starts_with(expected)), "{expected}: {names:?}");
    }
    std::fs::remove_file(&file).unwrap();
}

/// Exit status 3, what is not allowed, and what to ask for.
fn without_rights(namespace: &Namespace) {
    let directory = std::env::var("TESTBED_DIR").unwrap();
    let user = Command::new("testbed")
        .args(["kubeconfig", "--dir", &directory, "--user", "somebody"])
        .output()
        .unwrap();
    assert!(user.status.success(), "{}", String::from_utf8_lossy(&user.stderr));
    let file = std::env::temp_dir().join(format!("somebody-{}.kubeconfig", std::process::id()));
    std::fs::write(&file, &user.stdout).unwrap();
    let output = flagsmith(namespace, &["diagnose", "flagsmith", "--kubeconfig", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("somebody") && said.contains("ask for the role \"view\""), "{said}");
}

/// The next story's chart brings it again.
fn without_crd() {
    kubectl(&["delete", "crd", "flagsmithdeployments.operator.flagsmith.com", "--ignore-not-found"]);
    let output = run(&["diagnose", "flagsmith", "--namespace", "default"]);
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("the CRD is not installed") && said.contains("helm install"), "{said}");
}
