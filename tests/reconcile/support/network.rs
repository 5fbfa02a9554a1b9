//! The network between operator and API server, as a test wants it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use flagsmith_operator::runtime::client::{Wire, WireBody};
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::{BoxError, Layer, Service};

/// One request of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The query.
    pub query: String,
    /// How many writes went before it.
    pub writes_before: usize,
}

impl Call {
    /// Whether it changes something. The lease is not counted: it is renewed forever.
    pub fn is_write(&self) -> bool {
        self.method != Method::GET && !self.is_lease()
    }

    pub fn is_lease(&self) -> bool {
        self.path.contains("/leases")
    }

    pub fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }

    /// A GET that is answered at once.
    pub fn is_read(&self) -> bool {
        self.method == Method::GET && !self.is_watch() && !self.is_lease()
    }

    /// A read of a whole collection, as a cache is filled; not of what works on a database, or of a Job's pods.
    pub fn is_list(&self) -> bool {
        let of_few = ["database%3D", "job-name%3D"].iter().any(|label| self.query.contains(label));
        self.is_read() && self.query.contains("limit=") && !of_few
    }

    /// Whether it is about this resource, or this object of it (`jobs`, `deployments/flagsmith-api`).
    pub fn about(&self, what: &str) -> bool {
        let end = format!("/{what}");
        self.path.ends_with(&end) || self.path.contains(&format!("{end}/"))
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives and is answered.
    Pass,
    /// The API server answers with this code and a Status of this reason.
    Refuse(u16, &'static str),
    /// It arrives and is carried out, but the connection breaks before the answer.
    LoseAnswer,
    /// Nothing arrives and nothing is answered.
    Hang,
    /// Whoever waits for the answer panics.
    Panic,
}

type Rule = Box<dyn FnMut(&Call) -> Fate + Send>;

/// A layer that decides on every request and remembers it.
#[derive(Clone, Default)]
pub struct Network(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    crashed: Notify,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    writes: usize,
    rule: Option<Rule>,
    /// The write that is the last one: once it is carried out nothing goes through any more.
    last: Option<usize>,
    dead: bool,
    /// Ends the answers that are under way.
    cut: CancellationToken,
    /// How often an answer said that what was asked for is gone.
    gone: usize,
}

/// What the API server sends to a watch that wants to go on from where it has forgotten what came afterwards.
const GONE: &[u8] = br#""code":410"#;

impl Network {
    /// A network that breaks down for good when this many writes have been carried out.
    pub fn dying_after(writes: usize) -> Self {
        let network = Self::default();
        network.0.state.lock().unwrap().last = Some(writes);
        network
    }

    /// From now on this rule decides.
    pub fn rule(&self, rule: impl FnMut(&Call) -> Fate + Send + 'static) {
        self.0.state.lock().unwrap().rule = Some(Box::new(rule));
    }

    /// From now on everything passes.
    pub fn heal(&self) {
        self.0.state.lock().unwrap().rule = None;
    }

    /// Breaks the connections of all answers that are under way, watches above all.
    pub fn cut(&self) {
        std::mem::take(&mut self.0.state.lock().unwrap().cut).cancel();
    }

    /// How often the API server has said to a watch that it cannot go on from there (410 Gone).
    pub fn gone(&self) -> usize {
        self.0.state.lock().unwrap().gone
    }

    /// Ends when the network has broken down.
    pub async fn died(&self) {
        let notified = self.0.crashed.notified();
        if self.0.state.lock().unwrap().dead {
            return;
        }
        notified.await;
    }

    /// Every request so far.
    pub fn calls(&self) -> Vec<Call> {
        self.0.state.lock().unwrap().calls.clone()
    }

    /// The requests so far that fit.
    pub fn count(&self, fits: impl Fn(&Call) -> bool) -> usize {
        self.0.state.lock().unwrap().calls.iter().filter(|call| fits(call)).count()
    }

    /// The writes so far, without the lease.
    pub fn writes(&self) -> Vec<String> {
        self.calls()
            .iter()
            .filter(|call| call.is_write())
            .map(|call| format!("{} {}", call.method, call.path))
            .collect()
    }

    /// Forgets the requests so far.
    pub fn clear(&self) {
        self.0.state.lock().unwrap().calls.clear();
    }

    fn decide(&self, request: &Request<Body>) -> (Fate, bool) {
        let mut state = self.0.state.lock().unwrap();
        let call = Call {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            writes_before: state.writes,
        };
        let dead = state.dead;
        let fate = match &mut state.rule {
            _ if dead => Fate::Hang,
            Some(rule) => rule(&call),
            None => Fate::Pass,
        };
        let mut dies = false;
        if call.is_write() && fate != Fate::Hang {
            state.writes += 1;
            dies = state.last == Some(state.writes);
            state.dead |= dies;
        }
        state.calls.push(call);
        (fate, dies)
    }
}

impl Layer<Wire> for Network {
    type Service = Faulty;

    fn layer(&self, inner: Wire) -> Faulty {
        Faulty { inner, network: self.clone() }
    }
}

/// The service of [`Network`].
pub struct Faulty {
    inner: Wire,
    network: Network,
}

impl Service<Request<Body>> for Faulty {
    type Response = Response<WireBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<WireBody>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (fate, dies) = self.network.decide(&request);
        if dies {
            let (answer, network) = (self.inner.call(request), self.network.clone());
            return Box::pin(async move {
                let answer = answer.await;
                // Carried out: the answer has come, but nobody will learn of it.
                drop(answer);
                network.0.crashed.notify_waiters();
                std::future::pending().await
            });
        }
        match fate {
            Fate::Pass => {
                let (answer, network) = (self.inner.call(request), self.network.clone());
                Box::pin(async move { Ok(answer.await?.map(|body| network.listen(body))) })
            }
            Fate::Refuse(code, reason) => Box::pin(async move { Ok(status(code, reason)) }),
            Fate::LoseAnswer => {
                let answer = self.inner.call(request);
                Box::pin(async move {
                    drop(answer.await);
                    Err("the connection was closed before the answer came".into())
                })
            }
            Fate::Hang => Box::pin(std::future::pending()),
            Fate::Panic => Box::pin(async { panic!("this panic is part of the test") }),
        }
    }
}

impl Network {
    /// An answer that can be cut off, and that is read along.
    fn listen(self, inner: WireBody) -> WireBody {
        let cut = self.0.state.lock().unwrap().cut.clone();
        Box::new(Answer { inner, network: self, cut: Box::pin(cut.cancelled_owned()) })
    }
}

/// The body of an answer.
struct Answer {
    inner: WireBody,
    network: Network,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err("the connection was closed".into())));
        }
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(bytes) = frame.data_ref()
            && bytes.windows(GONE.len()).any(|part| part == GONE)
        {
            self.network.0.state.lock().unwrap().gone += 1;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn status(code: u16, reason: &str) -> Response<WireBody> {
    let message = match code {
        403 => {
            "poddisruptionbudgets.policy is forbidden: User \"operator\" cannot patch resource \"poddisruptionbudgets\" in API group \"policy\""
        }
        _ => "the test refuses this request",
    };
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
    });
    let body = Full::new(Bytes::from(body.to_string()))
        .map_err(|never: std::convert::Infallible| -> BoxError { match never {} });
    Response::builder()
        .status(code)
        .header("Content-Type", "application/json")
        .body(Box::new(body) as WireBody)
        .unwrap()
}
