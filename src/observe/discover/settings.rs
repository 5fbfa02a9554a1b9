//! What single objects say, in the words of a specification.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMapKeySelector, Container, EnvVar, PodSpec, SecretKeySelector},
    networking::v1::Ingress,
};
use kube::ResourceExt as _;

use super::select::targets;
use crate::{
    api::{AutoscalingSpec, CertificatesSource, ContainerSettings, PodPart, PodSettings, SecretValueSource},
    flagsmith::env,
    observe::{ConfigMaps, ContainerState, pod::flagsmith_container},
    validate::{CertificatesKey, SecretKey},
};

pub(super) fn pods(deployment: &Deployment) -> Option<&PodSpec> {
    deployment.spec.as_ref()?.template.spec.as_ref()
}

/// The container that is Flagsmith; sidecars have other images.
pub(super) fn flagsmith(deployment: &Deployment) -> Option<&Container> {
    let containers = &pods(deployment)?.containers;
    let all = containers.iter().map(|it| (it.name.as_str(), it.image.as_deref()));
    containers.get(flagsmith_container(false, all)?)
}

pub(super) fn with_container(deployment: Option<&Deployment>) -> Option<(&Deployment, &Container)> {
    deployment.and_then(|deployment| Some((deployment, flagsmith(deployment)?)))
}

/// The repository of the container's image, with its digest where it has one.
pub(super) fn repository(container: &Container) -> Option<String> {
    let whole = container.image.as_deref()?;
    let image = whole.split('@').next()?;
    let digest = whole.get(image.len()..).unwrap_or_default();
    let tag = image
        .rsplit('/')
        .next()?
        .find(':')
        .map(|position| image.len() - image.rsplit('/').next().unwrap_or_default().len() + position);
    Some(format!("{}{digest}", image.get(..tag.unwrap_or(image.len()))?))
}

pub(super) fn desired(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub(super) fn scaling(
    deployment: &Deployment,
    autoscalers: &[&HorizontalPodAutoscaler],
) -> (Option<i32>, Option<AutoscalingSpec>) {
    let own = autoscalers.iter().find(|it| targets(it).as_ref() == Some(&deployment.name_any()));
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
        behavior: spec.behavior.clone().map(Box::new),
    };
    (None, Some(autoscaling))
}

/// The container's resources; `None` where it has none, so that the operator's defaults count.
pub(super) fn resources(container: &Container) -> Option<k8s_openapi::api::core::v1::ResourceRequirements> {
    container.resources.clone().filter(|it| it.limits.is_some() || it.requests.is_some())
}

/// Settings of container and pod. Probes, preStop and grace period are the operator's: they belong to its timeouts.
pub(super) fn settings(deployment: &Deployment, container: &Container) -> ContainerSettings {
    let own = |path: &str| path == "/tmp" || path == crate::flagsmith::PROMETHEUS_DIR;
    let mounts: Vec<_> =
        container.volume_mounts.iter().flatten().filter(|mount| !own(&mount.mount_path)).cloned().collect();
    ContainerSettings {
        volume_mounts: mounts,
        container_security_context: given(container.security_context.as_ref()),
        pod: pods(deployment).map(|it| pod(deployment, it, container)).unwrap_or_default(),
        ..ContainerSettings::default()
    }
}

