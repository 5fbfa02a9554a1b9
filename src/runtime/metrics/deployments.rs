//! What is exported of each `FlagsmithDeployment`: rendered at each scrape from what was reported last.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::api::{
    ComponentStatus, DiagnosisStatus, FlagsmithDeploymentStatus, MigrationOperation, MigrationResult,
    MigrationStatus, StopState, StopStatus,
};

/// What is exported of one installation. It is as large as what is wrong, never as the status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exported {
    version: String,
    /// The status (`True`, `False`, `Unknown`) of each condition by its type.
    conditions: BTreeMap<String, String>,
    /// Code, severity and component of each diagnosis.
    diagnoses: BTreeSet<[String; 3]>,
    migration: Option<ExportedMigration>,
    /// Release and state of each stop of an upgrade.
    stops: Vec<(String, &'static str)>,
    last_migrated: Option<f64>,
    last_backup: Option<f64>,
    /// Desired and ready pods by component.
    components: BTreeMap<&'static str, [i32; 2]>,
    queues: BTreeMap<&'static str, ExportedQueue>,
}

#[derive(Debug, Clone, PartialEq)]
struct ExportedMigration {
    operation: &'static str,
    result: &'static str,
    version: String,
    started: Option<f64>,
}

/// What is exported of one queue. Ages are in seconds; NaN where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ExportedQueue {
    /// Tasks that wait to be picked up; at most 10,001.
    pub ready: i64,
    /// Age of the oldest of them.
    pub oldest_ready: f64,
    /// Tasks that are picked up and not finished.
    pub in_flight: i64,
    /// Those of them that nobody works on.
    pub stuck: i64,
    /// Tasks of the last hour that were given up.
    pub dead: i64,
    /// Since a processor last looked at the queue.
    pub heartbeat_age: f64,
    /// Connections to every database of its server, and how many others than superusers may have; `None` where the role
    /// cannot see it.
    pub connections: Option<[i64; 2]>,
}

impl Exported {
    /// What is exported of this status, and of the queues by Django's names of their databases: `default` and, where there
    /// is one, `task_processor`.
    #[must_use]
    pub fn new(status: &FlagsmithDeploymentStatus, queues: BTreeMap<&'static str, ExportedQueue>) -> Self {
        let conditions = status.conditions.iter();
        let components = status.components.iter().flat_map(|components| {
            [
                ("api", &components.api),
                ("task-processor", &components.task_processor),
                ("frontend", &components.frontend),
            ]
        });
        Self {
            version: status.version.clone().unwrap_or_default(),
            conditions: conditions.map(|it| (it.type_.clone(), it.status.clone())).collect(),
            diagnoses: status.diagnoses.iter().map(labels_of).collect(),
            migration: status.migration.as_ref().map(ExportedMigration::new),
            stops: status.upgrade.iter().flat_map(|it| &it.stops).map(stop).collect(),
            last_migrated: status.migration_history.iter().filter_map(succeeded).max().map(seconds),
            last_backup: status
                .backups
                .iter()
                .filter_map(|it| Some(it.finished.as_ref()?.0))
                .max()
                .map(seconds),
            components: components
                .filter_map(|(name, component)| Some((name, pods(component.as_ref()?))))
                .collect(),
            queues,
        }
    }
}

impl ExportedMigration {
    fn new(migration: &MigrationStatus) -> Self {
        Self {
            operation: match migration.operation {
                MigrationOperation::Migrate => "Migrate",
                MigrationOperation::RollBack => "RollBack",
                MigrationOperation::Restore => "Restore",
            },
            result: match migration.result {
                MigrationResult::Blocked => "Blocked",
                MigrationResult::Pending => "Pending",
                MigrationResult::Running => "Running",
                MigrationResult::Applied => "Applied",
                MigrationResult::Failed => "Failed",
            },
            version: migration.version.clone(),
            started: migration.started.as_ref().map(|started| seconds(started.0)),
        }
    }
}

