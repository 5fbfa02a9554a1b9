//! What two hours with the whole application showed that its stand-in had hidden, made again one after the other: what is
//! said from the beginning to the end of each, and what must not be.
//!
//! The whole application can take the stand-in's place: `make trial-real ARCHIVES="api-2.260.0.tar api-2.265.0.tar"` with
//! images of these releases under the names that tests/images/README.md gives.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    http,
    installation::{
        PASSWORDS, begun, change, diagnose, end_sessions, flagsmith, in_database, secret, sql, well,
    },
    kubectl::{kubectl, pointer, require_cluster, wait_until},
    namespace::{NEW, Namespace, OLD, REACTION, START, Trials, step},
    operator::{self, SYSTEM},
    statuses::{Status, Statuses},
};

/// Something that happens to the installation, and the codes that may be said meanwhile.
struct Finding {
    what: &'static str,
    may_say: &'static [&'static str],
    happen: fn(&Namespace),
}

/// How long what must not happen is waited for: several passes and looks into the database.
const QUIET: Duration = Duration::from_secs(45);
/// Of a worker that does nothing any more: Gunicorn's timeout (30 s), and the time until its line is read.
const WORKER: Duration = Duration::from_secs(90);

const FINDINGS: &[Finding] = &[
    Finding {
        what: "a first installation with a wrong password and too little memory for the migration",
        may_say: &["DatabaseAuthenticationFailed", "MigrationOutOfMemory"],
        happen: first_installation,
    },
    Finding {
        what: "a release that does not exist stops nothing",
        may_say: &["MigrationImagePullFailed"],
        happen: missing_image,
    },
    Finding { what: "a newer release, and at once the older again", may_say: &[], happen: there_and_back },
    Finding {
        what: "somebody's lock in the middle of an upgrade",
        may_say: &["MigrationLockTimeout", "LongTransactionOpen", "ReleaseBehindSchema"],
        happen: lock,
    },
    Finding { what: "a rollback", may_say: &["RollbackLosesData"], happen: rollback },
    Finding {
        what: "an upgrade with nothing in its way",
        // True between the migration and the first newer pod: `upgrades.rs` knows it, and `plan` says it beforehand.
        may_say: &["ReleaseBehindSchema"],
        happen: upgrade,
    },
    Finding {
        what: "every recurring task is disabled",
        may_say: &["RecurringTasksDisabled"],
        happen: recurring_tasks,
    },
    Finding {
        what: "a sleep interval that is too long, and the remedy",
        may_say: &["TaskSleepIntervalHigh"],
        happen: sleep_interval,
    },
    Finding {
        what: "the database rejects the operator's address, and no other",
        may_say: &[],
        happen: operator_rejected,
    },
    Finding {
        what: "the role may only read by its own default",
        may_say: &["DatabaseReadOnly", "DatabaseConnectionLost"],
        happen: reads_only,
    },
    Finding {
        what: "the API's Deployment is deleted while nothing may be made",
        may_say: &["DeploymentMissing"],
        happen: deleted_while_suspended,
    },
    Finding { what: "the operator is killed", may_say: &[], happen: operator_killed },
    Finding {
        what: "tasks that a dump brought with it",
        may_say: &["TaskProcessorScaledToZero"],
        happen: old_tasks,
    },
    Finding { what: "a worker that stops", may_say: &["GunicornWorkerStalled"], happen: stopped_worker },
    Finding {
        what: "a database that restarts again and again",
        may_say: &["DatabaseConnectionLost", "DatabaseUnreachable"],
        happen: restarting_database,
    },
    Finding { what: "the resource is deleted, and made again", may_say: &[], happen: made_again },
];

#[test]
#[ignore = "half an hour: make trial-real"]
fn what_the_whole_application_showed() {
    require_cluster();
    let namespace = begun("findings");
    let statuses = Statuses::follow(namespace.name());
    let mut trials = Trials::new();
    for finding in FINDINGS {
        trials.trial(
            finding.what,
            || {
                // Where only some are tried, what the first leaves is made without its obstacles.
                if finding.what != FINDINGS[0].what
                    && namespace.try_json(&["get", "fsd", "flagsmith"]).is_none()
                {
                    change(&namespace, json!({ "version": NEW }));
                    well(&namespace);
                    statuses.seen();
                }
                let clients = Clients::begin(&namespace);
                (finding.happen)(&namespace);
                clients.end();
                settled(finding.may_say, &statuses.seen());
            },
            || {
                change(&namespace, json!({ "version": NEW }));
                well(&namespace);
                statuses.seen();
            },
        );
    }
    trials.verdict();
    namespace.remove();
    operator::uninstall();
}

