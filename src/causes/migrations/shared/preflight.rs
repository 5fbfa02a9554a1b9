//! The look at the database before a migration.

use crate::{
    causes::context::Context,
    observe::{OtherSession, Preflight},
};

/// What was seen, unless a migration runs: its own locks, and what it builds, are no obstacles.
pub(crate) fn seen<'a>(context: &Context<'a>) -> Option<&'a Preflight> {
    let migrating = context.observation.is_migrating();
    match &context.observation.preflight {
        Some(Ok(preflight)) if !migrating => Some(preflight),
        _ => None,
    }
}

/// The same, where a migration is due, so that everything was asked.
pub(crate) fn before_migration<'a>(context: &Context<'a>) -> Option<&'a Preflight> {
    seen(context).filter(|preflight| preflight.complete)
}

/// A session that holds a lock, as evidence.
pub(crate) fn witnessed(holder: &OtherSession) -> String {
    let since =
        holder.since().map_or_else(String::new, |since| format!(", transaction open since {since:.0}"));
    format!(
        "database: pid {}, application {:?}, role \"{}\", {}{since}, lock on {}",
        holder.pid, holder.application, holder.role, holder.state, holder.relation
    )
}

#[cfg(test)]
mod tests;
