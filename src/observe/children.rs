//! What the watches hold of one installation, and of its neighbours. No request.

use std::{collections::BTreeSet, sync::Arc};

use serde::de::DeserializeOwned;

use super::{
    autoscaler,
    external_migration::external_migration,
    index::{Index, JobPurpose, ObjectSeen, PodSeen, Snapshot, Watched},
    job::JobState,
    workload::WorkloadState,
};
use crate::{
    model::child::Kind,
    validate::{Identity, Installation},
};

/// The children of one installation.
pub(super) struct Children<'a> {
    index: &'a Index,
    identity: &'a Identity,
}

impl<'a> Children<'a> {
    pub(super) const fn new(index: &'a Index, installation: &'a Installation) -> Self {
        Self { index, identity: &installation.identity }
    }

    /// The child of this kind and name.
    pub(super) fn owned<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Option<T> {
        self.snapshot(kind, name)?.parse()
    }

    /// The same of one whose text is not needed.
    pub(super) fn snapshot(&self, kind: Kind, name: &str) -> Option<Arc<Snapshot>> {
        let snapshot = self.index.get(Watched::Child(kind), &self.identity.namespace, name)?;
        snapshot.owned_by(&self.identity.uid).then_some(snapshot)
    }

    /// The embedded database.
    pub(super) fn stateful_set(&self, name: &str) -> Option<WorkloadState> {
        match self.snapshot(Kind::StatefulSet, name)?.seen() {
            ObjectSeen::StatefulSet(state) => Some(state.as_ref().clone()),
            _ => None,
        }
    }

    /// The installation's Jobs by what they are for.
    pub(super) fn jobs(&self) -> Jobs {
        let mut found = Jobs::default();
        for (_, snapshot) in self.index.owned(&self.identity.uid) {
            let ObjectSeen::Job(job) = snapshot.seen() else { continue };
            let list = match job.purpose {
                JobPurpose::Backup => &mut found.backups,
                JobPurpose::Pull => &mut found.pulls,
                JobPurpose::Migration => &mut found.migrations,
            };
            list.push(job.state.clone());
        }
        found
    }

    pub(super) fn pods(&self) -> Vec<PodSeen> {
        let pods = self.index.pods(&self.identity.namespace, &self.identity.name);
        let seen = |(_, snapshot): (_, Arc<Snapshot>)| match snapshot.seen() {
            ObjectSeen::Pod(pod) => Some(pod.as_ref().clone()),
            _ => None,
        };
        pods.into_iter().filter_map(seen).collect()
    }

    /// A migration of another installation that runs on the database with this label.
    pub(super) fn external_migration(&self, label: &str) -> Option<String> {
        let jobs = self.index.jobs_on(label);
        let jobs = jobs.iter().filter_map(|(_, snapshot)| match snapshot.seen() {
            ObjectSeen::Job(job) => Some(job.as_ref()),
            _ => None,
        });
        external_migration(jobs, label, self.identity)
    }

    /// What the autoscalers of others in the namespace scale.
    pub(super) fn external_autoscalers(&self) -> BTreeSet<String> {
        self.index
            .external_autoscalers(&self.identity.namespace)
            .into_iter()
            .filter_map(|(_, snapshot)| autoscaler::target(&snapshot))
            .collect()
    }
}

/// The Jobs of an installation by what they are for.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub(super) migrations: Vec<JobState>,
    pub(super) backups: Vec<JobState>,
    pub(super) pulls: Vec<JobState>,
}
