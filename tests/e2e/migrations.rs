//! A migration fails and is mended; migrations are undone. Everything else is in `migration_trials`.

use crate::{
    kubectl::{pointer, wait_until},
    operator,
    place::{NEW, OLD, Place, REACTION, START, demo, step},
    witness::{Sessions, Witness},
};

const SESSIONS: Sessions = Sessions {
    namespace: "migrations",
    pod: "flagsmith-database-0",
};

#[test]
fn a_migration_fails_is_mended_and_is_undone() {
    step("install the operator by its chart", operator::installed);
    let place = Place::new("migrations");
    step("a fresh database is migrated, and its progress shown", || {
        place.apply(&resource(OLD, ""));
        let mut progress = String::new();
        wait_until(START, "the FlagsmithDeployment is Ready", || {
            let message = message(&place, "MigrationsApplied");
            if message.contains("migrations applied") && message != progress {
                println!("    {message}");
                progress = message;
            }
            (place.condition("Ready") == "True")
                .then_some(())
                .ok_or_else(|| place.kubectl(&["get", "fsd", "flagsmith", "-o", "wide"]))
        });
        let migration = pointer(&place.fsd(), "/status/migration").clone();
        assert!(migration["total"].as_i64().unwrap() > 10, "{migration}");
        assert_eq!(migration["applied"], migration["total"]);
    });
    let witness = Witness::begin(Some(&place.service("flagsmith-api")), SESSIONS);
    step("a missing privilege stops the upgrade, and nothing else", || {
        place.sql("CREATE TABLE testbed_misbehaviour (migration text, instruction text)");
        place.sql("INSERT INTO testbed_misbehaviour VALUES ('testbed.0007', 'permission-denied')");
        place.apply(&resource(NEW, ""));
        wait_until(START, "the failure is diagnosed", || {
            let codes = place.codes();
            (codes.first().map(String::as_str) == Some("MigrationPermissionDenied"))
                .then_some(())
                .ok_or_else(|| format!("{codes:?}"))
        });
        let status = pointer(&place.fsd(), "/status").clone();
        println!("    {}", status["diagnoses"][0]);
        assert_eq!(status["migration"]["result"], "Failed");
        assert_eq!(status["migration"]["failedAt"], "testbed.0007_result_priority");
        assert_eq!(status["migration"]["from"], OLD);
        assert_eq!(status["version"], OLD);
        assert_eq!(place.condition("Stalled"), "True");
        wait_until(START, "the old task processor is back", || {
            let state = place.condition("TaskProcessorAvailable");
            (state == "True").then_some(()).ok_or(state)
        });
    });
    step("after the cause is mended, the annotation runs it again", || {
        place.sql("DELETE FROM testbed_misbehaviour");
        retry(&place, "1");
        ready_at(&place, NEW);
        let migration = pointer(&place.fsd(), "/status/migration").clone();
        println!("    {migration}");
        assert_eq!(migration["applied"], 2, "0007 and 0008");
        assert!(migration["lastAppliedBefore"].is_string());
    });
    witness.verdict();
    step("a downgrade is blocked and says how", || {
        place.apply(&resource(OLD, ""));
        wait_until(REACTION, "the downgrade is refused", || {
            let codes = place.codes();
            (codes.first().map(String::as_str) == Some("DowngradeBlocked"))
                .then_some(())
                .ok_or_else(|| format!("{codes:?}"))
        });
        println!("    {}", pointer(&place.fsd(), "/status/diagnoses/0/remedy"));
    });
    step(
        "with the confirmation the migrations are undone, then the older release rolls",
        || {
            let confirmed = format!("    rollback: {{from: \"{NEW}\", to: \"{OLD}\"}}\n");
            let witness = Witness::begin(None, SESSIONS);
            place.apply(&resource(OLD, &confirmed));
            wait_until(REACTION, "the loss of data is announced", || {
                let codes = place.codes();
                codes
                    .iter()
                    .any(|code| code == "RollbackLosesData")
                    .then_some(())
                    .ok_or_else(|| format!("{codes:?}"))
            });
            ready_at(&place, OLD);
            witness.verdict();
            assert_eq!(applied(&place), "0", "0007 and 0008 are undone");
            let columns = place.sql("SELECT count(*) FROM information_schema.columns WHERE table_name = 'testbed_result' AND column_name = 'priority'");
            assert_eq!(columns, "0", "and so is what they made");
            let history = pointer(&place.fsd(), "/status/migrationHistory").clone();
            let operations: Vec<_> = history
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["operation"].as_str().unwrap_or("Migrate").to_owned())
                .collect();
            assert_eq!(&operations[..2], ["Migrate", "RollbackPlan"], "{history}");
            assert_eq!(place.codes(), ["EmbeddedDatabaseInUse", "ProxyNotChecked"]);
        },
    );
    place.remove();
}

/// The demo with further lines below `spec.migrations`.
pub fn resource(version: &str, migrations: &str) -> String {
    let text = demo(version);
    let key = "  migrations:\n";
    assert!(text.contains(key));
    text.replace(key, &format!("{key}{migrations}"))
}

pub fn retry(place: &Place, value: &str) {
    let annotation = format!("operator.flagsmith.com/retry-migration={value}");
    place.kubectl(&["annotate", "fsd", "flagsmith", &annotation, "--overwrite"]);
}

pub fn ready_at(place: &Place, version: &str) {
    wait_until(START, &format!("{version} is Ready"), || {
        let ready = place.condition("Ready") == "True" && pointer(&place.fsd(), "/status/version") == version;
        ready
            .then_some(())
            .ok_or_else(|| place.kubectl(&["get", "fsd", "flagsmith", "-o", "wide"]))
    });
}

/// How many migrations of the newest release are recorded.
pub fn applied(place: &Place) -> String {
    place.sql("SELECT count(*) FROM django_migrations WHERE app = 'testbed' AND name ~ '^000[78]'")
}

fn message(place: &Place, kind: &str) -> String {
    let path = format!("jsonpath={{.status.conditions[?(@.type==\"{kind}\")].message}}");
    place.kubectl(&["get", "fsd", "flagsmith", "-o", &path])
}
