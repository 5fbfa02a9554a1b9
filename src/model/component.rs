//! The parts of an installation.

use serde::Serialize;

/// A part of an installation: what a diagnosis speaks of, and the value of the component label of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The PostgreSQL database.
    Database,
    /// The migration Job.
    Migrations,
    /// The Job that makes a backup before a migration.
    Backup,
    /// The Django API behind Gunicorn.
    Api,
    /// The task processor.
    TaskProcessor,
    /// The frontend.
    Frontend,
    /// The edge proxy.
    EdgeProxy,
    /// Ingress, HTTPRoute and the proxy behind them.
    Exposure,
    /// The operator itself and the resource that it reads.
    Operator,
}

impl Component {
    /// The component of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        const ALL: [Component; 9] = [
            Component::Database,
            Component::Migrations,
            Component::Backup,
            Component::Api,
            Component::TaskProcessor,
            Component::Frontend,
            Component::EdgeProxy,
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
            Self::Backup => "backup",
            Self::Api => "api",
            Self::TaskProcessor => "task-processor",
            Self::Frontend => "frontend",
            Self::EdgeProxy => "edge-proxy",
            Self::Exposure => "exposure",
            Self::Operator => "operator",
        }
    }
}
