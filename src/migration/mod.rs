//! What has to be done to the database next: forward or back, and in which Job. Pure.

mod attempt;
mod connections;
mod direction;
mod path;
mod restore;
mod step;

pub(crate) use attempt::given;
pub(crate) use connections::ConnectionBudget;
pub(crate) use direction::{Direction, Undo, direction, is_of, was_applied};
pub(crate) use path::{Stop, Why};
pub(crate) use restore::{Hindrance, Restore, restore};
pub(crate) use step::Action;
pub(crate) use step::Step;
