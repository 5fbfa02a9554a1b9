//! The page of all metrics, made of what a scrape says: name, type, labels and help of each family stand once, where
//! it is registered.

use std::{collections::BTreeMap, fmt, fmt::Write as _, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Code, Exported, ExportedQueue, Kind, Metrics, MigrationResult, Outcome, Verb};
use crate::api::{
    self, ComponentStatus, ComponentsStatus, DiagnosisStatus, FlagsmithDeploymentStatus, MigrationStatus,
};

const HEAD: &str = "\
# Metrics

Each replica of the operator serves these on port 8080, `/metrics`, in the OpenMetrics text format. Only the replica that \
leads exports what it knows of installations. Labels have few values: names of this program, of installations, and of \
what is wrong with them.

A histogram is scraped as `_bucket`, `_sum` and `_count`. [Runbooks](runbooks.md) has the alerts that the chart makes of these.

| name | meaning (its type and labels) |
|---|---|
";

/// The page.
pub(crate) fn markdown() -> Result<String, fmt::Error> {
    let text = example().render()?;
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|it| it.split_once(' ')) {
            families.push(Family { name, help, kind: "", labels: "" });
            continue;
        }
        let Some(family) = families.last_mut() else { continue };
        if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' ')) {
            family.kind = kind;
        } else if let Some((_, labels)) = line.split_once('{') {
            family.labels = labels.rsplit_once('}').map_or("", |(labels, _)| labels);
        }
    }
    families.sort_by_key(|family| family.name);
    let mut page = HEAD.to_owned();
    for Family { name, help, kind, labels } in families {
        let labels: Vec<String> = labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .filter(|(label, _)| *label != "le")
            .map(|(label, _)| format!("`{label}`"))
            .collect();
        let (suffix, help) = (suffix(kind), help.trim_end_matches('.'));
        let by = if labels.is_empty() { String::new() } else { format!(" by {}", labels.join(", ")) };
        writeln!(page, "| `{name}{suffix}` | {help} ({kind}{by}) |")?;
    }
    Ok(page)
}

/// What the samples of a family have at the end of their name, in queries too.
fn suffix(kind: &str) -> &'static str {
    match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    }
}

/// What a scrape says of one family.
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    kind: &'a str,
    labels: &'a str,
}

/// Metrics in which each family has a sample.
pub(super) fn example() -> Metrics {
    let metrics = Metrics::new();
    metrics.pass_started().ended(Outcome::Changed);
    metrics.pass_failed("conflict");
    metrics.pass_panicked();
    metrics.pass_deadline_exceeded();
    let pods = Kind { resource: "pods", subresource: Some("log") };
    metrics.kube_request(Verb::Get, pods, Code::Success, Duration::from_millis(3));
    metrics.watch_restarted("deployments");
    metrics.cache_objects("deployments", 7);
    metrics.remembered("secrets", 1);
    metrics.leader(true);
    metrics.migration(MigrationResult::Failed, Duration::from_secs(61));
    metrics.database_probe(Duration::from_millis(20), Some("timeout"));
    let queue = ExportedQueue {
        ready: 12,
        oldest_ready: 61.5,
        stuck: 3,
        heartbeat_age: f64::NAN,
        connections: Some([41, 97]),
        ..ExportedQueue::default()
    };
    let exported = Exported::new(&example_status(), BTreeMap::from([("default", queue)]));
    metrics.deployment("ns", "one", exported);
    metrics
}

fn example_status() -> FlagsmithDeploymentStatus {
    let epoch = || Some(Time(Timestamp::UNIX_EPOCH));
    let failed = MigrationStatus {
        version: "2.265.0".into(),
        result: api::MigrationResult::Failed,
        started: epoch(),
        ..MigrationStatus::default()
    };
    let applied = MigrationStatus {
        version: "2.260.0".into(),
        result: api::MigrationResult::Applied,
        finished: epoch(),
        ..MigrationStatus::default()
    };
    FlagsmithDeploymentStatus {
        version: Some("2.260.0".into()),
        migration: Some(failed),
        migration_history: vec![applied],
        upgrade: Some(api::UpgradeStatus {
            stops: vec![api::StopStatus {
                version: "2.265.0".into(),
                state: api::StopState::Failed,
                ..api::StopStatus::default()
            }],
            ..api::UpgradeStatus::default()
        }),
        backups: vec![api::BackupStatus { finished: epoch(), ..api::BackupStatus::default() }],
        components: Some(ComponentsStatus {
            api: Some(ComponentStatus { desired: 2, ready: 1, ..ComponentStatus::default() }),
            ..ComponentsStatus::default()
        }),
        diagnoses: vec![DiagnosisStatus {
            code: "MigrationFailed".into(),
            severity: "Critical".into(),
            component: "migration".into(),
            ..DiagnosisStatus::default()
        }],
        conditions: vec![Condition {
            type_: "Ready".into(),
            status: "False".into(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            message: String::new(),
            observed_generation: None,
            reason: String::new(),
        }],
        ..FlagsmithDeploymentStatus::default()
    }
}
