//! The chart's alerts and dashboards in a real Prometheus, while three troubles last at once: which alerts fire, with
//! which labels and when, and what every panel shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    kubectl::{pointer, require_cluster, wait_until},
    migrations::resource,
    namespace::{NEW, Namespace, OLD, demo, step},
    operator,
    prometheus::Prometheus,
    tasks::enqueue,
};

/// Two scrapes, and an evaluation.
const SCRAPED: Duration = Duration::from_secs(90);
/// The slowest of them: a queue that nobody has looked at for two minutes, for another five.
const FIRING: Duration = Duration::from_mins(12);
/// How often pods and alerts are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// A start, and what its alerts wait for.
const OVER: Duration = Duration::from_mins(5);

/// Namespace, alert, and the labels besides those of its severity and installation.
type Fires = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const EXPECTED: &[Fires] = &[
    ("alert-tasks", "FlagsmithTaskQueueStalled", &[("severity", "critical"), ("database", "default")]),
    ("alert-tasks", "FlagsmithTasksFailing", &[("severity", "warning"), ("database", "default")]),
    (
        "alert-migration",
        "FlagsmithMigrationFailed",
        &[("severity", "critical"), ("result", "Failed"), ("version", NEW), ("operation", "Migrate")],
    ),
    (
        "alert-migration",
        "FlagsmithCriticalDiagnosis",
        &[("severity", "critical"), ("code", "MigrationPermissionDenied"), ("component", "migrations")],
    ),
    ("alert-database", "FlagsmithDatabaseUnreachable", &[("severity", "critical")]),
    ("alert-database", "FlagsmithApiUnavailable", &[("severity", "critical")]),
    (
        "alert-database",
        "FlagsmithCriticalDiagnosis",
        &[("severity", "critical"), ("code", "DatabaseAuthenticationFailed"), ("component", "database")],
    ),
];

#[test]
#[ignore = "a quarter of an hour: make trial-monitoring"]
fn each_trouble_raises_its_alerts_and_every_panel_has_data() {
    require_cluster();
    operator::install(&[]);
    let prometheus = Prometheus::start();
    let tasks = Namespace::new("alert-tasks");
    let migration = Namespace::new("alert-migration");
    let database = Namespace::new("alert-database");
    step("three installations become Ready", || {
        tasks.apply(&demo(NEW));
        migration.apply(&demo(OLD));
        database.apply(&demo(NEW));
        for namespace in [&tasks, &migration, &database] {
            namespace.await_ready();
        }
    });
    step("everything is scraped, and nothing fires", || {
        scraped(&prometheus, 8);
        wait_until(SCRAPED, "nothing fires", || {
            let firing = firing(&prometheus);
            firing.is_empty().then_some(()).ok_or_else(|| format!("{firing:#?}"))
        });
    });
    // Something to see in the panels of requests and tasks.
    enqueue(&tasks, "write_result", 20, "done");
    enqueue(&tasks, "fail", 3, "no such host");
    sleep(LOOK);
    step("three troubles", || {
        tasks.apply(&crate::tasks::resource("  taskProcessor: {replicas: 0}\n"));
        migration.sql("CREATE TABLE testbed_misbehaviour (migration text, instruction text)");
        migration.sql("INSERT INTO testbed_misbehaviour VALUES ('testbed.0007', 'permission-denied')");
        migration.apply(&resource(NEW, ""));
        password(&database, "another");
    });
    step("their alerts fire", || await_firing(&prometheus));
    step("every metric of an alert and every panel has data", || {
        // Of a processor that is there to tell of them.
        enqueue(&migration, "fail", 3, "no such host");
        scraped(&prometheus, 7);
        sleep(SCRAPED);
        counted(&prometheus);
        every_metric(&prometheus);
        every_panel(&prometheus);
    });
    step("mended, only the tasks that were given up stay", || {
        tasks.apply(&demo(NEW));
        migration.apply(&demo(OLD));
        password(&database, "$POSTGRES_PASSWORD");
        wait_until(OVER, "nothing else fires", || {
            prometheus.discover();
            let left: BTreeSet<String> = firing(&prometheus).keys().map(|(_, alert)| alert.clone()).collect();
            let left = format!("{left:?}");
            (left == "{\"FlagsmithTasksFailing\"}").then_some(()).ok_or(left)
        });
    });
    for namespace in [tasks, migration, database] {
        namespace.remove();
    }
    operator::uninstall();
}

/// Of the role in the server, through its socket; sessions go on until they end, so they are ended.
fn password(namespace: &Namespace, password: &str) {
    let statements = format!(
        "ALTER ROLE flagsmith PASSWORD '{password}'; SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE usename = 'flagsmith' AND pid <> pg_backend_pid()"
    );
    let shell = format!("psql --username=flagsmith --command=\"{statements}\"");
    namespace.kubectl(&["exec", "flagsmith-database-0", "--", "sh", "-c", &shell]);
}

