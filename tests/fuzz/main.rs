//! What reads bytes from outside, with bytes that nobody would think of: samples and honest answers, changed at random.
//!
//! proptest makes the changes and shrinks what fails; it runs on the stable toolchain, and is not guided by coverage.
//! `make fuzz` gives each target ten minutes; `FUZZ_SECONDS` another time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::doc_markdown,
    reason = "a test stops at once where something is not as it must be"
)]

mod beside;
mod engine;
#[path = "../diagnose/forms.rs"]
mod forms;
mod logs;
mod messages;
mod metrics;
#[path = "../hostile/server.rs"]
#[allow(dead_code, reason = "shared with tests/hostile")]
mod server;
#[path = "../hostile/support.rs"]
#[allow(dead_code, reason = "shared with tests/hostile")]
mod support;
mod urls;
