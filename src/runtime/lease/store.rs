//! The lease in the API server. Each function is one request with a deadline.

use std::{fmt, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease as LeaseObject, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::{
    candidate::{LEASE_DURATION, Stored, renewal},
    settings::LeaseSettings,
};
use crate::runtime::clock;

/// Why a request for the lease has no result. A refused write (409, 404) is a result, not an error.
#[derive(Debug, Error)]
pub(super) enum Error {
    /// The API server did not answer in time.
    #[error("no answer to {verb} the lease in time")]
    Deadline {
        /// What was asked for.
        verb: &'static str,
    },
    /// The API server could not be reached, or said no.
    #[error("cannot {verb} the lease")]
    Api {
        /// What was asked for.
        verb: &'static str,
        /// What the client library reports.
        source: kube::Error,
    },
}

/// One lease.
pub(super) struct Store {
    api: Api<LeaseObject>,
    settings: LeaseSettings,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.settings.namespace, self.settings.name)
    }
}

impl Store {
    pub(super) fn new(client: Client, settings: LeaseSettings) -> Self {
        Self { api: Api::namespaced(client, &settings.namespace), settings }
    }

    /// What is stored; `None` when there is no lease.
    pub(super) async fn read(&self, deadline: Instant) -> Result<Option<LeaseObject>, Error> {
        call("get", deadline, self.api.get_opt(&self.settings.name)).await
    }

    /// Creates the lease. `None` when there is one already.
    pub(super) async fn create(&self, deadline: Instant) -> Result<Option<LeaseObject>, Error> {
        let now = MicroTime(clock::now());
        let mut metadata = ObjectMeta { name: Some(self.settings.name.clone()), ..ObjectMeta::default() };
        self.settings.mark(&mut metadata);
        let lease = LeaseObject {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(self.settings.identity.clone()),
                lease_duration_seconds: duration_seconds(),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        };
        accepted(call("create", deadline, self.api.create(&PostParams::default(), &lease)).await)
    }

    /// Takes or renews the lease, unless it is no longer the one in `base` (then `None`).
    pub(super) async fn renew(
        &self,
        mut base: LeaseObject,
        deadline: Instant,
    ) -> Result<Option<LeaseObject>, Error> {
        let spec = base.spec.get_or_insert_default();
        let now = MicroTime(renewal(spec.renew_time.as_ref().map(|time| time.0), clock::now()));
        if spec.holder_identity.as_deref() != Some(&self.settings.identity) {
            spec.holder_identity = Some(self.settings.identity.clone());
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
        }
        spec.lease_duration_seconds = duration_seconds();
        spec.renew_time = Some(now);
        self.settings.mark(&mut base.metadata);
        self.replace("update", &base, deadline).await
    }

    /// Clears the holder, unless the lease is no longer the one in `base` (then `false`).
    pub(super) async fn release(&self, mut base: LeaseObject, deadline: Instant) -> Result<bool, Error> {
        let spec = base.spec.get_or_insert_default();
        spec.holder_identity = None;
        let now = renewal(spec.renew_time.as_ref().map(|time| time.0), clock::now());
        spec.renew_time = Some(MicroTime(now));
        Ok(self.replace("release", &base, deadline).await?.is_some())
    }

    /// `lease` carries the resource version that was read or written last, which makes the server refuse the
    /// replacement when anybody has written since.
    async fn replace(
        &self,
        verb: &'static str,
        lease: &LeaseObject,
        deadline: Instant,
    ) -> Result<Option<LeaseObject>, Error> {
        let parameters = PostParams::default();
        let request = self.api.replace(&self.settings.name, &parameters, lease);
        accepted(call(verb, deadline, request).await)
    }
}

/// The part of a lease that decides who leads.
pub(super) fn stored(lease: &LeaseObject) -> Stored {
    let spec = lease.spec.clone().unwrap_or_default();
    Stored {
        uid: lease.metadata.uid.clone(),
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        renewed: spec.renew_time.map(|time| time.0),
        transitions: spec.lease_transitions.unwrap_or_default(),
        duration: spec
            .lease_duration_seconds
            .and_then(|secs| u64::try_from(secs).ok())
            .map(Duration::from_secs),
    }
}

fn duration_seconds() -> Option<i32> {
    i32::try_from(LEASE_DURATION.as_secs()).ok()
}

async fn call<T>(
    verb: &'static str,
    deadline: Instant,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    match timeout_at(deadline, request).await {
        Ok(result) => result.map_err(|source| Error::Api { verb, source }),
        Err(_) => Err(Error::Deadline { verb }),
    }
}

/// A conflict or a missing lease means that somebody else was faster.
fn accepted(result: Result<LeaseObject, Error>) -> Result<Option<LeaseObject>, Error> {
    match result {
        Ok(lease) => Ok(Some(lease)),
        Err(Error::Api { source: kube::Error::Api(status), .. }) if matches!(status.code, 404 | 409) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn unheld() -> Stored {
        Stored { uid: Some("u".into()), holder: None, renewed: None, transitions: 0, duration: None }
    }

    #[rstest]
    #[case::full(
        json!({"holderIdentity": "a", "renewTime": "2026-01-01T00:00:00.000000Z", "leaseTransitions": 3,
               "leaseDurationSeconds": 15}),
        Stored {
            uid: Some("u".into()),
            holder: Some("a".into()),
            renewed: "2026-01-01T00:00:00Z".parse().ok(),
            transitions: 3,
            duration: Some(Duration::from_secs(15)),
        })]
    #[case::cleared(json!({"holderIdentity": ""}), unheld())]
    #[case::negative(
        json!({"leaseDurationSeconds": -1}), unheld())]
    #[case::empty(json!({}), unheld())]
    fn a_lease_is_read(#[case] spec: Value, #[case] expected: Stored) {
        let lease: LeaseObject =
            serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": spec})).unwrap();
        assert_eq!(stored(&lease), expected);
    }
}
