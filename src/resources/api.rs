//! The Deployment of the API.

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

pub(super) fn build(installation: &Installation, plan: &Plan, workload: &Workload) -> Child {
    let timeouts = plan.timeouts;
    // Flags stand before the sub-command and not in the environment: GUNICORN_KEEP_ALIVE and GUNICORN_CMD_ARGS
    // are ignored from 2.253.0 and 2.170.0 on (flagsmith-common before 3.15.1); `start` reads flags in all.
    let args = [
        "start".to_owned(),
        "--timeout".to_owned(),
        timeouts.request.to_string(),
        "--keep-alive".to_owned(),
        timeouts.keep_alive.to_string(),
        "--graceful-timeout".to_owned(),
        timeouts.graceful_timeout.to_string(),
        // Heartbeats on a disk that stalls look like a hung worker; /dev/shm is memory.
        "--worker-tmp-dir".to_owned(),
        "/dev/shm".to_owned(),
        "api".to_owned(),
    ];
    let gunicorn = &installation.api.gunicorn;
    let mut computed = vec![
        (env::TASK_RUN_METHOD, "TASK_PROCESSOR".to_owned()),
        (env::GUNICORN_WORKERS, gunicorn.workers.to_string()),
        (env::GUNICORN_THREADS, gunicorn.threads.to_string()),
    ];
    if installation.frontend.enabled {
        computed.push((env::USE_X_FORWARDED_HOST, "true".to_owned()));
    }
    let container = Django {
        name: "api",
        image: workload.image.clone(),
        command: Some(flagsmith::COMMAND),
        args: args.to_vec(),
        settings: &installation.api.container,
        resources: &installation.api.resources,
        database_url: installation.database.url(),
        task_processor_url: installation.database.task_processor_url(),
        computed,
        serves: true,
        rest: json!({ "lifecycle": { "preStop": { "sleep": { "seconds": timeouts.pre_stop } } } }),
    };
    let template = Template {
        component: Component::Api,
        release: Some(workload.release),
        settings: &installation.api.container.pod,
        secret_hash: workload.secret_hash.as_deref(),
        grace_period: Some(timeouts.grace_period),
        containers: vec![container.build(installation)],
        volumes: django_volumes(installation),
        user: flagsmith::USER,
        initial: Vec::new(),
        rest: Value::Null,
    };
    deployment::build(installation, plan, workload.replicas, template, &deployment::rolling())
}
