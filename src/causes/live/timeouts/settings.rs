//! Variables that the release does not read.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis, seconds};
use crate::flagsmith::env;

pub(super) fn check(running: &Running<'_>) -> Option<Diagnosis> {
    let gunicorn = &running.gunicorn;
    // One whose flag says the same does no harm.
    let lost: Vec<&(&str, String)> = gunicorn
        .ignored
        .iter()
        .filter(|(name, value)| {
            *name != env::GUNICORN_KEEP_ALIVE || gunicorn.keep_alive != value.trim().parse().ok()
        })
        .collect();
    if lost.is_empty() {
        return None;
    }
    let names: Vec<&str> = lost.iter().map(|(name, _)| *name).collect();
    let release = running.release();
    let count = |number: Option<i32>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    Some(diagnosis(
        Code::GunicornSettingsIgnored,
        Severity::Warning,
        Component::Api,
        format!(
            "{} has no effect: Flagsmith {release} does not read it.",
            names.join(" and ")
        ),
        lost.iter()
            .map(|(name, value)| {
                format!(
                    "Deployment {}: {name}={value:?}, image tag {release}",
                    running.deployment
                )
            })
            .chain([format!(
                "in effect: timeout {}, keep-alive {}, {} workers of {} threads",
                seconds(gunicorn.timeout),
                seconds(gunicorn.keep_alive),
                count(gunicorn.workers),
                count(gunicorn.threads),
            )])
            .collect(),
        running.instead(&lost),
    ))
}