/// Settings of pods.
fn pod(deployment: &Deployment, pods: &PodSpec, own: &Container) -> PodSettings {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let entries = |map: Option<&BTreeMap<String, String>>| -> BTreeMap<String, String> {
        let foreign = ["app.kubernetes.io/", "helm.sh/", "checksum/", "kubectl.kubernetes.io/"];
        let users = |key: &str| !foreign.iter().any(|prefix| key.starts_with(prefix));
        let all = map.into_iter().flatten().filter(|(key, _)| users(key));
        all.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let migrates = |it: &Container| {
        let state = ContainerState::new(it, &ConfigMaps::new());
        state.migrates() || state.command.iter().any(|word| word.contains("bootstrap"))
    };
    let extra: Vec<_> =
        pods.containers.iter().filter(|it| it.name != own.name).filter_map(as_given).collect();
    let initial = pods.init_containers.iter().flatten().filter(|it| !migrates(it));
    let initial: Vec<_> = initial.filter_map(as_given).collect();
    let all = pods.containers.iter().chain(pods.init_containers.iter().flatten());
    let mounts: Vec<(&str, &str)> = all
        .flat_map(|it| it.volume_mounts.iter().flatten())
        .map(|mount| (mount.name.as_str(), mount.mount_path.as_str()))
        .collect();
    // One that is only mounted where the operator has its own is not needed.
    let needed = |name: &str| {
        let mut of_it = mounts.iter().filter(|(volume, _)| *volume == name).peekable();
        let own = |path: &str| path == "/tmp" || path == crate::flagsmith::PROMETHEUS_DIR;
        of_it.peek().is_none() || of_it.any(|(_, path)| !own(path))
    };
    PodSettings {
        labels: entries(template.and_then(|it| it.labels.as_ref())),
        annotations: entries(template.and_then(|it| it.annotations.as_ref())),
        node_selector: pods.node_selector.clone().unwrap_or_default(),
        tolerations: pods.tolerations.clone().unwrap_or_default(),
        affinity: given(pods.affinity.as_ref()),
        topology_spread_constraints: pods.topology_spread_constraints.clone().unwrap_or_default(),
        priority_class_name: pods.priority_class_name.clone(),
        scheduler_name: pods.scheduler_name.clone().filter(|name| name != "default-scheduler"),
        runtime_class_name: pods.runtime_class_name.clone(),
        service_account_name: None,
        host_aliases: pods.host_aliases.clone().unwrap_or_default(),
        dns_policy: pods.dns_policy.clone().filter(|policy| policy != "ClusterFirst"),
        dns_config: pods.dns_config.clone().map(Box::new),
        share_process_namespace: pods.share_process_namespace,
        security_context: given(pods.security_context.as_ref()),
        volumes: pods.volumes.iter().flatten().filter(|it| needed(&it.name)).filter_map(as_given).collect(),
        extra_containers: extra,
        init_containers: initial,
    }
}

/// A container or a volume, as it is.
fn as_given<T: serde::Serialize>(part: &T) -> Option<PodPart> {
    serde_json::to_value(part).and_then(serde_json::from_value).ok()
}

/// What says something: Kubernetes fills in an empty object.
fn given<T: Default + PartialEq + Clone>(value: Option<&T>) -> Option<Box<T>> {
    value.filter(|it| **it != T::default()).cloned().map(Box::new)
}

/// Variables that lead to the operator's own Service.
const COMPUTED: &[&str] = &[env::FLAGSMITH_PROXY_API_URL, "PROXY_API_URL"];

/// Variables that the operator sets, unless they are given, and to what.
const DEFAULTS: &[(&str, &str)] = &[
    (env::PROMETHEUS_ENABLED, "true"),
    (env::LOG_FORMAT, "json"),
    (env::USE_X_FORWARDED_HOST, "true"),
    (env::ACCESS_LOG_LOCATION, "-"),
];

/// The variables that the operator does not compute, of two with one name the last.
pub(super) fn variables(container: &Container) -> impl Iterator<Item = &EnvVar> {
    let mut last: BTreeMap<&str, &EnvVar> = BTreeMap::new();
    for variable in container.env.iter().flatten() {
        last.insert(&variable.name, variable);
    }
    last.into_values().filter(|variable| {
        let default = DEFAULTS.iter().find(|(name, _)| *name == variable.name).map(|(_, value)| *value);
        env::decided_by(&variable.name).is_none()
            && !COMPUTED.contains(&variable.name.as_str())
            && (default.is_none() || variable.value.as_deref() != default)
    })
}

/// Whether a variable's literal should be in a Secret.
pub(super) fn looks_secret(variable: &EnvVar) -> bool {
    let name = variable.name.to_ascii_uppercase();
    let named = ["PASSWORD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY", "CREDENTIAL"];
    let value = variable.value.as_deref().unwrap_or_default();
    let with_credentials = value.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
    with_credentials || named.iter().any(|part| name.contains(part) && !name.ends_with("_USER_PASS"))
}

pub(super) fn hosts(ingresses: &[&Ingress]) -> Vec<String> {
    let rules = ingresses.iter().filter_map(|ingress| ingress.spec.as_ref());
    let mut hosts: Vec<String> =
        rules.flat_map(|spec| spec.rules.iter().flatten()).filter_map(|rule| rule.host.clone()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// A reference to certificates.
pub(super) fn certificates(key: &CertificatesKey) -> CertificatesSource {
    match key {
        CertificatesKey::Secret(key) => {
            CertificatesSource { secret_key_ref: Some(source(key).secret_key_ref), config_map_key_ref: None }
        }
        CertificatesKey::ConfigMap { name, key } => CertificatesSource {
            secret_key_ref: None,
            config_map_key_ref: Some(ConfigMapKeySelector {
                name: name.clone(),
                key: key.clone(),
                optional: None,
            }),
        },
    }
}

pub(super) fn source(key: &SecretKey) -> SecretValueSource {
    SecretValueSource {
        secret_key_ref: SecretKeySelector { name: key.name.clone(), key: key.key.clone(), optional: None },
    }
}

pub(super) fn secret(container: &Container, name: &str) -> Option<SecretValueSource> {
    let variable = container.env.iter().flatten().find(|variable| variable.name == name)?;
    let key = variable.value_from.as_ref()?.secret_key_ref.clone()?;
    Some(SecretValueSource { secret_key_ref: key })
}

pub(super) fn replicas(container: &Container) -> Vec<SecretValueSource> {
    (0..).map_while(|index| secret(container, &format!("{}{index}", env::REPLICA_DATABASE_URL))).collect()
}
