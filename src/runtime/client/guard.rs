//! The layer around every request to the API server: its deadline, its repetition, its metrics.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header::RETRY_AFTER};
use kube::client::Body;
use tokio::time::{Instant, sleep, timeout_at};
use tower::{BoxError, Layer, Service, ServiceExt as _};

use super::{
    body::DeadlineBody,
    deadline::{CALL_DEADLINE, DeadlineExceeded},
    request::Call,
};
use crate::runtime::{
    backoff::jittered,
    metrics::{Code, Metrics},
    random,
};

/// How often a request is repeated at most: with the waits below for at most 1.4 s, which rides out a short
/// overload. Longer ones are left to the back-off of the object, which does not occupy a worker meanwhile.
const RETRIES: u32 = 3;

/// The wait before the first repetition; doubled for each further one, and jittered.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// What must hold whenever a request is sent, also when it is sent again: an extension of the request.
#[derive(Clone)]
pub(in crate::runtime) struct Condition(Arc<dyn Fn() -> Result<(), BoxError> + Send + Sync>);

impl Condition {
    /// A condition that this function asks for; its error is that of the request.
    pub(in crate::runtime) fn new(check: impl Fn() -> Result<(), BoxError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }

    /// Fails where the condition of a request does not hold at this moment.
    pub(in crate::runtime) fn check(request: &Request<Body>) -> Result<(), BoxError> {
        let condition = request.extensions().get::<Self>();
        condition.map_or(Ok(()), |condition| (condition.0)())
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Condition").finish_non_exhaustive()
    }
}

/// Makes [`Guard`]s.
#[derive(Debug, Clone)]
pub(super) struct GuardLayer {
    pub metrics: Metrics,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, metrics: self.metrics.clone() }
    }
}

/// A service with a deadline, repetitions and metrics.
#[derive(Debug, Clone)]
pub(super) struct Guard<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, B> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
{
    type Response = Response<DeadlineBody<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Readiness of the inner service is awaited within the deadline.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let guard = self.clone();
        Box::pin(guard.exchange(request))
    }
}

impl<S, B> Guard<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone,
{
    /// Sends a request, again where that is safe and there is time, and returns the last answer.
    async fn exchange(self, request: Request<Body>) -> Result<Response<DeadlineBody<B>>, BoxError> {
        let call = Call::of(request.method(), request.uri());
        let deadline = Instant::now() + CALL_DEADLINE;
        let mut next = request;
        for repetition in 0.. {
            let method = next.method().clone();
            let copy = copy(&next);
            let response = attempt(self.inner.clone(), next, call, deadline, &self.metrics).await?;
            match (wait(&method, &response, repetition), copy) {
                (Some(wait), Some(copy)) if wait < deadline.saturating_duration_since(Instant::now()) => {
                    // The answer is dropped before the wait, so that its connection is free.
                    drop(response);
                    sleep(wait).await;
                    Condition::check(&copy)?;
                    next = copy;
                }
                _ => {
                    let limit = (!call.streams).then(|| (deadline, DeadlineExceeded::of(call)));
                    return Ok(response.map(|body| DeadlineBody::new(body, limit)));
                }
            }
        }
        Err(DeadlineExceeded::of(call).into())
    }
}

/// One attempt, counted.
async fn attempt<S, B>(
    service: S,
    request: Request<Body>,
    call: Call,
    deadline: Instant,
    metrics: &Metrics,
) -> Result<Response<B>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
{
    let start = Instant::now();
    let result = match timeout_at(deadline, service.oneshot(request)).await {
        Ok(result) => result,
        Err(_) => Err(DeadlineExceeded::of(call).into()),
    };
    let code = result.as_ref().map_or(Code::None, |response| response.status().into());
    metrics.kube_request(call.verb, call.kind, code, start.elapsed());
    result
}

/// How long to wait before the request is sent again; `None` when this answer is final.
///
/// The API server rejects with 429 before it does anything, so any request may be repeated. After 503 and 504 a
/// write may still be carried out, so only reads are repeated; whoever writes looks first.
fn wait<B>(method: &Method, response: &Response<B>, repetition: u32) -> Option<Duration> {
    let repeat = match response.status() {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => *method == Method::GET,
        _ => false,
    };
    (repeat && repetition < RETRIES).then(|| {
        let own = jittered(FIRST_WAIT * 2_u32.saturating_pow(repetition), &mut random::rng());
        retry_after(response.headers()).map_or(own, |asked| asked.max(own))
    })
}

/// The `Retry-After` header in seconds, the only form that Kubernetes uses. It may be longer than any clock can add.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// A copy to send later; `None` when the body is a stream, which can be sent only once.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The wait in milliseconds, without jitter: `(at least, at most)`.
    #[rstest]
    #[case::too_many("POST", 429, None, 0, Some((180, 220)))]
    #[case::doubled("POST", 429, None, 1, Some((360, 440)))]
    #[case::doubled_again("POST", 429, None, 2, Some((720, 880)))]
    #[case::enough("POST", 429, None, 3, None)]
    #[case::asked("POST", 429, Some("2"), 0, Some((2_000, 2_000)))]
    #[case::asked_for_nothing("POST", 429, Some("0"), 0, Some((180, 220)))]
    #[case::asked_nonsense("POST", 429, Some("soon"), 0, Some((180, 220)))]
    #[case::asked_for_ages("POST", 429, Some("86400"), 0, Some((86_400_000, 86_400_000)))]
    #[case::read_unavailable("GET", 503, None, 0, Some((180, 220)))]
    #[case::read_timed_out("GET", 504, None, 0, Some((180, 220)))]
    #[case::write_unavailable("PATCH", 503, Some("1"), 0, None)]
    #[case::write_timed_out("POST", 504, None, 0, None)]
    #[case::broken("GET", 500, None, 0, None)]
    #[case::conflict("PUT", 409, None, 0, None)]
    #[case::fine("GET", 200, None, 0, None)]
    fn an_answer_is_final_or_not(
        #[case] method: &str,
        #[case] status: u16,
        #[case] header: Option<&str>,
        #[case] attempt: u32,
        #[case] expected: Option<(u128, u128)>,
    ) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(header) = header {
            response.headers_mut().insert(RETRY_AFTER, header.parse().unwrap());
        }
        let wait = wait(&method.parse().unwrap(), &response, attempt).map(|wait| wait.as_millis());
        match (wait, expected) {
            (None, None) => {}
            (Some(wait), Some((least, most))) => assert!((least..=most).contains(&wait), "{wait}"),
            other => panic!("{other:?}"),
        }
    }
}
