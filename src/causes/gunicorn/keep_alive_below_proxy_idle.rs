//! Gunicorn closes idle connections before the proxy does.

use super::shared::running::{Running, at_ways};
use crate::{
    causes::prelude::*,
    flagsmith::env,
    proxy::{Idle, Limit, Proxy},
    timeouts::rules::{Rule, Verdict},
    validate::Installation,
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::Exposure, include_str!("keep_alive_below_proxy_idle.md"))
};

/// What the default of the image was seen to cost (tests/load).
const MEASURED: &str = "measured with a keep-alive of 2 s and 150 requests a second: about 1 in 1,000 fails behind \
                        nginx and behind haproxy, whatever the release";

fn check(context: &Context<'_>) -> Vec<Draft> {
    at_ways(context.ways().iter().filter_map(|running| of(context.installation, running)))
}

fn of(installation: &Installation, running: &Running<'_>) -> Option<Draft> {
    let keep_alive = running.values.keep_alive?;
    if Rule::KeepAliveOutlastsProxyIdle.check(&running.values) != Verdict::Broken {
        return None;
    }
    let proxy = running.front.proxy()?;
    let wanted = running.ours().keep_alive;
    let kept = match running.values.proxy_idle {
        Limit::Seconds(idle) => format!("for {idle} s"),
        Limit::Unlimited | Limit::Unknown => {
            "to an address of a Service, whatever becomes of the pod behind it".to_owned()
        }
    };
    let ignored = running.gunicorn.ignored.iter().find(|(name, _)| *name == env::GUNICORN_KEEP_ALIVE).map(
        |(name, value)| {
            format!("; {name}={value} is set but Flagsmith {} does not read it", running.release())
        },
    );
    let mut evidence = vec![
        format!(
            "Deployment {}: keep-alive {keep_alive} s{}",
            running.deployment,
            ignored.unwrap_or_default()
        ),
        changed_by(proxy, &kept),
    ];
    if !running.gunicorn.is_chosen("--keep-alive") {
        evidence.push(MEASURED.to_owned());
    }
    let own = installation.api.gunicorn.keep_alive_seconds == Some(keep_alive);
    Some(Draft {
        code: Code::KeepAliveBelowProxyIdle,
        severity: running.severity(&["--keep-alive"]),
        component: Component::Api,
        message: format!(
            "Gunicorn closes a connection that was silent for {keep_alive} s, while {} keeps it {kept}: a request \
             that is sent into it at that moment fails ({}), and no proxy repeats a POST.",
            proxy.name, proxy.reset,
        ),
        evidence,
        remedy: if own {
            format!("Remove spec.api.gunicorn.keepAliveSeconds (the operator then sets {wanted}).")
        } else {
            running.set(&[("--keep-alive", wanted)], &[])
        },
    })
}

/// How long the proxy keeps an idle connection, and what changes that.
fn changed_by(proxy: &Proxy, kept: &str) -> String {
    let name = proxy.name;
    match proxy.idle {
        Idle::Seconds(_, by) => format!("{name} keeps an idle connection {kept} (changed by {by})"),
        Idle::ReadTimeout(_) => {
            format!("{name} keeps an idle connection {kept}, the same number as its read timeout")
        }
        Idle::Shrinking(_) => {
            format!("{name} has no limit for idle connections but closes half of them each 5 s")
        }
        Idle::Unknown => format!("{name} keeps an idle connection {kept}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::shared::testing::{
        UPGRADE, behind, chart, check, codes, first, made, none, observed_with, of_chart,
    };
    use crate::{causes::diagnose, model::Code};

    #[test]
    fn the_official_charts_defaults_are_named() {
        let installation = behind("ingress-nginx");
        let found = check(&installation, &made(&installation, &chart));
        assert_eq!(codes(&found), [Code::KeepAliveBelowProxyIdle, Code::PreStopTooShort]);
        let keep_alive = found.first().unwrap();
        assert!(
            keep_alive.message.contains("silent for 2 s, while ingress-nginx keeps it for 60 s"),
            "{keep_alive:?}"
        );
        assert!(keep_alive.remedy.contains("spec.suspend: false"), "the operator undoes it: {keep_alive:?}");
    }

    #[test]
    fn the_charts_owner_is_told_what_to_type() {
        let (installation, observation) = observed_with(&none, &none);
        let found = diagnose(&installation, &observation);
        assert_eq!(
            first(&found, Code::KeepAliveBelowProxyIdle).remedy,
            format!(
                "{UPGRADE}--set-json 'api.command=[\"flagsmith\"]' --set-json 'api.args=[\"start\",\"--worker-tmp-dir\",\"/dev/shm\",\"--keep-alive\",\"65\",\"api\"]'"
            )
        );
    }

    #[test]
    fn the_api_behind_the_frontend_has_no_idle_connections_of_the_proxy() {
        let found = of_chart(&none, &|ingress| {
            *ingress.pointer_mut("/spec/rules/0/http/paths/0/backend/service/name").unwrap() =
                json!("flagsmith-frontend");
        });
        assert!(found.iter().all(|it| it.code != Code::KeepAliveBelowProxyIdle), "{found:#?}");
    }
}
