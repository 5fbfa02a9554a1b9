//! The replicas need more connections than the server has.

use crate::{
    causes::prelude::*,
    flagsmith::env,
    migration::ConnectionBudget,
    observe::{
        SecretState,
        database::{Connections, QueueProbe},
    },
    postgres::DatabaseIdentity,
    validate::{Change, Installation},
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::Database, include_str!("connection_budget_exceeded.md"))
};

/// Connections for whoever else looks at the database: the operator, a backup, a person.
const SPARE: i64 = 5;

/// The usual port of PgBouncer: behind a pooler the server's limit is not the pods' limit.
const POOLER_PORT: u16 = 6432;

fn check(context: &Context<'_>) -> Vec<Draft> {
    let observation = context.observation;
    let (queues, secrets) = (&observation.queues, &observation.secrets);
    let main = (Some(&queues.default), Some(&secrets.database));
    let separate = (queues.separate.as_ref(), secrets.task_processor_database.as_ref());
    [main, separate]
        .into_iter()
        .filter_map(|looked| match looked {
            (Some(QueueProbe::Seen(queue)), Some(SecretState::Present(database))) => {
                exceeded(context.installation, database, queue.connections?)
            }
            _ => None,
        })
        .collect()
}

fn exceeded(
    installation: &Installation,
    database: &DatabaseIdentity,
    connections: Connections,
) -> Option<Draft> {
    if database.port == POOLER_PORT {
        return None;
    }
    let budget = ConnectionBudget::new(installation);
    let free = connections.for_others();
    let needed = budget.total();
    (needed > free).then(|| Draft {
        message: format!(
            "Under load this installation opens up to {needed} connections, but {database} has {free} for all of its \
             clients. When they are used up, requests and tasks fail."
        ),
        evidence: vec![
            format!(
                "API: pods × workers × threads, {} × {} × {} = {}",
                budget.api_pods,
                budget.api_workers,
                budget.api_threads,
                budget.api()
            ),
            format!(
                "task processor: pods × connections, {} × {} = {} (each of {} threads has one, and so has the task that \
                 it runs)",
                budget.processors,
                budget.per_processor(),
                budget.processors * budget.per_processor(),
                budget.processor_threads,
            ),
            format!(
                "database: max_connections (or the limit of role or database) {}, of which {} are reserved for \
                 superusers",
                connections.limit, connections.reserved
            ),
        ],
        remedy: remedy(installation, &budget, connections),
        ..Code::ConnectionBudgetExceeded.draft()
    })
}

/// What makes it fit: less of whatever needs most.
fn remedy(installation: &Installation, budget: &ConnectionBudget, connections: Connections) -> String {
    let free = connections.for_others();
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
        installation.managed_by.change(&[Change::Env(component, variable, &fits.to_string())])
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        fixtures::{database, empty_observation, installation, spec},
        observe::{
            Observation,
            database::{Queue, Queues},
        },
        validate::ManagedBy,
    };

    fn found(changes: Value, managed_by: ManagedBy, limit: i64, port: u16) -> Vec<Draft> {
        let mut wanted = installation(&spec(changes));
        wanted.managed_by = managed_by;
        let queue =
            Queue { connections: Some(Connections { limit, reserved: 3, used: 5 }), ..Queue::default() };
        let mut observation = Observation {
            queues: Queues { default: QueueProbe::Seen(Box::new(queue)), separate: None, held: None },
            ..empty_observation()
        };
        observation.secrets.database = SecretState::Present(DatabaseIdentity { port, ..database() });
        check(&Context::new(&wanted, &observation))
    }

    #[rstest]
    #[case::enough(100, 5432, false)]
    #[case::too_few(20, 5432, true)]
    #[case::behind_a_pooler(20, 6432, false)]
    fn connections(#[case] limit: i64, #[case] port: u16, #[case] expected: bool) {
        let found = found(json!({}), ManagedBy::Operator, limit, port);
        let codes: Vec<Code> = found.iter().map(|it| it.code).collect();
        let expected = if expected { vec![Code::ConnectionBudgetExceeded] } else { vec![] };
        assert_eq!(codes, expected);
    }

    #[test]
    fn the_remedy_is_in_the_owners_tool() {
        let helm = ManagedBy::Helm { release: "acme".to_owned(), chart: None, namespace: "prod".to_owned() };
        let threads = json!({ "taskProcessor": { "threads": 60 } });
        let found = found(threads, helm, 100, 5432);
        let remedy = &found.first().unwrap().remedy;
        assert!(remedy.contains("--set taskProcessor.numThreads=41"), "{remedy}");
        assert!(!remedy.contains("spec."), "{remedy}");
    }
}