/// Releases of other start scripts and with faults of their own, one after the other; what is said of each is printed.
#[test]
#[ignore = "ten minutes: make trial-real"]
fn what_older_releases_showed() {
    require_cluster();
    let namespace = begun("older");
    let statuses = Statuses::follow(namespace.name());
    for (version, may_say) in
        [("2.232.0", &[][..]), ("2.253.0", &["TaskProcessorReleaseBroken"]), (NEW, &["ReleaseBehindSchema"])]
    {
        step(version, || {
            let start = Instant::now();
            change(&namespace, json!({ "version": version, "frontend": { "enabled": false } }));
            wait_until(START, "it is the one that runs", || {
                let fsd = namespace.fsd();
                let holds = pointer(&fsd, "/status/version") == version
                    && namespace.condition("ApiAvailable") == "True";
                holds.then_some(()).ok_or_else(|| pointer(&fsd, "/status").to_string())
            });
            println!("    serves after {} s", start.elapsed().as_secs());
            sleep(QUIET * 2);
            let clients = Clients::begin(&namespace);
            sleep(QUIET);
            clients.end();
            settled(may_say, &statuses.seen());
        });
    }
    well(&namespace);
    namespace.remove();
}

/// Nothing was said that may not be said, and no more migrations were called applied than there are.
fn settled(may_say: &[&str], seen: &[Status]) {
    let mut said: Vec<String> = seen.iter().flat_map(Status::codes).collect();
    said.sort();
    said.dedup();
    let mut ready: Vec<&str> = seen.iter().map(|status| status.condition("Ready")).collect();
    ready.dedup();
    println!("    said: {said:?} in {} statuses; Ready: {}", seen.len(), ready.join(", "));
    for status in seen {
        let counted = status.migrations();
        assert!(counted.is_none_or(|(applied, total)| applied <= total), "{counted:?}");
    }
    said.retain(|code| !may_say.contains(&code.as_str()));
    assert!(said.is_empty(), "untrue or too much: {said:?}");
}

fn first_installation(namespace: &Namespace) {
    secret(namespace, PASSWORDS[1], "flagsmith");
    let resources = |memory: &str| json!({ "version": OLD, "migrations": { "resources": { "requests": { "memory": memory }, "limits": { "memory": memory } } } });
    change(namespace, resources("64Mi"));
    named(namespace, "DatabaseAuthenticationFailed", &[]);
    sleep(QUIET);
    let jobs = namespace.kubectl(&["get", "jobs", "-o", "name"]);
    assert!(!jobs.contains("migrate"), "what would fail for certain is not begun: {jobs}");
    secret(namespace, PASSWORDS[0], "flagsmith");
    named(namespace, "MigrationOutOfMemory", &["64Mi"]);
    change(namespace, resources("512Mi"));
    let start = Instant::now();
    well(namespace);
    let migration = pointer(&namespace.fsd(), "/status/migration").clone();
    println!("    installed in {} s: {migration}", start.elapsed().as_secs());
    assert_eq!(migration["applied"], migration["total"]);
}

fn missing_image(namespace: &Namespace) {
    change(namespace, json!({ "version": "2.999.0" }));
    named(namespace, "MigrationImagePullFailed", &[]);
    sleep(QUIET);
    for deployment in ["flagsmith-api", "flagsmith-task-processor"] {
        let found = namespace.json(&["get", "deployment", deployment]);
        assert_eq!(pointer(&found, "/status/readyReplicas"), 1, "{deployment}");
    }
    change(namespace, json!({ "version": OLD }));
    well(namespace);
}

fn there_and_back(namespace: &Namespace) {
    change(namespace, json!({ "version": NEW }));
    sleep(Duration::from_secs(3));
    change(namespace, json!({ "version": OLD }));
    well(namespace);
    sleep(QUIET);
    assert_eq!(namespace.condition("Ready"), "True");
    assert_eq!(pointer(&namespace.fsd(), "/status/version"), OLD);
}

