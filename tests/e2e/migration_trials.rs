//! Everything that can go wrong with a migration, one after the other: too long for every run. `make trial-migrations`.

use std::{collections::BTreeSet, thread::sleep, time::Duration};

use crate::{
    availability_monitor::{AvailabilityMonitor, Sessions, uncounted},
    http,
    kubectl::{self, pointer, try_json, wait_until},
    migrations::{applied, ready_at, resource, retry},
    namespace::{NEW, Namespace, OLD, START, Trials, demo, step},
    operator::{self, SYSTEM},
};

/// A failure, how it is made, and what it must be called.
struct Failure {
    name: &'static str,
    code: &'static str,
    /// What the migration is told to do.
    instruction: &'static str,
    /// Further lines below `spec.migrations`.
    spec: &'static str,
}

const FAILURES: &[Failure] = &[
    Failure {
        name: "a missing privilege",
        code: "MigrationPermissionDenied",
        instruction: "permission-denied",
        spec: "",
    },
    Failure {
        name: "a statement timeout",
        code: "MigrationStatementTimeout",
        instruction: "sleep:60",
        spec: "    env: [{name: PGOPTIONS, value: \"-c statement_timeout=3s\"}]\n",
    },
    Failure {
        name: "existing rows",
        code: "MigrationDataConflict",
        instruction: "unique-violation",
        spec: "",
    },
    Failure {
        name: "a schema that was changed by hand",
        code: "MigrationSchemaConflict",
        instruction: "duplicate-column",
        spec: "",
    },
    Failure {
        name: "too little memory",
        code: "MigrationOutOfMemory",
        instruction: "allocate:700",
        spec: "",
    },
    Failure {
        name: "a deadline",
        code: "MigrationDeadlineExceeded",
        instruction: "sleep:300",
        spec: "    activeDeadlineSeconds: 60\n",
    },
];

/// The migration, and a minute of requests that fail.
const BEHIND: Duration = Duration::from_mins(4);

#[test]
#[ignore = "a quarter of an hour: make trial-migrations"]
fn each_failure_has_its_name_and_its_way_out() {
    operator::installed();
    let namespace = Namespace::new("trials");
    namespace.apply(&resource(OLD, ""));
    namespace.await_ready();
    namespace.sql("CREATE TABLE testbed_misbehaviour (migration text, instruction text)");
    let monitor = AvailabilityMonitor::begin(Some(&namespace.service("flagsmith-api")), sessions("trials"));
    let mut trials = Trials::new();
    let mut trial = |name: &str, what: &dyn Fn()| trials.trial(name, what, || recover(&namespace));
    for (attempt, failure) in FAILURES.iter().enumerate() {
        trial(failure.name, &|| fails(&namespace, failure, attempt));
    }
    trial("an image that does not exist", &|| missing_image(&namespace));
    trial("older pods on a newer schema, whose rollout hangs", &|| behind_the_schema(&namespace));
    trial("a lock that another session holds", &|| held_lock(&namespace));
    trial("a transaction that has been open for long", &|| {
        long_transaction(&namespace);
    });
    trial("a full disk", &|| full_disk(&namespace));
    trial("a backup that fails, and one that succeeds", &|| {
        backup(&namespace);
    });
    monitor.verdict();
    // No request can be answered while the database recovers.
    let monitor = AvailabilityMonitor::begin(None, sessions("trials"));
    trials.trial("the database restarts in the middle", || restart(&namespace), || recover(&namespace));
    let (migrators, wrong) = monitor.end();
    assert!(migrators <= 1 && wrong.is_empty(), "{wrong:#?}");
    trials.verdict();
    namespace.remove();
}

/// To where every trial begins, from wherever one has ended.
fn recover(namespace: &Namespace) {
    namespace.sql("DELETE FROM testbed_misbehaviour");
    retry(namespace, "recover");
    namespace.apply(&resource(NEW, ""));
    ready_at(namespace, NEW);
    go_back(namespace);
}

const fn sessions(namespace: &'static str) -> Sessions {
    Sessions { namespace, pod: "flagsmith-database-0" }
}

