//! The specification that would make an installation as it is, and what none can say. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{Container, EnvVar, EnvVarSource, PodSpec, SecretKeySelector},
    networking::v1::Ingress,
};
use kube::ResourceExt as _;

use super::{Selected, Sources, credentials::Url, select::targets};
use crate::{
    api::{
        ApiSpec, AutoscalingSpec, ContainerSettings, DatabaseSpec, DjangoSpec, ExposureSpec,
        FlagsmithDeploymentSpec, FrontendSpec, HttpRouteSpec, ImagesSpec, IngressSpec, MigrationsSpec, Mode,
        PodSettings, SecretValueSource, TaskProcessorSpec,
    },
    flagsmith::{Release, env},
    observe::{ConfigMaps, ContainerState},
    validate::{SecretKey, Subject},
};

/// Gunicorn's own default and Flagsmith's (`GUNICORN_TIMEOUT` of its images).
const GUNICORN_TIMEOUT: i32 = 30;

/// What `requestTimeoutSeconds` may be.
const REQUEST_TIMEOUT: std::ops::RangeInclusive<i32> = 5..=3600;

/// The key of a Secret that holds literals which look like credentials.
const MOVED_SECRET: &str = "flagsmith-adopted";

/// A specification, and what it leaves out.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// As near to what runs as a specification can be.
    pub spec: FlagsmithDeploymentSpec,
    /// What it cannot say, in a sentence each.
    pub unsupported: Vec<String>,
    /// Variables that are literals although they look like credentials, each with the Deployment that has it; the
    /// specification refers to a Secret `flagsmith-adopted` for them.
    pub literals: BTreeMap<String, String>,
    /// Where the credentials are.
    pub sources: Sources,
}

/// Turns what runs into a specification.
#[must_use]
pub fn adoption(subject: &Subject, selected: &Selected<'_>, config_maps: &ConfigMaps) -> Adoption {
    let api = selected.api.and_then(flagsmith);
    let sources = Sources::new(api, config_maps, subject.database.as_ref());
    let mut adoption = Adoption {
        spec: empty(),
        unsupported: Vec::new(),
        literals: BTreeMap::new(),
        sources,
    };
    adoption.database(api);
    adoption.components(selected, config_maps);
    adoption.environment(selected);
    adoption.exposure(selected);
    adoption.left_out(selected);
    adoption
}

/// A specification of defaults.
fn empty() -> FlagsmithDeploymentSpec {
    FlagsmithDeploymentSpec {
        mode: Mode::Managed,
        observe: None,
        version: None,
        suspend: false,
        request_timeout_seconds: GUNICORN_TIMEOUT,
        images: ImagesSpec::default(),
        database: None,
        django: DjangoSpec::default(),
        env: Vec::new(),
        env_from: Vec::new(),
        api: ApiSpec::default(),
        task_processor: TaskProcessorSpec::default(),
        frontend: FrontendSpec::default(),
        migrations: MigrationsSpec::default(),
        exposure: None,
        service_account_name: None,
    }
}

impl Adoption {
    fn database(&mut self, api: Option<&Container>) {
        match &self.sources.url {
            Url::Keys(keys) => {
                self.spec.database = Some(DatabaseSpec {
                    url_from: keys.first().map(source),
                    migration_url_from: None,
                    analytics_url_from: api.and_then(|api| secret(api, env::ANALYTICS_DATABASE_URL)),
                    replica_urls_from: api.map(replicas).filter(|urls| !urls.is_empty()),
                    task_processor_url_from: api
                        .and_then(|api| secret(api, env::TASK_PROCESSOR_DATABASE_URL)),
                    embedded: None,
                });
            }
            Url::Literal(_) | Url::Parts { .. } | Url::Unknown => {
                self.unsupported.push(format!(
                    "the database: {}; write its URL into a Secret and name that in spec.database.urlFrom",
                    match self.sources.url {
                        Url::Literal(_) => "DATABASE_URL is a literal in the API's pod template",
                        Url::Parts { .. } => "it is given by DJANGO_DB_HOST and its kin",
                        _ => "what runs does not say where DATABASE_URL is kept",
                    }
                ));
            }
        }
        self.spec.django.secret_key_from = self.sources.django.as_ref().map(source);
        if self.sources.django.is_none() {
            self.unsupported.push(
                "Django's secret key: DJANGO_SECRET_KEY is in no Secret; a new one is generated, which ends every session"
                    .to_owned(),
            );
        }
    }

