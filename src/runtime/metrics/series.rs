//! Every series, and under which name it is exported.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

use super::{
    deployments::Deployments,
    labels::{
        Build, ByCategory, ByKind, ByMemory, ByMigrationResult, ByOutcome, ByRequest, ByVerb,
        MigrationResult, Outcome,
    },
};

/// Seconds. From a pass that finds nothing to do (a few milliseconds) to the deadline of a pass.
const PASS_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0];

/// Seconds. From a read that the API server answers from memory to the deadline of a request.
const REQUEST_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 10.0];

/// Seconds. From a server beside the operator to the deadline of a look.
const PROBE_BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 5.0];

/// Seconds. From a database that is up to date to the longest rewrite of a large table.
const MIGRATION_BUCKETS: [f64; 9] = [5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0];

#[derive(Debug)]
pub(super) struct Series {
    pub passes: Family<ByOutcome, Counter>,
    pub pass_duration: Histogram,
    pub errors: Family<ByCategory, Counter>,
    pub active: Gauge,
    pub panics: Counter,
    pub deadlines: Counter,
    pub requests: Family<ByRequest, Counter>,
    pub request_duration: Family<ByVerb, Histogram, fn() -> Histogram>,
    pub watch_restarts: Family<ByKind, Counter>,
    pub cache_objects: Family<ByKind, Gauge<u64, AtomicU64>>,
    pub remembered: Family<ByMemory, Gauge<u64, AtomicU64>>,
    pub tasks: Gauge<u64, AtomicU64>,
    pub leader: Gauge,
    pub lease_transitions: Counter,
    pub migrations: Family<ByMigrationResult, Counter>,
    pub migration_duration: Histogram,
    pub probe_duration: Histogram,
    pub probe_failures: Family<ByCategory, Counter>,
    pub deployments: Deployments,
}

impl Series {
    /// Every series whose labels are known already, at zero.
    pub(super) fn new() -> Self {
        let series = Series {
            passes: Family::default(),
            pass_duration: Histogram::new(PASS_BUCKETS),
            errors: Family::default(),
            active: Gauge::default(),
            panics: Counter::default(),
            deadlines: Counter::default(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            watch_restarts: Family::default(),
            cache_objects: Family::default(),
            remembered: Family::default(),
            tasks: Gauge::default(),
            leader: Gauge::default(),
            lease_transitions: Counter::default(),
            migrations: Family::default(),
            migration_duration: Histogram::new(MIGRATION_BUCKETS),
            probe_duration: Histogram::new(PROBE_BUCKETS),
            probe_failures: Family::default(),
            deployments: Deployments::default(),
        };
        // A rate over a counter that appears with its first failure would miss that failure.
        for &result in Outcome::ALL {
            drop(series.passes.get_or_create(&ByOutcome { result }));
        }
        for &result in MigrationResult::ALL {
            drop(series.migrations.get_or_create(&ByMigrationResult { result }));
        }
        series
    }

    /// A registry that exports every series.
    pub(super) fn register(&self) -> Registry {
        let mut root = Registry::default();
        let all = root.sub_registry_with_prefix("flagsmith_operator");
        let s = self;
        all.register("reconcile", "Passes over one object that ended", s.passes.clone());
        let help = "How long a pass over one object took";
        all.register_with_unit("reconcile_duration", help, Unit::Seconds, s.pass_duration.clone());
        all.register("reconcile_errors", "Failed passes by category of the error", s.errors.clone());
        all.register("reconcile_active", "Passes that run at present", s.active.clone());
        all.register("panics", "Passes that panicked", s.panics.clone());
        all.register("deadline_exceeded", "Passes that were cut off by their deadline", s.deadlines.clone());
        all.register("kube_requests", "Requests to the API server, each attempt counted", s.requests.clone());
        let help = "Time until the head of the API server's answer";
        all.register_with_unit("kube_request_duration", help, Unit::Seconds, s.request_duration.clone());
        all.register("watch_restarts", "Watches that failed and were started anew", s.watch_restarts.clone());
        all.register("cache_objects", "Objects in the cache", s.cache_objects.clone());
        let help = "Installations that something is remembered of between two passes";
        all.register("remembered_installations", help, s.remembered.clone());
        all.register("tasks", "Tasks of the program that have begun and not ended", s.tasks.clone());
        all.register("leader", "1 while this replica leads, otherwise 0", s.leader.clone());
        let help = "How often this replica won or lost leadership";
        all.register("lease_transitions", help, s.lease_transitions.clone());
        all.register("migrations", "Migration Jobs that ended", s.migrations.clone());
        let help = "How long a migration Job took";
        all.register_with_unit("migration_duration", help, Unit::Seconds, s.migration_duration.clone());
        let help = "How long a look into one database took";
        all.register_with_unit("database_probe_duration", help, Unit::Seconds, s.probe_duration.clone());
        all.register(
            "database_probe_failures",
            "Looks into a database that failed, by category",
            s.probe_failures.clone(),
        );
        let build = Info::new(Build { version: env!("CARGO_PKG_VERSION") });
        all.register("build", "The release of this operator", build);
        root.register_collector(Box::new(self.deployments.clone()));
        root
    }
}
