//! The Deployment of the edge proxy.

use serde_json::{Value, json};

use super::{
    container::{merge, secret, variable},
    server::Server,
};
use crate::{
    api::{EdgeEnvironment, EdgeProxySpec},
    decide::Plan,
    flagsmith::{self, env::edge_proxy as env},
    model::{Component, child::Child},
    validate::{Installation, SecretKey},
};

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
    let server = Server {
        component: Component::EdgeProxy,
        release: None,
        image: &spec.image,
        replicas,
        environment: environment(installation, plan, spec),
        settings: &spec.container,
        resources: &spec.resources,
        port: flagsmith::EDGE_PROXY_PORT,
        liveness: flagsmith::EDGE_PROXY_LIVENESS_PATH,
        readiness: (flagsmith::EDGE_PROXY_READINESS_PATH, READINESS_FAILURES),
        pre_stop: plan.edge_timeouts.pre_stop,
        grace_period: plan.edge_timeouts.grace_period,
    };
    server.build(installation, plan)
}

/// The keys come from their Secrets as variables of their own, which the kubelet puts into the JSON: keys are letters,
/// digits and dots, so nothing in them needs to be escaped.
fn environment(installation: &Installation, plan: &Plan, spec: &EdgeProxySpec) -> Vec<Value> {
    let api = installation.child(Component::Api.as_str());
    let client = |index| format!("CLIENT_SIDE_KEY_{index}");
    let server = |index| format!("SERVER_SIDE_KEY_{index}");
    let each = || spec.environments.iter().enumerate();
    let keys = each().flat_map(|(index, EdgeEnvironment { client_side_key_from, server_side_key_from })| {
        let key = |name: String, source| secret(&name, &SecretKey::from(source));
        [key(client(index), client_side_key_from), key(server(index), server_side_key_from)]
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
