//! The network between the operators and the server: it loses, delays and refuses.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use flagsmith_operator::runtime::client::{Wire, WireBody};
use futures::{StreamExt as _, future::BoxFuture, stream};
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::client::Body;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;
use tower::{BoxError, Layer, Service};

use crate::{
    server::{Parsed, Server},
    store::{Refused, refused},
};

/// What the network does; each is a share of requests or events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Refused before anything happens.
    pub refuse: f64,
    /// Carried out, and the answer is lost: the connection ends, or nothing comes.
    pub lose: f64,
    /// Neither arrives nor is answered.
    pub hang: f64,
    /// A watch ends after an event.
    pub end_watch: f64,
    /// A watch is told that it asks for what is too old.
    pub gone: f64,
    /// An event comes twice.
    pub twice: f64,
    /// The longest that an event is on its way.
    pub lag: Duration,
    /// An event, and all after it, is on its way for minutes: the server's cache, or one of several servers, is behind.
    pub stuck: f64,
    /// A list comes in shorter pages than it was asked for in.
    pub short: f64,
    /// The next page of a list is of a past that is not kept any more.
    pub expired: f64,
    /// The longest that the server takes for a write that it has; it is carried out whether or not anybody waits.
    pub busy: Duration,
}

impl Faults {
    /// Some of each.
    pub fn many(busy: Duration) -> Self {
        Self {
            refuse: 0.1,
            lose: 0.1,
            hang: 0.03,
            end_watch: 0.05,
            gone: 0.03,
            twice: 0.03,
            lag: Duration::from_secs(5),
            stuck: 0.02,
            short: 0.5,
            expired: 0.1,
            busy,
        }
    }
}

/// What is wrong with the connection of one replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    #[default]
    Well,
    /// Nothing arrives, and no event comes.
    Cut,
    /// Requests take long to arrive; who gives up before has not sent them.
    Slow,
    /// Nothing about leases arrives.
    WithoutLeases,
}

/// The longest that a request takes over a slow connection: more than the client waits.
const SLOW: Duration = Duration::from_secs(12);
/// How often a connection that is cut is tried.
const CUT: Duration = Duration::from_secs(1);
/// The longest that a watch is behind.
const STUCK: Duration = Duration::from_mins(3);

/// One process's connection; a layer that takes the network's place.
#[derive(Clone)]
pub struct Line {
    pub server: Server,
    /// Which replica's it is.
    pub place: usize,
    /// The name of the process.
    pub from: String,
}

impl Layer<Wire> for Line {
    type Service = Self;

    fn layer(&self, _: Wire) -> Self {
        self.clone()
    }
}

impl Service<Request<Body>> for Line {
    type Response = Response<WireBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<WireBody>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // What is sent goes on its way also while the process that has sent it stands still.
        let task = AbortOnDropHandle::new(tokio::spawn(self.clone().serve(request)));
        Box::pin(async move { task.await.map_err(BoxError::from).flatten() })
    }
}

enum Fate {
    Pass,
    Refuse(u16, &'static str),
    Lose,
    Hang,
}

/// What happens to one request.
struct Way {
    fate: Fate,
    /// How long it takes to arrive, and its answer.
    delay: Duration,
    /// How long the server is busy with it.
    busy: Duration,
}

impl Line {
    fn link(&self) -> Link {
        self.server.lock().links[self.place]
    }

    fn way(&self, request: &Parsed) -> Way {
        let mut state = self.server.lock();
        let (faults, link) = (state.faults, state.links[self.place]);
        let mut delay = Duration::from_micros(state.random.random_range(100..20_000));
        let dice: f64 = state.random.random();
        let writes = request.method != Method::GET;
        let lost = link == Link::Cut || (link == Link::WithoutLeases && request.resource == "leases");
        let fate = if lost {
            Fate::Hang
        } else if dice < faults.refuse {
            const REFUSALS: [(u16, &str); 4] = [
                (429, "TooManyRequests"),
                (500, "InternalError"),
                (503, "ServiceUnavailable"),
                (504, "Timeout"),
            ];
            let (code, reason) = REFUSALS[state.random.random_range(0..REFUSALS.len())];
            Fate::Refuse(code, reason)
        } else if dice < faults.refuse + faults.lose && writes {
            Fate::Lose
        } else if dice < faults.refuse + faults.lose + faults.hang {
            Fate::Hang
        } else {
            Fate::Pass
        };
        if link == Link::Slow {
            delay += SLOW.mul_f64(state.random.random());
        }
        let busy = if writes && !faults.busy.is_zero() {
            faults.busy.mul_f64(state.random.random::<f64>().powi(3))
        } else {
            Duration::ZERO
        };
        Way { fate, delay, busy }
    }