/// The holder is named while it is there. When it has gone, the next attempt succeeds by itself.
fn lock(namespace: &Namespace) {
    let table = "SELECT coalesce(to_regclass('testbed_result'), to_regclass('segments_segment'))";
    let table = sql(namespace, table);
    let hold =
        format!("BEGIN; LOCK TABLE {} IN ACCESS SHARE MODE; SELECT pg_sleep(45); COMMIT", table.trim());
    let shell = format!("PGAPPNAME=nightly psql -U flagsmith -d flagsmith -c \"{hold}\"");
    let mut holder = namespace.spawn(&["exec", "deployment/database", "--", "sh", "-c", &shell]);
    sleep(Duration::from_secs(2));
    change(namespace, json!({ "version": NEW, "migrations": { "lockTimeoutSeconds": 3 } }));
    named(namespace, "MigrationLockTimeout", &["nightly"]);
    holder.wait().unwrap();
    change(namespace, json!({ "version": NEW }));
    well(namespace);
}

/// One Job, one processor, and this one of the older release from its first moment on.
fn rollback(namespace: &Namespace) {
    let start = Instant::now();
    let made = || {
        operator::log().lines().filter(|line| line.contains("made a Job") && !line.contains("-pull-")).count()
    };
    let before = made();
    change(namespace, json!({ "version": OLD, "migrations": { "rollback": { "from": NEW, "to": OLD } } }));
    well(namespace);
    println!("    rolled back in {} s", start.elapsed().as_secs());
    assert_eq!(made() - before, 1, "one Job, and none that has nothing to do");
    change(namespace, json!({ "version": OLD }));
    well(namespace);
}

fn upgrade(namespace: &Namespace) {
    let start = Instant::now();
    change(namespace, json!({ "version": NEW }));
    well(namespace);
    println!("    upgraded in {} s", start.elapsed().as_secs());
}

/// The statement that the remedy prints frees all of them.
fn recurring_tasks(namespace: &Namespace) {
    let disabled = "SELECT count(*) FROM task_processor_recurringtask WHERE is_disabled";
    sql(
        namespace,
        "UPDATE task_processor_recurringtask SET is_disabled = true, num_consecutive_failures = 3",
    );
    let diagnosis = named(namespace, "RecurringTasksDisabled", &[]);
    println!("    {} disabled", sql(namespace, disabled).trim());
    let remedy = diagnosis["remedy"].as_str().unwrap();
    let statement = remedy.find("UPDATE task_processor_recurringtask").map(|at| &remedy[at..]).unwrap();
    let statement = statement.split([';', '"']).next().unwrap();
    println!("    {statement}");
    sql(namespace, statement);
    assert_eq!(sql(namespace, disabled).trim(), "0");
    well(namespace);
}

fn sleep_interval(namespace: &Namespace) {
    let processor = |change: Value| json!({ "version": NEW, "taskProcessor": change });
    change(namespace, processor(json!({ "sleepIntervalMilliseconds": 60_000 })));
    named(namespace, "TaskSleepIntervalHigh", &["sleepIntervalMilliseconds"]);
    change(namespace, processor(json!({ "sleepIntervalMilliseconds": 2000 })));
    well(namespace);
    sleep(QUIET);
    change(namespace, json!({ "version": NEW }));
    well(namespace);
}

/// The installation works: Ready stays True, and what only the operator cannot do is said as that.
fn operator_rejected(namespace: &Namespace) {
    let pods = kubectl(&["-n", SYSTEM, "get", "pods", "-o", "jsonpath={.items[*].status.podIP}"]);
    let mut rules = String::new();
    for address in pods.split_whitespace() {
        rules = rules + "host all all " + address + "/32 reject\\n";
    }
    in_database(
        namespace,
        &format!("cd /data/pg && cp pg_hba.conf kept && {{ printf '{rules}'; cat kept; }} > pg_hba.conf"),
    );
    sql(namespace, "SELECT pg_reload_conf()");
    for address in pods.split_whitespace() {
        sql(
            namespace,
            &format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_addr = '{address}'"
            ),
        );
    }
    wait_until(REACTION, "DatabaseReachable is Unknown", || {
        let reachable = namespace.condition("DatabaseReachable");
        (reachable == "Unknown").then_some(()).ok_or(reachable)
    });
    sleep(QUIET);
    for (kind, status) in
        [("Ready", "True"), ("DatabaseReachable", "Unknown"), ("TaskProcessorAvailable", "Unknown")]
    {
        assert_eq!(namespace.condition(kind), status, "{kind}");
    }
    let fsd = namespace.fsd().to_string();
    assert!(fsd.contains("pg_hba.conf rejects"), "{fsd}");
    in_database(namespace, "cd /data/pg && cat kept > pg_hba.conf");
    sql(namespace, "SELECT pg_reload_conf()");
    well(namespace);
}

