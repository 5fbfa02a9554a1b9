//! A migration fails and is mended; migrations are undone. Everything else is in `migration_trials`.

use crate::{
    availability_monitor::{AvailabilityMonitor, Sessions},
    kubectl::{pointer, wait_until},
    namespace::{NEW, Namespace, OLD, REACTION, START, demo, step},
    operator,
};

const SESSIONS: Sessions = Sessions { namespace: "migrations", pod: "flagsmith-database-0" };

#[test]
fn a_migration_fails_is_mended_and_is_undone() {
    step("install the operator by its chart", operator::installed);
    let namespace = Namespace::new("migrations");
    step("a fresh database is migrated, and its progress shown", || {
        namespace.apply(&resource(OLD, ""));
        let mut progress = String::new();
        wait_until(START, "the FlagsmithDeployment is Ready", || {
            let message = message(&namespace, "MigrationsApplied");
            if message.contains("migrations applied") && message != progress {
                println!("    {message}");
                progress = message;
            }
            (namespace.condition("Ready") == "True")
                .then_some(())
                .ok_or_else(|| namespace.kubectl(&["get", "fsd", "flagsmith", "-o", "wide"]))
        });
        let migration = pointer(&namespace.fsd(), "/status/migration").clone();
        assert!(migration["total"].as_i64().unwrap() > 10, "{migration}");
        assert_eq!(migration["applied"], migration["total"]);
    });
    let monitor = AvailabilityMonitor::begin(Some(&namespace.service("flagsmith-api")), SESSIONS);
    step("a missing privilege stops the upgrade, and nothing else", || {
        namespace.sql("CREATE TABLE testbed_misbehaviour (migration text, instruction text)");
        namespace.sql("INSERT INTO testbed_misbehaviour VALUES ('testbed.0007', 'permission-denied')");
        namespace.apply(&resource(NEW, ""));
        wait_until(START, "the failure is diagnosed", || {
            let codes = namespace.codes();
            (codes.first().map(String::as_str) == Some("MigrationPermissionDenied"))
                .then_some(())
                .ok_or_else(|| format!("{codes:?}"))
        });
        let status = pointer(&namespace.fsd(), "/status").clone();
        println!("    {}", status["diagnoses"][0]);
        assert_eq!(status["migration"]["result"], "Failed");
        assert_eq!(status["migration"]["failedAt"], "testbed.0007_result_priority");
        assert_eq!(status["migration"]["from"], OLD);
        assert_eq!(status["version"], OLD);
        assert_eq!(namespace.condition("Stalled"), "True");
        wait_until(START, "the old task processor is back", || {
            let state = namespace.condition("TaskProcessorAvailable");
            (state == "True").then_some(()).ok_or(state)
        });
    });
    step("after the cause is mended, the annotation runs it again", || {
        namespace.sql("DELETE FROM testbed_misbehaviour");
        retry(&namespace, "1");
        ready_at(&namespace, NEW);
        let migration = pointer(&namespace.fsd(), "/status/migration").clone();
        println!("    {migration}");
        assert_eq!(migration["applied"], 2, "0007 and 0008");
        assert!(migration["lastAppliedBefore"].is_string());
    });
    monitor.verdict();
    step("a downgrade is blocked and says how", || {
        namespace.apply(&resource(OLD, ""));
        wait_until(REACTION, "the downgrade is refused", || {
            let codes = namespace.codes();
            (codes.first().map(String::as_str) == Some("DowngradeBlocked"))
                .then_some(())
                .ok_or_else(|| format!("{codes:?}"))
        });
        println!("    {}", pointer(&namespace.fsd(), "/status/diagnoses/0/remedy"));
    });
    step("with the confirmation the migrations are undone, then the older release rolls", || {
        let confirmed = format!("    rollback: {{from: \"{NEW}\", to: \"{OLD}\"}}\n");
        let monitor = AvailabilityMonitor::begin(None, SESSIONS);
        namespace.apply(&resource(OLD, &confirmed));
        wait_until(REACTION, "the loss of data is announced", || {
            let codes = namespace.codes();
            codes
                .iter()
                .any(|code| code == "RollbackLosesData")
                .then_some(())
                .ok_or_else(|| format!("{codes:?}"))
        });
        ready_at(&namespace, OLD);
        monitor.verdict();
        assert_eq!(applied(&namespace), "0", "0007 and 0008 are undone");
        let columns = namespace.sql("SELECT count(*) FROM information_schema.columns WHERE table_name = 'testbed_result' AND column_name = 'priority'");
        assert_eq!(columns, "0", "and so is what they made");
        let history = pointer(&namespace.fsd(), "/status/migrationHistory").clone();
        let operations: Vec<_> = history
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["operation"].as_str().unwrap_or("Migrate").to_owned())
            .collect();
        assert_eq!(
            &operations[..2],
            ["RollBack", "Migrate"],
            "nothing is left for the older release's own migration: {history}"
        );
        assert_eq!(namespace.codes(), ["EmbeddedDatabaseInUse", "ProxyNotChecked"]);
    });
    namespace.remove();
}

/// The demo with further lines below `spec.migrations`.
pub fn resource(version: &str, migrations: &str) -> String {
    let text = demo(version);
    let key = "  migrations:\n";
    assert!(text.contains(key));
    text.replace(key, &format!("{key}{migrations}"))
}

pub fn retry(namespace: &Namespace, value: &str) {
    let annotation = format!("operator.flagsmith.com/retry-migration={value}");
    namespace.kubectl(&["annotate", "fsd", "flagsmith", &annotation, "--overwrite"]);
}

pub fn ready_at(namespace: &Namespace, version: &str) {
    wait_until(START, &format!("{version} is Ready"), || {
        let ready =
            namespace.condition("Ready") == "True" && pointer(&namespace.fsd(), "/status/version") == version;
        ready.then_some(()).ok_or_else(|| namespace.kubectl(&["get", "fsd", "flagsmith", "-o", "wide"]))
    });
}

/// How many migrations of the newest release are recorded.
pub fn applied(namespace: &Namespace) -> String {
    namespace.sql("SELECT count(*) FROM django_migrations WHERE app = 'testbed' AND name ~ '^000[78]'")
}

fn message(namespace: &Namespace, kind: &str) -> String {
    let path = format!("jsonpath={{.status.conditions[?(@.type==\"{kind}\")].message}}");
    namespace.kubectl(&["get", "fsd", "flagsmith", "-o", &path])
}
