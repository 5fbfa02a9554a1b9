use std::collections::{BTreeMap, BTreeSet};

use super::*;

const PODS: Kind = Kind { resource: "pods", subresource: Some("log") };

/// Every family that the documentation of this module names, with its type.
const FAMILIES: [(&str, &str); 25] = [
    ("flagsmith_operator_reconcile", "counter"),
    ("flagsmith_operator_reconcile_duration_seconds", "histogram"),
    ("flagsmith_operator_reconcile_errors", "counter"),
    ("flagsmith_operator_reconcile_active", "gauge"),
    ("flagsmith_operator_panics", "counter"),
    ("flagsmith_operator_deadline_exceeded", "counter"),
    ("flagsmith_operator_kube_requests", "counter"),
    ("flagsmith_operator_kube_request_duration_seconds", "histogram"),
    ("flagsmith_operator_watch_restarts", "counter"),
    ("flagsmith_operator_cache_objects", "gauge"),
    ("flagsmith_operator_leader", "gauge"),
    ("flagsmith_operator_lease_transitions", "counter"),
    ("flagsmith_operator_migrations", "counter"),
    ("flagsmith_operator_migration_duration_seconds", "histogram"),
    ("flagsmith_operator_build", "info"),
    ("flagsmith_deployment", "info"),
    ("flagsmith_deployment_condition", "gauge"),
    ("flagsmith_operator_database_probe_duration_seconds", "histogram"),
    ("flagsmith_operator_database_probe_failures", "counter"),
    ("flagsmith_task_queue_ready", "gauge"),
    ("flagsmith_task_queue_oldest_ready_age_seconds", "gauge"),
    ("flagsmith_task_queue_in_flight", "gauge"),
    ("flagsmith_task_queue_stuck", "gauge"),
    ("flagsmith_task_queue_dead", "gauge"),
    ("flagsmith_task_queue_heartbeat_age_seconds", "gauge"),
];

/// A scrape, read strictly.
#[derive(Default)]
struct Scrape {
    types: BTreeMap<String, String>,
    help: BTreeSet<String>,
    samples: BTreeMap<String, f64>,
}

fn scrape(metrics: &Metrics) -> Scrape {
    let text = metrics.render().unwrap();
    let body = text.strip_suffix("# EOF\n").expect("ends with the OpenMetrics end mark");
    let mut scrape = Scrape::default();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.len() > 10 && !help.ends_with(".."), "{line}");
            assert!(scrape.help.insert(name.to_owned()), "{name} is described twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(scrape.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is typed twice");
        } else if !line.starts_with("# UNIT ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(scrape.types.keys().any(|family| belongs(name, family)), "{name} belongs to no family");
            assert!(
                scrape.samples.insert(series.to_owned(), value.parse().unwrap()).is_none(),
                "{series} twice"
            );
        }
    }
    scrape
}

fn belongs(sample: &str, family: &str) -> bool {
    let suffixes = ["", "_total", "_info", "_sum", "_count", "_bucket"];
    sample.strip_prefix(family).is_some_and(|suffix| suffixes.contains(&suffix))
}

