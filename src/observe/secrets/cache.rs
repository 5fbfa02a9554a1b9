//! Which Secrets are read again, and when.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
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

/// How long good Secrets are used while nothing else changes. There are two of most installations, which is a request every
/// five minutes for each; and whoever changes one sees it refused by the database, or missed by a pod, long before.
const UNCHANGED: Duration = Duration::from_mins(10);

/// How long the Secrets of a database that cannot be used are not read again: a pass follows each look at it, ten seconds
/// or so apart, and every one of these is to find a corrected Secret.
const DOUBTED: Duration = Duration::from_secs(5);

/// After how long a pass is made for such Secrets alone. Looks at servers that keep silent wait for turns, and have nobody
/// wait for them: of fifty in a namespace each has its look every two minutes. Whoever corrects the Secret of one waits
/// this long; a pass every ten seconds for each was all that the operator did meanwhile.
const DOUBTED_ALONE: Duration = Duration::from_secs(30);

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
    /// The generation of the specification. Who changes that may have changed Secrets with it.
    generation: i64,
    /// Kept, so that the database can be probed more often than its Secret is read.
    credentials: Credentials,
    /// The Secrets that they were read from, while one is missing: the operator may be about to make it.
    found: Vec<Secret>,
    /// The operator has just made a missing one.
    outdated: bool,
    /// A database that cannot be used may have the wrong URL: whoever corrects the Secret wants to see it heal.
    doubted: bool,
}

impl Known {
    /// How old they may be when a pass over this generation needs them.
    fn fresh_for(&self, generation: i64) -> Duration {
        match (self.doubted, self.is_whole()) {
            (true, _) => DOUBTED,
            (false, true) if self.generation == generation => UNCHANGED,
            (false, true) => FRESH,
            (false, false) => FRESH_WHILE_FAILING,
        }
    }

    /// How old they may become before a pass is made for them.
    const fn left_alone_for(&self) -> Duration {
        match (self.doubted, self.is_whole()) {
            (_, false) => FRESH_WHILE_FAILING,
            (true, true) => DOUBTED_ALONE,
            (false, true) => UNCHANGED,
        }
    }

    const fn is_whole(&self) -> bool {
        self.credentials.secrets.hash.is_some()
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
            let fresh_for = known.fresh_for(identity.generation);
            (known.keys == keys && known.parts == parts && !known.outdated)
                .then(|| if hurry { FRESH_WHILE_FAILING.min(fresh_for) } else { fresh_for })
        };
        if let Some(known) = self.known.fresh(&identity.uid, fresh_for) {
            return known.credentials;
        }
        let (credentials, found) = match sources {
            None => {
                let recent = |known: &Known| known.outdated.then_some(FRESH_WHILE_FAILING);
                let found = self.known.fresh(&identity.uid, recent).map(|known| known.found);
                credentials::read(client, installation, found.unwrap_or_default()).await
            }
            Some(_) if !probes => (Credentials::unread(), Vec::new()),
            Some(sources) => (discover::read(client, &identity.namespace, sources).await, Vec::new()),
        };
        let mut known = Known {
            keys,
            parts: parts.to_vec(),
            generation: identity.generation,
            credentials: credentials.clone(),
            found: Vec::new(),
            outdated: false,
            doubted: false,
        };
        if !known.is_whole() {
            known.found = found;
        }
        self.known.put(identity.uid.clone(), known);
        credentials
    }

    /// The operator has made or written Secrets, each with its name and, where it was made, its content: the next pass
    /// judges them all again, and reads those that it has nothing of.
    pub(in crate::observe) fn made(
        &self,
        uid: &str,
        secrets: impl IntoIterator<Item = (String, Option<Secret>)>,
    ) {
        self.known.update(uid, |known| {
            known.outdated = true;
            for (name, content) in secrets {
                known.found.retain(|secret| secret.metadata.name.as_ref() != Some(&name));
                known.found.extend(content);
            }
        });
    }

    /// Has the next pass read all of them again.
    pub(in crate::observe) fn look_again(&self, uid: &str) {
        self.known.forget(uid);
    }

    /// Notes whether the database can be used with them.
    pub(in crate::observe) fn judge(&self, uid: &str, usable: bool) {
        self.known.update(uid, |known| known.doubted = !usable);
    }
}

impl Memory for SecretCache {
    fn remembers(&self) -> (&'static str, usize) {
        ("secrets", self.known.count())
    }

    fn forget(&self, uid: &str) {
        self.known.forget(uid);
    }

