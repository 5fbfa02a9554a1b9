//! The watches that fill the indexes and say which installation an event concerns.

mod follow;
mod list;
mod managed;
mod namespaces;
mod watches;

pub(crate) use list::list;
pub(crate) use managed::run;
pub(crate) use namespaces::Namespaces;
pub use watches::Watches;
