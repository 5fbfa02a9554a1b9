//! Gunicorn closes idle connections that the proxy still keeps.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};
use crate::{
    proxy::{Idle, Limit},
    timeouts::rules::{Rule, Verdict},
    validate::Installation,
};

pub(super) fn check(installation: &Installation, running: &Running<'_>) -> Option<Diagnosis> {
    let keep_alive = running.gunicorn.keep_alive?;
    if Rule::KeepAliveOutlastsProxyIdle.check(&running.values) != Verdict::Broken {
        return None;
    }
    let proxy = running.front.proxy()?;
    let closes = matches!(proxy.idle, Idle::Shrinking(_));
    let (kept, wanted) = match running.values.proxy_idle {
        Limit::Seconds(idle) if idle <= 600 && !closes => (format!("for {idle} s"), idle + 5),
        Limit::Seconds(idle) => (format!("for {idle} s"), 0),
        Limit::Unlimited | Limit::Unknown => (
            "to an address of a Service, whatever becomes of the pod behind it".to_owned(),
            0,
        ),
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
        .find(|(name, _)| *name == "GUNICORN_KEEP_ALIVE")
        .map(|(_, value)| {
            format!(
                "; GUNICORN_KEEP_ALIVE={value} is set but Flagsmith {} does not read it",
                running.release.as_deref().unwrap_or_default(),
            )
        });
    let own = installation.api.gunicorn.keep_alive_seconds == Some(keep_alive);
    Some(diagnosis(
        Code::KeepAliveBelowProxyIdle,
        Severity::Warning,
        Component::Api,
        format!(
            "Gunicorn closes a connection that was silent for {keep_alive} s, while {} keeps it {kept}: a request that is sent into it at that moment fails ({}), and no proxy repeats a POST.",
            proxy.name, proxy.reset,
        ),
        vec![
            format!(
                "Deployment {}: keep-alive {keep_alive} s{}",
                running.deployment,
                ignored.unwrap_or_default()
            ),
            changed_by,
        ],
        if own {
            format!("Remove spec.api.gunicorn.keepAliveSeconds (the operator then sets {wanted}).")
        } else {
            format!(
                "Start the API with --keep-alive {wanted} before the sub-command: command [\"flagsmith\"], args [\"start\", \"--timeout\", \"{}\", \"--keep-alive\", \"{wanted}\", \"--worker-tmp-dir\", \"/dev/shm\", \"api\"].",
                running.gunicorn.timeout,
            )
        },
    ))
}
