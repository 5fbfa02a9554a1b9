//! The proxy's timeouts are not known.

use super::shared::running::{Running, at_ways};
use crate::{
    causes::prelude::*,
    proxy::Read,
    timeouts::{
        Front,
        rules::{self, Rule, Verdict},
    },
    validate::Installation,
};

pub(crate) static CAUSE: Cause =
    Cause { check: Some(check), ..Cause::info(Component::Exposure, include_str!("proxy_not_checked.md")) };

/// Rules in which the proxy has a part.
const OF_THE_PROXY: [Rule; 2] = [Rule::ProxyOutlastsGunicorn, Rule::KeepAliveOutlastsProxyIdle];

/// What the proxy's timeout should have above Gunicorn's: time to transfer the response.
const MARGIN: i32 = 5;

fn check(context: &Context<'_>) -> Vec<Draft> {
    at_ways(context.ways().iter().filter_map(|running| of(context.installation, running)))
}

fn of(installation: &Installation, running: &Running<'_>) -> Option<Draft> {
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
    let message = proxy.map_or_else(
        || {
            "The proxy in front is not one that is known here, so whether its timeouts fit is not known."
                .to_owned()
        },
        |proxy| {
            format!(
                "Whether the timeouts of {} fit those of the API cannot be seen in the cluster.",
                proxy.name
            )
        },
    );
    let name = if proxy.is_none() { ", or name" } else { "" };
    let managed_by = &installation.managed_by;
    let none = managed_by
        .field_or("spec.api.gunicorn.keepAliveSeconds: 0", || running.set(&[("--keep-alive", 0)], &[]));
    Some(Draft {
        message,
        evidence: if running.read.is_empty() { Vec::new() } else { vec![running.read.clone()] },
        remedy: format!(
            "Check: {}. Then state it in {} (readTimeoutSeconds, idleTimeoutSeconds{name}). A keep-alive of 0 is \
             right for any idle time and costs one connection for each request: {none}",
            to_check(running, read, &unknown).join("; "),
            managed_by.proxy(running.field),
        ),
        ..Code::ProxyNotChecked.draft()
    })
}

/// What the proxy has to do for the rules to be obeyed.
fn to_check(running: &Running<'_>, read: Read, unknown: &[Rule]) -> Vec<String> {
    let mut to_check = Vec::new();
    if unknown.contains(&Rule::ProxyOutlastsGunicorn) {
        to_check.push(match (read, running.values.gunicorn_timeout) {
            (Read::Elsewhere(how), Some(timeout)) => {
                how.replace("{}", &timeout.saturating_add(MARGIN).to_string())
            }
            (_, Some(timeout)) => format!("its timeout for a response is {timeout} s or more"),
            (_, None) => {
                "its timeout for a response is not below Gunicorn's, which cannot be seen".to_owned()
            }
        });
    }
    if unknown.contains(&Rule::KeepAliveOutlastsProxyIdle) {
        to_check.push(match running.values.keep_alive {
            Some(keep_alive) => {
                format!("it closes idle connections to pods after less than {keep_alive} s")
            }
            None => {
                "it closes idle connections to pods before Gunicorn does, whose keep-alive cannot be seen"
                    .to_owned()
            }
        });
    }
    to_check
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::shared::testing::{check, codes, made};
    use crate::{
        fixtures::{installation, spec},
        model::Code,
    };

    #[test]
    fn an_unknown_proxy_is_asked_about_and_a_stated_one_is_not() {
        let exposed = |proxy: Value| {
            installation(&spec(json!({
                "exposure": { "hosts": ["*"], "ingress": { "className": "own" }, "proxy": proxy },
            })))
        };
        let unknown = exposed(json!({}));
        let found = check(&unknown, &made(&unknown, &|_| {}));
        assert_eq!(codes(&found), [Code::ProxyNotChecked]);
        for part in [
            "less than 95 s",
            "spec.exposure.proxy (readTimeoutSeconds, idleTimeoutSeconds, or name)",
            "Set spec.api.gunicorn.keepAliveSeconds: 0",
        ] {
            assert!(found.first().unwrap().remedy.contains(part), "{part}: {found:?}");
        }
        let stated = exposed(json!({ "readTimeoutSeconds": 60, "idleTimeoutSeconds": 350 }));
        assert_eq!(check(&stated, &made(&stated, &|_| {})), []);
    }
}
