//! Facts about PostgreSQL: its URLs, and the words of its messages in every language.

pub mod phrases;
mod url;

pub use url::{DatabaseIdentity, DatabaseUrl, InvalidDatabaseUrl};
