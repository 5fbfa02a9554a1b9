//! Who sees what must hold throughout a story: requests are answered, and never do two migrate at once.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::Duration,
};

use crate::{
    http,
    kubectl::{self, pointer, try_json},
};

/// With two clients about 20 requests a second: often enough that no outage of a pod's restart is missed.
const REQUESTS: Duration = Duration::from_millis(100);
/// With two it shows whether the API was away or one connection was lost on its way.
const CLIENTS: usize = 2;
/// Each look at Jobs and pods costs two processes.
const LOOKS: Duration = Duration::from_millis(700);
/// Before another session replaces one that has ended: the database restarts in some stories.
const AGAIN: Duration = Duration::from_millis(500);

/// A database in a pod: its sessions are asked for by a loop beside it, several times a second. Migrations that take
/// milliseconds hide between the looks of a process that is started anew for each.
#[derive(Clone, Copy)]
pub struct Sessions {
    pub namespace: &'static str,
    pub pod: &'static str,
}

/// Whether requests may fail at present.
static UNCOUNTED: AtomicBool = AtomicBool::new(false);

/// Does what no API can serve through; requests count again after it, also when it panics.
pub fn uncounted(run: impl FnOnce()) {
    struct Again;
    impl Drop for Again {
        fn drop(&mut self) {
            UNCOUNTED.store(false, Ordering::Relaxed);
        }
    }
    UNCOUNTED.store(true, Ordering::Relaxed);
    let _again = Again;
    run();
}

/// Looks until it is asked for its verdict.
pub struct AvailabilityMonitor {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    looks: AtomicUsize,
    /// The most that migrated at one look.
    migrators: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Seen {
    fn wrong(&self, what: &str) {
        let now = jiff::Timestamp::now();
        self.wrong.lock().unwrap().push(format!("{now:.0} {what}"));
    }
}

impl AvailabilityMonitor {
    /// Watches the API at this address (none: no requests), and everybody who migrates.
    pub fn begin(api: Option<&str>, sessions: Sessions) -> Self {
        let (stop, seen) = (Arc::<AtomicBool>::default(), Arc::<Seen>::default());
        let mut threads = vec![
            watch(&stop, &seen, move |seen, stop| sessions.follow(seen, stop)),
            watch(&stop, &seen, |seen, _| look_at_objects(seen)),
        ];
        for api in api.iter().flat_map(|api| std::iter::repeat_n(*api, CLIENTS)) {
            let api = api.to_owned();
            threads.push(watch(&stop, &seen, move |seen, _| request(&api, seen)));
        }
        Self { stop, threads, seen }
    }

    /// How many requests have ended so far.
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// Ends the watch: nothing was wrong, and somebody was seen to migrate.
    pub fn verdict(self) {
        let (migrators, wrong) = self.end();
        assert!(wrong.is_empty(), "{} times: {}", wrong.len(), wrong.join("\n"));
        assert_eq!(migrators, 1, "the monitor sees who migrates");
    }

    /// Ends the watch: how many migrated at once at most, and what was wrong.
    pub fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let count = |it: &AtomicUsize| it.load(Ordering::Relaxed);
        println!(
            "    monitor: {} requests, {} looks at the database, at most {} migrating",
            count(&self.seen.requests),
            count(&self.seen.looks),
            count(&self.seen.migrators)
        );
        assert!(count(&self.seen.looks) > 0, "the database was looked at");
        (count(&self.seen.migrators), self.seen.wrong.lock().unwrap().clone())
    }
}

/// Looks again and again.
fn watch(
    stop: &Arc<AtomicBool>,
    seen: &Arc<Seen>,
    look: impl Fn(&Seen, &AtomicBool) + Send + 'static,
) -> JoinHandle<()> {
    let (stop, seen) = (Arc::clone(stop), Arc::clone(seen));
    spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            look(&seen, &stop);
        }
    })
}

