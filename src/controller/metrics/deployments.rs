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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// The version that runs (`status.version`); empty before the first.
    pub version: String,
    /// The status (`True`, `False`, `Unknown`) of each condition by its type.
    pub conditions: BTreeMap<String, String>,
}

/// Namespace and name.
type Key = (String, String);

/// The installations that were reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Deployments(Arc<Mutex<BTreeMap<Key, Exported>>>);

impl Deployments {
    pub fn set(&self, namespace: &str, name: &str, exported: Exported) {
        self.lock()
            .insert((namespace.to_owned(), name.to_owned()), exported);
    }

    pub fn remove(&self, namespace: &str, name: &str) {
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
                let labels = [
                    ("namespace", namespace),
                    ("name", name),
                    ("type", r#type),
                    ("status", status),
                ];
                ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
