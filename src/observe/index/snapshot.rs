//! One object as the API server last showed it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::to_raw_value;

use super::{
    object::{Object, controller},
    prune::Selector,
    seen::{ObjectSeen, hash},
    watched::Watched,
};
use crate::model::{Component, child::marks};

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
    /// The component that its label gives.
    pub component: Option<Component>,
    /// A hash of everything but the status and the annotations.
    pub(super) shape: u64,
    /// A hash of the annotations.
    pub(super) annotations: u64,
    /// A hash of that part of the status that somebody waits for.
    pub(super) significant_status: u64,
    /// What passes ask of it; only its text where the operator did not make it.
    seen: ObjectSeen,
    /// Bytes that it took at first, about.
    size: usize,
    agreed: Mutex<Agreed>,
}

/// How far an object was compared with what it should be.
#[derive(Debug)]
struct Agreed {
    /// The object; dropped when there is nothing to compare any more.
    text: Option<Box<[u8]>>,
    /// The hash of the desired object that this state was found or made to agree with: while neither changes there
    /// is nothing to compare, whatever an admission plugin made of the object.
    settled: Option<String>,
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

/// A hash of the annotations but for those that Kubernetes' Deployment controller counts revisions with: they come with
/// each rollout, nobody reads them, and the operator sets none of them.
fn of_annotations(metadata: &ObjectMeta) -> u64 {
    let counted = |key: &str| key.starts_with("deployment.kubernetes.io/");
    let annotations = metadata.annotations.iter().flatten().filter(|(key, _)| !counted(key));
    hash(&annotations.collect::<Vec<_>>())
}

impl Snapshot {
    /// Takes what is needed of an object; `before` is what was known of one of its name. `None` for an object without uid
    /// or name, which no server sends.
    pub(super) fn of(
        kind: Watched,
        object: &Object,
        selector: Selector,
        before: impl FnOnce(&Key) -> Option<Arc<Self>>,
    ) -> Option<(Key, Self)> {
        let metadata = object.meta();
        let key = Key {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone()?,
        };
        let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name)).cloned();
        let mut snapshot = Self {
            uid: metadata.uid.clone()?,
            resource_version: metadata
                .resource_version
                .as_ref()
                .and_then(|version| version.parse().ok())
                .unwrap_or(0),
            owner: controller(metadata).map(str::to_owned),
            instance: label(marks::INSTANCE),
            database: label(marks::DATABASE),
            component: label(marks::COMPONENT).as_deref().and_then(Component::named),
            shape: object.shape,
            annotations: of_annotations(metadata),
            significant_status: 0,
            seen: ObjectSeen::Text,
            size: OVERHEAD,
            agreed: Mutex::new(Agreed { text: None, settled: None }),
        };
        let before = before(&key).filter(|before| snapshot.same_but_status(before));
        if let Some(seen) = before.as_ref().and_then(|before| before.seen_with(object)) {
            snapshot.significant_status = seen.significant();
            snapshot.seen = seen;
            snapshot.settle_like(before.as_deref());
            return Some((key, snapshot));
        }
        let mut cut = object.cut().ok()?;
        selector.prune(kind, snapshot.owner.is_some(), &mut cut);
        // The items of a list do not carry what the list as a whole says.
        if let Watched::Child(kind) = kind {
            let resource = kind.api_resource();
            for (field, value) in [("apiVersion", resource.api_version), ("kind", resource.kind)] {
                cut.parts.insert(field, Cow::Owned(to_raw_value(&value).ok()?));
            }
        }
        let text = serde_json::to_vec(&cut).ok()?.into_boxed_slice();
        let seen = ObjectSeen::of(kind, &text);
        snapshot.significant_status = seen.significant();
        snapshot.size = text.len().saturating_add(OVERHEAD);
        let owned = selector == Selector::Managed && snapshot.owner.is_some();
        let only_seen = matches!(seen, ObjectSeen::Job(_) | ObjectSeen::Pod(_));
        if selector == Selector::Managed && (owned || only_seen) {
            snapshot.seen = seen;
        }
        if !(selector == Selector::Managed && only_seen) {
            snapshot.agreed_mut().text = Some(text);
        }
        snapshot.settle_like(before.as_deref());
        Some((key, snapshot))
    }

    /// What a later state of it shows, of which only the status is another. `None` where its text is needed.
    fn seen_with(&self, later: &Object) -> Option<ObjectSeen> {
        if self.agreed().settled.is_none() || self.seen.needs_text() {
            return None;
        }
        self.seen.with_status(later.meta().generation.unwrap_or_default(), later.status())
    }

    /// What was found of an earlier state that differs in the status alone.
    fn settle_like(&self, before: Option<&Self>) {
        let settled = before.and_then(|before| before.agreed().settled.clone());
        if let Some(hash) = settled {
            self.settle(hash);
        }
    }

    fn agreed(&self) -> MutexGuard<'_, Agreed> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn agreed_mut(&mut self) -> &mut Agreed {
        self.agreed.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// What passes ask of it.
    pub(in crate::observe) const fn seen(&self) -> &ObjectSeen {
        &self.seen
    }

    /// Pods that a Deployment is to have.
    #[must_use]
    pub const fn replicas(&self) -> Option<i32> {
        match &self.seen {
            ObjectSeen::Deployment(it) => Some(it.state.desired),
            _ => None,
        }
    }

    /// The object as a Kubernetes type. `None` when it does not have that shape, and when it is known to be as it should be,
    /// or is only looked at, so that its text is not kept.
    #[must_use]
    pub fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(self.agreed().text.as_ref()?)
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
        self.size
    }

    /// Whether this state is known to agree with the desired object of this hash.
    #[must_use]
    pub fn is_settled(&self, hash: &str) -> bool {
        self.agreed().settled.as_deref() == Some(hash)
    }

    /// Whether it is known to agree with another desired object than that of this hash, and so differs from this one.
    #[must_use]
    pub fn is_settled_otherwise(&self, hash: &str) -> bool {
        self.agreed().settled.as_deref().is_some_and(|settled| settled != hash)
    }

    /// From now on this state is known to agree with the desired object of this hash.
    pub fn settle(&self, hash: String) {
        let mut agreed = self.agreed();
        agreed.settled = Some(hash);
        if !self.seen.needs_text() {
            agreed.text = None;
        }
    }

    /// Whether only the status changed since an earlier state.
    fn same_but_status(&self, before: &Self) -> bool {
        (&self.uid, self.shape, self.annotations) == (&before.uid, before.shape, before.annotations)
    }

    /// Whether the `FlagsmithDeployment` with this uid controls it.
    #[must_use]
    pub fn owned_by(&self, uid: &str) -> bool {
        self.owner.as_deref() == Some(uid)
    }
}
