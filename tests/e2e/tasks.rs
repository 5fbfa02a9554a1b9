//! Every way in which jobs do not run, made for real: each is named within two looks into the database, and its name
//! is gone within two looks after the remedy.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    http,
    kubectl::{pointer, require_cluster, wait_until},
    namespace::{NEW, Namespace, Trials, demo},
    operator,
};

/// Seconds between two looks into a database in this story; a minute by default.
pub const INTERVAL: &str = "5";
/// In this time there is a look, whatever the moment.
const LOOK: Duration = Duration::from_secs(8);
/// Two looks, the passes around them, and what a busy machine adds.
const TWO_LOOKS: Duration = Duration::from_secs(25);
/// The longest silence of a healthy processor (a minute, `stalled.rs`), and two looks.
pub const SILENCE: Duration = Duration::from_secs(100);
/// A pod ends, another starts, on two busy cores.
pub const RESTART: Duration = Duration::from_secs(90);

#[test]
#[ignore = "five minutes: make trial-tasks"]
fn every_trouble_of_the_task_processor_is_named() {
    require_cluster();
    operator::install(&["--set", &format!("databaseProbeIntervalSeconds={INTERVAL}")]);
    let namespace = Namespace::new("tasks");
    let mut trials = Trials::new();
    let mut step =
        |name: &str, run: fn(&Namespace)| trials.trial(name, || run(&namespace), || recover(&namespace));
    namespace.apply(&demo(NEW));
    namespace.settled();
    step("a healthy queue has no diagnosis", healthy);
    step("tasks that raise", failing);
    step("a recurring task that fails four times in a row", disabled);
    step("no processor while tasks wait", scaled_to_zero);
    step("a processor killed in the middle of a batch", stuck);
    step("a slow task while more and more are queued", growing);
    step("a session that holds a lock", stalled);
    step("a sleep of a minute, and more threads than the server has connections", settings);
    step("the number of processors follows the queue", follow_the_queue);
    trials.verdict();
    namespace.remove();
    operator::uninstall();
}

/// To where every trial begins, from wherever one has ended.
pub fn recover(namespace: &Namespace) {
    namespace.sql("DELETE FROM task_processor_task WHERE NOT completed");
    namespace.apply(&resource(""));
    namespace.settled();
}

fn healthy(namespace: &Namespace) {
    enqueue(namespace, "write_result", 50, "e2e");
    wait_until(TWO_LOOKS, "the heartbeat is told", || {
        let message = message(namespace, "TaskProcessorAvailable");
        message.contains("last task picked up less than 10 s ago").then_some(()).ok_or(message)
    });
    assert_eq!(others(namespace), Vec::<String>::new());
}

fn failing(namespace: &Namespace) {
    enqueue(namespace, "fail", 3, "no such host");
    let diagnosis = named(namespace, "TasksFailing", TWO_LOOKS);
    says(
        &diagnosis,
        &["tasks.fail", "RuntimeError: told to fail: no such host", "given up after three attempts"],
    );
    // The reason is removed and the tasks are queued again as the remedy says.
    namespace.sql("UPDATE task_processor_task SET num_failures = 0, task_identifier = 'tasks.write_result' WHERE task_identifier = 'tasks.fail'");
    gone(namespace, "TasksFailing", TWO_LOOKS);
}

fn disabled(namespace: &Namespace) {
    namespace.apply(&resource(
        "  taskProcessor:\n    env: [{name: TESTBED_FAILING_RECURRING_TASK, value: \"1\"}]\n",
    ));
    let diagnosis = named(namespace, "RecurringTasksDisabled", RESTART);
    says(&diagnosis, &["tasks.push_usage", "told to fail"]);
    namespace.apply(&resource(""));
    namespace.settled();
    namespace.sql("UPDATE task_processor_recurringtask SET is_disabled = false, num_consecutive_failures = 0 WHERE task_identifier = 'tasks.push_usage'");
    gone(namespace, "RecurringTasksDisabled", TWO_LOOKS);
}

