//! The custom resource and the objects made from it, judged by a real API server. `KUBECONFIG` names the cluster.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it must be"
)]

mod children;
mod rejected;
mod served;
mod support;
