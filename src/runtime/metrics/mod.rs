//! What the operator exports to Prometheus, in the `OpenMetrics` text format. `docs/metrics.md` lists all of it.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{runtime::Handle, time::Instant};

mod deployments;
mod labels;
mod manual;
mod series;

pub use deployments::{Exported, ExportedQueue};
pub use labels::{Code, Kind, MigrationResult, Outcome, Verb};

pub(crate) use manual::markdown;

use labels::{ByCategory, ByKind, ByMemory, ByMigrationResult, ByOutcome, ByRequest, ByVerb};
use series::Series;

/// Everything that is exported. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    series: Arc<Series>,
}

impl Metrics {
    /// A registry of its own, with every series whose labels are known already at zero.
    #[must_use]
    pub fn new() -> Self {
        let series = Series::new();
        Self { registry: Arc::new(series.register()), series: Arc::new(series) }
    }

    /// The text that `/metrics` answers with.
    pub fn render(&self) -> Result<String, fmt::Error> {
        if let Ok(executor) = Handle::try_current() {
            self.series.tasks.set(as_u64(executor.metrics().num_alive_tasks()));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// A pass over one object begins; it counts as active until the guard is dropped.
    #[must_use = "the pass ends when the guard is dropped"]
    pub fn pass_started(&self) -> Pass {
        self.series.active.inc();
        Pass { metrics: self.clone(), start: Instant::now() }
    }

    /// A pass failed with an error of this category.
    pub fn pass_failed(&self, category: &'static str) {
        self.series.errors.get_or_create(&ByCategory { category }).inc();
    }

    /// A pass panicked.
    pub fn pass_panicked(&self) {
        self.series.panics.inc();
    }

    /// A pass was cut off by its deadline.
    pub fn pass_deadline_exceeded(&self) {
        self.series.deadlines.inc();
    }

    /// The API server answered a request (or did not: [`Code::None`]) after this time.
    pub fn kube_request(&self, verb: Verb, kind: Kind, code: Code, took: Duration) {
        self.series.requests.get_or_create(&ByRequest { verb, kind, code }).inc();
        self.series.request_duration.get_or_create(&ByVerb { verb }).observe(took.as_secs_f64());
    }

    /// A look into a database ended after this time, with a failure of this category or none.
    pub fn database_probe(&self, took: Duration, failure: Option<&'static str>) {
        self.series.probe_duration.observe(took.as_secs_f64());
        if let Some(category) = failure {
            self.series.probe_failures.get_or_create(&ByCategory { category }).inc();
        }
    }

    /// The watch of this kind (a plural name) failed and starts anew.
    pub fn watch_restarted(&self, kind: &'static str) {
        self.series.watch_restarts.get_or_create(&ByKind { kind }).inc();
    }

    /// The cache of this kind (a plural name) holds so many objects. Restarts of its watch are counted from then on.
    pub fn cache_objects(&self, kind: &'static str, count: usize) {
        drop(self.series.watch_restarts.get_or_create(&ByKind { kind }));
        self.series.cache_objects.get_or_create(&ByKind { kind }).set(as_u64(count));
    }

    /// This memory (a name) knows so many installations.
    pub fn remembered(&self, memory: &'static str, count: usize) {
        self.series.remembered.get_or_create(&ByMemory { memory }).set(as_u64(count));
    }

    /// This replica won or lost leadership.
    pub fn leader(&self, leads: bool) {
        self.series.leader.set(i64::from(leads));
        self.series.lease_transitions.inc();
    }

    /// A migration Job ended after this time.
    pub fn migration(&self, result: MigrationResult, took: Duration) {
        self.series.migrations.get_or_create(&ByMigrationResult { result }).inc();
        self.series.migration_duration.observe(took.as_secs_f64());
    }

    /// Replaces what is exported of one installation.
    pub fn deployment(&self, namespace: &str, name: &str, exported: Exported) {
        self.series.deployments.set(namespace, name, exported);
    }

    /// Exports nothing of this installation any more: it was deleted, or another replica leads.
    pub fn deployment_gone(&self, namespace: &str, name: &str) {
        self.series.deployments.remove(namespace, name);
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// One pass over one object, while it runs.
#[derive(Debug)]
pub struct Pass {
    metrics: Metrics,
    start: Instant,
}

impl Pass {
    /// The pass ended. A guard that is dropped without this (a panic, a deadline) only ends being active.
    pub fn ended(self, result: Outcome) {
        self.metrics.series.passes.get_or_create(&ByOutcome { result }).inc();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.metrics.series.active.dec();
        self.metrics.series.pass_duration.observe(self.start.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests;
