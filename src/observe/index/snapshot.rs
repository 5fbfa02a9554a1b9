//! One object as the API server last showed it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use kube::Resource as _;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::to_raw_value;

use super::{
    object::{Object, controller},
    prune::Selector,
    status_hash::{hash, significant_status},
    watched::Watched,
};
use crate::model::child::marks;

/// What an entry takes besides its body, about: the key, names, hashes, and the nodes of the map.
const OVERHEAD: usize = 512;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Watched,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One object as the API server last showed it, without the managed fields that nothing asks for.
#[derive(Debug)]
pub struct Snapshot {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion; only compared, never computed with.
    pub resource_version: u64,
    /// The uid of the `FlagsmithDeployment` that controls it.
    pub owner: Option<String>,
    /// The name of the installation that its label gives.
    pub instance: Option<String>,
    /// The label of the database that a migration Job works on.
    pub database: Option<String>,
    /// A hash of everything but the status and the annotations.
    pub(super) shape: u64,
    /// A hash of the annotations.
    pub(super) annotations: u64,
    /// A hash of that part of the status that somebody waits for.
    pub(super) significant_status: u64,
    body: Box<[u8]>,
    /// The hash of the desired object that this state was found or made to agree with: while neither changes there
    /// is nothing to compare, whatever an admission plugin made of the object.
    settled: Mutex<Option<String>>,
}

/// See [`Snapshot::labels`].
#[derive(Deserialize)]
struct Labelled {
    metadata: LabelledMetadata,
}

#[derive(Deserialize)]
struct LabelledMetadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Snapshot {
    /// Takes what is needed of an object. `None` for an object without uid or name, which no server sends.
    pub(super) fn of(kind: Watched, mut object: Object, selector: Selector) -> Option<(Key, Self)> {
        selector.prune(kind, &mut object);
        // The items of a list do not carry what the list as a whole says.
        if let Watched::Child(kind) = kind {
            let resource = kind.api_resource();
            for (field, value) in [("apiVersion", resource.api_version), ("kind", resource.kind)] {
                object.parts.insert(field.to_owned(), to_raw_value(&value).ok()?);
            }
        }
        let metadata = object.meta();
        let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
        let key = Key {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone()?,
        };
        let body = serde_json::to_vec(&object).ok()?.into_boxed_slice();
        let snapshot = Self {
            uid: metadata.uid.clone()?,
            resource_version: metadata
                .resource_version
                .as_ref()
                .and_then(|version| version.parse().ok())
                .unwrap_or(0),
            owner: controller(metadata).map(str::to_owned),
            instance: label(marks::INSTANCE),
            database: label(marks::DATABASE),
            shape: object.shape,
            annotations: hash(&metadata.annotations),
            significant_status: significant_status(kind, &body),
            body,
            settled: Mutex::default(),
        };
        Some((key, snapshot))
    }

    /// The object as a Kubernetes type. `None` when it does not have that shape.
    #[must_use]
    pub fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body)
            .inspect_err(
                |error| tracing::warn!(%error, "a watched object does not have the shape of its kind"),
            )
            .ok()
    }

    /// The labels, without decoding the rest.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.parse::<Labelled>().map(|object| object.metadata.labels).unwrap_or_default()
    }

    /// Bytes that it takes, about.
    pub(super) const fn size(&self) -> usize {
        self.body.len().saturating_add(OVERHEAD)
    }

    /// Whether this state is known to agree with the desired object of this hash.
    #[must_use]
    pub fn is_settled(&self, hash: &str) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.as_deref() == Some(hash)
    }

    /// From now on this state is known to agree with the desired object of this hash.
    pub fn settle(&self, hash: String) {
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
    }

    pub(super) fn settle_like(&self, before: &Self) {
        let settled = before.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = settled.as_ref() {
            self.settle(hash.clone());
        }
    }

    /// Whether only the status changed since an earlier state.
    pub(super) fn same_but_status(&self, before: &Self) -> bool {
        (&self.uid, self.shape, self.annotations) == (&before.uid, before.shape, before.annotations)
    }

    /// Whether the `FlagsmithDeployment` with this uid controls it.
    #[must_use]
    pub fn owned_by(&self, uid: &str) -> bool {
        self.owner.as_deref() == Some(uid)
    }
}
