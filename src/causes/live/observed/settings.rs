//! Settings of the API's container that cannot work.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    flagsmith::env,
    observe::{ContainerState, Observation, WorkloadState},
    validate::{Change, Installation},
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let Some(api) = &observation.api else {
        return Vec::new();
    };
    let Some(container) = api.container() else {
        return Vec::new();
    };
    secret_key(installation, observation, api, container)
        .into_iter()
        .chain(allowed_hosts(installation, api, container))
        .collect()
}

fn secret_key(
    installation: &Installation,
    observation: &Observation,
    api: &WorkloadState,
    container: &ContainerState,
) -> Option<Diagnosis> {
    if !container.environment.lacks(env::DJANGO_SECRET_KEY) {
        return None;
    }
    let namespace = &installation.identity.namespace;
    let deployments = [Some(api), observation.task_processor.as_ref()]
        .into_iter()
        .flatten();
    let set: Vec<String> = deployments
        .map(|it| {
            format!(
                "kubectl -n {namespace} set env deployment/{} --from=secret/flagsmith-django",
                it.name
            )
        })
        .collect();
    Some(diagnosis(
        Code::SecretKeyEphemeral,
        Severity::Warning,
        Component::Api,
        "Every process of the API makes a secret key of its own at its start: sessions and signed links break at every restart and between pods.".to_owned(),
        vec![format!("Deployment {}, container {}: DJANGO_SECRET_KEY is not set", api.name, container.name)],
        format!(
            "kubectl -n {namespace} create secret generic flagsmith-django --from-literal=DJANGO_SECRET_KEY=\"$(openssl rand -base64 48)\" && {}",
            set.join(" && ")
        ),
    ))
}

/// The kubelet asks by the pod's address unless the probe has a Host header. A template that is rolled out proves that
/// Django answers it.
fn allowed_hosts(
    installation: &Installation,
    api: &WorkloadState,
    container: &ContainerState,
) -> Option<Diagnosis> {
    let environment = &container.environment;
    let given = environment.value(env::DJANGO_ALLOWED_HOSTS);
    if api.desired == 0 || api.updated == 0 || api.rolled_out() {
        return None;
    }
    if given.is_none() && !environment.lacks(env::DJANGO_ALLOWED_HOSTS) {
        return None;
    }
    let hosts: Vec<&str> = given.unwrap_or_default().split(',').map(str::trim).collect();
    let accepts = |host: Option<&str>| {
        hosts.iter().any(|allowed| {
            *allowed == "*"
                || host.is_some_and(|host| {
                    *allowed == host
                        || allowed
                            .strip_prefix('.')
                            .is_some_and(|domain| host.ends_with(domain))
                })
        })
    };
    let probe = container
        .probe_hosts
        .iter()
        .find(|host| !accepts(host.as_deref()))?;
    let asked = probe.as_deref().map_or_else(
        || "the pod's address".to_owned(),
        |host| format!("the Host header {host}"),
    );
    Some(diagnosis(
        Code::AllowedHostsRejected,
        Severity::Critical,
        Component::Api,
        "Django refuses the kubelet's probes for their Host header, so no new pod of the API becomes ready."
            .to_owned(),
        vec![
            format!(
                "Deployment {}: DJANGO_ALLOWED_HOSTS is {}; the probes ask by {asked}",
                api.name,
                given.map_or_else(
                    || "not set, which allows no host".to_owned(),
                    |it| format!("{it:?}")
                ),
            ),
            format!(
                "{} of {} pods have the newest template, and the rollout does not end",
                api.updated, api.desired
            ),
        ],
        installation
            .managed_by
            .change(&[Change::Env(Component::Api, env::DJANGO_ALLOWED_HOSTS, "*")]),
    ))
}
