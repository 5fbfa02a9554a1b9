//! An installation with a database that somebody runs for himself, which stories bring into trouble, and what a user sees
//! of it: `kubectl describe` and `kubectl flagsmith diagnose`.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{
    kubectl::{pointer, wait_until},
    merge::merge,
    namespace::{NEW, Namespace, START, database},
    operator,
};

/// Seconds between two looks into a database here; a minute by default.
const INTERVAL: &str = "15";
/// What must never be shown.
pub const PASSWORDS: [&str; 2] = ["Gr8-n0-guess", "An0ther-one"];

/// The operator, and a database with a Secret that leads to it in a new namespace.
pub fn begun(name: &'static str) -> Namespace {
    operator::install(&["--set", &format!("databaseProbeIntervalSeconds={INTERVAL}")]);
    let namespace = Namespace::new(name);
    namespace.apply(&database(PASSWORDS[0], 30));
    namespace.kubectl(&["rollout", "status", "deployment/database", "--timeout=120s"]);
    secret(&namespace, PASSWORDS[0], "flagsmith");
    namespace
}

/// The first code that `kubectl describe` shows, unless it is only worth knowing.
pub fn described_first(namespace: &Namespace) -> Option<String> {
    let page = namespace.kubectl(&["describe", "fsd", "flagsmith"]);
    let (_, diagnoses) = page.split_once("Diagnoses:")?;
    let field = |name: &str| {
        let line = diagnoses.lines().map(str::trim).find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    (field("Severity:")? != "Info").then(|| field("Code:"))?
}

pub fn diagnosed_first(namespace: &Namespace) -> Option<String> {
    let output = diagnose(namespace, "json");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let first = pointer(&report, "/diagnoses/0");
    (first["severity"] != "Info").then(|| first["code"].as_str().map(str::to_owned))?
}

pub fn diagnose(namespace: &Namespace, output: &str) -> Output {
    flagsmith(namespace, &["diagnose", "flagsmith", "--connect-database", "--output", output])
}

/// `kubectl flagsmith ...`: the binary under the name that makes it a plugin.
pub fn flagsmith(namespace: &Namespace, arguments: &[&str]) -> Output {
    run(&[arguments, &["--namespace", namespace.name()]].concat())
}

pub fn run(arguments: &[&str]) -> Output {
    let folder = std::env::temp_dir().join("flagsmith-plugin");
    let plugin = folder.join("kubectl-flagsmith");
    std::fs::create_dir_all(&folder).unwrap();
    let _ = std::fs::remove_file(&plugin);
    std::os::unix::fs::symlink(PathBuf::from(env!("CARGO_BIN_EXE_flagsmith-operator")), &plugin).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    Command::new("kubectl").arg("flagsmith").args(arguments).env("PATH", path).output().unwrap()
}

/// Waits until what was applied last is Ready and nothing above Info is left, for the operator and for the command.
pub fn well(namespace: &Namespace) {
    wait_until(START, "Ready, and no diagnosis above Info", || {
        let fsd = namespace.fsd();
        let conditions = pointer(&fsd, "/status/conditions").as_array();
        let ready = conditions.into_iter().flatten().find(|it| it["type"] == "Ready");
        let holds = ready.is_some_and(|ready| {
            ready["status"] == "True" && ready["observedGeneration"] == *pointer(&fsd, "/metadata/generation")
        });
        let left = (described_first(namespace), diagnosed_first(namespace));
        (holds && left == (None, None)).then_some(()).ok_or_else(|| format!("{left:?} {ready:?}"))
    });
}

/// The installation with some fields changed, and no other trace of an earlier change.
pub fn change(namespace: &Namespace, changes: Value) {
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
    namespace.apply(&resource.to_string());
}

/// The Secret with `DATABASE_URL`. The host is an address that this machine reaches too, so that the command can ask
/// the database itself.
pub fn secret(namespace: &Namespace, password: &str, database: &str) {
    let host = namespace.service("database");
    let url = format!("postgresql://flagsmith:{password}@{host}:5432/{database}");
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "db" }, "stringData": { "DATABASE_URL": url },
    })
    .to_string());
}

pub fn in_database(namespace: &Namespace, shell: &str) -> String {
    namespace.kubectl(&["exec", "deployment/database", "--", "sh", "-c", shell])
}

/// As the server's own user through its socket, which needs no password.
pub fn sql(namespace: &Namespace, statements: &str) -> String {
    in_database(namespace, &format!("psql -U flagsmith -d flagsmith -Atc \"{statements}\""))
}

pub fn end_sessions(namespace: &Namespace) {
    sql(
        namespace,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'flagsmith' AND pid <> pg_backend_pid()",
    );
}

pub fn password(namespace: &Namespace, password: &str) {
    sql(namespace, &format!("ALTER ROLE flagsmith PASSWORD '{password}'"));
    end_sessions(namespace);
}

pub fn scale_database(namespace: &Namespace, pods: u32) {
    namespace.kubectl(&["scale", "deployment", "database", &format!("--replicas={pods}")]);
}

pub fn restart_api(namespace: &Namespace) {
    namespace.kubectl(&["delete", "pod", "-l", "app.kubernetes.io/component=api", "--wait=false"]);
}
