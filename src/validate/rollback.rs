//! A confirmed rollback, as it is to be done.

use jiff::Timestamp;

use crate::flagsmith::Release;

/// Migrations to undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackPlan {
    /// The release whose image knows them.
    pub from: Release,
    /// The release that is wanted.
    pub to: Release,
    /// What was applied later than this is undone.
    pub applied_after: Timestamp,
    /// What comes first.
    pub order: RollbackOrder,
}

/// What comes first of a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollbackOrder {
    /// The older pods: they serve on the newer schema, as they did while the upgrade migrated.
    PodsFirst,
    /// The undoing. The newer pods miss what is undone and are not ready, so the API is away until the older ones are.
    UndoFirst(UndoFirst),
}

/// Why the older pods cannot come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoFirst {
    /// What they cannot do on the newer schema, as the end of a sentence.
    Incompatible(&'static str),
    /// No record says that what they need is applied and stays so.
    Unrecorded,
    /// The user wants it so.
    Asked,
}

impl RollbackPlan {
    /// Whether the older pods come first.
    #[must_use]
    pub const fn pods_first(&self) -> bool {
        matches!(self.order, RollbackOrder::PodsFirst)
    }

    /// Why the API is away meanwhile, as a clause; `None` where it is not.
    #[must_use]
    pub fn away(&self) -> Option<String> {
        let to = self.to;
        match self.order {
            RollbackOrder::PodsFirst => None,
            RollbackOrder::UndoFirst(UndoFirst::Incompatible(what)) => {
                Some(format!("on the tables of {} pods of {to} cannot {what}", self.from))
            }
            RollbackOrder::UndoFirst(UndoFirst::Unrecorded) => {
                Some(format!("no record says that the migrations of {to} were applied and stay applied"))
            }
            RollbackOrder::UndoFirst(UndoFirst::Asked) => {
                Some("spec.migrations.rollback.undoFirst asks for that order".to_owned())
            }
        }
    }
}