fn labels_of(diagnosis: &DiagnosisStatus) -> [String; 3] {
    [diagnosis.code.clone(), diagnosis.severity.clone(), diagnosis.component.clone()]
}

fn stop(stop: &StopStatus) -> (String, &'static str) {
    let state = match stop.state {
        StopState::Waiting => "Waiting",
        StopState::Current => "Current",
        StopState::Applied => "Applied",
        StopState::Failed => "Failed",
    };
    (stop.version.clone(), state)
}

const fn pods(component: &ComponentStatus) -> [i32; 2] {
    [component.desired, component.ready]
}

/// When a migration ended well.
fn succeeded(migration: &MigrationStatus) -> Option<Timestamp> {
    (migration.result == MigrationResult::Applied).then_some(migration.finished.as_ref()?.0)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of this century are far below 2^52")]
fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

/// Takes one sample: the values of the family's own labels, and the sample's value.
type Emit<'a> = dyn FnMut(&[&str], f64) -> fmt::Result + 'a;

/// One family of gauges: `namespace` and `name` are labels of each.
struct Family {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    samples: fn(&Exported, &mut Emit<'_>) -> fmt::Result,
}

const FAMILIES: [Family; 17] = [
    Family {
        name: "flagsmith_deployment_condition",
        help: "The present status of each condition, always 1.",
        labels: &["type", "status"],
        samples: |it, emit| it.conditions.iter().try_for_each(|(kind, status)| emit(&[kind, status], 1.0)),
    },
    Family {
        name: "flagsmith_deployment_diagnosis",
        help: "What is wrong, by its cause, always 1.",
        labels: &["code", "severity", "component"],
        samples: |it, emit| {
            it.diagnoses.iter().try_for_each(|labels| emit(&labels.each_ref().map(String::as_str), 1.0))
        },
    },
    Family {
        name: "flagsmith_deployment_migration",
        help: "The present result of the migration to the wanted release, always 1.",
        labels: &["operation", "result", "version"],
        samples: |it, emit| {
            it.migration.iter().try_for_each(|it| emit(&[it.operation, it.result, &it.version], 1.0))
        },
    },
    Family {
        name: "flagsmith_deployment_upgrade_stop",
        help: "How each stop of an upgrade that is under way stands, always 1.",
        labels: &["version", "state"],
        samples: |it, emit| it.stops.iter().try_for_each(|(version, state)| emit(&[version, state], 1.0)),
    },
    Family {
        name: "flagsmith_deployment_migration_start_timestamp_seconds",
        help: "When the Job of the migration to the wanted release started.",
        labels: &[],
        samples: |it, emit| {
            it.migration.iter().filter_map(|it| it.started).try_for_each(|started| emit(&[], started))
        },
    },
    Family {
        name: "flagsmith_deployment_migration_last_success_timestamp_seconds",
        help: "When a migration, a rollback or a restore last ended well.",
        labels: &[],
        samples: |it, emit| it.last_migrated.iter().try_for_each(|time| emit(&[], *time)),
    },
    Family {
        name: "flagsmith_deployment_backup_last_success_timestamp_seconds",
        help: "When the newest backup was made that there is: one before a migration.",
        labels: &[],
        samples: |it, emit| it.last_backup.iter().try_for_each(|time| emit(&[], *time)),
    },
    Family {
        name: "flagsmith_deployment_component_desired_replicas",
        help: "The desired number of pods.",
        labels: &["component"],
        samples: |it, emit| {
            it.components.iter().try_for_each(|(name, [desired, _])| emit(&[name], (*desired).into()))
        },
    },
    Family {
        name: "flagsmith_deployment_component_ready_replicas",
        help: "The number of pods that are ready.",
        labels: &["component"],
        samples: |it, emit| {
            it.components.iter().try_for_each(|(name, [_, ready])| emit(&[name], (*ready).into()))
        },
    },
    Family {
        name: "flagsmith_task_queue_ready",
        help: "Tasks that wait to be picked up, counted up to 10,001.",
        labels: &["database"],
        samples: |it, emit| it.each_queue(emit, |queue| count(queue.ready)),
    },
    Family {
        name: "flagsmith_task_queue_oldest_ready_age_seconds",
        help: "How long the oldest waiting task has been due; NaN when none waits.",
        labels: &["database"],
        samples: |it, emit| it.each_queue(emit, |queue| queue.oldest_ready),
    },
    Family {
        name: "flagsmith_task_queue_in_flight",
        help: "Tasks that are picked up and not finished.",
        labels: &["database"],
        samples: |it, emit| it.each_queue(emit, |queue| count(queue.in_flight)),
    },
    Family {
        name: "flagsmith_task_queue_stuck",
        help: "Tasks that are locked while no processor works on them.",
        labels: &["database"],
        samples: |it, emit| it.each_queue(emit, |queue| count(queue.stuck)),
    },
    Family {
        name: "flagsmith_task_queue_dead",
        help: "Tasks of the last hour that were given up after three attempts.",
        labels: &["database"],
        samples: |it, emit| it.each_queue(emit, |queue| count(queue.dead)),
    },
    Family {
        name: "flagsmith_task_queue_heartbeat_age_seconds",
        help: "Since a task processor last looked at the queue; NaN when the tables cannot tell.",
        labels: &["database"],
        samples: |it, emit| it.each_queue(emit, |queue| queue.heartbeat_age),
    },
    Family {
        name: "flagsmith_database_connections",
        help: "Connections to every database of the server of this one.",
        labels: &["database"],
        samples: |it, emit| it.each_server(emit, |[used, _]| used),
    },
    Family {
        name: "flagsmith_database_connections_limit",
        help: "How many connections others than superusers may have there.",
        labels: &["database"],
        samples: |it, emit| it.each_server(emit, |[_, limit]| limit),
    },
];

impl Exported {
    fn each_queue(&self, emit: &mut Emit<'_>, value: fn(&ExportedQueue) -> f64) -> fmt::Result {
        self.queues.iter().try_for_each(|(database, queue)| emit(&[database], value(queue)))
    }

    fn each_server(&self, emit: &mut Emit<'_>, value: fn([i64; 2]) -> i64) -> fmt::Result {
        let mut known =
            self.queues.iter().filter_map(|(database, queue)| Some((database, queue.connections?)));
        known.try_for_each(|(database, of_server)| emit(&[database], count(value(of_server))))
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of tasks and connections are far below 2^52")]
const fn count(number: i64) -> f64 {
    number as f64
}

/// Namespace and name.
type Key = (String, String);

/// The installations that were reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Deployments(Arc<Mutex<BTreeMap<Key, Exported>>>);

impl Deployments {
    pub(super) fn set(&self, namespace: &str, name: &str, exported: Exported) {
        self.lock().insert((namespace.to_owned(), name.to_owned()), exported);
    }

    pub(super) fn remove(&self, namespace: &str, name: &str) {
        self.lock().remove(&(namespace.to_owned(), name.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Exported>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Deployments {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let deployments = self.lock();
        let help = "The version that each FlagsmithDeployment runs.";
        let mut family = encoder.encode_descriptor("flagsmith_deployment", help, None, MetricType::Info)?;
        for ((namespace, name), exported) in deployments.iter() {
            family.encode_info(&[
                ("namespace", namespace),
                ("name", name),
                ("version", &exported.version),
            ])?;
        }
        for Family { name: family, help, labels, samples } in FAMILIES {
            let mut encoder = encoder.encode_descriptor(family, help, None, MetricType::Gauge)?;
            for ((namespace, name), exported) in deployments.iter() {
                samples(exported, &mut |values, value| {
                    let own = labels.iter().copied().zip(values.iter().copied());
                    let all: Vec<_> =
                        [("namespace", namespace.as_str()), ("name", name)].into_iter().chain(own).collect();
                    ConstGauge::new(value).encode(encoder.encode_family(&all)?)
                })?;
            }
        }
        Ok(())
    }
}
