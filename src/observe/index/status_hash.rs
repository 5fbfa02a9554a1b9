//! Hashes of objects, which only this process compares.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::Pod,
};
use serde::de::DeserializeOwned;

use super::watched::Watched;
use crate::{
    model::{Component, child::Kind},
    observe::{JobState, PodSummary, WorkloadState},
};

/// A hash of that part of an object's status that somebody waits for.
pub(super) fn significant_status(kind: Watched, body: &[u8]) -> u64 {
    match kind {
        Watched::Child(Kind::Deployment) => {
            parse::<Deployment>(body).map(|it| of_workload(&WorkloadState::from(&it)))
        }
        Watched::Child(Kind::StatefulSet) => {
            parse::<StatefulSet>(body).map(|it| of_workload(&WorkloadState::from(&it)))
        }
        Watched::Child(Kind::Job) => {
            parse::<Job>(body).map(|it| JobState::from(&it)).map(|it| hash(&(it.outcome, it.deleting)))
        }
        Watched::Child(_) => None,
        Watched::Pod => parse::<Pod>(body).map(|it| PodSummary::from(&it)).map(|it| {
            // The database is asked between the end of a processor and the next start.
            let processor = it.component == Some(Component::TaskProcessor);
            hash(&(it.phase.has_ended(), it.problems, processor.then_some(it.started)))
        }),
    }
    .unwrap_or_default()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
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
