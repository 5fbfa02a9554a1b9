//! The Deployment of a server that does not run Django: frontend and edge proxy.

use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::{Value, json};

use super::{
    container::{env_from, http_probe, security_context},
    deployment,
    pod::{Template, scratch},
};
use crate::{
    api::ContainerSettings,
    decide::Plan,
    flagsmith::{self, Release},
    model::{Component, child::Child},
    validate::Installation,
};

/// Seconds between two probes: such a server is up within seconds.
const PERIOD: i32 = 5;
/// Failed probes before a container that starts is replaced.
const STARTUP_FAILURES: i32 = 60;
/// Failed probes before one that runs is.
const FAILURES: i32 = 6;

/// What differs from one such server to the next.
pub(super) struct Server<'a> {
    pub(super) component: Component,
    pub(super) release: Option<Release>,
    pub(super) image: &'a str,
    pub(super) replicas: Option<i32>,
    pub(super) environment: Vec<Value>,
    pub(super) settings: &'a ContainerSettings,
    pub(super) resources: &'a ResourceRequirements,
    pub(super) port: i32,
    /// Answers as long as the process does.
    pub(super) liveness: &'a str,
    /// Answers when it serves, and after how many failures in a row it does not.
    pub(super) readiness: (&'a str, i32),
    /// The sleep of preStop, in seconds.
    pub(super) pre_stop: i32,
    /// `terminationGracePeriodSeconds`.
    pub(super) grace_period: i32,
}

impl Server<'_> {
    pub(super) fn build(self, installation: &Installation, plan: &Plan) -> Child {
        let settings = self.settings;
        let probe = |path, failures| http_probe(path, "http", None, PERIOD, failures);
        let own = |probe: Option<&_>, default: Value| probe.map_or(default, |probe| json!(probe));
        let mut mounts = vec![json!({ "name": "tmp", "mountPath": "/tmp" })];
        mounts.extend(settings.volume_mounts.iter().map(|mount| json!(mount)));
        let (readiness, readiness_failures) = self.readiness;
        let container = json!({
            "name": self.component.as_str(),
            "image": self.image,
            "imagePullPolicy": installation.images.pull_policy,
            "env": self.environment,
            "envFrom": env_from(&[], &settings.env_from),
            "ports": [{ "name": "http", "containerPort": self.port, "protocol": "TCP" }],
            "resources": self.resources,
            "volumeMounts": mounts,
            "securityContext": security_context(settings),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "lifecycle": { "preStop": { "sleep": { "seconds": self.pre_stop } } },
            "startupProbe": own(settings.startup_probe.as_ref(), probe(self.liveness, STARTUP_FAILURES)),
            "livenessProbe": own(settings.liveness_probe.as_ref(), probe(self.liveness, FAILURES)),
            "readinessProbe": own(settings.readiness_probe.as_ref(), probe(readiness, readiness_failures)),
        });
        let template = Template {
            component: self.component,
            release: self.release,
            settings: &settings.pod,
            secret_hash: None,
            grace_period: Some(self.grace_period),
            containers: vec![container],
            volumes: vec![scratch("tmp")],
            user: flagsmith::USER,
            initial: Vec::new(),
            rest: Value::Null,
        };
        deployment::build(installation, plan, self.replicas, template, &deployment::rolling())
    }
}
