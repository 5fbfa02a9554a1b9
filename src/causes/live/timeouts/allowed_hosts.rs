//! Hosts that the exposure takes and Django refuses.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    flagsmith::env,
    observe::Observation,
    validate::{Change, Installation},
};

pub(super) fn check(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    let exposure = installation.exposure.as_ref()?;
    let managed = installation.managed_by.is_operator();
    // The frontend asks the API by a name of its own.
    if !managed && observation.front.through_frontend {
        return None;
    }
    let allowed = if managed {
        installation.allowed_hosts.clone()
    } else {
        // A value that cannot be seen may be right.
        let container = observation.api.as_ref()?.container()?;
        let given = container.environment.value(env::DJANGO_ALLOWED_HOSTS)?;
        given.split(',').map(|host| host.trim().to_owned()).collect()
    };
    let refused: Vec<&str> = exposure
        .hosts
        .iter()
        .map(String::as_str)
        .filter(|host| !allowed.iter().any(|allowed| allows(allowed, host)))
        .collect();
    let first = refused.first()?;
    let allowed = allowed.join(",");
    let (evidence, remedy) = if managed {
        (
            format!("spec.exposure.hosts has {first:?}; spec.django.allowedHosts is {allowed}"),
            format!("Add {first:?} to spec.django.allowedHosts, or set it to [\"*\"]."),
        )
    } else {
        let wanted = format!("{allowed},{}", refused.join(","));
        (
            format!("{first:?} leads to the API; its DJANGO_ALLOWED_HOSTS is {allowed}"),
            installation.managed_by.change(&[Change::Env(
                Component::Api,
                env::DJANGO_ALLOWED_HOSTS,
                &wanted,
            )]),
        )
    };
    Some(diagnosis(
        Code::AllowedHostsRejected,
        Severity::Warning,
        Component::Exposure,
        format!(
            "Requests for {} reach Django, which answers 400: it is not one of its allowed hosts.",
            refused.join(", ")
        ),
        vec![evidence],
        remedy,
    ))
}

/// Django's rule: the same name, a domain with a leading dot for all below it, or "*".
fn allows(allowed: &str, host: &str) -> bool {
    if allowed == "*" || allowed.eq_ignore_ascii_case(host) {
        return true;
    }
    // A wildcard host is served only where every name below it is.
    let name = host.trim_start_matches('*').trim_start_matches('.');
    allowed
        .strip_prefix('.')
        .is_some_and(|domain| name == domain || name.ends_with(&format!(".{domain}")))
}
