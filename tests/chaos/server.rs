//! An API server in memory: what it answers, and what is noted of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use http::Method;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    invariants::Invariants,
    lists::{Pages, expired},
    merge::merge,
    network::{Faults, Link},
    store::{Key, Refused, Store, refused},
};

pub struct State {
    pub store: Store,
    pages: Pages,
    /// The installations of this schedule.
    pub installations: Vec<Key>,
    pub invariants: Invariants,
    pub faults: Faults,
    /// What is wrong with the connection of one replica.
    pub links: [Link; REPLICAS],
    pub random: StdRng,
    /// Requests so far, by what they are.
    pub requests: BTreeMap<String, usize>,
    pub writes: usize,
    /// Everything that happened, in order.
    pub journal: Vec<String>,
}

/// How many replicas there may be.
pub const REPLICAS: usize = 2;

/// The lease that they compete for.
pub fn lease() -> Key {
    ("leases".to_owned(), "flagsmith-system".to_owned(), "flagsmith-operator".to_owned())
}

impl State {
    /// Notes that something happened.
    pub fn note(&mut self, what: impl std::fmt::Display) {
        self.journal.push(format!("{:9.3} {what}", self.store.age().as_secs_f64()));
    }

    fn list(&mut self, request: &Parsed) -> Result<Value, Refused> {
        if request.not_served() {
            return Err(request.not_found());
        }
        let mut most = request.query.get("limit").and_then(|it| it.parse().ok()).unwrap_or(usize::MAX);
        if self.faults.short > 0.0 && self.random.random_bool(self.faults.short) {
            most = most.min(self.random.random_range(1..4));
        }
        let continues = request.query.contains_key("continue");
        if continues && self.random.random_bool(self.faults.expired) {
            return Err(expired());
        }
        self.pages.list(&self.store, request, most)
    }
}

/// The server.
#[derive(Clone)]
pub struct Server {
    state: Arc<Mutex<State>>,
    /// Woken, in the order in which they wait, at each change.
    changed: Arc<Notify>,
}

impl Server {
    pub fn new(seed: u64) -> Self {
        let state = State {
            store: Store::default(),
            pages: Pages::default(),
            installations: Vec::new(),
            invariants: Invariants::default(),
            faults: Faults::default(),
            links: [Link::default(); REPLICAS],
            random: StdRng::seed_from_u64(seed),
            requests: BTreeMap::new(),
            writes: 0,
            journal: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    /// Does something to what is stored, and tells the watches.
    pub fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.store.changes.len();
        let result = run(&mut state);
        let State { store, invariants, .. } = &mut *state;
        let changed = store.changes.len() > before;
        for change in &store.changes[before..] {
            invariants.see(change, store);
        }
        invariants.by_operator = false;
        drop(state);
        if changed {
            self.changed.notify_waiters();
        }
        result
    }

    /// Waits until something is changed after this was called.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + 'static {
        Arc::clone(&self.changed).notified_owned()
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Carries out what an operator asks for.
    pub fn answer(&self, from: &str, request: &Parsed) -> Result<(u16, Value), Refused> {
        self.with(|state| {
            let writes = request.writes();
            state.writes += usize::from(writes);
            let label = format!("{} {} {}", request.method, request.resource, request.subresource);
            *state.requests.entry(label).or_default() += usize::from(request.resource != "leases");
            if state.requests.values().sum::<usize>() == MOST {
                state.invariants.broken.push(format!("it asks without end: {:#?}", state.requests));
            }
            if writes {
                let holder = state.store.get(&lease()).map(|it| it["spec"]["holderIdentity"].clone());
                state.invariants.writes(from, holder.as_ref(), &request.what());
            }
            state.invariants.by_operator = true;
            let before = state.store.changes.len();
            let answer =
                if request.lists() { state.list(request) } else { handle(&mut state.store, request) };
            let code = answer.as_ref().map_or_else(|refused| refused.code, |_| 200);
            state.note(format!("    {from}: {} {code}", request.what()));
            let answer = answer?;
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
    pub fn of(request: &http::request::Parts, body: &[u8]) -> Self {
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

    /// Whether it may change something that only the leader may change.
    pub fn writes(&self) -> bool {
        self.method != Method::GET && !matches!(self.resource.as_str(), "selfsubjectaccessreviews" | "leases")
    }

    /// What it asks for, in few words. Events have names of the real time.
    pub fn what(&self) -> String {
        let (_, _, name) = if self.resource == "events" { Key::default() } else { self.key() };
        let watches = if self.watches() { " watch" } else { "" };
        format!("{} {} {name} {}{watches}", self.method, self.resource, self.subresource)
    }

    fn lists(&self) -> bool {
        self.method == Method::GET && self.name.is_empty()
    }

    fn not_served(&self) -> bool {
        NOT_SERVED.iter().any(|group| self.group_version.starts_with(group))
    }

    fn not_found(&self) -> Refused {
        refused(404, "NotFound", format!("{} {:?} not found", self.resource, self.name))
    }

    pub fn watches(&self) -> bool {
        self.query.get("watch").is_some_and(|it| it == "true" || it == "1")
    }

    /// Whether an object is of this collection.
    pub fn selects(&self, object: &Value) -> bool {
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
    let not_found = || request.not_found();
    if request.not_served() {
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
        (&Method::PUT, "") => store.replace(&key, typed(request)),
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
