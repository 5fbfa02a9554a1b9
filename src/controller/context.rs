//! What every pass works with.

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    apply::Applier,
    observe::{Observer, watch::Namespaces},
    report::Reporter,
    runtime::{backoff::Failures, lease::Leadership, metrics::Metrics},
};

/// What every pass works with.
pub(super) struct Context {
    pub(super) observer: Observer,
    /// The namespaces of observed installations, which are watched only while a resource asks for them.
    pub(super) namespaces: Namespaces,
    pub(super) applier: Applier,
    pub(super) reporter: Reporter,
    /// No pass begins while another replica leads.
    pub(super) leading: watch::Receiver<Leadership>,
    /// No pass begins once this is cancelled.
    pub(super) shutdown: CancellationToken,
    /// The passes under way, which a shutdown waits for.
    pub(super) passes: TaskTracker,
    /// How often each object failed in a row.
    pub(super) failures: Failures<String>,
    pub(super) metrics: Metrics,
}
