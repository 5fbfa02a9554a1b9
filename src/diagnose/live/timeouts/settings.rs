//! Variables that the release does not read.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};

pub(super) fn check(running: &Running<'_>) -> Option<Diagnosis> {
    let gunicorn = &running.gunicorn;
    // One whose flag says the same does no harm.
    let lost: Vec<&(&str, String)> = gunicorn
        .ignored
        .iter()
        .filter(|(name, value)| {
            *name != "GUNICORN_KEEP_ALIVE" || gunicorn.keep_alive != value.trim().parse().ok()
        })
        .collect();
    let names: Vec<&str> = lost.iter().map(|(name, _)| *name).collect();
    let release = running.release.as_deref().unwrap_or_default();
    let flags: Vec<String> = lost
        .iter()
        .map(|(name, value)| match *name {
            "GUNICORN_KEEP_ALIVE" => format!("--keep-alive {value}"),
            _ => value.clone(),
        })
        .collect();
    (!lost.is_empty()).then(|| {
        diagnosis(
            Code::GunicornSettingsIgnored,
            Severity::Warning,
            Component::Api,
            format!("{} has no effect: Flagsmith {release} does not read it.", names.join(" and ")),
            lost.iter()
                .map(|(name, value)| {
                    format!("Deployment {}: {name}={value:?}, image tag {release}", running.deployment)
                })
                .chain([format!(
                    "in effect: --timeout {}, --keep-alive {}, {} workers of {} threads",
                    gunicorn.timeout,
                    gunicorn.keep_alive.unwrap_or_default(),
                    gunicorn.workers,
                    gunicorn.threads,
                )])
                .collect(),
            format!(
                "Give it as flags before the sub-command: command [\"flagsmith\"], args [\"start\", …, \"api\"] with {}. In the official chart: api.command and api.args.",
                flags.join(" "),
            ),
        )
    })
}
