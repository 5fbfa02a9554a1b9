//! A proxy whose timeouts nobody knows.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};
use crate::{
    proxy::Read,
    timeouts::{
        Front,
        rules::{self, Rule, Verdict},
    },
    validate::Installation,
};

/// Rules in which the proxy has a part.
const OF_THE_PROXY: [Rule; 2] = [Rule::ProxyOutlastsGunicorn, Rule::KeepAliveOutlastsProxyIdle];

pub(super) fn check(installation: &Installation, running: &Running<'_>) -> Option<Diagnosis> {
    let Front::Proxy { proxy, read, .. } = running.front else {
        return None;
    };
    let unknown: Vec<Rule> = rules::check(&running.values)
        .into_iter()
        .filter(|(rule, verdict)| *verdict == Verdict::Unknown && OF_THE_PROXY.contains(rule))
        .map(|(rule, _)| rule)
        .collect();
    if unknown.is_empty() {
        return None;
    }
    let mut ask = Vec::new();
    if unknown.contains(&Rule::ProxyOutlastsGunicorn) {
        ask.push(match (read, running.values.gunicorn_timeout) {
            (Read::Elsewhere(how), Some(timeout)) => {
                how.replace("{}", &timeout.saturating_add(5).to_string())
            }
            (_, Some(timeout)) => format!("its timeout for a response is {timeout} s or more"),
            (_, None) => {
                "its timeout for a response is not below Gunicorn's, which cannot be seen".to_owned()
            }
        });
    }
    if unknown.contains(&Rule::KeepAliveOutlastsProxyIdle) {
        ask.push(match running.values.keep_alive {
            Some(keep_alive) => {
                format!("it closes idle connections to pods after less than {keep_alive} s")
            }
            None => {
                "it closes idle connections to pods before Gunicorn does, whose keep-alive cannot be seen"
                    .to_owned()
            }
        });
    }
    let (message, name) = match proxy {
        Some(proxy) => (
            format!("Whether the timeouts of {} fit those of the API cannot be seen in the cluster.", proxy.name),
            "",
        ),
        None if !installation.managed_by.is_operator() => (
            "The proxy in front is not one that is known here, so whether its timeouts fit is not known."
                .to_owned(),
            "",
        ),
        None => (
            "The proxy in front is not one that the operator knows, so whether its timeouts fit is not known."
                .to_owned(),
            " (or in spec.exposure.proxy.name which proxy it is)",
        ),
    };
    Some(diagnosis(
        Code::ProxyNotChecked,
        Severity::Info,
        Component::Exposure,
        message,
        if running.read.is_empty() {
            Vec::new()
        } else {
            vec![running.read.clone()]
        },
        if installation.managed_by.is_operator() {
            format!(
                "Check: {}. Then state it in spec.exposure.proxy.readTimeoutSeconds and idleTimeoutSeconds{name}. spec.api.gunicorn.keepAliveSeconds: 0 is right for any idle time and costs one connection for each request.",
                ask.join("; "),
            )
        } else {
            format!(
                "Check: {}. A FlagsmithDeployment of mode Observed states it in spec.observe.proxy. A keep-alive of 0 is right for any idle time and costs one connection for each request: {}",
                ask.join("; "),
                running.set(&[("--keep-alive", 0)], &[]),
            )
        },
    ))
}
