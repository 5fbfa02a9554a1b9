//! A table is lost, and a backup brings it back: nothing happens before it is confirmed, nothing runs while it happens, and
//! what fails changes nothing.

use std::{process::Command, thread::sleep, time::Duration};

use crate::{
    kubectl::{pointer, wait_until},
    migrations::{ready_at, resource, retry},
    namespace::{NEW, Namespace, OLD, REACTION, START, step},
    operator,
};

const CLAIM: &str = "
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: backups}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

/// A lock is waited for a second, so that a restore which meets one fails soon.
const BACKUP: &str = "    lockTimeoutSeconds: 1
    backup: {volumeClaim: {claimName: backups, image: \"docker.io/local/postgres:15\"}}
";

#[test]
#[ignore = "three minutes: make trial-migrations"]
fn a_backup_is_brought_back() {
    step("install the operator by its chart", operator::installed);
    let namespace = Namespace::new("restore");
    step("an upgrade makes a backup", || {
        namespace.apply(CLAIM);
        namespace.apply(&resource(OLD, BACKUP));
        ready_at(&namespace, OLD);
        namespace.sql("CREATE TABLE precious AS SELECT n FROM generate_series(1, 1000) n");
        namespace.apply(&resource(NEW, BACKUP));
        ready_at(&namespace, NEW);
        namespace.settled();
        println!("    {}", pointer(&namespace.fsd(), "/status/backups"));
    });
    let backup = pointer(&namespace.fsd(), "/status/backups/0/name").as_str().unwrap().to_owned();
    let restore = |version| resource(version, &format!("{BACKUP}    restore: {{from: {backup}}}\n"));
    step("a table is lost; a restore that nobody has confirmed does nothing", || {
        namespace.sql("DROP TABLE precious");
        namespace.apply(&restore(NEW));
        named(&namespace, "RestoreNotStarted");
        sleep(Duration::from_secs(5));
        assert_eq!(namespace.condition("Ready"), "True");
        assert!(!jobs(&namespace).contains("-restore-"), "{}", jobs(&namespace));
    });
    step("a session holds a lock: the restore fails, and what was there serves again", || {
        let shell = "psql -U flagsmith -d flagsmith -c 'BEGIN; LOCK TABLE testbed_result IN ACCESS SHARE MODE; SELECT pg_sleep(600)'";
        let mut lock = namespace.spawn(&["exec", "flagsmith-database-0", "--", "sh", "-c", shell]);
        typed(&remedy(&namespace, "RestoreNotStarted"));
        wait_until(START, "the restore has failed", || {
            assert_none_beside(&namespace);
            let codes = namespace.codes();
            codes.iter().any(|code| code == "RestoreFailed").then_some(()).ok_or_else(|| format!("{codes:?}"))
        });
        println!("    {}", pointer(&namespace.fsd(), "/status/diagnoses"));
        assert_eq!(namespace.condition("Stalled"), "True");
        wait_until(START, "API and task processor are back", || {
            let states = ["ApiAvailable", "TaskProcessorAvailable"].map(|kind| namespace.condition(kind));
            (states == ["True", "True"]).then_some(()).ok_or_else(|| states.join(" "))
        });
        assert_eq!(namespace.sql("SELECT to_regclass('precious') IS NULL"), "t");
        namespace.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");
        lock.wait().unwrap();
    });
    step(
        "again, with the operator killed at each step: the rows are there, and the newest release serves",
        || {
            retry(&namespace, "1");
            let mut seen = String::new();
            wait_until(START, "the restored installation is Ready", || {
                assert_none_beside(&namespace);
                let columns = namespace.kubectl(&["get", "fsd", "flagsmith", "-o", WHAT]);
                if columns != seen {
                    println!("    {columns}");
                    seen.clone_from(&columns);
                    operator::killed();
                }
                let fsd = namespace.fsd();
                let restored = pointer(&fsd, "/status/restore/result") == "Restored";
                let version = pointer(&fsd, "/status/migration/version") == NEW;
                (restored && version && namespace.condition("Ready") == "True").then_some(()).ok_or(columns)
            });
            assert_eq!(namespace.sql("SELECT count(*), min(n), max(n) FROM precious"), "1000|1|1000");
            println!("    {}", pointer(&namespace.fsd(), "/status/migrationHistory"));
            println!("    {}", pointer(&namespace.fsd(), "/status/restore"));
        },
    );
    step("it does not run again", || {
        namespace.sql("INSERT INTO precious VALUES (1001)");
        namespace.kubectl(&[
            "annotate",
            "fsd",
            "flagsmith",
            "--overwrite",
            "operator.flagsmith.com/retry-migration=2",
        ]);
        sleep(REACTION);
        namespace.await_ready();
        assert_eq!(namespace.sql("SELECT count(*) FROM precious"), "1001");
    });
    step("back to the release of the backup", || {
        namespace.apply(&resource(OLD, BACKUP));
        let confirmed = format!(
            "{BACKUP}    restore: {{from: {backup}, confirm: \"{}\"}}\n",
            confirmation(&namespace, &backup)
        );
        namespace.apply(&resource(OLD, &confirmed));
        ready_at(&namespace, OLD);
        assert_eq!(namespace.sql("SELECT count(*) FROM precious"), "1000");
        assert_eq!(
            namespace.sql("SELECT count(*) FROM django_migrations WHERE app = 'testbed' AND name ~ '^0007'"),
            "0"
        );
        println!("    {:?}", namespace.codes());
    });
    namespace.remove();
}

/// What the conditions say.
const WHAT: &str = "jsonpath={.status.conditions[?(@.type=='MigrationsApplied')].message} / \
    {.status.conditions[?(@.type=='ApiAvailable')].reason}";

/// No pod that works on the database runs beside the one that replaces it.
fn assert_none_beside(namespace: &Namespace) {
    let working = "jsonpath={range .items[?(@.status.phase=='Running')]}{.metadata.name} {end}";
    let pods = namespace.kubectl(&["get", "pods", "-o", working]);
    let restores = pods.contains("-restore-");
    let works = |pod: &&str| pod.contains("-api-") || pod.contains("-task-processor-");
    assert!(!restores || pods.split(' ').find(works).is_none(), "{pods}");
}

fn jobs(namespace: &Namespace) -> String {
    namespace.kubectl(&["get", "jobs", "-o", "name"])
}

fn named(namespace: &Namespace, code: &str) {
    wait_until(REACTION, "it is named", || {
        let codes = namespace.codes();
        codes.iter().any(|it| it == code).then_some(()).ok_or_else(|| format!("{codes:?}"))
    });
}

fn remedy(namespace: &Namespace, code: &str) -> String {
    let fsd = namespace.fsd();
    let diagnoses = pointer(&fsd, "/status/diagnoses").as_array().unwrap();
    let found = diagnoses.iter().find(|it| it["code"] == code).unwrap();
    println!("    {found}");
    found["remedy"].as_str().unwrap().to_owned()
}

/// Types the command at the end of a remedy.
fn typed(remedy: &str) {
    let command = &remedy[remedy.find("kubectl ").unwrap()..];
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The text that confirms a backup, as the documentation has it.
fn confirmation(namespace: &Namespace, backup: &str) -> String {
    let fsd = namespace.fsd();
    let backups = pointer(&fsd, "/status/backups").as_array().unwrap();
    let made = backups.iter().find(|it| it["name"] == backup).unwrap()["finished"].as_str().unwrap();
    let database = pointer(&fsd, "/status/migration/database").as_str().map(str::to_owned);
    let history = || pointer(&fsd, "/status/migrationHistory/0/database").as_str().unwrap().to_owned();
    format!("{} {made}", database.unwrap_or_else(history))
}
