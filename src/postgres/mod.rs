//! Facts about PostgreSQL: its URLs, whom they trust, where they may lead, and the words of its messages in every
//! language.

pub(crate) mod address;
mod identity;
pub(crate) mod phrases;
pub(crate) mod sql;
mod trust;
mod url;

pub use identity::DatabaseIdentity;
pub use trust::{Authority, ChannelBinding, NoTrust, Roots, TlsSettings, Trust, Variable};
pub use url::{DatabaseUrl, InvalidDatabaseUrl};
