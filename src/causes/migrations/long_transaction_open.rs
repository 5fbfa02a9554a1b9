//! A long transaction would hold up the migration.

use crate::{
    causes::{
        migrations::shared::preflight::{before_migration, witnessed},
        prelude::*,
    },
    observe::OtherSession,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    check: Some(check),
    ..Cause::critical(Component::Migrations, include_str!("long_transaction_open.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let holders = before_migration(context).map_or(&[][..], |preflight| &preflight.holders);
    let Some(first) = holders.first() else {
        return Vec::new();
    };
    let relation = &first.relation;
    vec![Draft {
        message: format!(
            "A transaction that has been open for more than a minute holds a lock on table {relation}; a migration would wait for it, \
             and every request on that table behind the migration. It starts when the transaction has ended."
        ),
        evidence: holders.iter().map(witnessed).collect(),
        remedy: remedy(holders),
        ..Code::LongTransactionOpen.draft()
    }]
}

fn remedy(holders: &[OtherSession]) -> String {
    let sessions: Vec<String> = holders
        .iter()
        .map(|it| format!("{}, application {:?}, role \"{}\"", it.state, it.application, it.role))
        .collect();
    let ends: Vec<String> = holders.iter().map(|it| format!("pg_terminate_backend({})", it.pid)).collect();
    let session = if holders.len() == 1 { "session" } else { "sessions" };
    format!(
        "Wait for it (a backup?), or end the {session} ({}): SELECT {};",
        sessions.join("; "),
        ends.join(", ")
    )
}
