//! An API server in memory, as the operator's client sees it: with a network that loses, delays and refuses.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
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
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::{BoxError, Layer, Service};

use crate::{
    invariants::Invariants,
    merge::merge,
    store::{Key, Refused, Store, refused},
};

/// What the network does; each is a share of requests or events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Refused before anything happens.
    pub refuse: f64,
    /// Carried out, and the answer is lost.
    pub lose: f64,
    /// Neither arrives nor is answered.
    pub hang: f64,
    /// A watch ends after an event.
    pub end_watch: f64,
    /// A watch is told that it asks for what is too old.
    pub gone: f64,
    /// The longest that an event is on its way.
    pub lag: Duration,
}

pub struct State {
    pub store: Store,
    pub invariants: Invariants,
    pub faults: Faults,
    pub random: StdRng,
    /// Requests so far, by what they are.
    pub requests: BTreeMap<String, usize>,
    pub writes: usize,
}

/// The server; a layer that takes the network's place.
#[derive(Clone)]
pub struct Server {
    state: Arc<Mutex<State>>,
    version: watch::Sender<u64>,
}

impl Server {
    pub fn new(seed: u64) -> Self {
        let state = State {
            store: Store::default(),
            invariants: Invariants::default(),
            faults: Faults::default(),
            random: StdRng::seed_from_u64(seed),
            requests: BTreeMap::new(),
            writes: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), version: watch::Sender::new(0) }
    }

    /// Does something to what is stored, and tells the watches.
    pub fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.store.changes.len();
        let result = run(&mut state);
        let State { store, invariants, .. } = &mut *state;
        for change in &store.changes[before..] {
            invariants.see(change, store);
        }
        invariants.by_operator = false;
        self.version.send_replace(state.store.version);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn answer(&self, request: &Parsed) -> Result<(u16, Value), Refused> {
        self.with(|state| {
            let writes = request.method != Method::GET && request.resource != "selfsubjectaccessreviews";
            state.writes += usize::from(writes && request.resource != "leases");
            let label = format!("{} {} {}", request.method, request.resource, request.subresource);
            *state.requests.entry(label).or_default() += 1;
            if state.requests.values().sum::<usize>() == MOST {
                state.invariants.broken.push(format!("it asks without end: {:#?}", state.requests));
            }
            state.invariants.by_operator = true;
            let before = state.store.changes.len();
            let answer = handle(&mut state.store, request)?;
            if request.subresource == "status" {
                state.invariants.status_of(&request.body, &answer);
            }
            let created = state.store.changes[before..].iter().any(|it| it.kind == "ADDED");
            Ok((if created { 201 } else { 200 }, answer))
        })
    }
}

/// More requests than any schedule needs.
const MOST: usize = 20_000;

/// A request, taken apart.
#[derive(Debug)]
pub struct Parsed {
    pub method: Method,
    pub group_version: String,
    pub resource: String,
    pub namespace: String,
    pub name: String,
    pub subresource: String,
    pub query: BTreeMap<String, String>,
    pub content: String,
    pub body: Value,
}

impl Parsed {
    fn of(request: &http::request::Parts, body: &[u8]) -> Self {
        let path = request.uri.path();
        let parts: Vec<&str> = path.split('/').filter(|it| !it.is_empty()).collect();
        let (group_version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => (String::new(), &[][..]),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => ((*namespace).to_owned(), rest),
            rest => (String::new(), rest),
        };
        let part = |place: usize| rest.get(place).map(|it| (*it).to_owned()).unwrap_or_default();
        let query = request.uri.query().unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let content = request.headers.get("content-type").and_then(|it| it.to_str().ok()).unwrap_or_default();
        Self {
            method: request.method.clone(),
            group_version,
            resource: part(0),
            namespace,
            name: part(1),
            subresource: part(2),
            query,
            content: content.to_owned(),
            body: serde_json::from_slice(body).unwrap_or_default(),
        }
    }

