//! What the watches of the operator's own objects share with the rest of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{Stream, StreamExt as _};

use super::super::index::Index;

/// What the watches share with the rest of the operator.
#[derive(Debug)]
pub struct Watches {
    /// The objects.
    pub index: Index,
    /// Lists that have not arrived yet.
    pending: AtomicUsize,
    /// Whether the cluster has `HTTPRoutes`.
    http_route: tokio::sync::watch::Sender<bool>,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            index: Index::default(),
            // Not synced before the watches have even begun.
            pending: AtomicUsize::new(usize::MAX),
            http_route: tokio::sync::watch::Sender::default(),
        }
    }
}

impl Watches {
    /// Whether every first list has arrived. `HTTPRoutes` count only where the cluster has them.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.pending.load(Ordering::Acquire) == 0
    }

    /// Whether the cluster has `HTTPRoutes`.
    #[must_use]
    pub fn http_route(&self) -> bool {
        *self.http_route.borrow()
    }

    /// So many lists have to arrive.
    pub(super) fn expect(&self, lists: usize) {
        self.pending.store(lists, Ordering::Release);
    }

    /// One of them has arrived.
    pub(super) fn arrived(&self) {
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }

    /// The cluster has `HTTPRoutes`, and those that exist are known.
    pub fn http_routes_listed(&self) {
        self.http_route.send_replace(true);
    }

    /// One item when `HTTPRoutes` appear in the cluster.
    pub fn http_route_appears(&self) -> impl Stream<Item = ()> + Send + 'static {
        let mut receiver = self.http_route.subscribe();
        let appears = async move {
            let appeared = !*receiver.borrow_and_update() && receiver.wait_for(|has| *has).await.is_ok();
            appeared.then_some(())
        };
        futures::stream::once(appears).filter_map(std::future::ready)
    }
}