/// One session by the name of a Job, and one that only takes a lock, as the official chart's init container does.
fn sees_a_rival(namespace: &Namespace) {
    let monitor = AvailabilityMonitor::begin(None, sessions("crowd"));
    let rival = |name: &str, statements: &str| {
        let shell = format!(
            "PGAPPNAME={name} psql -U flagsmith -d flagsmith -c \"{statements}; SELECT pg_sleep(3)\""
        );
        namespace.spawn(&["exec", "flagsmith-database-0", "--", "sh", "-c", &shell])
    };
    let mut rivals = [
        rival("flagsmith-migrate-0123456789", "SELECT 1"),
        rival("chart", "BEGIN; LOCK TABLE testbed_misbehaviour"),
    ];
    for rival in &mut rivals {
        assert!(rival.wait().unwrap().success());
    }
    let (migrators, wrong) = monitor.end();
    assert_eq!(migrators, 2);
    assert!(wrong.iter().any(|it| it.contains("migrate at once")), "{wrong:#?}");
}

fn tell(namespace: &Namespace, instruction: &str) {
    namespace.sql("DELETE FROM testbed_misbehaviour");
    namespace.sql(&format!("INSERT INTO testbed_misbehaviour VALUES ('testbed.0007', '{instruction}')"));
}

fn await_code(namespace: &Namespace, code: &str) {
    wait_until(START, code, || {
        let codes = namespace.codes();
        (codes.first().map(String::as_str) == Some(code)).then_some(()).ok_or_else(|| format!("{codes:?}"))
    });
    let diagnosis = pointer(&namespace.fsd(), "/status/diagnoses/0").clone();
    println!("    {}", diagnosis["message"]);
    println!("    {}", diagnosis["evidence"]);
}

/// Fails by that name while the older release serves, and is taken back by the older version.
fn fails(namespace: &Namespace, failure: &Failure, attempt: usize) {
    tell(namespace, failure.instruction);
    retry(namespace, &format!("failure-{attempt}"));
    namespace.apply(&resource(NEW, failure.spec));
    await_code(namespace, failure.code);
    // A pod is seen to be out of memory before its Job is.
    wait_until(START, "the migration has failed", || {
        let result = pointer(&namespace.fsd(), "/status/migration/result").clone();
        (result == "Failed").then_some(()).ok_or_else(|| result.to_string())
    });
    let status = pointer(&namespace.fsd(), "/status").clone();
    assert_eq!(status["version"], OLD);
    assert_eq!(status["migration"]["failedAt"], "testbed.0007_result_priority", "{}", status["migration"]);
    assert_eq!(namespace.condition("Stalled"), "True");
    assert_eq!(applied(namespace), "0");
    namespace.sql("DELETE FROM testbed_misbehaviour");
    namespace.apply(&resource(OLD, ""));
    ready_at(namespace, OLD);
}

fn missing_image(namespace: &Namespace) {
    namespace.apply(&resource("2.264.0", ""));
    await_code(namespace, "MigrationImagePullFailed");
    namespace.apply(&resource(OLD, ""));
    ready_at(namespace, OLD);
}

/// The newer pods find no node: those of the older release serve on, and fail at each new identity.
fn behind_the_schema(namespace: &Namespace) {
    let api = namespace.service("flagsmith-api");
    let identity =
        || http::post_with(&api, 8000, "/api/v1/identities/", &[("X-Environment-Key", "anything")]).status;
    assert_eq!(identity(), 200);
    namespace.apply(
        &resource(NEW, "").replace("  api:\n", "  api:\n    pod: {nodeSelector: {nowhere: \"true\"}}\n"),
    );
    wait_until(BEHIND, "ReleaseBehindSchema is named", || {
        identity();
        let codes = namespace.codes();
        codes.contains(&"ReleaseBehindSchema".to_owned()).then_some(()).ok_or_else(|| format!("{codes:?}"))
    });
    println!("    {}", pointer(&namespace.fsd(), "/status/diagnoses"));
    assert_eq!(identity(), 500);
    namespace.apply(&resource(NEW, ""));
    ready_at(namespace, NEW);
    assert_eq!(identity(), 200);
    go_back(namespace);
}

