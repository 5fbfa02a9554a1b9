//! What passes ask for together, so that a pass over one installation among thousands does not go through all of them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    snapshot::{Key, Snapshot},
    watched::Watched,
};
use crate::model::child::Kind;

/// What some objects have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Group {
    /// The `FlagsmithDeployment` with this uid controls them.
    Owner(String),
    /// They are pods of the installation of this namespace and name.
    Pods(String, String),
    /// They are Jobs on the database with this label, in any namespace.
    Database(String),
    /// They are autoscalers in this namespace that no `FlagsmithDeployment` controls.
    ExternalAutoscalers(String),
}

impl Group {
    /// The groups of an object.
    fn of(key: &Key, snapshot: &Snapshot) -> impl Iterator<Item = Self> {
        let owner = snapshot.owner.clone().map(Self::Owner);
        let of_kind = match key.kind {
            Watched::Pod => {
                snapshot.instance.clone().map(|instance| Self::Pods(key.namespace.clone(), instance))
            }
            Watched::Child(Kind::Job) => snapshot.database.clone().map(Self::Database),
            Watched::Child(Kind::HorizontalPodAutoscaler) if snapshot.owner.is_none() => {
                Some(Self::ExternalAutoscalers(key.namespace.clone()))
            }
            Watched::Child(_) => None,
        };
        owner.into_iter().chain(of_kind)
    }
}

/// The members of all groups, in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Groups(HashMap<Group, BTreeSet<Arc<Key>>>);

impl Groups {
    pub(super) fn insert(&mut self, key: &Arc<Key>, snapshot: &Snapshot) {
        for group in Group::of(key, snapshot) {
            self.0.entry(group).or_default().insert(Arc::clone(key));
        }
    }

    pub(super) fn remove(&mut self, key: &Arc<Key>, snapshot: &Snapshot) {
        for group in Group::of(key, snapshot) {
            let Some(members) = self.0.get_mut(&group) else { continue };
            members.remove(key);
            if members.is_empty() {
                self.0.remove(&group);
            }
        }
    }

    pub(super) fn members(&self, group: &Group) -> impl Iterator<Item = &Arc<Key>> {
        self.0.get(group).into_iter().flatten()
    }
}
