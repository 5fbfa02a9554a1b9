//! What is wrong, what was seen, what to do: pure functions from observations to diagnoses.

pub mod catalogue;
mod code;
pub mod live;
pub mod log;
mod ranking;
pub mod redact;
mod rules;
mod tool;

pub use code::Code;
pub use log::{Investigation, diagnose_log};
pub use ranking::rank;
use serde::Serialize;
pub use tool::{Change, Tool};

/// How much a diagnosis matters to the users of the installation; ordered, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Severity {
    /// Something that the specification asks for does not work; `Ready` cannot be True.
    Critical,
    /// It works, but something is lost, slow or about to fail.
    Warning,
    /// Worth knowing; nothing to do at once.
    Info,
}

/// The part of an installation that a diagnosis speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The PostgreSQL database.
    Database,
    /// The migration Job.
    Migrations,
    /// The Django API behind Gunicorn.
    Api,
    /// The task processor.
    TaskProcessor,
    /// The frontend.
    Frontend,
    /// Ingress, HTTPRoute and the proxy behind them.
    Exposure,
    /// The operator itself and the resource that it reads.
    Operator,
}

/// One cause that was found, with what was seen and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The cause, as listed in the catalogue.
    pub code: Code,
    /// How much it matters; usually `code.severity()`.
    pub severity: Severity,
    /// The part of the installation that it speaks of.
    pub component: Component,
    /// What is wrong, in one sentence that a person understands.
    pub message: String,
    /// What was seen: a log line, an SQL result, two numbers that disagree. Already redacted.
    pub evidence: Vec<String>,
    /// The exact command or field to change.
    pub remedy: String,
}

impl Component {
    /// The component of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        const ALL: [Component; 7] = [
            Component::Database,
            Component::Migrations,
            Component::Api,
            Component::TaskProcessor,
            Component::Frontend,
            Component::Exposure,
            Component::Operator,
        ];
        ALL.into_iter().find(|component| component.as_str() == name)
    }

    /// The name that users read, for example `task-processor`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Migrations => "migrations",
            Self::Api => "api",
            Self::TaskProcessor => "task-processor",
            Self::Frontend => "frontend",
            Self::Exposure => "exposure",
            Self::Operator => "operator",
        }
    }
}

impl Severity {
    /// The name that users read, for example `Critical`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "Critical",
            Self::Warning => "Warning",
            Self::Info => "Info",
        }
    }
}
