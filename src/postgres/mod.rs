//! Facts about PostgreSQL: its URLs, and the words of its messages in every language.

pub mod phrases;
pub mod sql;
mod url;

pub use url::{DatabaseIdentity, DatabaseUrl, InvalidDatabaseUrl};
