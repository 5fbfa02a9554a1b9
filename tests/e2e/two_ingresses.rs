//! An installation of the official chart with an Ingress for clients and another for the dashboard is moved to the operator
//! while both are asked through a real nginx: no request is lost, no host gets what it did not have, nothing is unsaid.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::Duration,
};

use crate::{
    kubectl::pointer,
    namespace::{NEW, Namespace, step},
    nginx::Nginx,
    official_chart::{adoption, await_health, healthy, moved, upgrade},
    operator,
};

const API: &str = "flags.example.com";
const DASHBOARD: &str = "flags.internal";
const ALLOWED: &str = "nginx.ingress.kubernetes.io/whitelist-source-range";

/// About 20 requests a second to each host.
const EVERY: Duration = Duration::from_millis(50);

#[test]
#[ignore = "four minutes: make trial-settings"]
fn two_ingresses_are_moved_under_load() {
    step("install the operator by its chart", operator::installed);
    let namespace = Namespace::new("two-ingresses");
    step("an installation of the official chart with two Ingresses", || {
        healthy(&namespace);
        let values = format!(
            r#"{{"api": {{"enabled": true}}, "frontend": {{"enabled": true, "annotations": {{"{ALLOWED}": "10.0.0.0/8"}}}}}}"#
        );
        upgrade(&namespace, &["--set-json", &format!("ingress={values}")]);
        await_health(&namespace);
    });
    let nginx = Arc::new(Nginx::serve(namespace.name()));
    let flags = |host| nginx.get(host, "/api/v1/flags/", &[("X-Environment-Key", "anything")]).status;
    assert_eq!((flags(API), flags(DASHBOARD)), (200, 200), "before");
    for absent in ["/admin/", "/"] {
        assert_eq!(nginx.get(API, absent, &[]).status, 404, "{absent} on the clients' host before");
    }
    let page = step("what would be lost is said: nothing", || {
        let (page, status) = adoption(&namespace);
        assert_eq!(status, Some(0), "nothing is lost");
        page
    });
    let requests = Requests::begin(&nginx);
    step("moved to the operator under load", || moved(&namespace, &page));
    let (count, failed) = requests.end();
    println!("    {count} requests, {} failed", failed.len());
    assert!(count > 500 && failed.is_empty(), "{count} requests; {failed:#?}");
    step("each host has what it had", || {
        for absent in ["/admin/", "/", "/static/admin/css/base.css"] {
            assert_eq!(nginx.get(API, absent, &[]).status, 404, "{absent} on the clients' host");
        }
        assert_eq!(nginx.get(DASHBOARD, "/", &[]).status, 200);
        let annotation = |name: &str| {
            let ingress = namespace.json(&["get", "ingress", name]);
            let class = pointer(&ingress, "/spec/ingressClassName").as_str().unwrap().to_owned();
            (class, ingress["metadata"]["annotations"][ALLOWED].as_str().map(str::to_owned))
        };
        assert_eq!(annotation("acme-op-api"), ("nginx".to_owned(), None));
        assert_eq!(annotation("acme-op"), ("internal".to_owned(), Some("10.0.0.0/8".to_owned())));
        let fsd = namespace.json(&["get", "fsd", "acme-op"]);
        assert_eq!(pointer(&fsd, "/status/version"), NEW);
    });
    drop(nginx);
    namespace.remove();
}

/// Clients of both hosts.
struct Requests {
    ended: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Requests {
    fn begin(nginx: &Arc<Nginx>) -> Self {
        let ended = Arc::<AtomicBool>::default();
        let (count, failed) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let ways = [(API, "/api/v1/flags/"), (DASHBOARD, "/"), (DASHBOARD, "/api/v1/flags/")];
        let client = |(host, path): (&'static str, &'static str)| {
            let (nginx, ended) = (Arc::clone(nginx), Arc::clone(&ended));
            let (count, failed) = (Arc::clone(&count), Arc::clone(&failed));
            spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let answer = nginx.get(host, path, &[("X-Environment-Key", "anything")]);
                    if answer.status != 200 {
                        let now = jiff::Timestamp::now();
                        failed
                            .lock()
                            .unwrap()
                            .push(format!("{now:.0} {host}{path}: {} {}", answer.status, answer.body));
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    sleep(EVERY);
                }
            })
        };
        let threads = ways.into_iter().map(client).collect();
        Self { ended, count, failed, threads }
    }

    fn end(self) -> (usize, Vec<String>) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        (self.count.load(Ordering::Relaxed), self.failed.lock().unwrap().clone())
    }
}
