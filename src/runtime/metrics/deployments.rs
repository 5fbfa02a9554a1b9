//! What is exported of each `FlagsmithDeployment`: rendered at each scrape from what was reported last.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

/// What is exported of one installation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exported {
    /// The version that runs (`status.version`); empty before the first.
    pub version: String,
    /// The status (`True`, `False`, `Unknown`) of each condition by its type.
    pub conditions: BTreeMap<String, String>,
    /// Its queues by database: `default` and, where there is one, `task_processor` (Django's names).
    pub queues: BTreeMap<&'static str, ExportedQueue>,
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
}

/// A family of gauges, one for each queue.
type QueueGauge = (&'static str, &'static str, fn(&ExportedQueue) -> f64);

#[expect(clippy::cast_precision_loss, reason = "numbers of tasks are far below 2^52")]
const QUEUE_GAUGES: [QueueGauge; 6] = [
    ("flagsmith_task_queue_ready", "Tasks that wait to be picked up, counted up to 10,001.", |queue| {
        queue.ready as f64
    }),
    (
        "flagsmith_task_queue_oldest_ready_age_seconds",
        "How long the oldest waiting task has been due; NaN when none waits.",
        |queue| queue.oldest_ready,
    ),
    ("flagsmith_task_queue_in_flight", "Tasks that are picked up and not finished.", |queue| {
        queue.in_flight as f64
    }),
    ("flagsmith_task_queue_stuck", "Tasks that are locked while no processor works on them.", |queue| {
        queue.stuck as f64
    }),
    (
        "flagsmith_task_queue_dead",
        "Tasks of the last hour that were given up after three attempts.",
        |queue| queue.dead as f64,
    ),
    (
        "flagsmith_task_queue_heartbeat_age_seconds",
        "Since a task processor last looked at the queue; NaN when the tables cannot tell.",
        |queue| queue.heartbeat_age,
    ),
];

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
        let mut family = encoder.encode_descriptor(
            "flagsmith_deployment",
            "The version that each FlagsmithDeployment runs.",
            None,
            MetricType::Info,
        )?;
        for ((namespace, name), exported) in deployments.iter() {
            family.encode_info(&[
                ("namespace", namespace),
                ("name", name),
                ("version", &exported.version),
            ])?;
        }
        let mut family = encoder.encode_descriptor(
            "flagsmith_deployment_condition",
            "The present status of each condition of a FlagsmithDeployment, always 1.",
            None,
            MetricType::Gauge,
        )?;
        for ((namespace, name), exported) in deployments.iter() {
            for (r#type, status) in &exported.conditions {
                let labels = [("namespace", namespace), ("name", name), ("type", r#type), ("status", status)];
                ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in QUEUE_GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for ((namespace, name), exported) in deployments.iter() {
                for (database, queue) in &exported.queues {
                    let labels =
                        [("namespace", namespace.as_str()), ("name", name.as_str()), ("database", database)];
                    ConstGauge::new(value(queue)).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}
