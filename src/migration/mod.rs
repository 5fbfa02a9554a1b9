//! What has to be done to the database next: forward or back, and in which Job. Pure.

mod connections;
mod direction;
mod step;

pub use connections::ConnectionBudget;
pub use direction::{Direction, Undo, direction, is_of};
pub use step::Step;