/// The first attempts fail of the lock timeout; when the lock is released, the next succeeds by itself.
fn held_lock(namespace: &Namespace) {
    retry(namespace, "held-lock");
    let holder = background(
        namespace,
        "BEGIN; LOCK TABLE testbed_result IN ACCESS SHARE MODE; SELECT pg_sleep(45); COMMIT",
    );
    namespace.apply(&resource(NEW, "    lockTimeoutSeconds: 2\n"));
    await_code(namespace, "MigrationLockTimeout");
    ready_at(namespace, NEW);
    drop(holder);
    go_back(namespace);
}

/// Not started before the transaction has ended, and then by itself.
fn long_transaction(namespace: &Namespace) {
    retry(namespace, "long-transaction");
    let holder = background(
        namespace,
        "BEGIN; LOCK TABLE testbed_result IN ACCESS SHARE MODE; SELECT pg_sleep(100); COMMIT",
    );
    sleep(Duration::from_secs(65));
    namespace.apply(&resource(NEW, ""));
    await_code(namespace, "LongTransactionOpen");
    let active = kubectl::kubectl(&["-n", "trials", "get", "jobs", "-o", "name"]);
    println!("    jobs: {active}");
    ready_at(namespace, NEW);
    drop(holder);
    go_back(namespace);
}

/// The attempt is lost with its connection; the next one succeeds.
fn restart(namespace: &Namespace) {
    retry(namespace, "restart");
    tell(namespace, "sleep:15");
    namespace.apply(&resource(NEW, ""));
    let sleeping = || {
        namespace
            .sql("SELECT pid FROM pg_stat_activity WHERE query ~ 'pg_sleep' AND application_name ~ 'migrate'")
    };
    wait_until(START, "the migration is at 0007", || {
        let pid = sleeping();
        (!pid.is_empty()).then_some(()).ok_or(pid)
    });
    println!("    {}", pointer(&namespace.fsd(), "/status/migration"));
    // As fast as a failing primary: the sessions are cut, the server recovers.
    let kill = format!("kill -9 {}", sleeping());
    namespace.kubectl(&["exec", "flagsmith-database-0", "--", "sh", "-c", &kill]);
    ready_at(namespace, NEW);
    namespace.sql("DELETE FROM testbed_misbehaviour");
    go_back(namespace);
}

/// On a small file system of the database's pod: the attempt fails, and works when there is room again.
fn full_disk(namespace: &Namespace) {
    let shell =
        |command: &str| namespace.kubectl(&["exec", "flagsmith-database-0", "--", "sh", "-c", command]);
    shell("mkdir /dev/shm/small && chmod 700 /dev/shm/small");
    namespace.sql("CREATE TABLESPACE small LOCATION '/dev/shm/small'");
    namespace.sql("ALTER ROLE flagsmith SET default_tablespace = small");
    shell("head -c 1G /dev/zero > /dev/shm/fill || true");
    tell(namespace, "unique-violation");
    retry(namespace, "full-disk");
    namespace.apply(&resource(NEW, ""));
    await_code(namespace, "DatabaseDiskFull");
    assert_eq!(pointer(&namespace.fsd(), "/status/version"), OLD);
    shell("rm /dev/shm/fill");
    namespace.sql("ALTER ROLE flagsmith RESET default_tablespace");
    namespace.sql("DELETE FROM testbed_misbehaviour");
    retry(namespace, "room-again");
    ready_at(namespace, NEW);
    go_back(namespace);
}

/// No migration before a backup has succeeded.
fn backup(namespace: &Namespace) {
    let fails = "    backup: {podTemplate: {spec: {containers: [{name: own, image: \"docker.io/local/postgres:15\", \
        imagePullPolicy: Never, command: [sh, -c, \"echo no room for it >&2; exit 1\"]}]}}}\n";
    retry(namespace, "backup-1");
    namespace.apply(&resource(NEW, fails));
    await_code(namespace, "BackupFailed");
    let jobs = ["get", "jobs", "-o", "name", "-l", "app.kubernetes.io/version=2.265.0"];
    let before = namespace.kubectl(&jobs);
    assert_eq!(pointer(&namespace.fsd(), "/status/version"), OLD);
    namespace.apply(BACKUPS);
    let dumps = "    backup: {volumeClaim: {claimName: backups, image: \"docker.io/local/postgres:15\"}}\n";
    namespace.apply(&resource(NEW, dumps));
    assert_eq!(namespace.kubectl(&jobs), before, "no migration without the backup");
    retry(namespace, "backup-2");
    ready_at(namespace, NEW);
    let migration = pointer(&namespace.fsd(), "/status/migration").clone();
    println!("    {migration}");
    let name = migration["backup"].as_str().unwrap();
    let job = namespace.json(&["get", "job", name]);
    assert_eq!(pointer(&job, "/status/succeeded"), 1);
    assert!(
        pointer(&job, "/status/completionTime").as_str() <= migration["started"].as_str(),
        "the backup came first: {job} {migration}"
    );
    namespace.apply(&resource(NEW, ""));
    go_back(namespace);
}

