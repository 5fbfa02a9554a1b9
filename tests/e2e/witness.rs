//! Who sees what must hold throughout a story: requests are answered, and never do two migrate at once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::Duration,
};

use crate::{
    http,
    kubectl::{pointer, try_json, try_kubectl},
};

/// Often enough that an outage of one pod's restart is not missed.
const REQUESTS: Duration = Duration::from_millis(250);
/// Each look at sessions and Jobs costs two processes.
const LOOKS: Duration = Duration::from_millis(700);

/// Looks until it is dropped or asked for its verdict.
pub struct Witness {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    requests: Arc<AtomicUsize>,
    looks: Arc<AtomicUsize>,
    migrators: Arc<AtomicUsize>,
    wrong: Arc<Mutex<Vec<String>>>,
}

impl Witness {
    /// Watches the API at this address (none: no requests), and everybody who migrates, as `sessions` asks the
    /// database: the names of the applications whose sessions migrate, one a line.
    pub fn begin(api: Option<String>, sessions: impl Fn() -> Option<String> + Send + 'static) -> Self {
        let witness = Self {
            stop: Arc::default(),
            threads: Vec::new(),
            requests: Arc::default(),
            looks: Arc::default(),
            migrators: Arc::default(),
            wrong: Arc::default(),
        };
        let mut threads = Vec::new();
        if let Some(api) = api {
            let (stop, count, wrong) = (
                Arc::clone(&witness.stop),
                Arc::clone(&witness.requests),
                Arc::clone(&witness.wrong),
            );
            threads.push(spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let answer =
                        http::get(&api, 8000, "/api/v1/flags/", &[("X-Environment-Key", "anything")]);
                    if answer.status != 200 {
                        wrong.lock().unwrap().push(format!(
                            "a request was answered {} {}",
                            answer.status, answer.body
                        ));
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    sleep(REQUESTS);
                }
            }));
        }
        let (stop, count, most, wrong) = (
            Arc::clone(&witness.stop),
            Arc::clone(&witness.looks),
            Arc::clone(&witness.migrators),
            Arc::clone(&witness.wrong),
        );
        threads.push(spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if let Some(names) = sessions() {
                    let names: BTreeSet<&str> = names.lines().filter(|name| !name.is_empty()).collect();
                    most.fetch_max(names.len(), Ordering::Relaxed);
                    if names.len() > 1 {
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("sessions of {names:?} migrate at once"));
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
                let active = active_jobs();
                if active.len() > 1 {
                    wrong
                        .lock()
                        .unwrap()
                        .push(format!("Jobs {active:?} are active at once"));
                }
                sleep(LOOKS);
            }
        }));
        Self { threads, ..witness }
    }

    /// Ends the watch: nothing was wrong, and there was something to see.
    pub fn verdict(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let count = |it: &AtomicUsize| it.load(Ordering::Relaxed);
        println!(
            "    witness: {} requests, {} looks at the database, at most {} migrating",
            count(&self.requests),
            count(&self.looks),
            count(&self.migrators)
        );
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{} times: {wrong:#?}", wrong.len());
        assert!(count(&self.looks) > 0, "the database was looked at");
    }
}

/// Migration Jobs that are neither complete nor failed and whose pod runs.
fn active_jobs() -> Vec<String> {
    let label = "app.kubernetes.io/component=migrations";
    let Some(jobs) = try_json(&["get", "jobs", "-A", "-l", label]) else {
        return Vec::new();
    };
    let ended = |job: &serde_json::Value| {
        let conditions = pointer(job, "/status/conditions").as_array();
        conditions.into_iter().flatten().any(|condition| {
            condition["status"] == "True"
                && ["Complete", "Failed"].contains(&condition["type"].as_str().unwrap())
        })
    };
    pointer(&jobs, "/items")
        .as_array()
        .into_iter()
        .flatten()
        .filter(|job| !ended(job))
        .map(|job| {
            format!(
                "{}/{}",
                pointer(job, "/metadata/namespace"),
                pointer(job, "/metadata/name")
            )
        })
        .collect()
}

/// The applications whose sessions change the schema or run a migration, as a database in a pod tells.
pub fn migrating_sessions(namespace: &'static str, pod: &'static str) -> impl Fn() -> Option<String> + Send {
    move || {
        let query = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE state <> 'idle' \
            AND (application_name ~ '-(migrate|rollback)-' OR query ~* '^(ALTER|CREATE|DROP) ') \
            AND application_name <> 'psql' AND application_name <> 'flagsmith-operator'";
        let shell = format!("psql -U flagsmith -d flagsmith -Atc \"{query}\"");
        try_kubectl(&["-n", namespace, "exec", pod, "--", "sh", "-c", &shell])
    }
}
