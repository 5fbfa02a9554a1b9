//! Containers: environment, probes, security.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, ResourceRequirements};
use serde_json::{Value, json};

use super::pod::django_mounts;
use crate::{
    api::ContainerSettings,
    flagsmith::{self, env, startup},
    timeouts::{LIVENESS_PERIOD, liveness_failures},
    validate::{Database, Installation, SecretKey, VariableValue},
};

/// Seconds between two startup probes: a start takes 5 to 15 seconds, so this costs at most two.
const STARTUP_PERIOD: i32 = 2;
/// Failed startup probes before a container is replaced.
const STARTUP_FAILURES: i32 = startup::THROTTLED_SECONDS / STARTUP_PERIOD;
/// Seconds between two readiness probes; each costs the database an insert, an update and a delete.
const READINESS_PERIOD: i32 = 5;
/// Failed readiness probes before a pod is taken out of its Service.
const READINESS_FAILURES: i32 = 3;
/// Seconds that a probe may take; the kubelet's default of one is too short for a check that asks a database.
const PROBE_TIMEOUT: i32 = 5;

/// Seconds that libpq waits for a connection. Without it a host that does not answer (a failover, a Service without
/// pods) holds a request's thread, and the task processor, for the kernel's two minutes, also when the database has long
/// been back.
const CONNECT_TIMEOUT: &str = "10";

/// A container that runs Django.
pub(super) struct Django<'a> {
    pub(super) name: &'a str,
    pub(super) image: String,
    /// Replaces the image's entrypoint; `None` keeps it.
    pub(super) command: Option<&'a [&'a str]>,
    pub(super) args: Vec<String>,
    pub(super) settings: &'a ContainerSettings,
    pub(super) resources: &'a ResourceRequirements,
    pub(super) database_url: &'a SecretKey,
    /// The separate database of tasks; the migration Job prepares it in a step of its own.
    pub(super) task_processor_url: Option<&'a SecretKey>,
    /// Computed variables of this component.
    pub(super) computed: Vec<(&'a str, String)>,
    /// Whether it serves HTTP: ports, probes.
    pub(super) serves: bool,
    /// Further fields of the container.
    pub(super) rest: Value,
}

impl Django<'_> {
    pub(super) fn build(self, installation: &Installation) -> Value {
        let mut mounts = django_mounts(installation);
        mounts.extend(self.settings.volume_mounts.iter().map(|mount| json!(mount)));
        let mut container = json!({
            "name": self.name,
            "image": self.image,
            "imagePullPolicy": installation.images.pull_policy,
            "command": self.command,
            "args": self.args,
            "env": self.environment(installation),
            "envFrom": env_from(&installation.env_from, &self.settings.env_from),
            "resources": self.resources,
            "volumeMounts": mounts,
            "securityContext": security_context(self.settings),
            // The last lines of the log become the termination message, which the diagnosis quotes.
            "terminationMessagePolicy": "FallbackToLogsOnError",
        });
        if let (true, Some(container)) = (self.serves, container.as_object_mut()) {
            let host = probe_host(&installation.allowed_hosts);
            let probe = |path: &str, period, failures| http_probe(path, "http", host, period, failures);
            container.insert(
                "ports".to_owned(),
                json!([
                    { "name": "http", "containerPort": flagsmith::HTTP_PORT, "protocol": "TCP" },
                    { "name": "metrics", "containerPort": flagsmith::METRICS_PORT, "protocol": "TCP" },
                ]),
            );
            let liveness_failures = liveness_failures(installation.request_timeout);
            let probes = [
                (
                    "startupProbe",
                    self.settings.startup_probe.as_ref(),
                    probe(flagsmith::LIVENESS_PATH, STARTUP_PERIOD, STARTUP_FAILURES),
                ),
                (
                    "livenessProbe",
                    self.settings.liveness_probe.as_ref(),
                    probe(flagsmith::LIVENESS_PATH, LIVENESS_PERIOD, liveness_failures),
                ),
                (
                    "readinessProbe",
                    self.settings.readiness_probe.as_ref(),
                    probe(flagsmith::READINESS_PATH, READINESS_PERIOD, READINESS_FAILURES),
                ),
            ];
            for (name, own, default) in probes {
                container.insert(name.to_owned(), own.map_or(default, |probe| json!(probe)));
            }
        }
        if let (Some(container), Value::Object(rest)) = (container.as_object_mut(), self.rest) {
            container.extend(rest);
        }
        container
    }

    fn environment(&self, installation: &Installation) -> Vec<Value> {
        let mut variables = vec![
            secret(env::DATABASE_URL, self.database_url),
            secret(env::DJANGO_SECRET_KEY, &installation.django_secret),
            variable(env::DJANGO_ALLOWED_HOSTS, &installation.allowed_hosts.join(",")),
            variable(env::PROMETHEUS_MULTIPROC_DIR, flagsmith::PROMETHEUS_DIR),
        ];
        if let Some(key) = self.task_processor_url {
            variables.push(secret(env::TASK_PROCESSOR_DATABASE_URL, key));
            // The default, written out: what stands behind envFrom must not leave out the queue.
            variables.push(variable(env::TASK_PROCESSOR_DATABASES, "default,task_processor"));
        }
        if let Database::External { analytics_url, replica_urls, .. } = &installation.database {
            variables.extend(analytics_url.iter().map(|key| secret(env::ANALYTICS_DATABASE_URL, key)));
            variables.extend(
                replica_urls
                    .iter()
                    .enumerate()
                    .map(|(index, key)| secret(&format!("{}{index}", env::REPLICA_DATABASE_URL), key)),
            );
        }
        variables.extend(installation.integrations.iter().map(|it| match &it.value {
            VariableValue::Text(text) => variable(it.name, text),
            VariableValue::Secret(key) => secret(it.name, key),
        }));
        variables.extend(self.computed.iter().map(|(name, value)| variable(name, value)));
        // Defaults that a user may change: without access log and JSON nobody can tell a 502 from a 500.
        let defaults = [
            variable(env::PGCONNECT_TIMEOUT, CONNECT_TIMEOUT),
            variable(env::PROMETHEUS_ENABLED, "true"),
            variable(env::LOG_FORMAT, "json"),
            variable(env::ACCESS_LOG_LOCATION, "-"),
        ];
        merge(variables, &defaults, &[&installation.env, &self.settings.env])
    }
}

