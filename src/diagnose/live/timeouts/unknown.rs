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

pub(super) fn check(_: &Installation, running: &Running<'_>) -> Option<Diagnosis> {
    let Front::Proxy { proxy, read, .. } = running.front else {
        return None;
    };
    let unknown: Vec<Rule> = rules::check(&running.values)
        .into_iter()
        .filter(|(_, verdict)| *verdict == Verdict::Unknown)
        .map(|(rule, _)| rule)
        .collect();
    if unknown.is_empty() {
        return None;
    }
    let timeout = running.values.gunicorn_timeout;
    let keep_alive = running.values.keep_alive;
    let mut ask = Vec::new();
    if unknown.contains(&Rule::ProxyOutlastsGunicorn) {
        ask.push(match read {
            Read::Elsewhere(how) => how.replace("{}", &timeout.saturating_add(5).to_string()),
            _ => format!("its timeout for a response is {timeout} s or more"),
        });
    }
    if unknown.contains(&Rule::KeepAliveOutlastsProxyIdle) {
        ask.push(format!(
            "it closes idle connections to pods after less than {keep_alive} s"
        ));
    }
    let (message, name) = match proxy {
        Some(proxy) => (
            format!("Whether the timeouts of {} fit those of the API cannot be seen in the cluster.", proxy.name),
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
        format!(
            "Check: {}. Then state it in spec.exposure.proxy.readTimeoutSeconds and idleTimeoutSeconds{name}. spec.api.gunicorn.keepAliveSeconds: 0 is right for any idle time and costs one connection for each request.",
            ask.join("; "),
        ),
    ))
}
