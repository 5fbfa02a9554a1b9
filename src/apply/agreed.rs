//! What an installation should be, once all of it was found to be so: until something changes there is nothing to build
//! and to compare.

use std::collections::BTreeMap;

use crate::{
    decide::Plan,
    model::child::Kind,
    observe::{Watched, index::Index},
    validate::Identity,
};

/// What an installation should be, and is.
#[derive(Debug)]
pub(super) struct Agreed {
    /// The fingerprint of its specification.
    pub(super) specification: u64,
    pub(super) plan: Plan,
    /// The hash of each object.
    pub(super) children: BTreeMap<(Kind, String), String>,
}

impl Agreed {
    /// Whether it still is what it should be, and no object of it has changed.
    pub(super) fn stands(&self, identity: &Identity, plan: &Plan, specification: u64, index: &Index) -> bool {
        let child = |(kind, name): &(Kind, String), hash: &String| {
            let known = index.get(Watched::Child(*kind), &identity.namespace, name);
            known.is_some_and(|known| known.owned_by(&identity.uid) && known.is_settled(hash))
        };
        self.specification == specification
            && self.plan == *plan
            && self.children.iter().all(|(id, hash)| child(id, hash))
    }

    /// Whether this object belongs to it.
    pub(super) fn has(&self, kind: Kind, name: &str) -> bool {
        self.children.keys().any(|known| known.0 == kind && known.1 == name)
    }
}
