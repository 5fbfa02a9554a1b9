//! From what the logs showed to causes: one place for each cause, with its table of samples beside it.

mod conclude;
mod crash;
mod database;
pub mod evidence;
pub mod failure;
mod forks;
mod gunicorn;
mod hosts;
mod migrations;
mod phrasing;
mod tasks;
mod timeline;
mod workloads;

pub use conclude::{conclude, severity};
pub use evidence::{LogEvidence, LogLocation, Occurrence};

use crate::model::{Code, Severity};
use failure::{Failure, FailureDetails};

/// A cause that shows itself in exceptions or in single lines.
#[derive(Debug)]
pub struct Cause {
    /// What it is a sign of, before the whole case is known.
    pub code: Code,
    /// Whether a failure shows it, and what it speaks of.
    pub recognise: fn(&Failure<'_>) -> Option<FailureDetails>,
    /// What it means in this case.
    pub explain: fn(&LogEvidence, &Occurrence) -> Explanation,
}

/// A cause in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The cause; another one than that of the sign where the case separates two readings.
    pub code: Code,
    /// How much it matters here, where it is not what the catalogue says.
    pub severity: Option<Severity>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Explanation {
    fn new(code: Code, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            severity: None,
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    fn with(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}

/// A cause that was found, with the places that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The cause in words.
    pub explained: Explanation,
    /// The places, the most telling first.
    pub evidence: Vec<LogLocation>,
}

/// All causes, in the order in which they are asked: the first that recognises a failure has it.
fn causes() -> impl Iterator<Item = &'static Cause> {
    workloads::CAUSES
        .iter()
        .chain(tasks::CAUSES)
        .chain(database::CAUSES)
        .chain(migrations::CAUSES)
}

/// What is said of an exception that ended a process and that no cause recognises.
fn fallbacks() -> impl Iterator<Item = &'static Cause> {
    [&migrations::MIGRATION_FAILED, &crash::CRASH_LOOPING].into_iter()
}

#[cfg(test)]
pub(crate) mod testing {
    use super::failure::{Failure, Stage};
    use super::{Cause, Code};
    use crate::model::Component;

    /// What the causes make of an exception in a stage.
    pub fn recognise(stage: Stage, class: &str, message: &str) -> Option<(Code, super::FailureDetails)> {
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
        super::causes()
            .chain(super::fallbacks())
            .find_map(|cause: &Cause| Some((cause.code, (cause.recognise)(&failure)?)))
    }

    /// The code that the causes give to an exception in a stage.
    pub fn code(stage: Stage, class: &str, message: &str) -> Option<Code> {
        recognise(stage, class, message).map(|(code, _)| code)
    }
}
