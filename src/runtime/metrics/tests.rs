use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{manual::example, *};
use crate::api::FlagsmithDeploymentStatus;

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

fn exported(version: &str, ready: &str) -> Exported {
    let condition = Condition {
        type_: "Ready".into(),
        status: ready.into(),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        message: String::new(),
        observed_generation: None,
        reason: String::new(),
    };
    let status = FlagsmithDeploymentStatus {
        version: Some(version.into()),
        conditions: vec![condition],
        ..FlagsmithDeploymentStatus::default()
    };
    Exported::new(&status, BTreeMap::new())
}

#[test]
fn every_family_has_help_type_and_a_sample() {
    let scrape = scrape(&example());
    assert_eq!(scrape.help.iter().collect::<Vec<_>>(), scrape.types.keys().collect::<Vec<_>>());
    for family in scrape.types.keys() {
        let sampled = scrape.samples.keys().any(|series| belongs(series.split('{').next().unwrap(), family));
        assert!(sampled, "{family} has no sample in manual::example");
    }
}

#[test]
fn every_family_stands_on_the_page_with_its_labels() {
    let page = markdown().unwrap();
    for family in scrape(&example()).types.keys() {
        assert!(page.contains(&format!("\n| `{family}")), "{family} in {page}");
    }
    for row in [
        "| `flagsmith_operator_kube_requests_total` | Requests to the API server, each attempt counted (counter by `verb`, `kind`, `code`) |",
        "| `flagsmith_operator_reconcile_duration_seconds` | How long a pass over one object took (histogram) |",
        "| `flagsmith_deployment_diagnosis` | What is wrong, by its cause, always 1 (gauge by `namespace`, `name`, `code`, `severity`, `component`) |",
    ] {
        assert!(page.contains(row), "{row} in {page}");
    }
}

#[test]
fn what_happened_is_counted() {
    let samples = scrape(&example()).samples;
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
        ("flagsmith_database_connections{namespace=\"ns\",name=\"one\",database=\"default\"}", 41.0),
        ("flagsmith_database_connections_limit{namespace=\"ns\",name=\"one\",database=\"default\"}", 97.0),
        ("flagsmith_deployment_info{namespace=\"ns\",name=\"one\",version=\"2.260.0\"}", 1.0),
        (
            "flagsmith_deployment_diagnosis{namespace=\"ns\",name=\"one\",code=\"MigrationFailed\",severity=\"Critical\",component=\"migration\"}",
            1.0,
        ),
        (
            "flagsmith_deployment_migration{namespace=\"ns\",name=\"one\",operation=\"Migrate\",result=\"Failed\",version=\"2.265.0\"}",
            1.0,
        ),
        (
            "flagsmith_deployment_upgrade_stop{namespace=\"ns\",name=\"one\",version=\"2.265.0\",state=\"Failed\"}",
            1.0,
        ),
        (
            "flagsmith_deployment_component_desired_replicas{namespace=\"ns\",name=\"one\",component=\"api\"}",
            2.0,
        ),
        (
            "flagsmith_deployment_component_ready_replicas{namespace=\"ns\",name=\"one\",component=\"api\"}",
            1.0,
        ),
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
    let metrics = example();
    metrics.deployment("ns", "one", exported("2.265.0", "True"));
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
