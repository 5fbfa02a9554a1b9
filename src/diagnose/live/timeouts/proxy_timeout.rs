//! The proxy gives up before Gunicorn does.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};
use crate::{
    proxy::{Limit, Read},
    timeouts::rules::{Rule, Verdict},
    validate::Installation,
};

pub(super) fn check(installation: &Installation, running: &Running<'_>) -> Option<Diagnosis> {
    if Rule::ProxyOutlastsGunicorn.check(&running.values) != Verdict::Broken {
        return None;
    }
    let Limit::Seconds(cut) = running.values.proxy_read else {
        return None;
    };
    let timeout = running.values.gunicorn_timeout;
    let proxy = running.front.proxy()?;
    let wanted = timeout.saturating_add(5);
    let own = installation
        .exposure
        .as_ref()
        .and_then(|exposure| exposure.ingress.as_ref())
        .zip(match running.front {
            crate::timeouts::Front::Proxy { read, .. } => read.annotation(),
            crate::timeouts::Front::Services => None,
        })
        .is_some_and(|(ingress, (_, key, ..))| ingress.annotations.contains_key(key));
    let shorter = (5..timeout)
        .contains(&cut)
        .then(|| format!(", or set spec.requestTimeoutSeconds: {cut} if {cut} s is what you want"));
    let how = match running.front {
        crate::timeouts::Front::Proxy {
            read: Read::Elsewhere(how),
            ..
        } => {
            let how = how.replace("{}", &wanted.to_string());
            format!(
                "{}. Then state it in spec.exposure.proxy.readTimeoutSeconds: {wanted}",
                upper(&how)
            )
        }
        _ if own => format!(
            "Remove that annotation from spec.exposure.ingress.annotations (the operator then sets {wanted} s)"
        ),
        _ if running.read_is_set => format!("Remove what sets it (the operator then sets {wanted} s)"),
        _ => format!("Set it to {wanted} s"),
    };
    Some(diagnosis(
        Code::ProxyTimeoutBelowGunicorn,
        Severity::Warning,
        Component::Exposure,
        format!(
            "Requests longer than {cut} s are cut by {} ({}), while Gunicorn works on them for up to {timeout} s: the client sees an error, the worker stays busy.",
            proxy.name, proxy.gives_up,
        ),
        vec![
            if running.read.is_empty() {
                format!("{} waits {cut} s", proxy.name)
            } else {
                running.read.clone()
            },
            format!("Deployment {}: --timeout {timeout}", running.deployment),
        ],
        format!("{how}{}.", shorter.unwrap_or_default()),
    ))
}

fn upper(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
