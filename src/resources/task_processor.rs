//! The Deployment of the task processor.

use serde_json::{Value, json};

use super::{
    container::Django,
    deployment,
    pod::{Template, django_volumes},
};
use crate::{
    decide::{Plan, Workload},
    flagsmith::{self, env},
    model::{Component, child::Child},
    validate::Installation,
};

/// Seconds that a task processor gets to end beyond its longest task. A thread ends only after the task that it
/// runs; then the results of its batch are written, and Gunicorn's worker ends. A processor that is killed before
/// leaves the batch locked forever.
const ENDING: i32 = 60;

pub(super) fn build(installation: &Installation, plan: &Plan, workload: &Workload) -> Child {
    let spec = &installation.task_processor;
    // `start task-processor` and never `run-task-processor`, which migrates since 2.178.0 and runs no task in
    // 2.253.0 to 2.259.0.
    let args = [
        "start".to_owned(),
        "--worker-tmp-dir".to_owned(),
        "/dev/shm".to_owned(),
        "task-processor".to_owned(),
        "--numthreads".to_owned(),
        spec.threads.to_string(),
        "--sleepintervalms".to_owned(),
        spec.sleep_interval_milliseconds.to_string(),
        "--queuepopsize".to_owned(),
        spec.queue_pop_size.to_string(),
        "--graceperiodms".to_owned(),
        spec.grace_period_milliseconds.to_string(),
    ];
    let container = Django {
        name: "task-processor",
        image: workload.image.clone(),
        command: Some(flagsmith::COMMAND),
        args: args.to_vec(),
        settings: &spec.container,
        resources: &spec.resources,
        database_url: installation.database.url(),
        task_processor_url: installation.database.task_processor_url(),
        computed: vec![
            (env::RUN_BY_PROCESSOR, "true".to_owned()),
            (env::TASK_RUN_METHOD, "TASK_PROCESSOR".to_owned()),
            // The workers serve health checks and metrics only; tasks run in the arbiter's threads. The
            // images since 2.253.0 would start three, of about 200 MB each.
            (env::GUNICORN_WORKERS, "1".to_owned()),
            (env::GUNICORN_THREADS, "2".to_owned()),
        ],
        serves: true,
        rest: Value::Null,
    };
    let template = Template {
        component: Component::TaskProcessor,
        release: Some(workload.release),
        settings: &spec.container.pod,
        secret_hash: workload.secret_hash.as_deref(),
        grace_period: Some(spec.longest_task_seconds + ENDING),
        containers: vec![container.build(installation)],
        volumes: django_volumes(installation),
        user: flagsmith::USER,
        initial: Vec::new(),
        rest: Value::Null,
    };
    // An old processor does not know the new release's tasks and leaves them locked.
    let recreate = json!({ "type": "Recreate" });
    deployment::build(installation, plan, workload.replicas, template, &recreate)
}
