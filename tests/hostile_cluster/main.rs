//! What tenants, their databases, pods and logs can do to the operator: nothing that another tenant would notice.
//!
//! The operator's binary runs as a process of its own with exactly the rights, the arguments and the memory of the
//! chart, against a real API server with simulated nodes (tests/cluster, level `control-plane` with `--kwok`). While an
//! attack lasts it is measured (`siege.rs`). Everything is sent to this machine's own addresses, some of which the
//! suite adds for itself (`machine.rs`), so it needs root.
//!
//! Attacks that take minutes are ignored by `cargo test` and run by `make test-hostile`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::doc_markdown,
    clippy::large_futures,
    reason = "a test stops at once where something is not as it must be"
)]

#[path = "../hostile/certificates.rs"]
#[allow(dead_code, reason = "shared with tests/hostile")]
mod certificates;
mod chart;
mod crowds;
mod databases;
mod kubelet;
mod logs;
mod machine;
mod names;
mod operator;
mod pods;
#[path = "../postgres/postgresql.rs"]
#[allow(dead_code, reason = "shared with tests/postgres")]
mod postgresql;
#[path = "../hostile/server.rs"]
#[allow(dead_code, reason = "shared with tests/hostile")]
mod server;
mod siege;
#[path = "../reconcile/support/mod.rs"]
#[allow(dead_code, unused_imports, clippy::all, clippy::pedantic, reason = "shared with tests/reconcile")]
mod support;
mod tenant;