fn reads_only(namespace: &Namespace) {
    sql(namespace, "ALTER ROLE flagsmith SET default_transaction_read_only = on");
    end_sessions(namespace);
    let statement = "ALTER ROLE flagsmith RESET default_transaction_read_only";
    named(namespace, "DatabaseReadOnly", &[statement]);
    let options = "PGOPTIONS='-c default_transaction_read_only=off'";
    in_database(namespace, &format!("{options} psql -U flagsmith -d flagsmith -c '{statement}'"));
    end_sessions(namespace);
    well(namespace);
}

fn deleted_while_suspended(namespace: &Namespace) {
    change(namespace, json!({ "version": NEW, "suspend": true }));
    namespace.kubectl(&["delete", "deployment", "flagsmith-api"]);
    named(namespace, "DeploymentMissing", &[]);
    let output = diagnose(namespace, "text");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("DeploymentMissing") && !output.status.success(), "{said}{complaint}");
    let fsd = namespace.fsd().to_string();
    assert!(!fsd.contains("is being made"), "nothing is being made: {fsd}");
    // A global option stands before the subcommand and after it.
    let status = flagsmith(namespace, &["status", "flagsmith"]);
    let (told, complaint) =
        (String::from_utf8_lossy(&status.stdout), String::from_utf8_lossy(&status.stderr));
    assert!(told.contains("api: DeploymentMissing") && !status.status.success(), "{told}{complaint}");
    change(namespace, json!({ "version": NEW }));
    well(namespace);
}

fn operator_killed(namespace: &Namespace) {
    let before = warnings(namespace);
    operator::killed();
    sleep(QUIET * 2);
    well(namespace);
    assert_eq!(warnings(namespace), before, "what is over is not told anew");
}

/// A row of Flagsmith's queue with an age of a day, as a dump brings it.
const INHERITED: &str = "INSERT INTO task_processor_task \
    (uuid, created_at, scheduled_for, task_identifier, serialized_args, serialized_kwargs, num_failures, completed, is_locked, priority) \
    SELECT gen_random_uuid(), now() - interval '1 day', now() - interval '1 day', task_identifier, '[]', '{}', 0, false, false, 0 \
    FROM (SELECT task_identifier FROM task_processor_recurringtask ORDER BY 1 LIMIT 1) AS known, generate_series(1, 30)";

/// A processor that has just started is not silent: what it found is older than it is.
fn old_tasks(namespace: &Namespace) {
    change(namespace, json!({ "version": NEW, "taskProcessor": { "replicas": 0 } }));
    named(namespace, "TaskProcessorScaledToZero", &[]);
    sql(namespace, INHERITED);
    sleep(QUIET);
    change(namespace, json!({ "version": NEW }));
    well(namespace);
    sleep(QUIET);
    assert_eq!(namespace.condition("TaskProcessorAvailable"), "True");
}

/// Named by what it is, and not by the probe that fails meanwhile.
fn stopped_worker(namespace: &Namespace) {
    let stop = "for process in /proc/[0-9]*; do \
        if tr '\\0' ' ' < $process/cmdline 2>/dev/null | grep -q gunicorn || tr '\\0' ' ' < $process/cmdline 2>/dev/null | grep -q flagsmith; then \
        parent=$(grep '^PPid:' $process/status | tr -dc 0-9); \
        test \"$parent\" = 1 && kill -STOP ${process#/proc/}; fi; done; true";
    namespace.kubectl(&["exec", "deployment/flagsmith-api", "-c", "api", "--", "sh", "-c", stop]);
    let start = Instant::now();
    wait_until(WORKER, "GunicornWorkerStalled is named", || {
        let codes = namespace.codes();
        codes.contains(&"GunicornWorkerStalled".to_owned()).then_some(()).ok_or_else(|| format!("{codes:?}"))
    });
    println!("    GunicornWorkerStalled after {} s", start.elapsed().as_secs());
    well(namespace);
}

/// A session of the server dies, which takes all others with it: as a server that falls over again and again.
fn restarting_database(namespace: &Namespace) {
    let start = Instant::now();
    let mut known = None;
    for _ in 0..6 {
        let session = sql(namespace, "SELECT max(pid) FROM pg_stat_activity WHERE client_addr IS NOT NULL");
        in_database(namespace, &format!("kill -9 {}", session.trim()));
        let restarted = Instant::now();
        while restarted.elapsed() < Duration::from_secs(20) {
            let named = namespace.codes().into_iter().find(|code| code.starts_with("Database"));
            if let Some(named) = named
                && known.is_none()
            {
                known = Some((named, start.elapsed().as_secs()));
            }
            sleep(Duration::from_secs(1));
        }
    }
    println!("    named: {known:?} s");
    assert!(known.is_some(), "six restarts, and nothing was said");
    well(namespace);
}

