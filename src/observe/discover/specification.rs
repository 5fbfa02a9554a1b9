//! The specification that would make an installation as it is, and what none can say. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, EnvVar, EnvVarSource, SecretKeySelector},
};
use kube::ResourceExt as _;

use super::{
    credentials::{Sources, Url},
    select::Selected,
    settings::{
        certificates, desired, flagsmith, hosts, looks_secret, pods, replicas, repository, resources,
        scaling, secret, settings, source, variables, with_container,
    },
};
use crate::{
    api::{
        ApiSpec, DatabaseSpec, DeletionPolicy, DjangoSpec, ExposureSpec, FlagsmithDeploymentSpec,
        FrontendSpec, HttpRouteSpec, ImagesSpec, IngressSpec, IntegrationsSpec, MigrationsSpec, Mode,
        ProxySpec, TaskProcessorSpec, UpgradeSpec,
    },
    flagsmith::{Release, env},
    model::Component,
    observe::{ConfigMaps, ContainerState},
    validate::ObservedInstallation,
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
    /// What stays as it is beside it, in a sentence each.
    pub apart: Vec<String>,
    /// Variables that are literals although they look like credentials, each with the Deployment that has it; the
    /// specification refers to a Secret `flagsmith-adopted` for them.
    pub literals: BTreeMap<String, Literal>,
    /// Where the credentials are.
    pub sources: Sources,
}

/// Where a literal stands.
#[derive(Clone, Debug)]
pub struct Literal {
    /// The Deployment.
    pub deployment: String,
    /// The container.
    pub container: String,
}

/// Turns what runs into a specification.
pub(crate) fn adoption(
    subject: &ObservedInstallation,
    selected: &Selected<'_>,
    config_maps: &ConfigMaps,
) -> Adoption {
    let api = selected.api.and_then(flagsmith);
    let processor = selected.task_processor.and_then(flagsmith);
    let sources = Sources::new(api, processor, config_maps, subject);
    let mut adoption = Adoption {
        spec: empty(),
        unsupported: Vec::new(),
        apart: Vec::new(),
        literals: BTreeMap::new(),
        sources,
    };
    adoption.database(subject, api);
    adoption.components(selected, config_maps);
    adoption.environment(selected);
    adoption.sidecars(selected);
    adoption.exposure(selected, subject.proxy.as_ref());
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
        deletion_policy: DeletionPolicy::default(),
        request_timeout_seconds: GUNICORN_TIMEOUT,
        images: ImagesSpec::default(),
        common_labels: BTreeMap::new(),
        common_annotations: BTreeMap::new(),
        database: None,
        django: DjangoSpec::default(),
        env: Vec::new(),
        env_from: Vec::new(),
        api: ApiSpec::default(),
        task_processor: TaskProcessorSpec::default(),
        frontend: FrontendSpec::default(),
        edge_proxy: None,
        integrations: IntegrationsSpec::default(),
        migrations: MigrationsSpec::default(),
        upgrade: UpgradeSpec::default(),
        exposure: None,
        monitoring: None,
        service_account_name: None,
    }
}

