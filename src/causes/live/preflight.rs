//! What a migration would fail of, or wait for, found before it starts.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    causes::{context::Context, migrations::shared::preflight::before_migration},
    observe::{Observation, Preflight},
    validate::Installation,
};

/// Connections that must be free: the migration's own, and one for whoever looks why it hangs.
const NEEDED_CONNECTIONS: i32 = 2;

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let context = Context {
        installation,
        observation,
    };
    let Some(preflight) = before_migration(&context) else {
        return Vec::new();
    };
    connections(preflight)
        .into_iter()
        .chain(options(installation, preflight))
        .collect()
}

fn connections(preflight: &Preflight) -> Option<Diagnosis> {
    let (allowed, used) = (preflight.connections_allowed, preflight.connections_used);
    (allowed - used < NEEDED_CONNECTIONS).then(|| {
        diagnosis(
            Code::DatabaseConnectionsExhausted,
            Severity::Critical,
            Component::Database,
            "PostgreSQL has no connection left for the migration.".to_owned(),
            // Not the exact number: it moves with each request.
            vec![format!(
                "database: fewer than {NEEDED_CONNECTIONS} of {allowed} connections are free"
            )],
            "See who holds them: SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC; then raise max_connections, or lower replicas, workers or threads.".to_owned(),
        )
    })
}

fn options(installation: &Installation, preflight: &Preflight) -> Option<Diagnosis> {
    if preflight.takes_options {
        return None;
    }
    let field = if installation.database.migration_url() == installation.database.url() {
        "spec.database.migrationUrlFrom to a URL of PostgreSQL itself"
    } else {
        "the URL in spec.database.migrationUrlFrom to PostgreSQL itself"
    };
    Some(diagnosis(
        Code::DatabasePoolerRejectsOptions,
        Severity::Warning,
        Component::Migrations,
        "A connection pooler stands between the migration and PostgreSQL and refuses start-up options, so the migration runs without a lock timeout; indexes that are built concurrently may not work through it at all.".to_owned(),
        vec!["database: connecting with a lock_timeout was refused, connecting without one was not".to_owned()],
        format!("Set {field}."),
    ))
}
