//! Every trouble that only an installation of the official chart has: too long for every run. `make trial-observed`.

use serde_json::Value;

use crate::{
    kubectl::{self, pointer, wait_until},
    namespace::{Namespace, START, Trials, step},
    official_chart::{
        alarms, await_code, await_health, condition, follow, healthy, read_only_operator, recover, trouble,
        upgrade,
    },
};

#[test]
#[ignore = "ten minutes: make trial-observed"]
fn every_trouble_of_an_observed_installation() {
    step("install an operator that may write nothing", read_only_operator);
    let namespace = Namespace::new("observed-trial");
    step("an installation of the official chart is healthy", || {
        healthy(&namespace);
    });
    let mut trials = Trials::new();
    let set: &[(&str, &[&str])] = &[
        ("TaskProcessorReleaseBroken", &["--set", "taskProcessor.image.tag=2.259.0"]),
        (
            "TaskProcessorMissing",
            &[
                "--set",
                "taskProcessor.enabled=false",
                "--set-string",
                "api.extraEnv.TASK_RUN_METHOD=TASK_PROCESSOR",
            ],
        ),
        ("ReplicasContested", &["--set", "api.replicacount=2,hpa.enabled=true"]),
        ("GunicornSettingsIgnored", &["--set-string", "api.extraEnv.GUNICORN_KEEP_ALIVE=75"]),
        ("DatabaseHostNotFound", &["--set", "hpa.enabled=false,api.replicacount=1,pgbouncer.enabled=true"]),
        // The chart migrates with the same image, and that Job comes first.
        ("MigrationImagePullFailed", &["--set", "api.image.tag=2.999.0,taskProcessor.image.tag=2.999.0"]),
        ("TaskProcessorMigratesItself", &["--set", "taskProcessor.replicacount=2"]),
    ];
    for (expected, values) in set {
        let make = || trouble(&namespace, expected, || upgrade(&namespace, values));
        trials.trial(expected, make, || recover(&namespace));
    }
    for (expected, variable) in
        [("TaskRunMethodUnset", "TASK_RUN_METHOD-"), ("SecretKeyEphemeral", "DJANGO_SECRET_KEY-")]
    {
        let unset = || drop(namespace.kubectl(&["set", "env", "deployment/acme-flagsmith-api", variable]));
        trials.trial(expected, || trouble(&namespace, expected, unset), || recover(&namespace));
    }
    trials.trial(
        "another release in the namespace, whose pods race each other",
        || race(&namespace),
        || recover(&namespace),
    );
    let on_purpose = || {
        let name = "acme-flagsmith";
        namespace.kubectl(&["scale", "deployment", name, "--replicas=0"]);
        await_code(&namespace, "ScaledToZero");
        let note = "operator.flagsmith.com/scaled-to-zero=intended";
        namespace.kubectl(&["annotate", "deployment", name, note]);
        await_health(&namespace);
    };
    trials.trial("no pods on purpose", on_purpose, || recover(&namespace));
    trials.verdict();
    namespace.remove();
}

/// How often three pods are let loose until one of them loses: now and then the first is done before the others begin.
const RACES: usize = 5;

/// Three pods that migrate an empty database at the same time; the losers fail, and one Job is the remedy.
fn race(namespace: &Namespace) {
    namespace.apply(BETA);
    assert!((0..RACES).any(|_| has_a_loser(namespace)), "{RACES} races, and nobody lost");
    let mut race = Value::Null;
    wait_until(START, "the race is named with its evidence", || {
        let fsd = namespace.json(&["get", "fsd", "beta"]);
        let all = pointer(&fsd, "/status/diagnoses").as_array().cloned().unwrap_or_default();
        let found = all.iter().find(|it| it["code"] == "MigrationConcurrent" && it["severity"] == "Warning");
        race = found.cloned().unwrap_or_default();
        found.map(|_| ()).ok_or_else(|| format!("{all:#?}"))
    });
    println!("    {}\n    {:#}", race["message"], race["evidence"]);
    let evidence = race["evidence"].to_string();
    assert!(evidence.contains("failed") || evidence.contains("already exists"), "{race}");
    follow(&race);
    wait_until(START, "one Job migrates, and the race is history", || {
        let fsd = namespace.json(&["get", "fsd", "beta"]);
        let all = pointer(&fsd, "/status/diagnoses").to_string();
        let well = condition(&fsd, "Ready") == "True" && !all.contains("MigrationConcurrent");
        well.then_some(()).ok_or(all)
    });
    let own = alarms(namespace);
    assert!(own.is_empty(), "the release beside is another matter: {own:#?}");
    kubectl::helm(&["uninstall", "beta", "--namespace", namespace.name()]);
    namespace.kubectl(&["delete", "fsd", "beta"]);
}

/// Installs a second release on an empty database; whether one of its pods failed to migrate.
fn has_a_loser(namespace: &Namespace) -> bool {
    kubectl::helm(&["uninstall", "beta", "--namespace", namespace.name(), "--ignore-not-found", "--wait"]);
    let empty = "dropdb --force --if-exists -U flagsmith beta && createdb -U flagsmith beta";
    namespace.kubectl(&["exec", "deployment/database", "--", "sh", "-c", empty]);
    kubectl::helm(&[
        "install",
        "beta",
        "tests/official-chart",
        "--namespace",
        namespace.name(),
        "--set",
        "api.replicacount=3,frontend.enabled=false,databaseExternal.url=postgresql://flagsmith:flagsmith@database:5432/beta",
        "--set-string",
        "api.extraEnv.GUNICORN_WORKERS=1",
    ]);
    namespace.kubectl(&["rollout", "status", "deployment/beta-flagsmith-api", "--timeout=180s"]);
    let restarts = "jsonpath={.items[*].status.initContainerStatuses[*].restartCount}";
    let label = "app.kubernetes.io/instance=beta";
    let restarts = namespace.kubectl(&["get", "pods", "-l", label, "-o", restarts]);
    restarts.split_whitespace().any(|count| count != "0")
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
