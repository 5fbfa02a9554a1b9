//! The last step: status, Events and metrics, written only where they change.

mod conditions;
mod events;
mod front;
pub(crate) mod migration;
mod observed;
mod reporter;
mod status;

pub use self::status::status;
pub use conditions::{Context, conditions};
pub use reporter::{Error, Reporter};