const BACKUPS: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: backups}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

/// Undoes the upgrade, as a user does. The newer pods miss the migrations that are undone and are not ready until the
/// older ones are.
fn go_back(namespace: &Namespace) {
    let confirmed = format!("    rollback: {{from: \"{NEW}\", to: \"{OLD}\"}}\n");
    uncounted(|| {
        namespace.apply(&resource(OLD, &confirmed));
        ready_at(namespace, OLD);
    });
    assert_eq!(applied(namespace), "0");
    namespace.apply(&resource(OLD, ""));
}

/// A session beside: psql in the database's pod.
fn background(namespace: &Namespace, statements: &str) -> std::process::Child {
    let shell = format!("psql -U flagsmith -d flagsmith -c \"{statements}\"");
    let child = namespace.spawn(&["exec", "flagsmith-database-0", "--", "sh", "-c", &shell]);
    sleep(Duration::from_secs(2));
    child
}

#[test]
#[ignore = "takes ten minutes: make trial-migrations"]
fn never_two_migrate_at_once() {
    operator::installed();
    let namespace = Namespace::new("crowd");
    step("the first Job ends and goes while no operator looks", || {
        unread(&namespace);
    });
    namespace.sql("CREATE TABLE testbed_misbehaviour (migration text, instruction text)");
    tell(&namespace, "sleep:8");
    step("a monitor that is shown two migrators sees them", || {
        sees_a_rival(&namespace);
    });
    let monitor = AvailabilityMonitor::begin(Some(&namespace.service("flagsmith-api")), sessions("crowd"));
    step("the operator is killed again and again, the Job deleted, the version changed twice", || {
        namespace.apply(&demo(NEW));
        let (mut kills, mut deleted, mut changed) = (BTreeSet::new(), false, 0);
        wait_until(KILLING, "the migration has come through", || {
            let objects = step_of(&namespace);
            if kills.len() < KILLS && kills.insert(objects.clone()) {
                let label = "app.kubernetes.io/name=flagsmith-operator";
                let now = ["--force", "--grace-period=0"];
                kubectl::kubectl(&["-n", SYSTEM, "delete", "pod", "-l", label, now[0], now[1]]);
            }
            let jobs = namespace.json(&["get", "jobs", "-l", "app.kubernetes.io/version=2.265.0"]);
            let job = pointer(&jobs, "/items/0/metadata/name").as_str().map(str::to_owned);
            if let (Some(job), false) = (&job, deleted) {
                namespace.kubectl(&["delete", "job", job, "--wait=false"]);
                deleted = true;
            }
            if deleted && changed < 2 {
                changed += 1;
                namespace.apply(&demo(if changed == 1 { OLD } else { NEW }));
            }
            let ready =
                namespace.condition("Ready") == "True" && pointer(&namespace.fsd(), "/status/version") == NEW;
            ready.then_some(()).ok_or_else(|| namespace.kubectl(&["get", "fsd,jobs,pods"]))
        });
        println!("    killed at {kills:#?}");
        assert!(kills.len() >= 4, "the operator was killed at each step");
        assert!(deleted, "the Job was deleted by hand");
        assert_eq!(changed, 2);
        assert_eq!(applied(&namespace), "2");
    });
    step("three resources share one database, and a pod of somebody else migrates it", || {
        let url = namespace.secret("flagsmith-database", "DATABASE_URL");
        namespace.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: shared}}\nstringData: {{DATABASE_URL: \"{url}\"}}\n"
        ));
        namespace.apply(FOREIGN);
        sleep(Duration::from_secs(3));
        for name in ["second", "third", "fourth"] {
            namespace.apply(&shared(name));
        }
        let mut waited = false;
        for name in ["second", "third", "fourth"] {
            wait_until(START, &format!("{name} is Ready"), || {
                let fsd = try_json(&["-n", "crowd", "get", "fsd", name]).unwrap_or_default();
                let text = pointer(&fsd, "/status/conditions").to_string();
                waited |= text.contains("waits for another one of the same database: pod crowd/foreign");
                let ready = text.contains("runs as asked for");
                ready.then_some(()).ok_or(text)
            });
        }
        assert!(waited, "a resource waited for the foreign migrator");
    });
    monitor.verdict();
    namespace.remove();
}

