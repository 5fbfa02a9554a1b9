//! A container as its pod template has it: what is started, and with which settings. Pure.
//!
//! Of the environment only values that rules read are kept; any other literal may be a password.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, HTTPGetAction};

use crate::{
    flagsmith::{
        Release, env,
        gunicorn::{Gunicorn, Setting},
    },
    validate::SecretKey,
};

/// Values of `ConfigMaps` by their name, for `envFrom` and `configMapKeyRef`.
pub type ConfigMaps = BTreeMap<String, BTreeMap<String, String>>;

/// A container of a pod template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerState {
    /// Its name.
    pub name: String,
    /// Its image reference.
    pub image: Option<String>,
    /// The release in the image's tag.
    pub release: Option<Release>,
    /// `command` and `args`, one after the other; empty where the image decides.
    pub command: Vec<String>,
    /// Its environment.
    pub environment: Environment,
    /// The Host header of each of its HTTP probes; `None` is the pod's address.
    pub probe_hosts: Vec<Option<String>>,
}

/// The environment of a container, as far as it may be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, Variable>,
    /// Whether every key of something that was not read becomes a variable: of a Secret, which nobody lists, or of a
    /// `ConfigMap` that could not be read.
    more: bool,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// A literal of a variable that rules read.
    Value(String),
    /// A literal of any other variable, which is not kept.
    Hidden,
    /// A key of a Secret.
    Secret(SecretKey),
    /// A `ConfigMap` that could not be read, a field of the pod, or a resource.
    Elsewhere,
}

/// What is known of one variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// It is set.
    Set(&'a Variable),
    /// It is not.
    Unset,
    /// One of the Secrets behind `envFrom` may set it, or a `ConfigMap` that could not be read.
    Unknown,
}

impl ContainerState {
    /// Reads a container of a pod template.
    #[must_use]
    pub fn new(container: &Container, config_maps: &ConfigMaps) -> Self {
        let image = container.image.clone();
        Self {
            name: container.name.clone(),
            release: image.as_deref().and_then(Release::of_image),
            image,
            command: container.command.iter().chain(&container.args).flatten().cloned().collect(),
            environment: Environment::new(container, config_maps),
            probe_hosts: [&container.readiness_probe, &container.liveness_probe, &container.startup_probe]
                .into_iter()
                .flatten()
                .filter_map(|probe| probe.http_get.as_ref())
                .map(probe_host)
                .collect(),
        }
    }

    /// Gunicorn's settings as they take effect in it, in an image of this release.
    #[must_use]
    pub fn gunicorn(&self, release: Option<Release>) -> Gunicorn {
        Gunicorn::of(release, &self.command, |name| self.environment.setting(name))
    }

    /// Whether a word stands in the command line.
    #[must_use]
    pub fn runs(&self, word: &str) -> bool {
        self.command.iter().any(|known| known == word)
    }

    /// Whether it migrates the database by itself: `migrate`, `migrate-and-serve` or, since 2.178.0,
    /// `run-task-processor` (flagsmith-common 1.13, `run-docker.sh` of Flagsmith 2.178.0).
    #[must_use]
    pub fn migrates(&self) -> bool {
        self.runs("migrate")
            || self.runs("migrate-and-serve")
            || (self.runs("run-task-processor")
                && self
                    .release
                    .is_none_or(|release| release >= crate::flagsmith::TASK_PROCESSOR_MIGRATES_SINCE))
    }
}

impl Environment {
    /// Reads `envFrom` and `env`: the latter wins, and of two entries with one name the last, as the kubelet does.
    fn new(container: &Container, config_maps: &ConfigMaps) -> Self {
        let mut environment = Self::default();
        for source in container.env_from.iter().flatten() {
            let prefix = source.prefix.as_deref().unwrap_or_default();
            let map = source.config_map_ref.as_ref().and_then(|map| config_maps.get(&map.name));
            environment.more |= map.is_none();
            for (name, value) in map.into_iter().flatten() {
                let name = format!("{prefix}{name}");
                let value = literal(&name, value);
                environment.variables.insert(name, value);
            }
        }
        for variable in container.env.iter().flatten() {
            let value = read(variable, config_maps);
            environment.variables.insert(variable.name.clone(), value);
        }
        environment
    }

    /// What is known of a variable.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Lookup<'_> {
        match self.variables.get(name) {
            Some(variable) => Lookup::Set(variable),
            None if !self.more => Lookup::Unset,
            None => Lookup::Unknown,
        }
    }

    /// The literal value of a variable that rules read.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        match self.variables.get(name) {
            Some(Variable::Value(value)) => Some(value),
            _ => None,
        }
    }

    /// A variable of Gunicorn, as far as it can be read.
    #[must_use]
    pub fn setting(&self, name: &str) -> Setting<'_> {
        match self.lookup(name) {
            Lookup::Set(Variable::Value(value)) => Setting::Value(value),
            Lookup::Unset => Setting::Unset,
            Lookup::Set(_) | Lookup::Unknown => Setting::Unseen,
        }
    }

    /// Whether a variable is certainly not set.
    #[must_use]
    pub fn lacks(&self, name: &str) -> bool {
        self.lookup(name) == Lookup::Unset
    }
}

