//! The watches that fill the indexes and say which installation an event concerns.

mod follow;
mod list;
mod managed;
mod namespaces;
mod watches;

pub use list::{Listed, list};
pub use managed::run;
pub use namespaces::Namespaces;
pub use watches::Watches;
