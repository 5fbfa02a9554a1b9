//! What an installation should be, once all of it was found to be so: until something changes there is nothing to build
//! and to compare.

use std::{collections::BTreeMap, sync::Arc};

use super::Applier;
use crate::{decide::Plan, model::child::Kind, observe::Watched, validate::Installation};

/// What an installation should be, and is.
#[derive(Debug)]
pub(super) struct Agreed {
    /// The fingerprint of its specification.
    pub(super) specification: u64,
    pub(super) plan: Plan,
    /// The hash of each object.
    pub(super) children: BTreeMap<(Kind, String), String>,
}

impl Applier {
    /// What an installation is, where that is what it should be, and no object of it has changed.
    pub(super) fn agreed(
        &self,
        installation: &Installation,
        plan: &Plan,
        specification: u64,
    ) -> Option<Arc<Agreed>> {
        let same = |agreed: &Arc<Agreed>| agreed.specification == specification && agreed.plan == *plan;
        let agreed = self.agreed.get(&installation.identity.uid).filter(same)?;
        let stands = |(kind, name): &(Kind, String), hash: &String| {
            let namespace = &installation.identity.namespace;
            let known = self.watches.index.get(Watched::Child(*kind), namespace, name);
            known.is_some_and(|known| known.owned_by(&installation.identity.uid) && known.is_settled(hash))
        };
        agreed.children.iter().all(|(child, hash)| stands(child, hash)).then_some(agreed)
    }
}