fn exported(version: &str, conditions: &[(&str, &str)]) -> Exported {
    let conditions = conditions.iter().map(|(r#type, status)| ((*r#type).into(), (*status).into())).collect();
    Exported { version: version.into(), conditions, queues: BTreeMap::new() }
}

/// A registry in which every series exists.
fn filled() -> Metrics {
    let metrics = Metrics::new();
    metrics.pass_started().ended(Outcome::Changed);
    metrics.pass_failed("conflict");
    metrics.pass_panicked();
    metrics.pass_deadline_exceeded();
    metrics.kube_request(Verb::Get, PODS, Code::Success, Duration::from_millis(3));
    metrics.watch_restarted("deployments");
    metrics.cache_objects("deployments", 7);
    metrics.leader(true);
    metrics.migration(MigrationResult::Failed, Duration::from_secs(61));
    metrics.database_probe(Duration::from_millis(20), Some("timeout"));
    let queue = ExportedQueue {
        ready: 12,
        oldest_ready: 61.5,
        stuck: 3,
        heartbeat_age: f64::NAN,
        ..ExportedQueue::default()
    };
    let exported = Exported {
        queues: BTreeMap::from([("default", queue)]),
        ..exported("2.265.0", &[("Ready", "False")])
    };
    metrics.deployment("ns", "one", exported);
    metrics
}

#[test]
fn every_documented_family_has_help_type_and_a_sample() {
    let scrape = scrape(&filled());
    let expected: BTreeMap<_, _> =
        FAMILIES.iter().map(|(name, kind)| ((*name).into(), (*kind).into())).collect();
    assert_eq!(scrape.types, expected);
    assert_eq!(scrape.help.iter().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (family, _) in FAMILIES {
        let sampled = scrape.samples.keys().any(|series| belongs(series.split('{').next().unwrap(), family));
        assert!(sampled, "{family} has no sample");
    }
}

#[test]
fn what_happened_is_counted() {
    let samples = scrape(&filled()).samples;
    let expected = [
        ("flagsmith_operator_reconcile_total{result=\"changed\"}", 1.0),
        ("flagsmith_operator_reconcile_total{result=\"unchanged\"}", 0.0),
        ("flagsmith_operator_reconcile_total{result=\"error\"}", 0.0),
        ("flagsmith_operator_reconcile_duration_seconds_count", 1.0),
        ("flagsmith_operator_reconcile_errors_total{category=\"conflict\"}", 1.0),
        ("flagsmith_operator_reconcile_active", 0.0),
        ("flagsmith_operator_panics_total", 1.0),
        ("flagsmith_operator_deadline_exceeded_total", 1.0),
        ("flagsmith_operator_kube_requests_total{verb=\"get\",kind=\"pods/log\",code=\"2xx\"}", 1.0),
        ("flagsmith_operator_kube_request_duration_seconds_bucket{le=\"0.001\",verb=\"get\"}", 0.0),
        ("flagsmith_operator_kube_request_duration_seconds_bucket{le=\"0.005\",verb=\"get\"}", 1.0),
        ("flagsmith_operator_watch_restarts_total{kind=\"deployments\"}", 1.0),
        ("flagsmith_operator_cache_objects{kind=\"deployments\"}", 7.0),
        ("flagsmith_operator_leader", 1.0),
        ("flagsmith_operator_lease_transitions_total", 1.0),
        ("flagsmith_operator_migrations_total{result=\"failed\"}", 1.0),
        ("flagsmith_operator_migration_duration_seconds_sum", 61.0),
        ("flagsmith_operator_database_probe_failures_total{category=\"timeout\"}", 1.0),
        ("flagsmith_operator_database_probe_duration_seconds_bucket{le=\"0.025\"}", 1.0),
        ("flagsmith_task_queue_ready{namespace=\"ns\",name=\"one\",database=\"default\"}", 12.0),
        (
            "flagsmith_task_queue_oldest_ready_age_seconds{namespace=\"ns\",name=\"one\",database=\"default\"}",
            61.5,
        ),
        ("flagsmith_deployment_info{namespace=\"ns\",name=\"one\",version=\"2.265.0\"}", 1.0),
        (
            "flagsmith_deployment_condition{namespace=\"ns\",name=\"one\",type=\"Ready\",status=\"False\"}",
            1.0,
        ),
    ];
    for (series, value) in expected {
        assert_eq!(samples.get(series), Some(&value), "{series} in {samples:#?}");
    }
}

#[test]
fn an_active_pass_is_counted_until_it_is_dropped() {
    let metrics = Metrics::new();
    let active = |metrics: &Metrics| scrape(metrics).samples["flagsmith_operator_reconcile_active"];
    let passes = [metrics.pass_started(), metrics.pass_started()];
    assert_eq!(active(&metrics).to_string(), "2");
    drop(passes);
    assert_eq!(active(&metrics).to_string(), "0");
}

#[test]
fn an_installation_is_replaced_and_removed() {
    let metrics = filled();
    metrics.deployment("ns", "one", exported("2.265.0", &[("Ready", "True")]));
    let of_one = |metrics: &Metrics| -> Vec<String> {
        scrape(metrics).samples.into_keys().filter(|series| series.contains("name=\"one\"")).collect()
    };
    assert_eq!(
        of_one(&metrics),
        [
            "flagsmith_deployment_condition{namespace=\"ns\",name=\"one\",type=\"Ready\",status=\"True\"}",
            "flagsmith_deployment_info{namespace=\"ns\",name=\"one\",version=\"2.265.0\"}",
        ]
    );
    metrics.deployment_gone("ns", "one");
    assert_eq!(of_one(&metrics), [""; 0]);
}
