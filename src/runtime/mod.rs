//! What the process runs on: the API client, the leader lease, back-off, metrics, logs of its own.

pub(crate) mod backoff;
pub(crate) mod cache;
pub mod client;
pub mod clock;
pub mod executor;
pub(crate) mod fence;
pub mod heartbeat;
pub mod lease;
pub mod lock_key;
pub(crate) mod metered;
pub mod metrics;
pub mod random;
pub(crate) mod telemetry;
pub(crate) mod turns;
