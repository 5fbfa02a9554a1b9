//! The Deployment of the edge proxy.

use serde_json::{Value, json};

use super::{
    container::{env_from, http_probe, merge, security_context, variable},
    deployment,
    pod::{Template, scratch},
};
use crate::{
    api::{EdgeEnvironment, EdgeProxySpec, SecretValueSource},
    decide::Plan,
    flagsmith::{self, env::edge_proxy as env},
    model::{Component, child::Child},
    validate::Installation,
};

/// Probes: its process is up within seconds.
const PERIOD: i32 = 5;
const STARTUP_FAILURES: i32 = 60;
const FAILURES: i32 = 6;
/// One lost answer is no reason to take a pod out of its Service.
const READINESS_FAILURES: i32 = 3;

/// A pod that has had every environment's flags stays ready while the API is away: they are old, and an answer is better
/// than none. By default it would leave its Service half a minute later, which is when it is needed.
const HEALTH_CHECK: &str = r#"{"environment_update_grace_period_seconds": null}"#;

/// Without it nobody can tell who got an error.
const LOGGING: &str = r#"{"log_format": "json", "enable_access_log": true}"#;

pub(super) fn build(
    installation: &Installation,
    plan: &Plan,
    spec: &EdgeProxySpec,
    replicas: Option<i32>,
) -> Child {
    let settings = &spec.container;
    let timeouts = plan.edge_timeouts;
    let probe = |path, failures| http_probe(path, "http", None, PERIOD, failures);
    let own = |probe: Option<&_>, default: Value| probe.map_or(default, |probe| json!(probe));
    let mut mounts = vec![json!({ "name": "tmp", "mountPath": "/tmp" })];
    mounts.extend(settings.volume_mounts.iter().map(|mount| json!(mount)));
    let container = json!({
        "name": Component::EdgeProxy.as_str(),
        "image": spec.image,
        "imagePullPolicy": installation.images.pull_policy,
        "env": environment(installation, plan, spec),
        "envFrom": env_from(&[], &settings.env_from),
        "ports": [{ "name": "http", "containerPort": flagsmith::EDGE_PROXY_PORT, "protocol": "TCP" }],
        "resources": spec.resources,
        "volumeMounts": mounts,
        "securityContext": security_context(settings),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "lifecycle": { "preStop": { "sleep": { "seconds": timeouts.pre_stop } } },
        "startupProbe": own(
            settings.startup_probe.as_ref(),
            probe(flagsmith::EDGE_PROXY_LIVENESS_PATH, STARTUP_FAILURES),
        ),
        "livenessProbe": own(
            settings.liveness_probe.as_ref(),
            probe(flagsmith::EDGE_PROXY_LIVENESS_PATH, FAILURES),
        ),
        "readinessProbe": own(
            settings.readiness_probe.as_ref(),
            probe(flagsmith::EDGE_PROXY_READINESS_PATH, READINESS_FAILURES),
        ),
    });
    let template = Template {
        component: Component::EdgeProxy,
        release: None,
        settings: &settings.pod,
        secret_hash: None,
        grace_period: Some(timeouts.grace_period),
        containers: vec![container],
        volumes: vec![scratch("tmp")],
        user: flagsmith::USER,
        initial: Vec::new(),
        rest: Value::Null,
    };
    deployment::build(installation, plan, replicas, template, &deployment::rolling())
}

/// The keys come from their Secrets as variables of their own, which the kubelet puts into the JSON: keys are letters,
/// digits and dots, so nothing in them needs to be escaped.
fn environment(installation: &Installation, plan: &Plan, spec: &EdgeProxySpec) -> Vec<Value> {
    let api = installation.child(Component::Api.as_str());
    let secret = |name: String, source: &SecretValueSource| {
        let key = &source.secret_key_ref;
        json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": key.name, "key": key.key } } })
    };
    let client = |index| format!("CLIENT_SIDE_KEY_{index}");
    let server = |index| format!("SERVER_SIDE_KEY_{index}");
    let each = || spec.environments.iter().enumerate();
    let keys = each().flat_map(|(index, EdgeEnvironment { client_side_key_from, server_side_key_from })| {
        [secret(client(index), client_side_key_from), secret(server(index), server_side_key_from)]
    });
    let reference = |name: String| format!("$({name})");
    let pairs: Vec<Value> = each()
        .map(|(index, _)| {
            json!({
                "client_side_key": reference(client(index)),
                "server_side_key": reference(server(index)),
            })
        })
        .collect();
    let computed = [
        variable(env::ENVIRONMENT_KEY_PAIRS, &json!(pairs).to_string()),
        variable(env::API_URL, &format!("http://{api}:{}/api/v1", flagsmith::HTTP_PORT)),
        variable(env::API_POLL_FREQUENCY_SECONDS, &spec.poll_interval_seconds.to_string()),
        variable(
            env::SERVER,
            &json!({ "timeout_keep_alive": plan.edge_timeouts.outlasting_keep_alive() }).to_string(),
        ),
    ];
    let defaults = [variable(env::HEALTH_CHECK, HEALTH_CHECK), variable(env::LOGGING, LOGGING)];
    merge(keys.chain(computed).collect(), &defaults, &[&spec.container.env])
}
