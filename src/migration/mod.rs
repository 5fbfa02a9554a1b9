//! What has to be done to the database next: forward or back, and in which Job. Pure.

mod attempt;
mod connections;
mod direction;
mod step;

pub use attempt::given;
pub use connections::ConnectionBudget;
pub use direction::{Direction, Undo, direction, is_of};
pub use step::Step;
