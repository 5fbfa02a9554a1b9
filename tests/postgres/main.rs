//! The operator's looks at a real PostgreSQL, and what libpq does with the same URL. Needs Debian's `postgresql-15`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::doc_markdown,
    reason = "a test stops at once where something is not as it must be"
)]

mod backup;
mod binding;
#[path = "../hostile/certificates.rs"]
#[allow(dead_code, reason = "shared with tests/hostile")]
mod certificates;
mod parts;
mod postgresql;
mod restore;
#[path = "../hostile/server.rs"]
#[allow(dead_code, reason = "shared with tests/hostile")]
mod server;
#[path = "../hostile/support.rs"]
#[allow(dead_code, reason = "shared with tests/hostile")]
mod support;
mod verification;
