//! What the operator decides of an object instead of its owner, and why. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    facts::OWN,
    live::{items, text},
};
use crate::{
    flagsmith::{self, env},
    model::{Component, child::Kind},
    observe::{ConfigMaps, ContainerState, discover::Literal},
};

const NAMES: &str = "names and labels by which the operator finds its own objects";
const TIMEOUTS: &str =
    "follows from spec.requestTimeoutSeconds, or for tasks from spec.taskProcessor.longestTaskSeconds";
const START: &str = "the operator starts Flagsmith without migrating, with the flags of its timeouts";
const ORDER: &str = "how pods are exchanged follows from the order of migrations";
const PORTS: &str = "the operator's Service has Flagsmith's own ports; the old Service stays as it is";
const SCALED: &str = "an autoscaler decides";
const QUEUE: &str = "the operator scales the task processor by the age of its queue";
const MOUNTED: &str = "the operator mounts directories of its own there";

/// What starts Flagsmith as its image does by itself.
const STARTS: &[&str] = &["serve", "migrate-and-serve", "run-task-processor", "start", "flagsmith"];

/// What is known of an object besides the path of the setting.
pub(super) struct Subject<'a> {
    pub(super) kind: Kind,
    pub(super) component: Component,
    pub(super) body: &'a Value,
    /// Variables that are moved into a Secret.
    pub(super) moved: &'a BTreeMap<String, Literal>,
    /// An autoscaler counts its pods.
    pub(super) scaled: bool,
}

/// Why the operator decides a setting; `None` where it does not.
pub(super) fn reason(subject: &Subject<'_>, path: &str, value: &Value) -> Option<String> {
    if is_name(path) {
        return Some(NAMES.to_owned());
    }
    match subject.kind {
        Kind::Deployment => of_deployment(subject, path, value),
        Kind::Service => path.starts_with("ports[").then(|| PORTS.to_owned()),
        Kind::HorizontalPodAutoscaler => {
            let queue = subject.component == Component::TaskProcessor
                && ["minReplicas", "maxReplicas", "metrics"].contains(&path);
            if path.starts_with("scaleTargetRef") { Some(NAMES) } else { queue.then_some(QUEUE) }
                .map(str::to_owned)
        }
        _ => None,
    }
}

/// The same of what an Ingress or an `HTTPRoute` says besides hosts and paths.
pub(super) fn of_route(path: &str) -> Option<&'static str> {
    if is_name(path) {
        return Some(NAMES);
    }
    let timeouts = path.starts_with("rules[") && path.ends_with("].timeouts");
    timeouts.then_some(TIMEOUTS)
}

/// Whether a setting is by what the operator, or the chart, finds its own objects.
pub(super) fn is_name(path: &str) -> bool {
    let labels = ["labels[", "template.metadata.labels["];
    let marks = ["app.kubernetes.io/", "helm.sh/"];
    let label = labels.iter().find_map(|part| path.strip_prefix(part));
    label.is_some_and(|key| marks.iter().any(|mark| key.starts_with(mark)))
        || path.starts_with("selector[")
        || path.starts_with("selector.matchLabels[")
}

fn of_deployment(subject: &Subject<'_>, path: &str, value: &Value) -> Option<String> {
    let is = |reason: &str| Some(reason.to_owned());
    if path.starts_with("template.metadata.annotations[checksum/") {
        return is("the operator replaces pods when a Secret of theirs changes");
    }
    if path.starts_with("strategy.") || path == "strategy" {
        return is(ORDER);
    }
    if path == "replicas" && subject.scaled {
        return is(SCALED);
    }
    let pod = path.strip_prefix("template.spec.")?;
    if pod == "terminationGracePeriodSeconds" {
        return is(TIMEOUTS);
    }
    if let Some(rest) = pod.strip_prefix("volumes[") {
        let name = rest.split(']').next().unwrap_or_default();
        return mounted_by_operator(subject.body, name).then(|| MOUNTED.to_owned());
    }
    let variable = pod.split_once("env[").and_then(|(_, rest)| rest.split(']').next());
    if variable.is_some_and(|name| subject.moved.contains_key(name)) {
        return is("its value is moved into the Secret flagsmith-adopted");
    }
    if let Some(rest) = pod.strip_prefix("initContainers[") {
        return of_init_container(subject.body, rest.split(']').next().unwrap_or_default());
    }
    let own = pod.strip_prefix(&format!("containers[{OWN}]."))?;
    if let Some(rest) = own.strip_prefix("env[") {
        return of_variable(subject, rest.split(']').next().unwrap_or_default());
    }
    let field = own.split(['.', '[']).next().unwrap_or_default();
    match field {
        "name" => is(NAMES),
        "command" | "args" => starts_flagsmith(value).then(|| START.to_owned()),
        "ports" => is("the ports are Flagsmith's own"),
        "livenessProbe" | "readinessProbe" | "startupProbe" => is(TIMEOUTS),
        "lifecycle" if own.starts_with("lifecycle.preStop") => is(TIMEOUTS),
        "terminationMessagePolicy" => is("what a container last said is shown in the diagnosis"),
        "volumeMounts" => {
            let at = own.strip_prefix("volumeMounts[")?.split(']').next()?;
            is_own_directory(at).then(|| MOUNTED.to_owned())
        }
        _ => None,
    }
}

fn of_variable(subject: &Subject<'_>, name: &str) -> Option<String> {
    if let Some(field) = env::decided_by(name) {
        return Some(format!("decided by {field}"));
    }
    let served = subject.component == Component::TaskProcessor && name == env::USE_X_FORWARDED_HOST;
    let own_api = [env::FLAGSMITH_PROXY_API_URL, "PROXY_API_URL"].contains(&name);
    if served {
        return Some("nobody sends requests to the task processor".to_owned());
    }
    own_api.then(|| "the frontend asks the operator's own Service".to_owned())
}

fn of_init_container(body: &Value, name: &str) -> Option<String> {
    let containers = items(body, "/spec/template/spec/initContainers");
    let found = containers.into_iter().find(|it| text(it, "/name") == name)?;
    let container = serde_json::from_value(found.clone()).ok()?;
    let state = ContainerState::new(&container, &ConfigMaps::new());
    if state.migrates() {
        return Some("migrations run in a Job of their own".to_owned());
    }
    let bootstraps = state.command.iter().any(|it| it.contains("bootstrap"));
    bootstraps.then(|| "the database has its first administrator already".to_owned())
}

/// Whether a command or its arguments start Flagsmith, and nothing around it.
fn starts_flagsmith(value: &Value) -> bool {
    let words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let first = words.first().copied().unwrap_or_default();
    first.ends_with("scripts/run-docker.sh") || STARTS.contains(&first)
}

fn is_own_directory(path: &str) -> bool {
    path == "/tmp" || path == flagsmith::PROMETHEUS_DIR
}

/// Whether a volume is only mounted where the operator has its own.
fn mounted_by_operator(body: &Value, volume: &str) -> bool {
    let pods = "/spec/template/spec";
    let containers = ["containers", "initContainers"].map(|list| format!("{pods}/{list}"));
    let mut mounts = containers
        .iter()
        .flat_map(|list| items(body, list))
        .flat_map(|it| items(it, "/volumeMounts"))
        .filter(|mount| text(mount, "/name") == volume)
        .peekable();
    mounts.peek().is_some() && mounts.all(|mount| is_own_directory(text(mount, "/mountPath")))
}
