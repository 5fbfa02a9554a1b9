//! Which Secrets are read again, and when.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;

use super::{
    super::{
        discover,
        discover::Sources,
        freshness::{FRESH, FRESH_WHILE_FAILING},
        memory::Memory,
    },
    credentials::{self, Credentials},
};
use crate::{
    runtime::cache::PerInstallation,
    validate::{Installation, SecretKey, UrlParts},
};

/// Reads Secrets, and remembers them while they are fresh.
#[derive(Default)]
pub(in crate::observe) struct SecretCache {
    known: PerInstallation<Known>,
}

/// The Secrets of one installation.
#[derive(Clone)]
struct Known {
    /// What was asked for: another reference needs another answer, any other change of the specification does not.
    keys: Vec<SecretKey>,
    /// What URLs are put together from, besides.
    parts: Vec<UrlParts>,
    /// Kept, so that the database can be probed more often than its Secret is read.
    credentials: Credentials,
    /// A database that cannot be used may have the wrong URL: whoever corrects the Secret wants to see it heal.
    doubted: bool,
}

impl Known {
    const fn fresh_for(&self) -> Duration {
        if self.credentials.secrets.hash.is_some() && !self.doubted { FRESH } else { FRESH_WHILE_FAILING }
    }
}

impl SecretCache {
    /// The Secrets of an installation. Those of one that the operator did not make are where `sources` say, and are
    /// read only for probes. In a hurry they are read again soon: pods lack something, or an upgrade may have changed
    /// them.
    pub(in crate::observe) async fn credentials(
        &self,
        client: &Client,
        installation: &Installation,
        sources: Option<&Sources>,
        probes: bool,
        hurry: bool,
    ) -> Credentials {
        let identity = &installation.identity;
        let keys = installation.secret_keys();
        let parts = installation.database.parts();
        let fresh_for = |known: &Known| {
            (known.keys == keys && known.parts == parts)
                .then(|| if hurry { FRESH_WHILE_FAILING } else { known.fresh_for() })
        };
        if let Some(known) = self.known.fresh(&identity.uid, fresh_for) {
            return known.credentials;
        }
        let credentials = match sources {
            None => credentials::read(client, installation).await,
            Some(_) if !probes => Credentials::unread(),
            Some(sources) => discover::read(client, &identity.namespace, sources).await,
        };
        let known = Known { keys, parts: parts.to_vec(), credentials: credentials.clone(), doubted: false };
        self.known.put(identity.uid.clone(), known);
        credentials
    }

    /// Notes whether the database can be used with them.
    pub(in crate::observe) fn judge(&self, uid: &str, usable: bool) {
        self.known.update(uid, |known| known.doubted = !usable);
    }
}

impl Memory for SecretCache {
    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }

    fn look_again(&self, uid: &str) {
        self.forget(uid);
    }

    fn next_look(&self, uid: &str, _now: Timestamp) -> Option<Duration> {
        let left = self.known.fresh_until(uid, Known::fresh_for);
        Some(left.unwrap_or(Duration::ZERO))
    }
}