fn scaled_to_zero(namespace: &Namespace) {
    namespace.apply(&resource("  taskProcessor: {replicas: 0}\n"));
    wait_until(RESTART, "no processor is left", || {
        let pods = processors(namespace);
        pods.is_empty().then_some(()).ok_or(pods.join(" "))
    });
    enqueue(namespace, "write_result", 30, "waits");
    wait_until(TWO_LOOKS, "what waits is told", || {
        let diagnosis = diagnosis(namespace, "TaskProcessorScaledToZero").unwrap_or_default();
        diagnosis.to_string().contains("more than 20 tasks ready").then_some(()).ok_or(diagnosis.to_string())
    });
    namespace.apply(&resource(""));
    gone(namespace, "TaskProcessorScaledToZero", TWO_LOOKS);
    namespace.settled();
}

fn stuck(namespace: &Namespace) {
    enqueue(namespace, "slow", 12, "600");
    wait_until(TWO_LOOKS, "a batch is picked up", || {
        let locked = namespace.sql("SELECT count(*) FROM task_processor_task WHERE is_locked");
        (locked.parse::<i32>().unwrap() >= 10).then_some(()).ok_or(locked)
    });
    // A look meanwhile dates the locks: the processor that comes next cannot have taken them.
    sleep(LOOK);
    kill(namespace);
    let diagnosis = named(namespace, "TasksStuckLocked", RESTART);
    says(&diagnosis, &["tasks.slow", "UPDATE task_processor_task SET is_locked = false"]);
    namespace.sql("DELETE FROM task_processor_task WHERE is_locked AND NOT completed AND num_failures < 3");
    gone(namespace, "TasksStuckLocked", TWO_LOOKS);
    namespace.settled();
}

fn growing(namespace: &Namespace) {
    enqueue(namespace, "slow", 50, "20");
    let start = Instant::now();
    wait_until(Duration::from_secs(45), "TaskQueueGrowing is named", || {
        enqueue(namespace, "write_result", 20, "more");
        diagnosis(namespace, "TaskQueueGrowing").map(drop).ok_or_else(|| others(namespace).join(" "))
    });
    println!("    TaskQueueGrowing after {:.1} s", start.elapsed().as_secs_f32());
    let diagnosis = diagnosis(namespace, "TaskQueueGrowing").unwrap_or_default();
    println!("{diagnosis:#}");
    namespace.sql("DELETE FROM task_processor_task WHERE NOT is_locked AND NOT completed");
    gone(namespace, "TaskQueueGrowing", TWO_LOOKS);
    // Busy threads would end only with their batches.
    namespace.sql("UPDATE task_processor_task SET completed = true WHERE is_locked");
    kill(namespace);
    namespace.settled();
    gone(namespace, "TasksStuckLocked", TWO_LOOKS);
}

fn stalled(namespace: &Namespace) {
    // Readers go on, writers wait: as behind a forgotten transaction in somebody's terminal.
    let shell = "PGPASSWORD=\"$POSTGRES_PASSWORD\" PGAPPNAME=forgotten psql -h 127.0.0.1 -U flagsmith -d flagsmith -Atc \
        \"BEGIN; LOCK TABLE task_processor_task, task_processor_recurringtask IN SHARE ROW EXCLUSIVE MODE; SELECT pg_sleep(600)\" >/dev/null 2>&1 &";
    namespace.kubectl(&["exec", "flagsmith-database-0", "--", "sh", "-c", shell]);
    let diagnosis = named(namespace, "TaskQueueStalled", SILENCE);
    says(&diagnosis, &["application \"forgotten\"", "pg_terminate_backend("]);
    assert_eq!(condition_reason(namespace, "TaskProcessorAvailable"), "TaskQueueStalled");
    let remedy = diagnosis["remedy"].as_str().unwrap();
    let pid = remedy.split(['(', ')']).nth(1).unwrap();
    namespace.sql(&format!("SELECT pg_terminate_backend({pid})"));
    gone(namespace, "TaskQueueStalled", TWO_LOOKS);
    namespace.settled();
}

fn settings(namespace: &Namespace) {
    namespace.apply(&resource("  taskProcessor: {threads: 60, sleepIntervalMilliseconds: 60000}\n"));
    named(namespace, "TaskSleepIntervalHigh", RESTART);
    let diagnosis = named(namespace, "ConnectionBudgetExceeded", RESTART);
    says(&diagnosis, &["max_connections", "60 threads"]);
    namespace.apply(&resource(""));
    gone(namespace, "ConnectionBudgetExceeded", RESTART);
    gone(namespace, "TaskSleepIntervalHigh", TWO_LOOKS);
    namespace.settled();
}