    fn components(&mut self, selected: &Selected<'_>, config_maps: &ConfigMaps) {
        if let Some((deployment, container)) = with_container(selected.api) {
            let state = ContainerState::new(container, config_maps);
            let number = |name: &str, flag: &str| number(&state, name, flag);
            let spec = &mut self.spec;
            spec.version = state.release.map(|release: Release| release.to_string());
            spec.images.api = repository(container).unwrap_or_else(|| spec.images.api.clone());
            spec.request_timeout_seconds = number("GUNICORN_TIMEOUT", "--timeout")
                .unwrap_or(GUNICORN_TIMEOUT)
                .clamp(*REQUEST_TIMEOUT.start(), *REQUEST_TIMEOUT.end());
            if let Some(workers) = number(env::GUNICORN_WORKERS, "--workers") {
                spec.api.gunicorn.workers = workers;
            }
            if let Some(threads) = number(env::GUNICORN_THREADS, "--threads") {
                spec.api.gunicorn.threads = threads;
            }
            if let Some(hosts) = state.environment.value(env::DJANGO_ALLOWED_HOSTS) {
                spec.django.allowed_hosts = hosts.split(',').map(|host| host.trim().to_owned()).collect();
            }
            if let Some(policy) = &container.image_pull_policy {
                spec.images.pull_policy.clone_from(policy);
            }
            let pods = pods(deployment);
            spec.images.pull_secrets = pods
                .and_then(|it| it.image_pull_secrets.clone())
                .unwrap_or_default();
            spec.service_account_name = pods.and_then(|it| it.service_account_name.clone());
            (spec.api.replicas, spec.api.autoscaling) = scaling(deployment, &selected.autoscalers);
            if let Some(resources) = resources(container) {
                spec.api.resources = resources;
            }
            spec.api.container = settings(deployment, container);
        }
        if let Some((deployment, container)) = with_container(selected.task_processor) {
            let state = ContainerState::new(container, config_maps);
            let spec = &mut self.spec.task_processor;
            spec.replicas = Some(desired(deployment));
            let number = |names: &[&str]| {
                names
                    .iter()
                    .find_map(|name| state.environment.value(name)?.parse::<i32>().ok())
            };
            if let Some(threads) = number(&["TASK_PROCESSOR_NUM_THREADS"]) {
                spec.threads = threads;
            }
            if let Some(size) = number(&["TASK_PROCESSOR_QUEUE_POP_SIZE"]) {
                spec.queue_pop_size = size;
            }
            let interval = [
                "TASK_PROCESSOR_SLEEP_INTERVAL_MS",
                "TASK_PROCESSOR_SLEEP_INTERVAL",
            ];
            if let Some(interval) = number(&interval) {
                spec.sleep_interval_milliseconds = interval;
            }
            if let Some(resources) = resources(container) {
                spec.resources = resources;
            }
            spec.container = settings(deployment, container);
        }
        self.spec.frontend.enabled = selected.frontend.is_some();
        if let Some((deployment, container)) = with_container(selected.frontend) {
            let spec = &mut self.spec;
            spec.images.frontend = repository(container).unwrap_or_else(|| spec.images.frontend.clone());
            (spec.frontend.replicas, spec.frontend.autoscaling) = scaling(deployment, &selected.autoscalers);
            if let Some(resources) = resources(container) {
                spec.frontend.resources = resources;
            }
            spec.frontend.container = settings(deployment, container);
        }
    }