/// `base` as it is, then defaults and the user's lists by name, a later list winning. Server-side apply refuses
/// a name that stands twice.
pub(super) fn merge(base: Vec<Value>, defaults: &[Value], users: &[&[EnvVar]]) -> Vec<Value> {
    let mut order: Vec<String> = Vec::new();
    let mut by_name: BTreeMap<String, Value> = BTreeMap::new();
    let named = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let all = base
        .into_iter()
        .chain(defaults.iter().cloned())
        .chain(users.iter().flat_map(|list| list.iter().map(|variable| json!(variable))));
    for value in all {
        let name = named(&value);
        if by_name.insert(name.clone(), value).is_none() {
            order.push(name);
        }
    }
    order.iter().filter_map(|name| by_name.remove(name)).collect()
}

pub(super) fn variable(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

/// A variable whose value the kubelet takes from a Secret.
pub(super) fn secret(name: &str, key: &SecretKey) -> Value {
    json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": key.name, "key": key.key } } })
}

pub(super) fn env_from(shared: &[EnvFromSource], own: &[EnvFromSource]) -> Vec<Value> {
    shared.iter().chain(own).map(|source| json!(source)).collect()
}

/// The user's security context, or restricted Pod Security with a read-only root.
pub(super) fn security_context(settings: &ContainerSettings) -> Value {
    settings.container_security_context.as_ref().map_or_else(restricted, |context| json!(context))
}

/// Restricted Pod Security with a read-only root.
pub(super) fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    })
}

/// The Host header of probes: a kubelet uses the pod's address, which only "*" allows.
fn probe_host(allowed: &[String]) -> Option<&str> {
    if allowed.iter().any(|host| host == "*") {
        return None;
    }
    allowed.first().map(|host| host.trim_start_matches('.'))
}

pub(super) fn http_probe(path: &str, port: &str, host: Option<&str>, period: i32, failures: i32) -> Value {
    json!({
        "httpGet": {
            "path": path,
            "port": port,
            "scheme": "HTTP",
            "httpHeaders": host.map(|host| json!([{ "name": "Host", "value": host }])),
        },
        "periodSeconds": period,
        "timeoutSeconds": PROBE_TIMEOUT,
        "successThreshold": 1,
        "failureThreshold": failures,
    })
}