fn probe_host(probe: &HTTPGetAction) -> Option<String> {
    let headers = probe.http_headers.iter().flatten();
    let mut hosts = headers.filter(|header| header.name.eq_ignore_ascii_case("host"));
    hosts.next().map(|header| header.value.clone()).or_else(|| probe.host.clone())
}

fn read(variable: &EnvVar, config_maps: &ConfigMaps) -> Variable {
    let Some(source) = &variable.value_from else {
        return literal(&variable.name, variable.value.as_deref().unwrap_or_default());
    };
    if let Some(key) = &source.secret_key_ref {
        return Variable::Secret(SecretKey { name: key.name.clone(), key: key.key.clone() });
    }
    source
        .config_map_key_ref
        .as_ref()
        .and_then(|key| config_maps.get(&key.name)?.get(&key.key))
        .map_or(Variable::Elsewhere, |value| literal(&variable.name, value))
}

fn literal(name: &str, value: &str) -> Variable {
    if env::is_harmless(name) { Variable::Value(value.to_owned()) } else { Variable::Hidden }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn container(value: &Value) -> ContainerState {
        let maps = ConfigMaps::from([(
            "settings".to_owned(),
            BTreeMap::from([
                ("TASK_RUN_METHOD".to_owned(), "SEPARATE_THREAD".to_owned()),
                ("EMAIL_HOST_PASSWORD".to_owned(), "hunter2".to_owned()),
            ]),
        )]);
        let mut container: Value = json!({ "name": "api", "image": "r/flagsmith-api:2.265.0" });
        container.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        ContainerState::new(&serde_json::from_value(container).unwrap(), &maps)
    }

    #[test]
    fn env_wins_over_env_from_and_the_last_of_two_over_the_first() {
        let state = container(&json!({
            "envFrom": [{ "configMapRef": { "name": "settings" } }],
            "env": [
                { "name": "GUNICORN_THREADS", "value": "1" }, { "name": "GUNICORN_THREADS", "value": "4" },
            ],
        }));
        let environment = &state.environment;
        assert_eq!(environment.value("TASK_RUN_METHOD"), Some("SEPARATE_THREAD"));
        assert_eq!(environment.value("GUNICORN_THREADS"), Some("4"));
        assert!(environment.lacks("DATABASE_URL"));
    }

    #[test]
    fn a_value_that_no_rule_reads_is_not_kept() {
        let state = container(&json!({
            "envFrom": [{ "configMapRef": { "name": "settings" } }],
            "env": [{ "name": "DATABASE_URL", "value": "postgresql://u:s3cr3t@db/flags" }],
        }));
        assert_eq!(state.environment.lookup("DATABASE_URL"), Lookup::Set(&Variable::Hidden));
        let shown = format!("{state:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("hunter2"), "{shown}");
    }

    #[rstest::rstest]
    #[case::a_secret(json!({ "secretRef": { "name": "all" } }))]
    #[case::a_map_that_could_not_be_read(json!({ "configMapRef": { "name": "forbidden" } }))]
    fn what_is_not_read_behind_env_from_may_set_anything(#[case] source: Value) {
        let state = container(&json!({ "envFrom": [source] }));
        assert_eq!(state.environment.lookup("TASK_RUN_METHOD"), Lookup::Unknown);
        assert!(!state.environment.lacks("TASK_RUN_METHOD"));
    }

    #[test]
    fn so_may_a_config_map_that_could_not_be_read() {
        let from = |name: &str| {
            let state = container(&json!({ "envFrom": [{ "configMapRef": { "name": name } }] }));
            state.environment.lookup("GUNICORN_THREADS") == Lookup::Unknown
        };
        assert_eq!((from("settings"), from("unreadable")), (false, true));
    }

    #[rstest::rstest]
    #[case(json!({ "args": ["migrate"] }), true)]
    #[case(json!({ "command": ["./scripts/run-docker.sh"], "args": ["run-task-processor"] }), true)]
    #[case(json!({ "image": "r/flagsmith-api:2.177.0", "args": ["run-task-processor"] }), false)]
    #[case(json!({ "args": ["migrate-and-serve"] }), true)]
    #[case(json!({ "args": ["serve"] }), false)]
    #[case(json!({ "command": ["flagsmith"], "args": ["start", "task-processor"] }), false)]
    fn migrates(#[case] value: Value, #[case] expected: bool) {
        assert_eq!(container(&value).migrates(), expected);
    }
}
