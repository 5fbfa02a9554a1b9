//! The whole operator against a real API server, with controllers and simulated nodes (tests/cluster, level
//! `control-plane` with `--kwok`). `KUBECONFIG` names the cluster; every test works in a namespace of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    clippy::doc_markdown,
    clippy::redundant_closure_for_method_calls,
    clippy::single_match_else,
    reason = "a test stops where something is not as it must be"
)]

mod alone;
mod asked;
mod changes;
mod crash;
mod faults;
mod fields;
mod handover;
mod idempotence;
mod interrupted;
mod locks;
mod metrics;
mod newer;
mod ownership;
mod parts;
mod plan;
mod proxied;
mod replicas;
mod rights;
mod support;
