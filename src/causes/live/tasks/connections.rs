//! More connections than the server has, before it happens.

use super::super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    causes::task_processor::shared::queue::QueueContext,
    flagsmith::env,
    migration::ConnectionBudget,
    observe::database::Connections,
    validate::{Change, Installation},
};

/// Connections for whoever else looks at the database: the operator, a backup, a person.
const SPARE: i64 = 5;

/// The usual port of PgBouncer: behind a pooler the server's limit is not the pods' limit.
const POOLER_PORT: u16 = 6432;

pub(super) fn check(context: &QueueContext<'_>) -> Option<Diagnosis> {
    let connections = context.queue.connections?;
    let database = context.database?;
    if database.port == POOLER_PORT {
        return None;
    }
    let budget = ConnectionBudget::new(context.installation);
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
            remedy(context.installation, &budget, connections),
        )
    })
}

/// What makes it fit: less of whatever needs most.
fn remedy(installation: &Installation, budget: &ConnectionBudget, connections: Connections) -> String {
    let free = connections.limit - connections.reserved;
    let processors = budget.total() - budget.api();
    let (component, variable, fits) = if budget.api() >= processors {
        let workers = (free - processors) / (budget.api_pods * budget.api_threads).max(1);
        (Component::Api, env::GUNICORN_WORKERS, workers)
    } else {
        let threads = budget.most_threads(free);
        (Component::TaskProcessor, env::TASK_PROCESSOR_NUM_THREADS, threads)
    };
    let raise = format!(
        "Raise max_connections of PostgreSQL to {} or more, or put PgBouncer between.",
        budget.total() + connections.reserved + SPARE
    );
    if fits < 1 {
        return format!("{raise} Or run fewer pods.");
    }
    format!(
        "{raise} What fits as it is: {}",
        installation
            .managed_by
            .change(&[Change::Env(component, variable, &fits.to_string())])
    )
}