/// Both replicas of the operator, and the API and the processor of each installation where they are.
fn scraped(prometheus: &Prometheus, number: usize) {
    wait_until(SCRAPED, "all targets answer", || {
        prometheus.discover();
        let targets = prometheus.targets();
        let up = targets.iter().filter(|target| target["health"] == "up").count();
        (up == number && targets.len() == number).then_some(()).ok_or_else(|| format!("{targets:#?}"))
    });
}

/// Firing alerts by namespace and name.
fn firing(prometheus: &Prometheus) -> BTreeMap<(String, String), Vec<Value>> {
    let mut firing: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for alert in prometheus.alerts().into_iter().filter(|alert| alert["state"] == "firing") {
        let label =
            |name: &str| pointer(&alert, &format!("/labels/{name}")).as_str().unwrap_or_default().to_owned();
        firing.entry((label("namespace"), label("alertname"))).or_default().push(alert);
    }
    firing
}

/// All that are expected, and no others.
fn await_firing(prometheus: &Prometheus) {
    let begun = Instant::now();
    let mut seen: BTreeMap<String, (Duration, Value)> = BTreeMap::new();
    let missing = |seen: &BTreeMap<String, (Duration, Value)>| -> Vec<&Fires> {
        EXPECTED.iter().filter(|expected| !seen.values().any(|(_, alert)| is(alert, expected))).collect()
    };
    while !missing(&seen).is_empty() {
        assert!(begun.elapsed() < FIRING, "{:#?} of {seen:#?}", missing(&seen));
        prometheus.discover();
        for alert in firing(prometheus).into_values().flatten() {
            seen.entry(alert["labels"].to_string()).or_insert_with(|| {
                println!("    {:>4} s {}", begun.elapsed().as_secs(), alert["labels"]);
                println!("           {}", pointer(&alert, "/annotations/summary"));
                (begun.elapsed(), alert)
            });
        }
        sleep(LOOK);
    }
    for alert in prometheus.alerts().iter().filter(|alert| alert["state"] == "pending") {
        println!("    pending {}", alert["labels"]);
    }
    let other = seen.values().filter(|(_, alert)| !EXPECTED.iter().any(|expected| is(alert, expected)));
    let other: Vec<_> = other.map(|(_, alert)| &alert["labels"]).collect();
    assert!(other.is_empty(), "{other:#?}");
}

fn is(alert: &Value, (namespace, name, labels): &Fires) -> bool {
    let has = |key: &str, value: &str| pointer(alert, &format!("/labels/{key}")) == value;
    let own = [("namespace", *namespace), ("alertname", *name), ("name", "flagsmith")];
    own.iter().chain(*labels).all(|(key, value)| has(key, value))
}

/// Three first migrations and the one that failed.
fn counted(prometheus: &Prometheus) {
    for (result, number) in [("succeeded", "3"), ("failed", "1")] {
        let sum =
            prometheus.query(&format!("sum(flagsmith_operator_migrations_total{{result=\"{result}\"}})"));
        assert_eq!(pointer(&sum[0], "/value/1"), number, "{result}");
    }
}

/// What alerts ask for.
fn every_metric(prometheus: &Prometheus) {
    let text = fs::read_to_string("charts/flagsmith-operator/files/alerts.yaml").unwrap();
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    let metrics: BTreeSet<&str> = words.filter(|word| word.starts_with("flagsmith_")).collect();
    let unknown: Vec<_> = metrics
        .iter()
        .filter(|metric| prometheus.query(&format!("last_over_time({metric}[1h])")).is_empty())
        .collect();
    println!("    {} metrics of alerts", metrics.len());
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Queries that have no answer where no pass has failed.
const MAY_BE_EMPTY: &[&str] = &["flagsmith_operator_reconcile_errors_total"];

/// Each query of each panel, for one of the installations at least.
fn every_panel(prometheus: &Prometheus) {
    let mut empty = Vec::new();
    let mut number = 0;
    for file in ["operator", "installation"] {
        let text =
            fs::read_to_string(format!("charts/flagsmith-operator/files/dashboards/{file}.json")).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                number += 1;
                let expression = target["expr"].as_str().unwrap();
                let shown = ["alert-tasks", "alert-migration", "alert-database"].map(|namespace| {
                    let expression =
                        expression.replace("$namespace", namespace).replace("$name", "flagsmith");
                    // Four times the interval of scrapes, as Grafana takes it.
                    prometheus.query(&expression.replace("$__rate_interval", "2m")).len()
                });
                println!("    {shown:?} {}", panel["title"]);
                let may_be_empty = MAY_BE_EMPTY.iter().any(|metric| expression.contains(metric));
                if shown.iter().all(|number| *number == 0) && !may_be_empty {
                    empty.push(expression.to_owned());
                }
            }
        }
    }
    println!("    {number} queries of panels");
    assert!(empty.is_empty(), "{empty:#?}");
}
