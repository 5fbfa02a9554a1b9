//! What the watches hold of one installation, and of its neighbours. No request.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use serde::de::DeserializeOwned;

use super::{
    autoscaler,
    external_migration::external_migration,
    index::{Index, Snapshot, Watched},
    job::JobState,
    metadata::annotation,
};
use crate::{
    model::{
        Component,
        child::{Kind, marks},
    },
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
        let snapshot = self.index.get(Watched::Child(kind), &self.identity.namespace, name)?;
        snapshot.owned_by(&self.identity.uid).then(|| snapshot.parse())?
    }

    /// The installation's Jobs by what they are for.
    pub(super) fn jobs(&self) -> Jobs {
        let mut found = Jobs::default();
        let jobs: Vec<Job> = self
            .snapshots(Watched::Child(Kind::Job))
            .filter(|snapshot| snapshot.owned_by(&self.identity.uid))
            .filter_map(|snapshot| snapshot.parse())
            .collect();
        for job in &jobs {
            let list = if is_backup(job) {
                &mut found.backups
            } else if is_pull(job) {
                &mut found.pulls
            } else {
                &mut found.migrations
            };
            list.push(JobState::from(job));
        }
        found
    }

    pub(super) fn pods(&self) -> Vec<Pod> {
        self.snapshots(Watched::Pod).filter_map(|snapshot| snapshot.parse()).collect()
    }

    fn snapshots(&self, kind: Watched) -> impl Iterator<Item = Arc<Snapshot>> {
        let name = self.identity.name.clone();
        self.index
            .named(kind, &self.identity.namespace, &name)
            .into_iter()
            .map(|(_, snapshot)| snapshot)
            .filter(move |snapshot| snapshot.instance.as_ref() == Some(&name))
    }

    /// A migration of another installation that runs on the database with this label.
    pub(super) fn external_migration(&self, label: &str) -> Option<String> {
        let jobs = self.index.jobs_on(label);
        let jobs: Vec<Job> = jobs.iter().filter_map(|(_, snapshot)| snapshot.parse()).collect();
        external_migration(&jobs, label, self.identity)
    }

    /// What the autoscalers of others in the namespace scale.
    pub(super) fn external_autoscalers(&self) -> BTreeSet<String> {
        self.index
            .in_namespace(Watched::Child(Kind::HorizontalPodAutoscaler), &self.identity.namespace)
            .into_iter()
            .filter(|(_, snapshot)| !snapshot.owned_by(&self.identity.uid))
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

/// Whether it only has the images of a migration pulled.
fn is_pull(job: &Job) -> bool {
    annotation(Some(&job.metadata), marks::OPERATION) == Some(marks::PULL)
}

fn is_backup(job: &Job) -> bool {
    let labels = job.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(marks::COMPONENT)).map(String::as_str)
        == Some(Component::Backup.as_str())
}
