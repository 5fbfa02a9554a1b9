//! What only the processor of somebody else's installation comes to: another release, another database, a wrong URL.

use std::time::Duration;

use crate::{
    http,
    kubectl::wait_until,
    namespace::{NEW, Namespace, Trials, step},
    official_chart::{
        alarms, await_code, await_health, healthy, read_only_operator, recover, trouble_within, upgrade,
    },
};

const PROCESSOR: &str = "deployment/acme-flagsmith-task-processor";

/// Only the log of the processor tells of it. One healthy pod is read each 55 s (`logs.rs`), and here are two.
const READ: Duration = Duration::from_secs(130);

#[test]
#[ignore = "five minutes: make trial-observed"]
fn every_trouble_of_an_observed_task_processor() {
    step("install an operator that may write nothing", read_only_operator);
    let namespace = Namespace::new("observed-tasks");
    step("an installation of the official chart is healthy", || {
        healthy(&namespace);
    });
    let mut trials = Trials::new();
    let mut trial =
        |name: &str, run: fn(&Namespace)| trials.trial(name, || run(&namespace), || mend(&namespace));
    trial("a task that the processor's release does not know", unregistered);
    trial("a processor of another database", elsewhere);
    trial("a processor with a wrong URL", misspelled);
    trials.verdict();
    namespace.remove();
}

/// The API queues what only it knows, and the older processor leaves the whole batch locked.
fn unregistered(namespace: &Namespace) {
    upgrade(namespace, &["--set", "taskProcessor.image.tag=2.260.0"]);
    await_code(namespace, "TaskProcessorVersionSkew");
    namespace.kubectl(&["rollout", "status", PROCESSOR, "--timeout=120s"]);
    let api = namespace.service("acme-flagsmith-api");
    let answer = http::post(&api, 8000, "/testbed/enqueue?task=deliver&count=3");
    assert_eq!(answer.status, 202, "{}", answer.body);
    wait_until(READ, "the unknown task is told with the skew", || {
        let first = alarms(namespace).first().map(ToString::to_string).unwrap_or_default();
        (first.contains("TaskProcessorVersionSkew") && first.contains("tasks.deliver"))
            .then_some(())
            .ok_or(first)
    });
    upgrade(namespace, &["--set", &format!("taskProcessor.image.tag={NEW}")]);
    let stuck = await_code(namespace, "TasksStuckLocked");
    println!("    remedy: {}", stuck["remedy"]);
    let unlock = "UPDATE task_processor_task SET is_locked = false WHERE is_locked AND NOT completed";
    in_database(namespace, &format!("psql -U flagsmith -d flagsmith -c '{unlock}'"));
    await_health(namespace);
}

fn elsewhere(namespace: &Namespace) {
    in_database(namespace, "createdb -U flagsmith elsewhere");
    // That nobody looks at a queue any more shows when its longest silence is over, at the look after that.
    trouble_within(READ, namespace, "TaskProcessorDatabaseMismatch", || {
        url(namespace, "database:5432/elsewhere");
    });
}

fn misspelled(namespace: &Namespace) {
    url(namespace, "databsae:5432/flagsmith");
    let named = await_code(namespace, "DatabaseHostNotFound");
    assert!(named.to_string().contains("databsae"), "{named:#}");
    println!("    remedy: {}", named["remedy"]);
    mend(namespace);
}

fn mend(namespace: &Namespace) {
    namespace.kubectl(&["set", "env", PROCESSOR, "DATABASE_URL-"]);
    recover(namespace);
}

/// Gives the task processor a `DATABASE_URL` of its own.
fn url(namespace: &Namespace, database: &str) {
    let value = format!("DATABASE_URL=postgresql://flagsmith:flagsmith@{database}");
    namespace.kubectl(&["set", "env", PROCESSOR, &value]);
}

fn in_database(namespace: &Namespace, shell: &str) {
    namespace.kubectl(&["exec", "deployment/database", "--", "sh", "-c", shell]);
}
