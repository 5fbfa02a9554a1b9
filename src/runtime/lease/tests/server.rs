//! An API server in memory that has room for one lease, and replicas that compete for it.

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower::{BoxError, service_fn};

use super::super::*;

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/flagsmith-system/leases";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/flagsmith-system/leases/operator";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    #[default]
    Well,
    /// It answers that something is wrong.
    Refusing,
    /// It takes requests and answers none.
    Silent,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) lease: Option<Value>,
    pub(super) health: Health,
    /// Every request, by when it came.
    pub(super) requests: Vec<(Instant, Method)>,
    version: u64,
}

impl State {
    /// Stores it under a version that it never had.
    pub(super) fn store(&mut self, mut lease: Value) -> (StatusCode, Value) {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        lease["metadata"]["uid"] = json!("the-only-one");
        self.lease = Some(lease.clone());
        (StatusCode::OK, lease)
    }

    /// What somebody else writes, whatever is stored.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut lease = self.lease.clone().unwrap();
        change(&mut lease);
        self.store(lease);
    }

    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        if self.health == Health::Refusing {
            return refused(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method.as_str(), path, &self.lease) {
            ("GET", LEASE, Some(lease)) => (StatusCode::OK, lease.clone()),
            ("POST", LEASES, None) if said["metadata"]["name"] == "operator" => self.store(said),
            ("POST", LEASES, Some(_)) => refused(StatusCode::CONFLICT, "AlreadyExists"),
            ("PUT", LEASE, Some(stored)) => {
                let seen = &said["metadata"]["resourceVersion"];
                if *seen == stored["metadata"]["resourceVersion"] {
                    self.store(said)
                } else {
                    refused(StatusCode::CONFLICT, "Conflict")
                }
            }
            ("GET" | "PUT", LEASE, None) => refused(StatusCode::NOT_FOUND, "NotFound"),
            _ => refused(StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
        }
    }
}

fn refused(status: StatusCode, reason: &str) -> (StatusCode, Value) {
    (
        status,
        json!({ "kind": "Status", "status": "Failure", "reason": reason, "code": status.as_u16(), "message": "" }),
    )
}

#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<State>>);

impl Server {
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let body = request.into_body().collect().await?.to_bytes();
                server.with(|state| state.requests.push((Instant::now(), method.clone())));
                if server.with(|state| state.health) == Health::Silent {
                    std::future::pending::<()>().await;
                }
                let (status, answer) = server.with(|state| state.answer(&method, &path, &body));
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = status;
                Ok::<_, BoxError>(response)
            }
        });
        Client::new(service, "default")
    }

    /// What is stored.
    pub(super) fn lease(&self) -> Value {
        self.with(|state| state.lease.clone().unwrap())
    }

    /// The requests that came since this was asked last.
    pub(super) fn requests(&self) -> Vec<(Instant, Method)> {
        self.with(|state| std::mem::take(&mut state.requests))
    }

    /// Waits for the next write; when it came.
    pub(super) async fn write(&self) -> Instant {
        let writes =
            |state: &mut State| state.requests.iter().rfind(|(_, method)| *method != Method::GET).cloned();
        self.requests();
        loop {
            if let Some((at, _)) = self.with(writes) {
                return at;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub(super) fn settings(pod: &str) -> LeaseSettings {
    LeaseSettings::new("flagsmith-system", "operator", pod)
        .watching(vec!["prod".to_owned(), "test".to_owned()])
}

/// One replica of the operator, as far as the lease goes.
pub(super) struct Replica {
    pub(super) identity: String,
    pub(super) leading: watch::Receiver<Leadership>,
    pub(super) shutdown: CancellationToken,
    pub(super) drained: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

impl Replica {
    pub(super) fn start(server: &Server, pod: &str) -> Self {
        let settings = settings(pod);
        let identity = settings.identity.clone();
        let (sender, leading) = watch::channel(Leadership::default());
        let (shutdown, drained) = (CancellationToken::new(), CancellationToken::new());
        let lease = Lease::new(server.client(), settings, Metrics::new());
        let task = tokio::spawn(lease.run(sender, shutdown.clone(), drained.clone().cancelled_owned()));
        Self { identity, leading, shutdown, drained, task }
    }

    pub(super) fn leads(&self) -> bool {
        self.leading.borrow().leads()
    }

    /// Waits by the notifications alone until this replica leads, or does not; how long it took.
    pub(super) async fn until(&mut self, leads: bool) -> Duration {
        let start = Instant::now();
        self.leading.wait_for(|now| now.leads() == leads).await.unwrap();
        start.elapsed()
    }

    /// Waits for its end; how long it took.
    pub(super) async fn ends(&mut self) -> Duration {
        let start = Instant::now();
        (&mut self.task).await.unwrap();
        start.elapsed()
    }
}

/// Two replicas, the first of which leads.
pub(super) async fn pair(server: &Server) -> [Replica; 2] {
    let mut first = Replica::start(server, "first");
    first.until(true).await;
    [first, Replica::start(server, "second")]
}