    fn next_look(&self, uid: &str, _now: Timestamp) -> Option<Duration> {
        let left = self.known.fresh_until(uid, Known::left_alone_for);
        Some(left.unwrap_or(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
    };

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tokio::time::advance;

    use super::*;
    use crate::fixtures::{installation, spec};

    /// A client whose server has one Secret under every name, and how often it was asked.
    fn client() -> (Client, Arc<AtomicU32>) {
        let asked = Arc::<AtomicU32>::default();
        let count = Arc::clone(&asked);
        let service = tower::service_fn(move |_: Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            // postgresql://u:p@db/flags
            let answer = r#"{"metadata":{},"data":{"DATABASE_URL":"cG9zdGdyZXNxbDovL3U6cEBkYi9mbGFncw=="}}"#;
            async move { Ok::<_, Infallible>(Response::new(Body::from(answer.as_bytes().to_vec()))) }
        });
        (Client::new(service, "prod"), asked)
    }

    /// The passes of ten minutes over an installation, and those of them that read Secrets; `after_looks`: one follows
    /// each look at its database.
    async fn passes(usable: bool, after_looks: Option<Duration>) -> (u32, u32) {
        let ((client, asked), cache) = (client(), SecretCache::default());
        let key = json!({ "secretKeyRef": { "name": "django", "key": "DATABASE_URL" } });
        let installation = installation(&spec(json!({ "django": { "secretKeyFrom": key } })));
        let uid = installation.identity.uid.as_str();
        let (mut passes, mut read) = (0, 0);
        let mut left = Duration::from_mins(10);
        while !left.is_zero() {
            let before = asked.load(Ordering::Relaxed);
            Box::pin(cache.credentials(&client, &installation, None, true, false)).await;
            cache.judge(uid, usable);
            passes += 1;
            read += u32::from(asked.load(Ordering::Relaxed) > before);
            let next = cache.next_look(uid, Timestamp::UNIX_EPOCH).unwrap();
            assert!(!next.is_zero(), "passes without a pause");
            let wait = after_looks.map_or(next, |look| look.min(next)).min(left);
            advance(wait).await;
            left -= wait;
        }
        (passes, read)
    }

    #[tokio::test(start_paused = true)]
    async fn an_installation_is_not_passed_over_again_and_again_for_a_database_that_keeps_silent() {
        assert_eq!(passes(false, None).await, (20, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn the_pass_after_each_look_at_a_database_that_fails_reads_its_secrets() {
        assert_eq!(passes(false, Some(Duration::from_secs(9))).await, (67, 67));
    }

    #[tokio::test(start_paused = true)]
    async fn secrets_of_a_database_that_works_are_read_every_ten_minutes() {
        assert_eq!(passes(true, Some(Duration::from_mins(1))).await, (10, 1));
        assert_eq!(passes(true, None).await, (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn secrets_are_read_again_with_a_changed_specification() {
        let ((client, asked), cache) = (client(), SecretCache::default());
        let key = json!({ "secretKeyRef": { "name": "django", "key": "DATABASE_URL" } });
        let mut installation = installation(&spec(json!({ "django": { "secretKeyFrom": key } })));
        let mut read = Vec::new();
        for (wait, change) in [(0, 0), (60, 1), (60, 0), (60, 1)] {
            advance(Duration::from_secs(wait)).await;
            installation.identity.generation += change;
            let before = asked.load(Ordering::Relaxed);
            Box::pin(cache.credentials(&client, &installation, None, true, false)).await;
            read.push(asked.load(Ordering::Relaxed) > before);
        }
        assert_eq!(read, [true, false, true, false], "a minute old, two, and one that is read a minute ago");
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_was_made_a_moment_ago_is_not_asked_for() {
        let ((client, asked), cache) = (client(), SecretCache::default());
        let key = json!({ "secretKeyRef": { "name": "django", "key": "DATABASE_URL" } });
        let installation = installation(&spec(json!({ "django": { "secretKeyFrom": key } })));
        let uid = installation.identity.uid.as_str();
        let read = async || {
            let before = asked.load(Ordering::Relaxed);
            Box::pin(cache.credentials(&client, &installation, None, true, false)).await;
            asked.load(Ordering::Relaxed) - before
        };
        assert_eq!(read().await, 2);
        // Whole already, so what was found is not kept: all but the one that was made is asked for.
        let name = "django".to_owned();
        let mut made = Secret::default();
        made.metadata.name = Some(name.clone());
        cache.made(uid, [(name.clone(), Some(made))]);
        assert_eq!(read().await, 1);
        cache.made(uid, [(name, None)]);
        assert_eq!(read().await, 2, "nothing is known of one that was there already");
    }
}
