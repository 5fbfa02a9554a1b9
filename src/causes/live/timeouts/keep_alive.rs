//! Gunicorn closes idle connections that the proxy still keeps.

use super::{Code, Component, Diagnosis, Running, diagnosis};
use crate::{
    flagsmith::env,
    proxy::{Idle, Limit},
    timeouts::rules::{Rule, Verdict},
    validate::Installation,
};

/// What the default of the image was seen to cost (tests/load).
const MEASURED: &str = "measured with a keep-alive of 2 s and 150 requests a second: about 1 in 1,000 fails behind nginx and behind haproxy, whatever the release";

pub(super) fn check(installation: &Installation, running: &Running<'_>) -> Option<Diagnosis> {
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
    let changed_by = match proxy.idle {
        Idle::Seconds(_, by) => format!("{} keeps an idle connection {kept} (changed by {by})", proxy.name),
        Idle::ReadTimeout(_) => format!(
            "{} keeps an idle connection {kept}, the same number as its read timeout",
            proxy.name
        ),
        Idle::Shrinking(_) => format!(
            "{} has no limit for idle connections but closes half of them each 5 s",
            proxy.name
        ),
        Idle::Unknown => format!("{} keeps an idle connection {kept}", proxy.name),
    };
    let ignored = running
        .gunicorn
        .ignored
        .iter()
        .find(|(name, _)| *name == env::GUNICORN_KEEP_ALIVE)
        .map(|(name, value)| {
            format!(
                "; {name}={value} is set but Flagsmith {} does not read it",
                running.release()
            )
        });
    let mut evidence = vec![
        format!(
            "Deployment {}: keep-alive {keep_alive} s{}",
            running.deployment,
            ignored.unwrap_or_default()
        ),
        changed_by,
    ];
    if !running.gunicorn.is_chosen("--keep-alive") {
        evidence.push(MEASURED.to_owned());
    }
    let own = installation.api.gunicorn.keep_alive_seconds == Some(keep_alive);
    Some(diagnosis(
        Code::KeepAliveBelowProxyIdle,
        running.severity(&["--keep-alive"]),
        Component::Api,
        format!(
            "Gunicorn closes a connection that was silent for {keep_alive} s, while {} keeps it {kept}: a request that is sent into it at that moment fails ({}), and no proxy repeats a POST.",
            proxy.name, proxy.reset,
        ),
        evidence,
        if own {
            format!("Remove spec.api.gunicorn.keepAliveSeconds (the operator then sets {wanted}).")
        } else {
            running.set(&[("--keep-alive", wanted)], &[])
        },
    ))
}
