//! A long transaction would hold up the migration.

use crate::{
    causes::{migrations::shared::preflight::before_migration, prelude::*},
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
    let OtherSession {
        pid,
        application,
        role,
        state,
        relation,
        ..
    } = first;
    vec![Draft {
        message: format!(
            "A transaction that has been open for more than a minute holds a lock on table {relation}; a migration would wait for it, \
             and every request on that table behind the migration. It starts when the transaction has ended."
        ),
        evidence: holders.iter().map(witnessed).collect(),
        remedy: format!(
            "Wait for it (a backup?), or end the session ({state}, application {application:?}, role \"{role}\"): \
             SELECT pg_terminate_backend({pid});"
        ),
        ..Code::LongTransactionOpen.draft()
    }]
}

fn witnessed(holder: &OtherSession) -> String {
    let since = holder.since().map_or_else(String::new, |since| {
        format!(", transaction open since {since:.0}")
    });
    format!(
        "database: pid {}, application {:?}, role \"{}\", {}{since}, lock on {}",
        holder.pid, holder.application, holder.role, holder.state, holder.relation
    )
}
