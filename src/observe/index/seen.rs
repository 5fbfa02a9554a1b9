//! What passes ask of an object that the operator made, read once, when it arrives.
//!
//! A pass looks at a dozen objects, and an installation has a dozen passes: decoding each object at each of them took a
//! quarter of the operator's CPU, and keeping its text for that half of its memory.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher as _},
};

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentStatus, StatefulSet},
        batch::v1::Job,
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::watched::Watched;
use crate::{
    model::{
        Component, PodPhase,
        child::{Kind, marks},
    },
    observe::{
        ConfigMaps, JobState, PodSummary, WorkloadState, config_maps, kills::ContainerEnd,
        metadata::annotation,
    },
};

/// What passes ask of an object.
#[derive(Clone, Debug)]
pub(in crate::observe) enum ObjectSeen {
    Deployment(Box<DeploymentSeen>),
    StatefulSet(Box<WorkloadState>),
    Job(Box<JobSeen>),
    Pod(Box<PodSeen>),
    /// Nothing: it is only compared with what it should be.
    Nothing,
    /// What its text is read for.
    Text,
}

/// A Deployment.
#[derive(Clone, Debug)]
pub(in crate::observe) struct DeploymentSeen {
    /// It, where no `ConfigMap` is read.
    pub(in crate::observe) state: WorkloadState,
    /// The `ConfigMaps` that its containers read variables from.
    pub(in crate::observe) config_maps: BTreeSet<String>,
}

/// A Job.
#[derive(Clone, Debug)]
pub(crate) struct JobSeen {
    pub(in crate::observe) state: JobState,
    pub(in crate::observe) purpose: JobPurpose,
    /// Its name, namespace, labels, owners and age.
    pub(in crate::observe) metadata: ObjectMeta,
}

/// What a Job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::observe) enum JobPurpose {
    /// It migrates, undoes migrations, or restores.
    Migration,
    Backup,
    /// It has the images of a migration pulled.
    Pull,
}

/// A pod.
#[derive(Clone, Debug)]
pub(in crate::observe) struct PodSeen {
    pub(in crate::observe) summary: PodSummary,
    pub(in crate::observe) ends: Vec<ContainerEnd>,
}

impl ObjectSeen {
    /// Reads the text of an object.
    pub(super) fn of(kind: Watched, text: &[u8]) -> Self {
        let seen = match kind {
            Watched::Child(Kind::Deployment) => {
                parse::<Deployment>(text).map(|it| Self::Deployment(Box::new((&it).into())))
            }
            Watched::Child(Kind::StatefulSet) => {
                parse::<StatefulSet>(text).map(|it| Self::StatefulSet(Box::new((&it).into())))
            }
            Watched::Child(Kind::Job) => parse::<Job>(text).map(|it| Self::Job(Box::new((&it).into()))),
            Watched::Child(
                Kind::ServiceAccount
                | Kind::PodDisruptionBudget
                | Kind::HorizontalPodAutoscaler
                | Kind::PodMonitor,
            ) => Some(Self::Nothing),
            Watched::Child(Kind::Service | Kind::Ingress | Kind::HttpRoute | Kind::Secret) => None,
            Watched::Pod => parse::<Pod>(text).map(|it| {
                let (summary, ends) = (PodSummary::from(&it), ContainerEnd::all(&it));
                Self::Pod(Box::new(PodSeen { summary, ends }))
            }),
        };
        seen.unwrap_or(Self::Text)
    }

    /// The same object when only its status has changed; `None` where all of it has to be read.
    pub(super) fn with_status(&self, generation: i64, status: Option<&RawValue>) -> Option<Self> {
        let before = match self {
            Self::Deployment(before) => before,
            Self::Nothing => return Some(Self::Nothing),
            _ => return None,
        };
        let status: Option<DeploymentStatus> = match status {
            Some(text) => serde_json::from_str(text.get()).ok()?,
            None => None,
        };
        let state = before.state.clone().with_status(generation, status.as_ref());
        Some(Self::Deployment(Box::new(DeploymentSeen { state, config_maps: before.config_maps.clone() })))
    }

    /// A hash of that part of the status that somebody waits for.
    pub(super) fn significant(&self) -> u64 {
        match self {
            Self::Deployment(it) => of_workload(&it.state),
            Self::StatefulSet(state) => of_workload(state),
            Self::Job(it) => hash(&(&it.state.outcome, it.state.deleting)),
            Self::Pod(it) => {
                let it = &it.summary;
                // The database is asked between the end of a processor and the next start.
                let processor = it.component == Some(Component::TaskProcessor);
                // What has ended well belongs to a Job, whose own end follows.
                let failed = it.phase.has_ended() && it.phase != PodPhase::Succeeded;
                hash(&(failed, &it.problems, processor.then_some(it.started)))
            }
            Self::Nothing | Self::Text => 0,
        }
    }

    /// Whether the text is needed besides, once the object is known to be as it should be, or where it is only looked at.
    pub(super) fn needs_text(&self) -> bool {
        match self {
            // What a `ConfigMap` says changes what the text means.
            Self::Deployment(it) => !it.config_maps.is_empty(),
            Self::StatefulSet(_) | Self::Job(_) | Self::Pod(_) | Self::Nothing => false,
            Self::Text => true,
        }
    }
}

impl From<&Deployment> for DeploymentSeen {
    fn from(deployment: &Deployment) -> Self {
        Self {
            state: WorkloadState::new(deployment, &ConfigMaps::new()),
            config_maps: config_maps::names(deployment),
        }
    }
}

impl From<&Job> for JobSeen {
    fn from(job: &Job) -> Self {
        let metadata = &job.metadata;
        let component = metadata.labels.as_ref().and_then(|labels| labels.get(marks::COMPONENT));
        let purpose = if component.map(String::as_str) == Some(Component::Backup.as_str()) {
            JobPurpose::Backup
        } else if annotation(Some(metadata), marks::OPERATION) == Some(marks::PULL) {
            JobPurpose::Pull
        } else {
            JobPurpose::Migration
        };
        let metadata = ObjectMeta {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            labels: metadata.labels.clone(),
            owner_references: metadata.owner_references.clone(),
            creation_timestamp: metadata.creation_timestamp.clone(),
            ..ObjectMeta::default()
        };
        Self { state: JobState::from(job), purpose, metadata }
    }
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    serde_json::from_slice(text)
        .inspect_err(|error| tracing::warn!(%error, "a watched object does not have the shape of its kind"))
        .ok()
}

fn of_workload(state: &WorkloadState) -> u64 {
    hash(&(state.rolled_out(), state.stopped(), &state.stalled, &state.replica_failure))
}

/// A hash that only this process compares.
pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
