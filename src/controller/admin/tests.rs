use std::net::Ipv4Addr;

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::*;
use crate::controller::readiness::Gate;

const SECOND: Duration = Duration::from_secs(1);

/// Any free ports of this machine.
const ANYWHERE: Addresses = {
    let address = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    Addresses { probes: address, metrics: address }
};

struct Server {
    addresses: Addresses,
    sources: Sources,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn server() -> Server {
    let sources =
        Sources { heartbeat: Heartbeat::new(), readiness: Readiness::new(), metrics: Metrics::new() };
    let admin = Admin::bind(ANYWHERE, sources.clone(), Protection::default()).unwrap();
    let addresses = admin.addresses();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(admin.run(shutdown.clone()));
    Server { addresses, sources, shutdown, task }
}

/// Sends `head` and reads until the server closes the connection.
async fn raw(address: SocketAddr, head: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close before it has read everything.
    let _ = stream.write_all(head).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Status, head and body of a GET.
async fn get_path(address: SocketAddr, path: &str) -> (u16, String, String) {
    let answer = raw(address, format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn alive_and_not_ready_at_first() {
    let server = server();
    let (status, _, body) = get_path(server.addresses.probes, "/livez").await;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    let (status, _, body) = get_path(server.addresses.probes, "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (
            503,
            "[-] crd: not checked yet\n[-] rights: not checked yet\n[-] lock-key: not checked yet\n[-] caches: not checked yet\n"
        )
    );
}

#[tokio::test]
async fn ready_when_every_gate_is_open() {
    let server = server();
    for gate in Gate::ALL {
        server.sources.readiness.open(gate);
    }
    let (status, _, body) = get_path(server.addresses.probes, "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (200, "[+] crd: ok\n[+] rights: ok\n[+] lock-key: ok\n[+] caches: ok\n")
    );
    server.sources.readiness.close(Gate::Caches, "pods are not listed yet");
    let (status, _, body) = get_path(server.addresses.probes, "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (503, "[+] crd: ok\n[+] rights: ok\n[+] lock-key: ok\n[-] caches: pods are not listed yet\n")
    );
}

#[tokio::test(start_paused = true)]
async fn dead_when_no_task_runs() {
    let sources =
        Sources { heartbeat: Heartbeat::new(), readiness: Readiness::new(), metrics: Metrics::new() };
    tokio::time::advance(crate::runtime::heartbeat::STUCK_AFTER + SECOND).await;
    let answer = livez(State(sources.clone())).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    sources.heartbeat.beat();
    assert_eq!(livez(State(sources)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn metrics_have_the_content_type_of_their_format() {
    let server = server();
    server.sources.metrics.pass_panicked();
    let (status, head, body) = get_path(server.addresses.metrics, "/metrics").await;
    assert_eq!(status, 200);
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    assert!(body.contains("\nflagsmith_operator_panics_total 1\n") && body.ends_with("# EOF\n"), "{body}");
}

#[rstest]
#[case::unknown_path("GET /secret HTTP/1.1\r\nhost: x\r\n\r\n".into(), "404")]
#[case::write("POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".into(), "405")]
#[case::no_http("hello\r\n\r\n".into(), "400")]
#[case::large_head(format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000)), "431")]
#[tokio::test]
async fn other_requests_are_refused(#[case] request: String, #[case] status: &str) {
    let server = server();
    let answer = raw(server.addresses.probes, request.as_bytes()).await;
    assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
}

/// Connections from one address that say nothing.
async fn idle(count: usize, from: Ipv4Addr, to: SocketAddr) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        idle.push(socket.connect(to).await.unwrap());
    }
    idle
}

/// From the same address too: behind a network that hides addresses, a kubelet has that of others.
#[rstest]
#[case::others(Ipv4Addr::new(127, 0, 0, 2), 1_000)]
#[case::the_same(Ipv4Addr::LOCALHOST, 200)]
#[tokio::test]
async fn whoever_connects_and_says_nothing_is_in_no_probes_way(#[case] from: Ipv4Addr, #[case] count: usize) {
    let server = server();
    let idle = idle(count, from, server.addresses.probes).await;
    for path in ["/livez", "/readyz", "/livez"] {
        let start = Instant::now();
        let (status, ..) = get_path(server.addresses.probes, path).await;
        assert!(status == 200 || path == "/readyz", "{path}: {status}");
        assert!(start.elapsed() < SECOND, "{path}: {:?}", start.elapsed());
    }
    drop(idle);
}

/// More than Rust's own backlog holds, while this process has no time to take any: the kernel tells nobody to come again a
/// second later.
#[tokio::test]
async fn a_crowd_that_comes_at_once_delays_nobody() {
    let server = server();
    let address = server.addresses.probes;
    let start = Instant::now();
    let crowd: Vec<_> = (0..400)
        .map(|_| std::net::TcpStream::connect_timeout(&address, SECOND).expect("has a place"))
        .collect();
    assert_eq!(get_path(address, "/livez").await.0, 200);
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    drop(crowd);
}

#[tokio::test]
async fn metrics_are_read_while_others_say_nothing() {
    let server = server();
    let idle = idle(200, Ipv4Addr::new(127, 0, 0, 2), server.addresses.metrics).await;
    let start = Instant::now();
    let (status, ..) = get_path(server.addresses.metrics, "/metrics").await;
    assert_eq!(status, 200);
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    drop(idle);
}

#[rstest]
#[case::nothing("")]
#[case::a_beginning("GET /livez HTTP/1.1\r\n")]
#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for(#[case] head: &str) {
    let server = server();
    let start = Instant::now();
    raw(server.addresses.probes, head.as_bytes()).await;
    assert!(start.elapsed() < PROBES.whole + SECOND / 2, "{:?}", start.elapsed());
}

#[tokio::test]
async fn each_port_has_its_own_paths() {
    let server = server();
    let Addresses { probes, metrics } = server.addresses;
    assert_eq!(get_path(probes, "/metrics").await.0, 404);
    assert_eq!(get_path(metrics, "/livez").await.0, 404);
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_server_stops() {
    let server = server();
    let mut stream = TcpStream::connect(server.addresses.probes).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    sleep(SECOND / 5).await;
    server.shutdown.cancel();
    sleep(SECOND / 5).await;
    assert!(!server.task.is_finished());
    stream.write_all(b"host: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    timeout(SECOND, server.task).await.expect("stops").unwrap();
    assert!(TcpStream::connect(server.addresses.probes).await.is_err(), "still listens");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = server();
    let metrics = server.addresses.metrics;
    let error =
        Admin::bind(Addresses { metrics, ..ANYWHERE }, server.sources, Protection::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {metrics} for metrics"));
}

/// A certificate for this machine in a directory, which is all that whoever connects then believes.
async fn renewed(directory: &std::path::Path) -> tokio_rustls::TlsConnector {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    tokio::fs::write(directory.join("tls.crt"), made.cert.pem()).await.unwrap();
    tokio::fs::write(directory.join("tls.key"), made.signing_key.serialize_pem()).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config).into()
}

/// Whether somebody who believes only this certificate is answered.
async fn believes(connector: &tokio_rustls::TlsConnector, address: SocketAddr) -> bool {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let Ok(mut stream) = connector.connect(name, stream).await else {
        return false;
    };
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap().starts_with("HTTP/1.1 200 ")
}

#[tokio::test]
async fn a_changed_certificate_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let missing = Certificate::load(directory.path()).await.unwrap_err().to_string();
    assert!(missing.ends_with("tls.crt cannot be read"), "{missing}");
    let first = renewed(directory.path()).await;
    let certificate = Certificate::load(directory.path()).await.unwrap();
    let sources =
        Sources { heartbeat: Heartbeat::new(), readiness: Readiness::new(), metrics: Metrics::new() };
    let protection = Protection { certificate: Some(certificate.clone()), readers: None };
    let admin = Admin::bind(ANYWHERE, sources, protection).unwrap();
    let address = admin.addresses().metrics;
    tokio::spawn(admin.run(CancellationToken::new()));
    assert!(believes(&first, address).await);
    assert!(!certificate.refresh().await.unwrap(), "nothing has changed");

    let second = renewed(directory.path()).await;
    assert!(certificate.refresh().await.unwrap());
    assert_eq!((believes(&first, address).await, believes(&second, address).await), (false, true));

    // Read from either side of a change: the key is another one's.
    let key = tokio::fs::read(directory.path().join("tls.key")).await.unwrap();
    renewed(directory.path()).await;
    tokio::fs::write(directory.path().join("tls.key"), key).await.unwrap();
    assert!(certificate.refresh().await.is_err());
    assert!(believes(&second, address).await);

    // In plain text nobody is answered.
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}