/// What cannot be made again is found again.
fn made_again(namespace: &Namespace) {
    let key = || namespace.secret("flagsmith-django", "DJANGO_SECRET_KEY");
    let before = key();
    namespace.kubectl(&["delete", "fsd", "flagsmith", "--wait=true", "--timeout=60s"]);
    sleep(Duration::from_secs(5));
    change(namespace, json!({ "version": NEW }));
    well(namespace);
    assert_eq!(key(), before);
}

/// Waits until the code is the first that is told, with these words, and says what is told.
fn named(namespace: &Namespace, code: &str, words: &[&str]) -> Value {
    let start = Instant::now();
    let mut found = Value::Null;
    wait_until(START, &format!("{code} is named first, with {words:?}"), || {
        let first = pointer(&namespace.fsd(), "/status/diagnoses/0").clone();
        let text = first.to_string();
        let holds = first["code"] == code && words.iter().all(|word| text.contains(word));
        found = first;
        holds.then_some(()).ok_or(text)
    });
    println!("    {code} after {} s", start.elapsed().as_secs());
    for field in ["message", "evidence", "remedy"] {
        println!("      {field}: {}", found[field]);
    }
    found
}

/// The Warnings that the resource's Events have, with their counts.
fn warnings(namespace: &Namespace) -> Vec<String> {
    let fields = "involvedObject.kind=FlagsmithDeployment,type=Warning";
    let list = namespace.json(&["get", "events", "--field-selector", fields]);
    let items = pointer(&list, "/items").as_array();
    let mut found: Vec<String> = items
        .into_iter()
        .flatten()
        .map(|it| format!("{} {} {} {}", it["reason"], it["note"], it["count"], it["series"]["count"]))
        .collect();
    found.sort();
    found
}

/// A client that asks for flags and makes a new identity each second, as a user's applications do.
struct Clients {
    ended: Arc<AtomicBool>,
    failed: Arc<Mutex<Vec<String>>>,
}

/// Makes an environment by the application's own models and prints its key; the stand-in has none, and takes any key.
const ENVIRONMENT: &str = "
from organisations.models import Organisation
from projects.models import Project
from environments.models import Environment
organisation, _ = Organisation.objects.get_or_create(name='trial')
project, _ = Project.objects.get_or_create(name='trial', organisation=organisation)
environment, _ = Environment.objects.get_or_create(name='trial', project=project)
print('key=' + environment.api_key)
";

impl Clients {
    /// Nothing is asked of an installation that has never run.
    fn begin(namespace: &Namespace) -> Self {
        let (ended, failed) = <(Arc<AtomicBool>, Arc<Mutex<Vec<String>>>)>::default();
        if namespace.try_json(&["get", "service", "flagsmith-api"]).is_none() {
            return Self { ended, failed };
        }
        let shell = format!("python manage.py shell -c \"{ENVIRONMENT}\" 2>/dev/null || true");
        let said =
            namespace.kubectl(&["exec", "deployment/flagsmith-api", "-c", "api", "--", "sh", "-c", &shell]);
        let key = said.lines().find_map(|line| line.strip_prefix("key=")).unwrap_or("anything").to_owned();
        let api = namespace.service("flagsmith-api");
        let (end, all) = (Arc::clone(&ended), Arc::clone(&failed));
        spawn(move || {
            let mut number = 0;
            while !end.load(Ordering::Relaxed) {
                number += 1;
                let header = [("X-Environment-Key", key.as_str())];
                let flags = http::get(&api, 8000, "/api/v1/flags/", &header).status;
                let identity = format!("/api/v1/identities/?identifier={}-{number}", jiff::Timestamp::now());
                let identity = http::get(&api, 8000, &identity, &header).status;
                for (what, status) in [("flags", flags), ("identity", identity)] {
                    if status != 200 {
                        all.lock().unwrap().push(format!("{what} {status}"));
                    }
                }
                sleep(Duration::from_secs(1));
            }
        });
        Self { ended, failed }
    }

    /// Says what has failed, by what and how often: some findings take the API away.
    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        let mut failed = std::mem::take(&mut *self.failed.lock().unwrap());
        failed.sort();
        let kinds: std::collections::BTreeSet<&String> = failed.iter().collect();
        for kind in kinds {
            let count = failed.iter().filter(|it| *it == kind).count();
            println!("    clients: {kind}: {count} times");
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