fn request(api: &str, seen: &Seen) {
    let counted = !UNCOUNTED.load(Ordering::Relaxed);
    let before = seen.requests.load(Ordering::Relaxed);
    let answer = http::get(api, 8000, "/api/v1/flags/", &[("X-Environment-Key", "anything")]);
    // The whole application refuses a key that it does not know, which the stand-in takes: an answer all the same.
    if !matches!(answer.status, 200 | 401 | 403) && counted && !UNCOUNTED.load(Ordering::Relaxed) {
        let others = seen.requests.load(Ordering::Relaxed) - before;
        let pods = kubectl::kubectl(&["get", "pods,endpointslices", "-A", "-o", "wide"]);
        seen.wrong(&format!(
            "a request was answered {} {}; {others} others were answered meanwhile; by then:\n{pods}",
            answer.status, answer.body
        ));
    }
    seen.requests.fetch_add(1, Ordering::Relaxed);
    sleep(REQUESTS);
}

/// Migration Jobs that have not ended, and their pods, which may outlive them.
fn look_at_objects(seen: &Seen) {
    for kind in ["jobs", "pods"] {
        let active = active(kind);
        if active.len() > 1 {
            seen.wrong(&format!("{kind} {active:?} are active at once"));
        }
    }
    sleep(LOOKS);
}

fn active(kind: &str) -> Vec<String> {
    // Those that connect to a database; a Job that pulls images does not.
    let label = "operator.flagsmith.com/database";
    let Some(objects) = try_json(&["get", kind, "-A", "-l", label]) else {
        return Vec::new();
    };
    let ended = |object: &serde_json::Value| {
        let conditions = pointer(object, "/status/conditions").as_array();
        let of_job = conditions.into_iter().flatten().any(|condition| {
            condition["status"] == "True"
                && (condition["type"] == "Complete" || condition["type"] == "Failed")
        });
        let phase = pointer(object, "/status/phase");
        of_job || phase == "Succeeded" || phase == "Failed"
    };
    let name = |object: &serde_json::Value| {
        let text = |path: &str| pointer(object, path).as_str().unwrap_or_default().to_owned();
        format!("{}/{}", text("/metadata/namespace"), text("/metadata/name"))
    };
    let items = pointer(&objects, "/items").as_array();
    items.into_iter().flatten().filter(|it| !ended(it)).map(name).collect()
}

impl Sessions {
    /// Who migrates, at each look, until it is to stop or the database goes away.
    fn follow(self, seen: &Seen, stop: &AtomicBool) {
        let mut process = self.ask();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut at_once = BTreeSet::new();
        for line in lines.map_while(Result::ok) {
            if line == LOOKED {
                let count = at_once.len();
                seen.looks.fetch_add(1, Ordering::Relaxed);
                seen.migrators.fetch_max(count, Ordering::Relaxed);
                if count > 1 {
                    seen.wrong(&format!("sessions of {at_once:?} migrate at once"));
                }
                at_once.clear();
            } else {
                at_once.insert(line);
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        process.kill().unwrap();
        process.wait().unwrap();
        sleep(AGAIN);
    }

    fn ask(self) -> Child {
        // One session that is asked again and again: a migration of two small changes is over in a tenth of a second.
        let shell = format!(
            "while echo \"{MIGRATING}; SELECT '{LOOKED}';\"; do sleep 0.02; done \\
             | PGAPPNAME=availability-monitor psql -U flagsmith -d flagsmith -Atq"
        );
        Command::new("kubectl")
            .args(["-n", self.namespace, "exec", self.pod, "--", "sh", "-c", &shell])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

/// What the loop prints after the rows of one look.
const LOOKED: &str = "--";

/// Who migrates: the address of the pod and its name for itself. A migration of the operator by its name, also between
/// two statements; anybody else by the locks that only changes of the schema take.
const MIGRATING: &str = "SELECT DISTINCT coalesce(host(client_addr), 'socket') || ' ' || application_name \
     FROM pg_stat_activity a WHERE backend_type = 'client backend' AND datname = current_database() \
     AND application_name NOT IN ('availability-monitor', 'psql', 'flagsmith-operator') \
     AND (application_name ~ '-(migrate|rollback)-' OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted \
     AND l.locktype = 'relation' AND l.mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock')))";
