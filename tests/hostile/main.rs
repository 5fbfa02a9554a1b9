//! What a database server can do to the operator that looks into it: nothing.
//!
//! Each test runs a server on loopback that attacks (`server.rs`), and the operator's own look at it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at once where something is not as it must be"
)]

mod addresses;
mod certificates;
mod floods;
mod passwords;
mod server;
mod support;
mod words;
