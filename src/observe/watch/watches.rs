//! What the watches of the operator's own objects share with the rest of it.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::Stream;

use super::super::index::Index;
use crate::model::child::Kind;

/// What the watches share with the rest of the operator.
#[derive(Debug)]
pub struct Watches {
    /// The objects.
    pub index: Index,
    /// Lists that have not arrived yet.
    pending: AtomicUsize,
    /// The optional kinds that the cluster has.
    served: tokio::sync::watch::Sender<BTreeSet<Kind>>,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            index: Index::default(),
            // Not synced before the watches have even begun.
            pending: AtomicUsize::new(usize::MAX),
            served: tokio::sync::watch::Sender::default(),
        }
    }
}

impl Watches {
    /// Whether every first list has arrived. Optional kinds count only where the cluster has them.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.pending.load(Ordering::Acquire) == 0
    }

    /// Whether the cluster has this optional kind.
    #[must_use]
    pub fn serves(&self, kind: Kind) -> bool {
        self.served.borrow().contains(&kind)
    }

    /// So many lists have to arrive.
    pub(super) fn expect(&self, lists: usize) {
        self.pending.store(lists, Ordering::Release);
    }

    /// One of them has arrived.
    pub(super) fn arrived(&self) {
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }

    /// The cluster has this optional kind, and the objects that exist are known.
    pub fn optional_listed(&self, kind: Kind) {
        self.served.send_if_modified(|served| served.insert(kind));
    }

    /// One item each time that the cluster gets an optional kind.
    pub fn kind_appears(&self) -> impl Stream<Item = ()> + Send + 'static {
        futures::stream::unfold(self.served.subscribe(), async |mut served| {
            served.changed().await.ok().map(|()| ((), served))
        })
    }
}
