//! Who may read the metrics: whom the API server knows by his token, and lets `get` the path `/metrics`. The same question
//! that components of Kubernetes ask, so the same `ClusterRole` answers it.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use sha2::{Digest as _, Sha256};
use tokio::{sync::Semaphore, time::timeout};

use crate::runtime::cache::Cache;

/// How long a decision holds: a scraper that comes every 30 s is asked about every other time, and one whose right is
/// taken away reads no longer than this.
const FRESH: Duration = Duration::from_mins(1);

/// The same of a refusal: whoever gives the right wants to see it work.
const FRESH_REFUSAL: Duration = Duration::from_secs(10);

/// Decisions that are remembered. There are as many scrapers as Prometheus has replicas.
const REMEMBERED: usize = 64;

/// Questions to the API server at the same time: whoever makes up tokens gets no more of it.
const ASKING: usize = 4;

/// How long both questions and the turn for them may take: less than a connection may last.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the API server who may read.
#[derive(Debug)]
pub struct Readers {
    client: ClientOf,
    /// By the hash of the token.
    known: Cache<[u8; 32], Decision>,
    asking: Semaphore,
}

/// A client, which prints nothing.
struct ClientOf(Client);

impl std::fmt::Debug for ClientOf {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Allowed,
    Forbidden,
    Unknown,
}

impl Decision {
    const fn fresh_for(self) -> Duration {
        match self {
            Self::Allowed => FRESH,
            Self::Forbidden | Self::Unknown => FRESH_REFUSAL,
        }
    }
}

impl Readers {
    /// Readers that this client may ask about.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client: ClientOf(client),
            known: Cache::with_capacity(REMEMBERED),
            asking: Semaphore::new(ASKING),
        }
    }

    /// What somebody is answered who may not read; `None`: he may.
    pub(super) async fn refusal(&self, headers: &HeaderMap) -> Option<StatusCode> {
        let Some(token) = token(headers) else {
            return Some(StatusCode::UNAUTHORIZED);
        };
        match timeout(PATIENCE, self.decide(token)).await {
            Ok(Ok(Decision::Allowed)) => None,
            Ok(Ok(Decision::Forbidden)) => Some(StatusCode::FORBIDDEN),
            Ok(Ok(Decision::Unknown)) => Some(StatusCode::UNAUTHORIZED),
            Ok(Err(error)) => {
                let error = crate::runtime::client::chain(&error);
                tracing::warn!(error, "it could not be asked who may read the metrics");
                Some(StatusCode::SERVICE_UNAVAILABLE)
            }
            Err(_) => Some(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    async fn decide(&self, token: &str) -> Result<Decision, kube::Error> {
        let key: [u8; 32] = Sha256::digest(token).into();
        let known = || self.known.fresh(&key, |decision: &Decision| Some(decision.fresh_for()));
        if let Some(decision) = known() {
            return Ok(decision);
        }
        let _permit = self.asking.acquire().await.ok();
        // Somebody may have asked meanwhile.
        if let Some(decision) = known() {
            return Ok(decision);
        }
        let decision = match self.owner(token).await? {
            None => Decision::Unknown,
            Some(user) => {
                if self.may_read(user).await? {
                    Decision::Allowed
                } else {
                    Decision::Forbidden
                }
            }
        };
        self.known.put(key, decision);
        Ok(decision)
    }

    /// Whose token it is.
    async fn owner(&self, token: &str) -> Result<Option<UserInfo>, kube::Error> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client.0.clone());
        let status = api.create(&PostParams::default(), &review).await?.status.unwrap_or_default();
        Ok(status.user.filter(|_| status.authenticated == Some(true)))
    }

    async fn may_read(&self, user: UserInfo) -> Result<bool, kube::Error> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                groups: user.groups,
                uid: user.uid,
                extra: user.extra,
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some("/metrics".to_owned()),
                    verb: Some("get".to_owned()),
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.0.clone());
        let answer = api.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// The token of an `Authorization: Bearer …`.
fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Some("Bearer abc"), Some("abc"))]
    #[case(Some("bearer  abc "), Some("abc"))]
    #[case(Some("Basic abc"), None)]
    #[case(Some("Bearer "), None)]
    #[case(Some("Bearer"), None)]
    #[case(None, None)]
    fn a_token_is_what_follows_bearer(#[case] header: Option<&str>, #[case] expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|it| (AUTHORIZATION, it.parse().unwrap())));
        assert_eq!(token(&headers), expected);
    }
}
