//! An upgrade over many releases, step by step.

use std::time::Duration;

use serde_json::Value;

use crate::{
    availability_monitor::{AvailabilityMonitor, Sessions},
    kubectl::{pointer, wait_until},
    migrations::{ready_at, retry},
    namespace::{NEW, Namespace, START, demo, step},
    operator,
};

const FIRST: &str = "2.232.0";
const SESSIONS: Sessions = Sessions { namespace: "stepwise", pod: "flagsmith-database-0" };

/// The demo with further stops.
fn resource(version: &str, via: &str) -> String {
    let text = demo(version);
    let key = "  migrations:\n";
    assert!(text.contains(key));
    text.replace(key, &format!("  upgrade: {{via: [{via}]}}\n{key}"))
}

fn stops(namespace: &Namespace) -> Vec<(String, String)> {
    let fsd = namespace.fsd();
    let stops = fsd.pointer("/status/upgrade/stops").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    stops.iter().map(|stop| (text(&stop["version"]), text(&stop["state"]))).collect()
}

fn jobs(namespace: &Namespace) -> String {
    namespace.kubectl(&["get", "jobs", "-o", "name"])
}

#[test]
#[ignore = "three releases more: make trial-migrations"]
fn an_upgrade_goes_by_its_stops() {
    step("install the operator by its chart", operator::installed);
    let namespace = Namespace::new("stepwise");
    step("an old release", || {
        namespace.apply(&resource(FIRST, ""));
        ready_at(&namespace, FIRST);
        namespace.settled();
    });
    let monitor = AvailabilityMonitor::begin(Some(&namespace.service("flagsmith-api")), SESSIONS);
    step("the image of a later stop is missing: nothing starts", || {
        let before = jobs(&namespace);
        namespace.apply(&resource(NEW, "\"2.250.0\", \"2.251.0\""));
        wait_until(START, "the missing image is named", || {
            let codes = namespace.codes();
            codes
                .iter()
                .any(|code| code == "MigrationImagePullFailed")
                .then_some(())
                .ok_or_else(|| format!("{codes:?}"))
        });
        std::thread::sleep(Duration::from_secs(10));
        let after = jobs(&namespace);
        let started = after.lines().filter(|job| job.contains("-migrate-") && !before.contains(job));
        assert_eq!(started.count(), 0, "{after}");
        assert_eq!(namespace.condition("TaskProcessorAvailable"), "True");
        println!("    {:?}", stops(&namespace));
    });
    step("a stop fails: the database is at the one before, and the old pods serve", || {
        namespace.sql("CREATE TABLE testbed_misbehaviour (migration text, instruction text)");
        namespace.sql("INSERT INTO testbed_misbehaviour VALUES ('testbed.0006', 'permission-denied')");
        namespace.apply(&resource(NEW, "\"2.250.0\", \"2.260.0\""));
        wait_until(START, "the second stop has failed", || {
            let stops = stops(&namespace);
            let states: Vec<&str> = stops.iter().map(|(_, state)| state.as_str()).collect();
            (states == ["Applied", "Failed", "Waiting"]).then_some(()).ok_or_else(|| format!("{stops:?}"))
        });
        let fsd = namespace.fsd();
        println!("    {}", pointer(&fsd, "/status/upgrade"));
        println!("    {}", pointer(&fsd, "/status/diagnoses/0"));
        assert_eq!(pointer(&fsd, "/status/upgrade/canServe"), &serde_json::json!([FIRST, "2.250.0"]));
        assert_eq!(pointer(&fsd, "/status/version"), FIRST);
        wait_until(START, "the old task processor is back", || {
            let state = namespace.condition("TaskProcessorAvailable");
            (state == "True").then_some(()).ok_or(state)
        });
    });
    step("after the fix it goes on from there, to another release that is wanted meanwhile", || {
        namespace.sql("UPDATE testbed_misbehaviour SET instruction = 'sleep:8'");
        retry(&namespace, "1");
        wait_until(START, "the second stop is being migrated to", || {
            let migration = pointer(&namespace.fsd(), "/status/migration").clone();
            let runs = migration["result"] == "Running" && migration["version"] == "2.260.0";
            runs.then_some(()).ok_or_else(|| migration.to_string())
        });
        namespace.apply(&resource("2.260.0", "\"2.250.0\""));
        ready_at(&namespace, "2.260.0");
        assert!(namespace.fsd().pointer("/status/upgrade").is_none(), "it is done");
    });
    step("and on to the newest, with the operator killed at each step", || {
        namespace.apply(&resource(NEW, "\"2.250.0\", \"2.260.0\""));
        let mut seen = Value::Null;
        wait_until(START, "it is migrated", || {
            let migration = pointer(&namespace.fsd(), "/status/migration").clone();
            let now = serde_json::json!([migration["version"], migration["result"]]);
            if now != seen {
                println!("    {now}");
                seen = now.clone();
                operator::killed();
            }
            (now == serde_json::json!([NEW, "Applied"])).then_some(()).ok_or_else(|| now.to_string())
        });
        ready_at(&namespace, NEW);
        let fsd = namespace.fsd();
        let history = pointer(&fsd, "/status/migrationHistory").as_array().unwrap();
        let applied: Vec<&Value> =
            history.iter().filter(|it| it["result"] == "Applied").map(|it| &it["version"]).collect();
        assert_eq!(applied, [NEW, "2.260.0", "2.250.0", FIRST]);
        assert!(fsd.pointer("/status/upgrade").is_none(), "it is done");
    });
    monitor.verdict();
    namespace.remove();
}