/// The result of a Job that is collected before anybody has read it is not known: the next one finds nothing to do.
fn unread(namespace: &Namespace) {
    let scale = |replicas: &str| {
        kubectl::kubectl(&["-n", SYSTEM, "scale", "deployment", "flagsmith-operator", replicas]);
    };
    namespace.apply(&demo(OLD));
    wait_until(START, "a Job has started", || {
        let pods = namespace.kubectl(&["get", "pods", "-l", "app.kubernetes.io/component=migrations"]);
        pods.contains("Running").then_some(()).ok_or(pods)
    });
    scale("--replicas=0");
    let label = "app.kubernetes.io/component=migrations";
    namespace.kubectl(&["wait", "job", "-l", label, "--for=condition=Complete", "--timeout=180s"]);
    namespace.kubectl(&["delete", "job", "-l", label]);
    assert_eq!(pointer(&namespace.fsd(), "/status/version"), &serde_json::Value::Null);
    scale("--replicas=2");
    namespace.await_ready();
    let migration = pointer(&namespace.fsd(), "/status/migration").clone();
    assert_eq!(migration["total"], 0, "nothing was left to do: {migration}");
}

/// How often the operator is killed: each time another has to wait until the lease of the dead one has run out.
const KILLS: usize = 8;
/// A third of a minute for each, and the migration.
const KILLING: Duration = Duration::from_mins(8);

/// Where the upgrade stands, as far as its objects show.
fn step_of(namespace: &Namespace) -> String {
    let path = "jsonpath={range .items[*]}{.kind} {.metadata.name} {.spec.replicas} \
        {.spec.template.spec.containers[0].image} {.status.conditions[?(@.type==\"Complete\")].status}; {end}";
    namespace.kubectl(&["get", "deployments,jobs", "-o", path])
}

/// A pod that migrates in an init container, as the official chart's API pods do; slowly.
const FOREIGN: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: foreign}
spec:
  restartPolicy: Never
  initContainers:
    - name: migrate-db
      image: docker.io/local/flagsmith-api:2.265.0
      imagePullPolicy: Never
      command: [sh, -c, "sleep 20; exec flagsmith migrate"]
      env: [{name: DATABASE_URL, valueFrom: {secretKeyRef: {name: shared, key: DATABASE_URL}}}]
  containers:
    - name: done
      image: docker.io/local/flagsmith-api:2.265.0
      imagePullPolicy: Never
      command: ["true"]
"#;

fn shared(name: &str) -> String {
    format!(
        "apiVersion: operator.flagsmith.com/v1alpha1\nkind: FlagsmithDeployment\nmetadata: {{name: {name}}}\nspec:\n  \
         version: \"{NEW}\"\n  images: {{api: docker.io/local/flagsmith-api, frontend: docker.io/local/flagsmith-frontend, pullPolicy: Never}}\n  \
         database: {{urlFrom: {{secretKeyRef: {{name: shared, key: DATABASE_URL}}}}}}\n  \
         api: {{replicas: 1, gunicorn: {{workers: 1, threads: 2}}, resources: {{requests: {{cpu: 10m, memory: 64Mi}}}}}}\n  \
         taskProcessor: {{resources: {{requests: {{cpu: 10m, memory: 64Mi}}}}}}\n  \
         frontend: {{enabled: false}}\n  migrations: {{resources: {{requests: {{cpu: 10m, memory: 64Mi}}}}}}\n"
    )
}