fn follow_the_queue(namespace: &Namespace) {
    namespace.apply(&resource(
        "  taskProcessor: {queuePopSize: 1, threads: 1, autoscaling: {maxReplicas: 3, targetAgeSeconds: 5}}\n",
    ));
    namespace.settled();
    enqueue(namespace, "slow", 60, "3");
    wait_until(RESTART, "a second processor is wanted", || {
        let deployment = namespace.json(&["get", "deployment", "flagsmith-task-processor"]);
        let replicas = pointer(&deployment, "/spec/replicas").as_i64().unwrap();
        (replicas >= 2).then_some(()).ok_or(replicas.to_string())
    });
    namespace.sql("DELETE FROM task_processor_task WHERE NOT completed");
    namespace.apply(&resource(""));
    namespace.settled();
}

/// The demo's resource with another task processor.
pub fn resource(task_processor: &str) -> String {
    let text = demo(NEW);
    if task_processor.is_empty() {
        return text;
    }
    let (head, rest) = text.split_once("  taskProcessor:\n").unwrap();
    let (_, tail) = rest.split_once("  frontend:\n").unwrap();
    format!("{head}{task_processor}  frontend:\n{tail}")
}

pub fn enqueue(namespace: &Namespace, task: &str, count: u32, value: &str) {
    let api = namespace.service("flagsmith-api");
    let value = value.replace(' ', "%20");
    let answer = http::post(&api, 8000, &format!("/testbed/enqueue?task={task}&count={count}&value={value}"));
    assert_eq!(answer.status, 202, "{}", answer.body);
}

pub fn diagnosis(namespace: &Namespace, code: &str) -> Option<Value> {
    let fsd = namespace.fsd();
    let diagnoses = pointer(&fsd, "/status/diagnoses").as_array()?;
    diagnoses.iter().find(|diagnosis| diagnosis["code"] == code).cloned()
}

/// Every diagnosis but those of the demo: its database, and an Ingress class that nobody serves.
pub fn others(namespace: &Namespace) -> Vec<String> {
    let mut codes = namespace.codes();
    codes.retain(|code| !["EmbeddedDatabaseInUse", "ProxyNotChecked"].contains(&code.as_str()));
    codes
}

pub fn named(namespace: &Namespace, code: &str, limit: Duration) -> Value {
    let start = Instant::now();
    wait_until(limit, &format!("{code} is named"), || {
        diagnosis(namespace, code).map(drop).ok_or_else(|| others(namespace).join(" "))
    });
    let diagnosis = diagnosis(namespace, code).unwrap_or_default();
    println!("    {code} after {:.1} s\n{diagnosis:#}", start.elapsed().as_secs_f32());
    diagnosis
}

pub fn gone(namespace: &Namespace, code: &str, limit: Duration) {
    let start = Instant::now();
    wait_until(limit, &format!("{code} is gone"), || {
        diagnosis(namespace, code).map_or(Ok(()), |diagnosis| Err(diagnosis.to_string()))
    });
    println!("    {code} gone after {:.1} s", start.elapsed().as_secs_f32());
}

pub fn says(diagnosis: &Value, words: &[&str]) {
    let text = serde_json::to_string(diagnosis).unwrap().replace("\\\"", "\"");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}

fn message(namespace: &Namespace, kind: &str) -> String {
    condition(namespace, kind, "message")
}

fn condition_reason(namespace: &Namespace, kind: &str) -> String {
    condition(namespace, kind, "reason")
}

pub fn condition(namespace: &Namespace, kind: &str, field: &str) -> String {
    let path = format!("jsonpath={{.status.conditions[?(@.type==\"{kind}\")].{field}}}");
    namespace.kubectl(&["get", "fsd", "flagsmith", "-o", &path])
}

/// SIGKILL in the middle of a batch, a second after SIGTERM; returns when the container has ended. A forced deletion
/// would return while it goes on taking tasks.
fn kill(namespace: &Namespace) {
    namespace.kubectl(&["delete", "pod", &processors(namespace)[0], "--grace-period=1"]);
}

fn processors(namespace: &Namespace) -> Vec<String> {
    let label = "app.kubernetes.io/component=task-processor";
    let names = namespace.kubectl(&["get", "pods", "-l", label, "-o", "jsonpath={.items[*].metadata.name}"]);
    names.split_whitespace().map(str::to_owned).collect()
}