    /// What API and task processor share stands in `spec.env`, the rest with the component.
    fn environment(&mut self, selected: &Selected<'_>) {
        let mut read = |deployment: Option<&Deployment>| {
            let Some((deployment, container)) = with_container(deployment) else {
                return Vec::new();
            };
            variables(container)
                .map(|variable| self.without_credentials(&deployment.name_any(), variable))
                .collect::<Vec<_>>()
        };
        let (api, task_processor, frontend) = (
            read(selected.api),
            read(selected.task_processor),
            read(selected.frontend),
        );
        let shared =
            |variable: &EnvVar| selected.task_processor.is_none() || task_processor.contains(variable);
        let (common, of_api): (Vec<EnvVar>, Vec<EnvVar>) = api.into_iter().partition(shared);
        let spec = &mut self.spec;
        spec.task_processor.container.env = task_processor
            .into_iter()
            .filter(|it| !common.contains(it))
            .collect();
        spec.env = common;
        spec.api.container.env = of_api;
        spec.frontend.container.env = frontend;
        let from = |deployment: Option<&Deployment>| {
            deployment
                .and_then(flagsmith)
                .and_then(|container| container.env_from.clone())
                .unwrap_or_default()
        };
        spec.env_from = from(selected.api);
        spec.frontend.container.env_from = from(selected.frontend);
    }

    fn without_credentials(&mut self, deployment: &str, variable: &EnvVar) -> EnvVar {
        let literal = variable.value.as_deref().is_some_and(|value| !value.is_empty());
        if !literal || !looks_secret(variable) {
            return variable.clone();
        }
        self.literals.insert(variable.name.clone(), deployment.to_owned());
        EnvVar {
            name: variable.name.clone(),
            value: None,
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(SecretKeySelector {
                    name: MOVED_SECRET.to_owned(),
                    key: variable.name.clone(),
                    optional: None,
                }),
                ..EnvVarSource::default()
            }),
        }
    }

    fn exposure(&mut self, selected: &Selected<'_>) {
        if let Some(first) = selected.ingresses.first() {
            let hosts = hosts(&selected.ingresses);
            let tls = selected.ingresses.iter().flat_map(|ingress| ingress.spec.iter());
            self.spec.exposure = Some(ExposureSpec {
                hosts: if hosts.is_empty() {
                    vec!["*".to_owned()]
                } else {
                    hosts
                },
                proxy: None,
                ingress: Some(IngressSpec {
                    class_name: first
                        .spec
                        .as_ref()
                        .and_then(|spec| spec.ingress_class_name.clone()),
                    annotations: first
                        .annotations()
                        .iter()
                        .filter(|(key, _)| !key.contains("helm.sh/") && !key.contains("last-applied"))
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect(),
                    tls: tls.flat_map(|spec| spec.tls.iter().flatten().cloned()).collect(),
                }),
                http_route: None,
            });
        } else if let Some(route) = selected.routes.first() {
            let list = |path: &str| route.pointer(path).cloned().unwrap_or_default();
            let parents = serde_json::from_value(list("/spec/parentRefs")).unwrap_or_default();
            let hosts: Vec<String> = serde_json::from_value(list("/spec/hostnames")).unwrap_or_default();
            self.spec.exposure = Some(ExposureSpec {
                hosts: if hosts.is_empty() {
                    vec!["*".to_owned()]
                } else {
                    hosts
                },
                proxy: None,
                ingress: None,
                http_route: Some(HttpRouteSpec {
                    parent_refs: parents,
                    annotations: BTreeMap::new(),
                }),
            });
        }
    }

    fn left_out(&mut self, selected: &Selected<'_>) {
        for (component, deployment) in selected.deployments() {
            let Some(pods) = pods(deployment) else { continue };
            let own = flagsmith(deployment).map(|container| &container.name);
            for sidecar in pods.containers.iter().filter(|it| Some(&it.name) != own) {
                self.unsupported.push(format!(
                    "container {} beside the {}: the operator runs one container in each pod",
                    sidecar.name,
                    component.as_str()
                ));
            }
            for init in pods.init_containers.iter().flatten() {
                let migrates = ContainerState::new(init, &ConfigMaps::new()).migrates();
                if !migrates {
                    self.unsupported.push(format!(
                        "init container {} of the {}: the operator has none of its own",
                        init.name,
                        component.as_str()
                    ));
                }
            }
            for (what, set) in [
                ("hostAliases", pods.host_aliases.is_some()),
                ("hostNetwork", pods.host_network == Some(true)),
                ("dnsConfig", pods.dns_config.is_some()),
            ] {
                if set {
                    self.unsupported
                        .push(format!("{what} of the {}", component.as_str()));
                }
            }
        }
        for other in &selected.others {
            self.unsupported.push(format!(
                "Deployment {}: it stays as it is; delete it only if nothing uses it",
                other.name_any()
            ));
        }
    }
}

