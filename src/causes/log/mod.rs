//! From what the logs of one component showed to causes.
//!
//! [`investigation`] reads logs event by event into [`evidence`], which asks the [`rules`] of all causes what each
//! failure is a sign of; [`findings`] then has every cause explain what was seen of it, and ranks.

mod crash;
mod database;
pub(crate) mod evidence;
pub(crate) mod failure;
pub(crate) mod finding;
mod findings;
pub(crate) mod forks;
pub(crate) mod gunicorn;
mod hosts;
pub(crate) mod investigation;
pub(crate) mod location;
mod migrations;
pub(crate) mod phrasing;
pub(crate) mod rule;
mod rules;
mod tasks;
pub(crate) mod timeline;
mod workloads;

/// The log rules that have not moved to the rooms of their causes yet.
fn unmoved() -> impl Iterator<Item = (crate::model::Code, &'static rule::Plain)> {
    workloads::CAUSES
        .iter()
        .chain(tasks::CAUSES)
        .chain(database::CAUSES)
        .chain(migrations::CAUSES)
        .chain([&migrations::MIGRATION_FAILED, &crash::CRASH_LOOPING])
        .map(|(code, rule)| (*code, rule))
}

#[cfg(test)]
pub(crate) mod testing {
    use super::failure::{Failure, FailureDetails, Stage};
    use super::rules;
    use crate::model::{Code, Component};

    /// What the causes make of an exception in a stage.
    pub fn recognise(stage: Stage, class: &str, message: &str) -> Option<(Code, FailureDetails)> {
        let component = if stage == Stage::Migrate {
            Component::Migrations
        } else {
            Component::Api
        };
        let failure = Failure {
            class,
            message,
            component,
            stage,
            migration: None,
        };
        let found = rules::recognise(&failure, false).or_else(|| rules::recognise(&failure, true))?;
        Some((found.code, found.details))
    }

    /// The code that the causes give to an exception in a stage.
    pub fn code(stage: Stage, class: &str, message: &str) -> Option<Code> {
        recognise(stage, class, message).map(|(code, _)| code)
    }
}
