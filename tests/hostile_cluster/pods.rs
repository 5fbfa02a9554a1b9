//! Pods that answer the operator's question for metrics with whatever they like.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    machine::is_a_pods,
    siege::{database, survives},
    support::{SOON, converged},
    tenant::Tenant,
};

/// Where Flagsmith serves metrics.
const PORT: u16 = 9100;

/// Installations, and API pods of each, which is how many pods of one are asked.
const INSTALLATIONS: usize = 8;
const PODS: usize = 8;

/// How long all of them are asked at least: the operator asks again after 30 s.
const ASKED: Duration = Duration::from_secs(35);

/// Every address of a simulated pod is this machine's, so that one listener is all of them. Each answers without an end.
#[test]
fn without_end() {
    survives("metrics without end", |_| async {
        let answers = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))
            .expect("nothing else on this machine listens on port 9100 (a node exporter does)");
        let counted = Arc::clone(&answers);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                // Others are nobody's business here.
                if socket.local_addr().is_ok_and(|it| is_a_pods(it.ip())) {
                    counted.fetch_add(1, Ordering::Relaxed);
                    thread::spawn(move || answer(socket));
                }
            }
        });
        let tenant = Tenant::new("metrics").await;
        let names: Vec<_> = (0..INSTALLATIONS).map(|number| format!("flags-{number}")).collect();
        for name in &names {
            let spec = json!({ "api": { "replicas": PODS } });
            tenant.install(name, &database("others"), spec).await;
        }
        for name in &names {
            tenant.until(name, 2 * SOON, "Ready", converged).await;
        }
        sleep(ASKED).await;
        let end = Instant::now() + SOON;
        while answers.load(Ordering::Relaxed) < INSTALLATIONS * PODS {
            assert!(Instant::now() < end, "only {answers:?} pods were asked");
            sleep(Duration::from_millis(500)).await;
        }
        tenant.end().await;
    });
}

/// Ends when the operator hangs up.
fn answer(mut socket: TcpStream) -> io::Result<()> {
    socket.read_exact(&mut [0; 16])?;
    socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
    let lines = b"a_metric{of=\"nothing\"} 1\n".repeat(2048);
    loop {
        socket.write_all(&lines)?;
    }
}
