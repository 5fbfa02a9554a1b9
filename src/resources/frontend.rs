//! The Deployment of the frontend.

use serde_json::{Value, json};

use super::{
    container::{env_from, http_probe, merge, security_context, variable},
    deployment,
    pod::{Template, scratch},
};
use crate::{
    decide::{Plan, Workload},
    flagsmith::{self, env},
    model::{Component, child::Child},
    validate::Installation,
};

/// Answers without the API.
const HEALTH_PATH: &str = "/health";
/// Seconds that a pod keeps serving while endpoints and proxies learn that it ends.
const PRE_STOP: i32 = 5;
/// Seconds until SIGKILL. Node as process 1 without a handler ignores SIGTERM (Flagsmith's
/// `frontend/api/index.js`), so all that comes after preStop is waiting.
const GRACE_PERIOD: i32 = 10;
/// Probes: a Node server is up within seconds.
const PERIOD: i32 = 5;
const STARTUP_FAILURES: i32 = 60;
const FAILURES: i32 = 6;

pub(super) fn build(installation: &Installation, plan: &Plan, workload: &Workload) -> Child {
    let spec = &installation.frontend;
    let settings = &spec.container;
    let probe = |failures| http_probe(HEALTH_PATH, "http", None, PERIOD, failures);
    let own = |probe: Option<&_>, default: Value| probe.map_or(default, |probe| json!(probe));
    let mut mounts = vec![json!({ "name": "tmp", "mountPath": "/tmp" })];
    mounts.extend(settings.volume_mounts.iter().map(|mount| json!(mount)));
    let api = format!("http://{}:{}", installation.child(Component::Api.as_str()), flagsmith::HTTP_PORT);
    let container = json!({
        "name": "frontend",
        "image": workload.image.clone(),
        "imagePullPolicy": installation.images.pull_policy,
        "env": merge(vec![], &[variable(env::FLAGSMITH_PROXY_API_URL, &api)], &[&settings.env]),
        "envFrom": env_from(&[], &settings.env_from),
        "ports": [{ "name": "http", "containerPort": flagsmith::FRONTEND_PORT, "protocol": "TCP" }],
        "resources": spec.resources,
        "volumeMounts": mounts,
        "securityContext": security_context(settings),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "lifecycle": { "preStop": { "sleep": { "seconds": PRE_STOP } } },
        "startupProbe": own(settings.startup_probe.as_ref(), probe(STARTUP_FAILURES)),
        "livenessProbe": own(settings.liveness_probe.as_ref(), probe(FAILURES)),
        "readinessProbe": own(settings.readiness_probe.as_ref(), probe(FAILURES)),
    });
    let template = Template {
        component: Component::Frontend,
        release: Some(workload.release),
        settings: &settings.pod,
        secret_hash: None,
        grace_period: Some(GRACE_PERIOD),
        containers: vec![container],
        volumes: vec![scratch("tmp")],
        user: flagsmith::USER,
        initial: Vec::new(),
        rest: Value::Null,
    };
    deployment::build(installation, plan, workload.replicas, template, &deployment::rolling())
}
