//! The last step: status, Events and metrics, written only where they change.

pub(crate) mod backups;
mod bounds;
mod condition;
mod conditions;
mod context;
mod events;
mod managed;
pub(crate) mod migration;
mod mode;
mod observed;
mod reporter;
pub(crate) mod restore;
mod status;
#[cfg(test)]
mod tests;
mod undeclared;
mod upgrade;

pub(crate) use condition::ConditionType;
pub(crate) use context::Context;
pub(crate) use reporter::{Error, Reporter};
