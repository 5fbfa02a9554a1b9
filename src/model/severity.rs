//! How much a diagnosis matters.

use serde::Serialize;

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

impl Severity {
    /// The severity of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Critical, Self::Warning, Self::Info].into_iter().find(|severity| severity.as_str() == name)
    }

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
