//! How many connections an installation may open at once. Pure.

use crate::validate::{Installation, Replicas};

/// Connections that a task processor needs for each of its threads: the thread's own, and that of the task which it
/// runs in another thread (`processor.py` of flagsmith-common runs each task in an executor).
const PER_THREAD: i64 = 2;

/// Connections of a task processor beside its threads: the two threads of its only Gunicorn worker, for health
/// checks.
const HEALTH: i64 = 2;

/// The most connections that an installation opens: with `CONN_MAX_AGE` each thread keeps one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionBudget {
    /// The most pods of the API.
    pub api_pods: i64,
    /// Gunicorn's worker processes in each of them.
    pub api_workers: i64,
    /// Threads in each of those.
    pub api_threads: i64,
    /// The pods of the task processor, at least.
    pub processors: i64,
    /// Threads that run tasks in each of them.
    pub processor_threads: i64,
}

impl ConnectionBudget {
    /// What the specification allows at most.
    pub(crate) fn new(installation: &Installation) -> Self {
        let api_pods = match installation.api_replicas() {
            Replicas::Fixed(count) => count,
            Replicas::Autoscaled(spec) => spec.max_replicas,
        };
        Self {
            api_pods: api_pods.into(),
            api_workers: installation.api.gunicorn.workers.into(),
            api_threads: installation.api.gunicorn.threads.into(),
            // Scaling by the queue stays within what is left.
            processors: installation.task_processor_replicas().into(),
            processor_threads: installation.task_processor.threads.into(),
        }
    }

    /// Connections of the API.
    pub(crate) const fn api(&self) -> i64 {
        self.api_pods * self.api_workers * self.api_threads
    }

    /// Connections of one task processor.
    pub(crate) const fn per_processor(&self) -> i64 {
        self.processor_threads * PER_THREAD + HEALTH
    }

    /// Connections of everything.
    pub(crate) const fn total(&self) -> i64 {
        self.api() + self.processors * self.per_processor()
    }

    /// How many threads each task processor may have so that all fit beside the API into so many connections.
    pub(crate) fn most_threads(&self, connections: i64) -> i64 {
        let each = (connections - self.api()) / self.processors.max(1);
        (each - HEALTH) / PER_THREAD
    }

    /// How many task processors fit beside the API into so many connections.
    pub(crate) fn most_processors(&self, connections: i64) -> i32 {
        let left = (connections - self.api()).max(0);
        i32::try_from(left / self.per_processor().max(1)).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{installation, spec};

    fn budget(changes: serde_json::Value) -> ConnectionBudget {
        ConnectionBudget::new(&installation(&spec(changes)))
    }

    #[test]
    fn counts_every_thread_of_every_pod() {
        // 2 pods × 3 workers × 2 threads, and one processor of 5 threads.
        assert_eq!(budget(json!({})).total(), 12 + 12);
        let large = budget(json!({
            "api": { "autoscaling": { "maxReplicas": 10 }, "gunicorn": { "workers": 4, "threads": 4 } },
            "taskProcessor": { "replicas": 3, "threads": 16 },
        }));
        assert_eq!(large.total(), 160 + 3 * 34);
    }

    #[test]
    fn tells_how_many_processors_fit() {
        let budget = budget(json!({}));
        assert_eq!(budget.most_processors(97), 7);
        assert_eq!(budget.most_processors(12), 0);
        assert_eq!(budget.most_processors(0), 0);
        assert_eq!(budget.most_threads(97), 41);
        assert!(budget.most_threads(13) < 1);
    }

    #[test]
    fn several_processors_share_what_the_api_leaves() {
        let budget = budget(json!({ "taskProcessor": { "replicas": 3 } }));
        // (97 - 12) / 3 is 28 for each: two for its health checks, and two for each of 13 threads.
        assert_eq!(budget.most_threads(97), 13);
    }
}
