//! Facts about PostgreSQL: its URLs, whom they trust, where they may lead, and the words of its messages in every
//! language.

pub mod address;
mod identity;
pub mod phrases;
pub mod sql;
mod trust;
mod url;

pub use identity::DatabaseIdentity;
pub use trust::{Authority, ChannelBinding, NoTrust, Roots, SslMode, TlsSettings, Trust, Variable};
pub use url::{DatabaseUrl, InvalidDatabaseUrl};
