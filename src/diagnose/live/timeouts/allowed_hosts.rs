//! Hosts that the exposure takes and Django refuses.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::validate::Installation;

pub(super) fn check(installation: &Installation) -> Option<Diagnosis> {
    let exposure = installation.exposure.as_ref()?;
    let allowed = &installation.allowed_hosts;
    let refused: Vec<&str> = exposure
        .hosts
        .iter()
        .map(String::as_str)
        .filter(|host| !allowed.iter().any(|allowed| allows(allowed, host)))
        .collect();
    let first = refused.first()?;
    Some(diagnosis(
        Code::AllowedHostsRejected,
        Severity::Warning,
        Component::Exposure,
        format!(
            "Requests for {} reach Django, which answers 400: it is not one of its allowed hosts.",
            refused.join(", ")
        ),
        vec![format!(
            "spec.exposure.hosts has {first:?}; spec.django.allowedHosts is {}",
            allowed.join(", "),
        )],
        format!("Add {first:?} to spec.django.allowedHosts, or set it to [\"*\"]."),
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