    async fn serve(self, request: Request<Body>) -> Result<Response<WireBody>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let request = Parsed::of(&parts, &body);
        let Way { fate, delay, busy } = self.way(&request);
        tokio::time::sleep(delay).await;
        match fate {
            Fate::Refuse(code, reason) => {
                self.server.lock().note(format!("    {}: {} refused {code}", self.from, request.what()));
                return Ok(answered(Err(refused(code, reason, "the schedule says so"))));
            }
            Fate::Hang => {
                self.server.lock().note(format!("    {}: {} never arrives", self.from, request.what()));
                return std::future::pending().await;
            }
            Fate::Pass | Fate::Lose => {}
        }
        tracing::debug!(from = self.from, method = %request.method, resource = request.resource, name = request.name, query = ?request.query, "request");
        if request.watches() {
            self.server.lock().note(format!("    {}: {}", self.from, request.what()));
            return Ok(self.watch(request));
        }
        let answer = if busy.is_zero() {
            self.server.answer(&self.from, &request)
        } else {
            let (server, from) = (self.server.clone(), self.from.clone());
            let carried_out = tokio::spawn(async move {
                tokio::time::sleep(busy).await;
                server.answer(&from, &request)
            });
            carried_out.await?
        };
        if matches!(fate, Fate::Lose) {
            let ends = {
                let mut state = self.server.lock();
                state.note(format!("    {}: the answer is lost", self.from));
                state.random.random_bool(0.5)
            };
            if ends {
                return Err("the connection was closed before the answer came".into());
            }
            return std::future::pending().await;
        }
        tokio::time::sleep(delay.min(CUT)).await;
        Ok(answered(answer))
    }

    fn watch(self, request: Parsed) -> Response<WireBody> {
        let from = request.query.get("resourceVersion").and_then(|it| it.parse().ok()).unwrap_or(0);
        let feed = Feed { line: self, request, from, ended: false };
        let lines = stream::unfold(feed, |mut feed| async move {
            let line = feed.next().await?;
            Some((Ok::<_, BoxError>(Frame::data(Bytes::from(line))), feed))
        });
        respond(200, Box::new(StreamBody::new(lines.boxed())))
    }
}

/// A watch that is open.
struct Feed {
    line: Line,
    request: Parsed,
    from: u64,
    ended: bool,
}

impl Feed {
    async fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        loop {
            let changed = self.line.server.changed();
            let due = self.line.server.lock().store.next(&self.request.resource, self.from).cloned();
            let Some(change) = due else {
                changed.await;
                continue;
            };
            let before = std::mem::replace(&mut self.from, change.version);
            let (was, is) = (self.request.selects(&change.before), self.request.selects(&change.object));
            let kind = match (change.kind, was, is) {
                ("DELETED", _, true) | (_, true, false) => "DELETED",
                ("DELETED", _, false) | (_, false, false) => continue,
                (_, false, true) => "ADDED",
                (_, true, true) => "MODIFIED",
            };
            let (lag, gone, again) = {
                let mut state = self.line.server.lock();
                let faults = state.faults;
                let stuck = state.random.random::<f64>() < faults.stuck;
                let longest = if stuck { STUCK } else { faults.lag };
                let lag = longest.mul_f64(state.random.random::<f64>().powi(3));
                let dice: f64 = state.random.random();
                self.ended = dice < faults.end_watch + faults.gone;
                (lag, dice < faults.gone, dice > 1.0 - faults.twice)
            };
            if again {
                self.from = before;
            }
            tracing::debug!(to = self.line.from, kind, resource = self.request.resource, name = %change.object["metadata"]["name"], "event");
            tokio::time::sleep(lag).await;
            while self.line.link() == Link::Cut {
                tokio::time::sleep(CUT).await;
            }
            let (kind, object) = if gone {
                let expired = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old resource version" });
                ("ERROR", expired)
            } else {
                (kind, change.object)
            };
            // The type comes first: what follows is read as it comes.
            return Some(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"));
        }
    }
}

fn answered(answer: Result<(u16, Value), Refused>) -> Response<WireBody> {
    match answer {
        Ok((code, Value::String(text))) => full(code, text),
        Ok((code, value)) => full(code, value.to_string()),
        Err(Refused { code, reason, message }) => {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message });
            full(code, status.to_string())
        }
    }
}

fn full(code: u16, text: String) -> Response<WireBody> {
    let body = Full::new(Bytes::from(text))
        .map_err(|never: std::convert::Infallible| -> BoxError { match never {} });
    respond(code, Box::new(body))
}

fn respond(code: u16, body: WireBody) -> Response<WireBody> {
    Response::builder().status(code).header("Content-Type", "application/json").body(body).unwrap()
}
