//! More connections than the server has, before it happens.

use super::{
    super::{Code, Component, Diagnosis, Severity, diagnosis},
    Look,
};
use crate::decide::ConnectionBudget;

/// The usual port of PgBouncer: behind a pooler the server's limit is not the pods' limit.
const POOLER_PORT: u16 = 6432;

pub(super) fn check(look: &Look<'_>) -> Option<Diagnosis> {
    let connections = look.queue.connections?;
    let database = look.database?;
    if database.port == POOLER_PORT {
        return None;
    }
    let budget = ConnectionBudget::new(look.installation);
    let free = connections.limit - connections.reserved;
    let needed = budget.total();
    (needed > free).then(|| {
        diagnosis(
            Code::ConnectionBudgetExceeded,
            Severity::Warning,
            Component::Database,
            format!(
                "Under load this installation opens up to {needed} connections, but {database} has {free} for everybody. When they are used up, requests and tasks fail."
            ),
            vec![
                format!(
                    "API: pods × workers × threads, {} × {} × {} = {}",
                    budget.api_pods,
                    budget.api_workers,
                    budget.api_threads,
                    budget.api()
                ),
                format!(
                    "task processor: pods × connections, {} × {} = {} (each of {} threads has one, and so has the task that it runs)",
                    budget.processors,
                    budget.per_processor(),
                    budget.processors * budget.per_processor(),
                    budget.processor_threads,
                ),
                format!(
                    "database: max_connections (or the limit of role or database) {}, of which {} are reserved for superusers",
                    connections.limit, connections.reserved
                ),
            ],
            "Raise max_connections to more than that, put PgBouncer between, or lower spec.api.replicas (or autoscaling.maxReplicas), spec.api.gunicorn.workers or threads, or spec.taskProcessor.threads.".to_owned(),
        )
    })
}
