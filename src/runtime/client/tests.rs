//! The client against a real HTTP server on this machine.

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Router,
    body::Body as AxumBody,
    extract::{Request as AxumRequest, State},
    http::StatusCode,
    response::IntoResponse as _,
};
use bytes::Bytes;
use futures::{AsyncBufReadExt as _, StreamExt as _, stream};
use http_body_util::BodyExt as _;
use kube::core::Request as KubeRequest;
use rstest::rstest;
use tokio::{net::TcpListener, sync::watch, time::Instant};
use tower::{layer::layer_fn, service_fn};

use super::*;
use crate::runtime::{
    fence::{fenced, is_not_leading},
    lease::Leadership,
};

const SECOND: Duration = Duration::from_secs(1);

type Answer = Arc<dyn Fn(u32) -> Response<AxumBody> + Send + Sync>;

#[derive(Clone)]
struct Server {
    /// The answer to the n-th request, counted from 0.
    answer: Answer,
    count: Arc<AtomicU32>,
    agents: Arc<Mutex<Vec<String>>>,
    metrics: Metrics,
}

impl Server {
    fn requests(&self) -> u32 {
        self.count.load(Ordering::SeqCst)
    }

    fn has(&self, series: &str) -> bool {
        self.metrics.render().unwrap().lines().any(|line| line == format!("flagsmith_operator_{series}"))
    }
}

async fn handle(State(server): State<Server>, request: AxumRequest) -> Response<AxumBody> {
    let agent = request.headers().get(USER_AGENT).map(|agent| agent.to_str().unwrap().to_owned());
    server.agents.lock().unwrap().extend(agent);
    (server.answer)(server.count.fetch_add(1, Ordering::SeqCst))
}

/// A server and a client for it.
async fn serve(answer: impl Fn(u32) -> Response<AxumBody> + Send + Sync + 'static) -> (Client, Server) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server {
        answer: Arc::new(answer),
        count: Arc::default(),
        agents: Arc::default(),
        metrics: Metrics::new(),
    };
    let router = Router::new().fallback(handle).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (connect(Config::new(url.parse().unwrap()), server.metrics.clone()).unwrap(), server)
}

fn status(code: u16, retry_after: Option<&str>) -> Response<AxumBody> {
    let body =
        format!(r#"{{"kind":"Status","status":"Failure","reason":"Test","message":"no","code":{code}}}"#);
    let mut response = (StatusCode::from_u16(code).unwrap(), body).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.parse().unwrap());
    }
    response
}

fn read() -> Request<Vec<u8>> {
    KubeRequest::new("/api/v1/namespaces/x/pods").get("y", &kube::api::GetParams::default()).unwrap()
}

fn write() -> Request<Vec<u8>> {
    KubeRequest::new("/api/v1/namespaces/x/pods")
        .create(&kube::api::PostParams::default(), b"{}".to_vec())
        .unwrap()
}

fn watch_pods() -> Request<Vec<u8>> {
    KubeRequest::new("/api/v1/pods").watch(&kube::api::WatchParams::default(), "0").unwrap()
}

#[tokio::test]
async fn a_request_is_counted_and_names_the_operator() {
    let (client, server) = serve(|_| "{}".into_response()).await;
    assert_eq!(client.request_text(read()).await.unwrap(), "{}");
    assert_eq!(*server.agents.lock().unwrap(), [AGENT]);
    assert!(server.has("kube_requests_total{verb=\"get\",kind=\"pods\",code=\"2xx\"} 1"));
    assert!(server.has("kube_request_duration_seconds_count{verb=\"get\"} 1"));
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again_after_the_time_that_it_asks_for() {
    let (client, server) =
        serve(|n| if n == 0 { status(429, Some("1")) } else { "{}".into_response() }).await;
    let start = Instant::now();
    client.request_text(write()).await.unwrap();
    let took = start.elapsed();
    assert!(took >= SECOND && took < 2 * SECOND, "{took:?}");
    assert!(server.has("kube_requests_total{verb=\"create\",kind=\"pods\",code=\"4xx\"} 1"));
    assert!(server.has("kube_requests_total{verb=\"create\",kind=\"pods\",code=\"2xx\"} 1"));
}

/// Leadership ends within seconds: what may be repeated a second later may not be repeated by this replica.
#[rstest]
#[case::write(write(), 1)]
#[case::read(read(), 2)]
#[tokio::test]
async fn a_write_is_not_repeated_by_whoever_does_not_lead_any_more(
    #[case] request: Request<Vec<u8>>,
    #[case] sent: u32,
) {
    let (leadership, leading) = watch::channel(Leadership::forever());
    let (client, server) = serve(move |n| {
        leadership.send_replace(Leadership::default());
        if n == 0 { status(429, None) } else { "{}".into_response() }
    })
    .await;
    let answer = fenced(client, leading).request_text(request).await;
    assert_eq!(server.requests(), sent);
    match answer {
        Ok(_) => assert_eq!(sent, 2),
        Err(error) => assert!(is_not_leading(&error), "{error:?}"),
    }
}

#[tokio::test]
async fn repetitions_end() {
    let (client, server) = serve(|_| status(503, None)).await;
    let start = Instant::now();
    let error = client.request_text(read()).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 503));
    assert_eq!(server.requests(), 4);
    assert!(start.elapsed() < 3 * SECOND);
}