fn pods(deployment: &Deployment) -> Option<&PodSpec> {
    deployment.spec.as_ref()?.template.spec.as_ref()
}

/// The container that is Flagsmith; sidecars have other images.
pub(super) fn flagsmith(deployment: &Deployment) -> Option<&Container> {
    let containers = &pods(deployment)?.containers;
    let named = |container: &&Container| {
        container
            .image
            .as_deref()
            .is_some_and(|image| image.contains("flagsmith"))
    };
    containers.iter().find(named).or_else(|| containers.first())
}

fn with_container(deployment: Option<&Deployment>) -> Option<(&Deployment, &Container)> {
    deployment.and_then(|deployment| Some((deployment, flagsmith(deployment)?)))
}

fn repository(container: &Container) -> Option<String> {
    let image = container.image.as_deref()?.split('@').next()?;
    let tag = image
        .rsplit('/')
        .next()?
        .find(':')
        .map(|position| image.len() - image.rsplit('/').next().unwrap_or_default().len() + position);
    Some(image.get(..tag.unwrap_or(image.len()))?.to_owned())
}

fn desired(deployment: &Deployment) -> i32 {
    deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1)
}

fn scaling(
    deployment: &Deployment,
    autoscalers: &[&HorizontalPodAutoscaler],
) -> (Option<i32>, Option<AutoscalingSpec>) {
    let own = autoscalers
        .iter()
        .find(|it| targets(it).as_ref() == Some(&deployment.name_any()));
    let Some(spec) = own.and_then(|autoscaler| autoscaler.spec.as_ref()) else {
        return (Some(desired(deployment)), None);
    };
    let cpu = spec.metrics.iter().flatten().find_map(|metric| {
        let resource = metric.resource.as_ref().filter(|it| it.name == "cpu")?;
        resource.target.average_utilization
    });
    let max = spec.max_replicas.max(1);
    let autoscaling = AutoscalingSpec {
        min_replicas: spec.min_replicas.unwrap_or(1).clamp(1, max),
        max_replicas: max,
        target_cpu_utilization_percentage: cpu.unwrap_or(60).clamp(1, 100),
        behavior: spec.behavior.clone(),
    };
    (None, Some(autoscaling))
}

/// The container's resources; `None` where it has none, so that the operator's defaults count.
fn resources(container: &Container) -> Option<k8s_openapi::api::core::v1::ResourceRequirements> {
    container
        .resources
        .clone()
        .filter(|it| it.limits.is_some() || it.requests.is_some())
}

