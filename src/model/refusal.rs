//! A child that the API server, or the object that is already there, did not let the operator write.

use super::{Component, child::Kind};

/// A child that could not be written, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The component that it belongs to; `None` for what serves several.
    pub component: Option<Component>,
    /// Why.
    pub why: Refusal,
}

/// Why a child cannot be written until a person changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An object of that name exists and belongs to somebody else.
    NotOwned {
        /// Who it belongs to, as far as it says.
        owner: String,
    },
    /// The API server said 403.
    Forbidden(String),
    /// A quota is used up.
    QuotaExceeded(String),
    /// Admission or validation said no.
    Rejected(String),
}