#[rstest]
#[case::an_hour("3600")]
#[case::beyond_every_clock("18446744073709551615")]
#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun(#[case] asked: &'static str) {
    let (client, server) = serve(move |_| status(429, Some(asked))).await;
    let start = Instant::now();
    let error = client.request_text(read()).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 429));
    assert!(start.elapsed() < SECOND);
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_write_that_may_have_happened_is_not_repeated() {
    let (client, server) = serve(|_| status(504, None)).await;
    client.request_text(write()).await.unwrap_err();
    assert_eq!(server.requests(), 1);
}

/// A client whose requests are all answered with this body, and how many there were. Without a socket, so that the
/// clock can be paused: it would go on by itself while bytes are under way.
fn answered(body: fn() -> AxumBody) -> (Client, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let network = layer_fn(move |_: Wire| {
        let counted = Arc::clone(&counted);
        service_fn(move |_: Request<Body>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let body: WireBody = Box::new(body().map_err(BoxError::from));
            async move { Ok::<_, BoxError>(Response::new(body)) }
        })
    });
    let config = Config::new("http://127.0.0.1:1".parse().unwrap());
    (connect_with(config, Metrics::new(), &network).unwrap(), count)
}

/// A body that begins and never ends.
fn endless() -> AxumBody {
    let start = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"{"))]);
    AxumBody::from_stream(start.chain(stream::pending()))
}

/// A line each second, forever.
fn ticks() -> AxumBody {
    AxumBody::from_stream(stream::unfold(0, |n| async move {
        tokio::time::sleep(SECOND).await;
        Some((Ok::<_, io::Error>(Bytes::from(format!("{n}\n"))), n + 1))
    }))
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_end_is_given_up(#[values(false, true)] is_fenced: bool) {
    let (mut client, count) = answered(endless);
    let (_leadership, leading) = watch::channel(Leadership::forever());
    if is_fenced {
        client = fenced(client, leading);
    }
    let start = Instant::now();
    let error = client.request_text(read()).await.unwrap_err();
    let took = start.elapsed();
    assert!(took >= CALL_DEADLINE && took < CALL_DEADLINE + SECOND, "{took:?}");
    assert!(is_deadline(&error), "{error:?}");
    assert!(error.to_string().contains("the API server did not answer get pods within 10 s"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_outlives_the_deadline() {
    let (client, _) = answered(ticks);
    let start = Instant::now();
    let mut lines = client.request_stream(watch_pods()).await.unwrap().lines();
    while start.elapsed() < CALL_DEADLINE + SECOND {
        lines.next().await.unwrap().unwrap();
    }
}

/// A network that swallows every request.
fn silent() -> impl Layer<Wire, Service = Silent> {
    layer_fn(|_| Silent)
}

#[derive(Clone)]
struct Silent;

impl Service<Request<Body>> for Silent {
    type Response = Response<WireBody>;
    type Error = BoxError;
    type Future = std::future::Pending<Result<Response<WireBody>, BoxError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        std::future::pending()
    }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_deadline_even_for_a_watch() {
    let metrics = Metrics::new();
    let config = Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = connect_with(config, metrics.clone(), &silent()).unwrap();
    for request in [read(), write(), watch_pods()] {
        let start = Instant::now();
        let error = client.request_text(request).await.unwrap_err();
        assert!(is_deadline(&error), "{error:?}");
        let took = start.elapsed();
        assert!(took >= CALL_DEADLINE && took < CALL_DEADLINE + SECOND, "{took:?}");
    }
    assert!(metrics.render().unwrap().contains("{verb=\"watch\",kind=\"pods\",code=\"none\"} 1"));
}

#[tokio::test]
async fn a_refused_connection_is_an_error_at_once() {
    let config = Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = connect(config, Metrics::new()).unwrap();
    let start = Instant::now();
    let error = client.request_text(read()).await.unwrap_err();
    assert!(!is_deadline(&error), "{error:?}");
    assert!(start.elapsed() < SECOND);
}

#[test]
fn the_cryptography_can_be_installed_twice() {
    install_crypto();
    install_crypto();
    assert!(rustls::crypto::CryptoProvider::get_default().is_some());
}