/// Settings of container and pod. Probes, preStop and grace period are the operator's: they belong to its timeouts.
fn settings(deployment: &Deployment, container: &Container) -> ContainerSettings {
    let pods = pods(deployment);
    let volumes = pods.and_then(|pods| pods.volumes.clone()).unwrap_or_default();
    let own = |path: &str| path == "/tmp" || path == crate::flagsmith::PROMETHEUS_DIR;
    let mounts: Vec<_> = container
        .volume_mounts
        .iter()
        .flatten()
        .filter(|mount| !own(&mount.mount_path))
        .cloned()
        .collect();
    ContainerSettings {
        volume_mounts: mounts.clone(),
        pod: PodSettings {
            node_selector: pods.and_then(|it| it.node_selector.clone()).unwrap_or_default(),
            tolerations: pods.and_then(|it| it.tolerations.clone()).unwrap_or_default(),
            affinity: pods.and_then(|it| it.affinity.clone()),
            topology_spread_constraints: pods
                .and_then(|it| it.topology_spread_constraints.clone())
                .unwrap_or_default(),
            priority_class_name: pods.and_then(|it| it.priority_class_name.clone()),
            volumes: volumes
                .into_iter()
                .filter(|volume| mounts.iter().any(|mount| mount.name == volume.name))
                .collect(),
            ..PodSettings::default()
        },
        ..ContainerSettings::default()
    }
}

/// Variables that the operator sets to what they should be.
const COMPUTED: &[&str] = &[
    env::PROMETHEUS_ENABLED,
    env::LOG_FORMAT,
    env::USE_X_FORWARDED_HOST,
    env::ACCESS_LOG_LOCATION,
    env::FLAGSMITH_PROXY_API_URL,
    "PROXY_API_URL",
];

/// The variables that the operator does not compute, of two with one name the last.
fn variables(container: &Container) -> impl Iterator<Item = &EnvVar> {
    let mut last: BTreeMap<&str, &EnvVar> = BTreeMap::new();
    for variable in container.env.iter().flatten() {
        last.insert(&variable.name, variable);
    }
    last.into_values().filter(|variable| {
        env::decided_by(&variable.name).is_none() && !COMPUTED.contains(&variable.name.as_str())
    })
}

/// Whether a variable's literal should be in a Secret.
fn looks_secret(variable: &EnvVar) -> bool {
    let name = variable.name.to_ascii_uppercase();
    let named = [
        "PASSWORD",
        "SECRET",
        "TOKEN",
        "API_KEY",
        "PRIVATE_KEY",
        "CREDENTIAL",
    ];
    let value = variable.value.as_deref().unwrap_or_default();
    let with_credentials = value
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('@'));
    with_credentials
        || named
            .iter()
            .any(|part| name.contains(part) && !name.ends_with("_USER_PASS"))
}

fn hosts(ingresses: &[&Ingress]) -> Vec<String> {
    let rules = ingresses.iter().filter_map(|ingress| ingress.spec.as_ref());
    let mut hosts: Vec<String> = rules
        .flat_map(|spec| spec.rules.iter().flatten())
        .filter_map(|rule| rule.host.clone())
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

fn source(key: &SecretKey) -> SecretValueSource {
    SecretValueSource {
        secret_key_ref: SecretKeySelector {
            name: key.name.clone(),
            key: key.key.clone(),
            optional: None,
        },
    }
}

fn secret(container: &Container, name: &str) -> Option<SecretValueSource> {
    let variable = container
        .env
        .iter()
        .flatten()
        .find(|variable| variable.name == name)?;
    let key = variable.value_from.as_ref()?.secret_key_ref.clone()?;
    Some(SecretValueSource { secret_key_ref: key })
}

fn replicas(container: &Container) -> Vec<SecretValueSource> {
    (0..)
        .map_while(|index| secret(container, &format!("{}{index}", env::REPLICA_DATABASE_URL)))
        .collect()
}

/// A number from the command line, or else from the environment.
fn number(state: &ContainerState, name: &str, flag: &str) -> Option<i32> {
    let mut words = state.command.iter();
    let given = words.find_map(|word| {
        let rest = word.strip_prefix(flag)?;
        rest.strip_prefix('=').or_else(|| rest.is_empty().then_some(""))
    });
    let text = match given {
        Some("") => words.next().map(String::as_str),
        Some(text) => Some(text),
        None => state.environment.value(name),
    };
    text?.parse().ok()
}