impl Adoption {
    fn database(&mut self, subject: &ObservedInstallation, api: Option<&Container>) {
        match &self.sources.url {
            Url::Keys(keys) => {
                self.spec.database = Some(DatabaseSpec {
                    url_from: keys.first().map(source),
                    ca_from: subject.authorities.as_ref().map(certificates),
                    analytics_url_from: api.and_then(|api| secret(api, env::ANALYTICS_DATABASE_URL)),
                    replica_urls_from: api.map(replicas).filter(|urls| !urls.is_empty()),
                    task_processor_url_from: api
                        .and_then(|api| secret(api, env::TASK_PROCESSOR_DATABASE_URL)),
                    ..DatabaseSpec::default()
                });
            }
            Url::Literal(_) | Url::Parts { .. } | Url::Unknown => {
                self.unsupported.push(format!(
                    "the database: {}; write its URL into a Secret and name that in spec.database.urlFrom",
                    match self.sources.url {
                        Url::Literal(_) => "DATABASE_URL is a literal in the API's pod template",
                        Url::Parts { .. } => "it is given by DJANGO_DB_HOST and the variables beside it",
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
            let gunicorn = state.gunicorn(state.release);
            let spec = &mut self.spec;
            spec.version = state.release.map(|release: Release| release.to_string());
            spec.images.api = repository(container).unwrap_or_else(|| spec.images.api.clone());
            spec.request_timeout_seconds = gunicorn
                .timeout
                .unwrap_or(GUNICORN_TIMEOUT)
                .clamp(*REQUEST_TIMEOUT.start(), *REQUEST_TIMEOUT.end());
            if let Some(workers) = gunicorn.workers {
                spec.api.gunicorn.workers = workers;
            }
            if let Some(threads) = gunicorn.threads {
                spec.api.gunicorn.threads = threads;
            }
            if let Some(hosts) = state.environment.value(env::DJANGO_ALLOWED_HOSTS) {
                spec.django.allowed_hosts = hosts.split(',').map(|host| host.trim().to_owned()).collect();
            }
            if let Some(policy) = &container.image_pull_policy {
                spec.images.pull_policy.clone_from(policy);
            }
            let pods = pods(deployment);
            spec.images.pull_secrets = pods.and_then(|it| it.image_pull_secrets.clone()).unwrap_or_default();
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
                names.iter().find_map(|name| state.environment.value(name)?.parse::<i32>().ok())
            };
            if let Some(threads) = number(&[env::TASK_PROCESSOR_NUM_THREADS]) {
                spec.threads = threads;
            }
            if let Some(size) = number(&["TASK_PROCESSOR_QUEUE_POP_SIZE"]) {
                spec.queue_pop_size = size;
            }
            let interval = [env::TASK_PROCESSOR_SLEEP_INTERVAL_MS, env::TASK_PROCESSOR_SLEEP_INTERVAL];
            if let Some(interval) = number(&interval) {
                spec.sleep_interval_milliseconds = interval;
            }
            if let Some(resources) = resources(container) {
                spec.resources = resources;
            }
            spec.container = settings(deployment, container);
        }
        let account = |deployment: Option<&Deployment>| pods(deployment?)?.service_account_name.clone();
        let of_api = account(selected.api);
        for (deployment, container) in [
            (selected.task_processor, &mut self.spec.task_processor.container),
            (selected.frontend, &mut self.spec.frontend.container),
        ] {
            container.pod.service_account_name =
                account(deployment).filter(|own| Some(own) != of_api.as_ref());
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
                .map(|variable| self.without_credentials(&deployment.name_any(), &container.name, variable))
                .collect::<Vec<_>>()
        };
        let (api, task_processor, frontend) =
            (read(selected.api), read(selected.task_processor), read(selected.frontend));
        let shared =
            |variable: &EnvVar| selected.task_processor.is_none() || task_processor.contains(variable);
        let (common, of_api): (Vec<EnvVar>, Vec<EnvVar>) = api.into_iter().partition(shared);
        let spec = &mut self.spec;
        spec.task_processor.container.env =
            task_processor.into_iter().filter(|it| !common.contains(it)).collect();
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

    fn without_credentials(&mut self, deployment: &str, container: &str, variable: &EnvVar) -> EnvVar {
        let literal = variable.value.as_deref().is_some_and(|value| !value.is_empty());
        if !literal || !looks_secret(variable) {
            return variable.clone();
        }
        let place = Literal { deployment: deployment.to_owned(), container: container.to_owned() };
        self.literals.insert(variable.name.clone(), place);
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

    /// The same of what runs beside Flagsmith.
    fn sidecars(&mut self, selected: &Selected<'_>) {
        for (component, deployment) in selected.deployments() {
            let name = deployment.name_any();
            let pod = |spec: &mut FlagsmithDeploymentSpec| match component {
                Component::Api => std::mem::take(&mut spec.api.container.pod),
                Component::TaskProcessor => std::mem::take(&mut spec.task_processor.container.pod),
                _ => std::mem::take(&mut spec.frontend.container.pod),
            };
            let mut settings = pod(&mut self.spec);
            for container in settings.extra_containers.iter_mut().chain(&mut settings.init_containers) {
                let env = container.rest.get("env").cloned().unwrap_or_default();
                let variables: Vec<EnvVar> = serde_json::from_value(env).unwrap_or_default();
                let kept: Vec<EnvVar> =
                    variables.iter().map(|it| self.without_credentials(&name, &container.name, it)).collect();
                if let (false, Ok(kept)) = (kept.is_empty(), serde_json::to_value(kept)) {
                    container.rest.insert("env".to_owned(), kept);
                }
            }
            match component {
                Component::Api => self.spec.api.container.pod = settings,
                Component::TaskProcessor => self.spec.task_processor.container.pod = settings,
                _ => self.spec.frontend.container.pod = settings,
            }
        }
    }

    fn exposure(&mut self, selected: &Selected<'_>, proxy: Option<&ProxySpec>) {
        if let Some(first) = selected.ingresses.first() {
            let hosts = hosts(&selected.ingresses);
            let tls = selected.ingresses.iter().flat_map(|ingress| ingress.spec.iter());
            self.spec.exposure = Some(ExposureSpec {
                hosts: if hosts.is_empty() { vec!["*".to_owned()] } else { hosts },
                proxy: proxy.cloned(),
                ingress: Some(IngressSpec {
                    class_name: first.spec.as_ref().and_then(|spec| spec.ingress_class_name.clone()),
                    annotations: first
                        .annotations()
                        .iter()
                        .filter(|(key, _)| !key.contains("helm.sh/") && !key.contains("last-applied"))
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect(),
                    tls: tls.flat_map(|spec| spec.tls.iter().flatten().cloned()).collect(),
                }),
                ..ExposureSpec::default()
            });
        } else if let Some(route) = selected.routes.first() {
            let list = |path: &str| route.pointer(path).cloned().unwrap_or_default();
            let parents = serde_json::from_value(list("/spec/parentRefs")).unwrap_or_default();
            let hosts: Vec<String> = serde_json::from_value(list("/spec/hostnames")).unwrap_or_default();
            self.spec.exposure = Some(ExposureSpec {
                hosts: if hosts.is_empty() { vec!["*".to_owned()] } else { hosts },
                proxy: proxy.cloned(),
                http_route: Some(HttpRouteSpec { parent_refs: parents, annotations: BTreeMap::new() }),
                ..ExposureSpec::default()
            });
        }
    }

    fn left_out(&mut self, selected: &Selected<'_>) {
        let other =
            |it: &&Deployment| format!("Deployment {}: delete it only if nothing uses it", it.name_any());
        self.apart = selected.others.iter().map(other).collect();
    }
}