    fn key(&self) -> Key {
        let name = if self.name.is_empty() {
            self.body["metadata"]["name"].as_str().unwrap_or_default()
        } else {
            &self.name
        };
        (self.resource.clone(), self.namespace.clone(), name.to_owned())
    }

    fn watches(&self) -> bool {
        self.query.get("watch").is_some_and(|it| it == "true" || it == "1")
    }

    /// Whether an object is of this collection.
    fn selects(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let of_namespace =
            self.namespace.is_empty() || object["metadata"]["namespace"] == self.namespace.as_str();
        let selector = self.query.get("labelSelector").map(String::as_str).unwrap_or_default();
        of_namespace
            && selector.split(',').filter(|it| !it.is_empty()).all(|rule| {
                if let Some((label, value)) = rule.split_once("!=") {
                    labels[label] != value
                } else if let Some((label, value)) = rule.split_once('=') {
                    labels[label] == value
                } else {
                    !labels[rule].is_null()
                }
            })
    }
}

const NOT_SERVED: &[&str] = &["gateway.networking.k8s.io", "monitoring.coreos.com"];

fn handle(store: &mut Store, request: &Parsed) -> Result<Value, Refused> {
    let not_found = || refused(404, "NotFound", format!("{} {:?} not found", request.resource, request.name));
    if NOT_SERVED.iter().any(|group| request.group_version.starts_with(group)) {
        return Err(not_found());
    }
    match request.resource.as_str() {
        "selfsubjectaccessreviews" => {
            let mut review = request.body.clone();
            review["status"] = json!({ "allowed": true });
            return Ok(review);
        }
        // Comparing the definition takes more time than all else, and is no part of this.
        "customresourcedefinitions" => return Err(refused(403, "Forbidden", "no right to read it")),
        "events" => return Ok(request.body.clone()),
        _ => {}
    }
    let key = request.key();
    match (&request.method, request.subresource.as_str()) {
        (_, "log") => Ok(Value::String(String::new())),
        (&Method::GET, _) if request.name.is_empty() => {
            let found = store.of(&request.resource).into_iter().map(|(_, it)| it);
            let items: Vec<Value> = found.filter(|it| request.selects(it)).collect();
            let version = store.version.to_string();
            Ok(
                json!({ "kind": "List", "apiVersion": request.group_version, "metadata": { "resourceVersion": version }, "items": items }),
            )
        }
        (&Method::GET, _) => store.get(&key).cloned().ok_or_else(not_found),
        (&Method::POST, _) => store.create(key, typed(request)),
        (&Method::PATCH, "status") => {
            let mut object = store.get(&key).cloned().ok_or_else(not_found)?;
            // Whose uid it is does not matter there.
            let wanted = &request.body["metadata"]["resourceVersion"];
            if wanted.is_string() && *wanted != object["metadata"]["resourceVersion"] {
                return Err(refused(409, "Conflict", "the object has been modified"));
            }
            object["status"] = request.body["status"].clone();
            Ok(store.update(&key, object))
        }
        (&Method::PATCH, _) if request.content.contains("apply") => {
            let manager = request.query.get("fieldManager").cloned().unwrap_or_default();
            let force = request.query.get("force").is_some_and(|it| it == "true");
            store.apply(&key, &manager, force, &typed(request))
        }
        (&Method::PATCH, _) if request.content.contains("merge-patch") => {
            let mut object = store.get(&key).cloned().ok_or_else(not_found)?;
            merge(&mut object, request.body.clone());
            Ok(store.update(&key, object))
        }
        (&Method::DELETE, _) => {
            let object = store.get(&key).cloned().ok_or_else(not_found)?;
            let uid = &request.body["preconditions"]["uid"];
            if uid.is_string() && *uid != object["metadata"]["uid"] {
                return Err(refused(409, "Conflict", "another uid"));
            }
            store.delete(&key, request.body["propagationPolicy"] == "Foreground");
            Ok(json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" }))
        }
        _ => Err(refused(405, "MethodNotAllowed", format!("{request:?}"))),
    }
}

fn typed(request: &Parsed) -> Value {
    let mut body = request.body.clone();
    if body["kind"].is_null() {
        let kind = match request.resource.as_str() {
            "secrets" => "Secret",
            "jobs" => "Job",
            _ => "Object",
        };
        body["kind"] = json!(kind);
        body["apiVersion"] = json!(request.group_version);
    }
    body
}

impl Layer<Wire> for Server {
    type Service = Self;

    fn layer(&self, _: Wire) -> Self {
        self.clone()
    }
}

enum Fate {
    Pass,
    Refuse(u16, &'static str),
    Lose,
    Hang,
}

impl Server {
    fn fate(&self, request: &Parsed) -> (Fate, Duration) {
        let mut state = self.lock();
        let faults = state.faults;
        let delay = Duration::from_micros(state.random.random_range(100..20_000));
        let dice: f64 = state.random.random();
        let writes = request.method != Method::GET;
        let fate = if dice < faults.refuse {
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
        (fate, delay)
    }

    async fn serve(self, request: Request<Body>) -> Result<Response<WireBody>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let request = Parsed::of(&parts, &body);
        let (fate, delay) = self.fate(&request);
        tokio::time::sleep(delay).await;
        match fate {
            Fate::Refuse(code, reason) => {
                return Ok(answered(Err(refused(code, reason, "the schedule says so"))));
            }
            Fate::Hang => return std::future::pending().await,
            Fate::Pass | Fate::Lose => {}
        }
        tracing::debug!(method = %request.method, resource = request.resource, name = request.name, query = ?request.query, "request");
        if request.watches() {
            return Ok(self.watch(request));
        }
        let answer = self.answer(&request);
        if matches!(fate, Fate::Lose) {
            return Err("the connection was closed before the answer came".into());
        }
        tokio::time::sleep(delay).await;
        Ok(answered(answer))
    }

    fn watch(self, request: Parsed) -> Response<WireBody> {
        let from = request.query.get("resourceVersion").and_then(|it| it.parse().ok()).unwrap_or(0);
        let feed = Feed { version: self.version.subscribe(), server: self, request, from, ended: false };
        let lines = stream::unfold(feed, |mut feed| async move {
            let line = feed.next().await?;
            Some((Ok::<_, BoxError>(Frame::data(Bytes::from(line))), feed))
        });
        respond(200, Box::new(StreamBody::new(lines.boxed())))
    }
}

/// A watch that is open.
struct Feed {
    server: Server,
    request: Parsed,
    version: watch::Receiver<u64>,
    from: u64,
    ended: bool,
}

impl Feed {
    async fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        loop {
            self.version.mark_unchanged();
            let due = self.server.lock().store.next(&self.request.resource, self.from).cloned();
            let Some(change) = due else {
                self.version.changed().await.ok()?;
                continue;
            };
            self.from = change.version;
            let (was, is) = (self.request.selects(&change.before), self.request.selects(&change.object));
            let kind = match (change.kind, was, is) {
                ("DELETED", _, true) | (_, true, false) => "DELETED",
                ("DELETED", _, false) | (_, false, false) => continue,
                (_, false, true) => "ADDED",
                (_, true, true) => "MODIFIED",
            };
            let (lag, gone) = {
                let mut state = self.server.lock();
                let faults = state.faults;
                let lag = faults.lag.mul_f64(state.random.random::<f64>().powi(3));
                let dice: f64 = state.random.random();
                self.ended = dice < faults.end_watch + faults.gone;
                (lag, dice < faults.gone)
            };
            tracing::debug!(kind, resource = self.request.resource, name = %change.object["metadata"]["name"], "event");
            tokio::time::sleep(lag).await;
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

impl Service<Request<Body>> for Server {
    type Response = Response<WireBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<WireBody>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().serve(request))
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
