//! Situations from public reports of people who run the official chart, each made on the cluster and named by its cause and
//! not by what it looks like.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    kubectl::wait_until,
    namespace::{Namespace, Trials, step},
    official_chart::{alarms, await_health, healthy, read_only_operator, recover, upgrade},
};

/// A liveness probe of the chart kills after a minute, and says so in an Event a moment later.
const NAMED: Duration = Duration::from_mins(4);

const API: &str = "deployment/acme-flagsmith-api";

/// A situation.
struct Case {
    name: &'static str,
    /// What it is, before everything that it looks like.
    code: &'static str,
    /// Which of the possible reasons.
    words: &'static [&'static str],
    /// What is made besides.
    before: fn(&Namespace),
    /// Values of the chart.
    values: &'static [&'static str],
    after: fn(&Namespace),
}

const NONE: fn(&Namespace) = |_| {};

const CASES: &[Case] = &[
    Case {
        name: "a limit of the processor too small for the start",
        code: "LivenessProbeKilling",
        words: &["cpu", "10m"],
        before: NONE,
        values: &["--set", "api.resources.limits.cpu=10m,api.livenessProbe.failureThreshold=3"],
        after: NONE,
    },
    Case {
        name: "a quota demands limits that the init container has not",
        code: "QuotaExceeded",
        words: &["migrate-db"],
        before: |namespace| namespace.apply(QUOTA),
        values: &[
            "--set",
            "api.enableMigrateDbInitContainer=true,jobs.migrateDb.enabled=false",
            "--set",
            "api.resources.limits.cpu=500m,api.resources.limits.memory=512Mi",
        ],
        after: NONE,
    },
    Case {
        name: "nothing migrates",
        code: "MigrationsPending",
        words: &["no migration Job"],
        before: |namespace| database(namespace, "empty"),
        values: &[
            "--set",
            "jobs.migrateDb.enabled=false",
            "--set",
            "databaseExternal.url=postgresql://flagsmith:flagsmith@database:5432/empty",
        ],
        after: NONE,
    },
    Case {
        name: "allowed hosts narrowed in extraEnv",
        code: "AllowedHostsRejected",
        words: &["DJANGO_ALLOWED_HOSTS"],
        // A variable that stands twice gets into a Deployment only when that is made: Helm's patch of a list leaves out the
        // second.
        before: |namespace| drop(namespace.kubectl(&["delete", "deployment", "acme-flagsmith-api"])),
        values: &["--set-string", "api.extraEnv.DJANGO_ALLOWED_HOSTS=flags.example.org"],
        after: NONE,
    },
    Case {
        name: "a migration in the container that serves, killed",
        code: "LivenessProbeKilling",
        words: &["migrates before it listens"],
        before: |namespace| {
            database(namespace, "slow");
            let psql =
                ["exec", "deployment/database", "--", "psql", "-U", "flagsmith", "-d", "slow", "-c", SLOW];
            namespace.kubectl(&psql);
        },
        values: &[
            "--set",
            "jobs.migrateDb.enabled=false,api.args={migrate-and-serve}",
            "--set",
            "databaseExternal.url=postgresql://flagsmith:flagsmith@database:5432/slow",
        ],
        after: NONE,
    },
    Case {
        name: "a proxy to the database beside an init container",
        code: "DatabaseUnreachable",
        words: &["127.0.0.1", "init"],
        before: NONE,
        values: &[
            "--set",
            "api.enableMigrateDbInitContainer=true,jobs.migrateDb.enabled=false",
            "--set",
            "databaseExternal.url=postgresql://flagsmith:flagsmith@127.0.0.1:5432/flagsmith",
        ],
        after: |namespace| drop(namespace.kubectl(&["patch", API, "--type=strategic", "-p", SIDECAR])),
    },
    Case {
        name: "a probe that runs what the image has not",
        // containerd cannot start it, and the kubelet throws that result away: nothing is killed, and a readiness probe
        // never succeeds.
        code: "ProbeFailing",
        words: &["curl", "flagsmith healthcheck tcp"],
        before: NONE,
        values: &[],
        after: |namespace| drop(namespace.kubectl(&["patch", API, "--type=json", "-p", CURL])),
    },
];

#[test]
#[ignore = "twenty minutes: make trial-observed"]
fn situations_from_public_reports() {
    step("install an operator that may write nothing", read_only_operator);
    let namespace = Namespace::new("live");
    step("an installation of the official chart is healthy", || healthy(&namespace));
    let mut trials = Trials::new();
    let back = || {
        tidied(&namespace);
        recover(&namespace);
    };
    for case in CASES {
        let make = || {
            (case.before)(&namespace);
            upgrade(&namespace, case.values);
            (case.after)(&namespace);
            named(&namespace, case.code, case.words);
            back();
        };
        trials.trial(case.name, make, back);
    }
    let unread = || {
        let values = "api.extraEnv.FLAG_IDENTITY_CACHE_SECONDS=60,api.extraEnv.REDIS_URL=redis://r";
        upgrade(&namespace, &["--set-string", values]);
        namespace.kubectl(&["rollout", "status", API, "--timeout=180s"]);
        await_health(&namespace);
    };
    trials.trial("settings that nothing reads", unread, back);
    trials.verdict();
    namespace.remove();
}

/// Named first, with words that say which of the possible reasons it is.
fn named(namespace: &Namespace, code: &str, words: &[&str]) {
    let start = Instant::now();
    let mut found = Value::Null;
    let mut seen = Vec::new();
    wait_until(NAMED, &format!("{code} is named first"), || {
        let alarms = alarms(namespace);
        let codes: Vec<String> = alarms.iter().map(|it| it["code"].to_string()).collect();
        if !seen.contains(&codes) {
            println!("    after {:.0} s: {codes:?}", start.elapsed().as_secs_f32());
            seen.push(codes);
        }
        found = alarms.first().cloned().unwrap_or_default();
        (found["code"] == code).then_some(()).ok_or_else(|| format!("{alarms:#?}"))
    });
    println!("    {found:#}");
    let told = found.to_string();
    for word in words {
        assert!(told.contains(word), "{word:?} is not said: {found:#}");
    }
}

fn database(namespace: &Namespace, name: &str) {
    let empty = format!("dropdb --force --if-exists -U flagsmith {name} && createdb -U flagsmith {name}");
    namespace.kubectl(&["exec", "deployment/database", "--", "sh", "-c", &empty]);
}

fn tidied(namespace: &Namespace) {
    namespace.kubectl(&["delete", "resourcequota", "--all"]);
    namespace.kubectl(&["delete", "deployment", "acme-flagsmith-api"]);
}

const QUOTA: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: {name: compute}
spec: {hard: {limits.cpu: \"20\", limits.memory: 20Gi}}
";

const SLOW: &str = "CREATE TABLE testbed_misbehaviour (migration text, instruction text); \
    INSERT INTO testbed_misbehaviour VALUES ('testbed.0006', 'sleep:300')";

const SIDECAR: &str = r#"{"spec": {"template": {"spec": {"containers": [
    {"name": "cloud-sql-proxy", "image": "docker.io/local/postgres:15", "imagePullPolicy": "Never",
     "command": ["sleep", "infinity"]}]}}}}"#;

const CURL: &str = r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/readinessProbe", "value":
    {"exec": {"command": ["curl", "-f", "http://127.0.0.1:8000/health/readiness/"]}, "periodSeconds": 5}}]"#;
