//! From what the logs of one component showed to causes.
//!
//! [`investigation`] reads logs event by event into [`evidence`], which asks the [`rules`] of all causes what each
//! failure is a sign of; [`findings`] then has every cause explain what was seen of it, and ranks.

pub(crate) mod access;
pub(crate) mod answers;
mod connection;
pub(crate) mod evidence;
pub(crate) mod failure;
pub(crate) mod finding;
mod findings;
pub(crate) mod gunicorn;
pub(crate) mod hosts;
pub(crate) mod investigation;
pub(crate) mod location;
pub(crate) mod phrasing;
mod pooler;
mod quoted;
pub(crate) mod recurring;
pub(crate) mod rule;
mod rules;
pub(crate) mod server;
pub(crate) mod tasks;
pub(crate) mod timeline;

#[cfg(test)]
pub(crate) mod testing {
    use super::failure::{Failure, FailureDetails, Stage};
    use super::rules;
    use crate::model::{Code, Component};

    /// What the causes make of an exception in a stage.
    pub(crate) fn recognise(stage: Stage, class: &str, message: &str) -> Option<(Code, FailureDetails)> {
        let component = if stage == Stage::Migrate { Component::Migrations } else { Component::Api };
        let failure = Failure::new(class, message, component, stage);
        let found = rules::recognise(&failure, false).or_else(|| rules::recognise(&failure, true))?;
        Some((found.code, found.details))
    }

    /// The code that the causes give to an exception in a stage.
    pub(crate) fn code(stage: Stage, class: &str, message: &str) -> Option<Code> {
        recognise(stage, class, message).map(|(code, _)| code)
    }
}
