//! What the causes that a log shows by its workers say alike.

use crate::{
    causes::log::{
        evidence::LogEvidence,
        gunicorn::{Kill, Timeout},
        location::LogLocation,
        phrasing::times,
    },
    model::Component,
};

/// The most process ids that are listed; of more only the last one is named.
const PIDS: usize = 4;
/// The most timeouts that are shown as evidence, each with the kill that followed.
const TIMEOUTS_SHOWN: usize = 2;
/// The most kills that are shown as evidence.
const KILLS_SHOWN: usize = 3;

/// All `WORKER TIMEOUT`s of the logs, in what they have in common whatever they mean.
pub(crate) struct Timeouts {
    /// `Gunicorn killed a worker of the API twice (pids 7, 8)`.
    pub(crate) subject: String,
    /// The request and the signal that belong to it, as further sentences.
    pub(crate) details: String,
    /// Whether all of the workers that say what they did waited for a client to send a request.
    pub(crate) waited: bool,
    /// Where they stand.
    pub(crate) places: Vec<LogLocation>,
}

impl Timeouts {
    /// `None` where there is none.
    pub(crate) fn of(logs: &LogEvidence) -> Option<Self> {
        let timeouts: &[Timeout] = &logs.workers.timeouts;
        timeouts.first()?;
        let request = timeouts
            .iter()
            .find_map(|timeout| timeout.request.as_deref())
            .map(|path| format!(" One of the requests was {path}."))
            .unwrap_or_default();
        let killed = if timeouts.iter().any(|timeout| timeout.killed.is_some()) {
            " The SIGKILL after it is Gunicorn's own; \"Perhaps out of memory?\" is not meant here."
        } else {
            ""
        };
        let known: Vec<u32> = timeouts.iter().filter_map(|timeout| timeout.pid).collect();
        let which = if known.is_empty() { String::new() } else { format!(" ({})", pids(known.into_iter())) };
        Some(Self {
            subject: format!(
                "Gunicorn killed a worker of {} {}{which}",
                role(logs.component),
                times(logs.workers.timeout_count),
            ),
            waited: request.is_empty() && timeouts.iter().any(|timeout| timeout.waited),
            details: format!("{request}{killed}"),
            places: timeouts
                .iter()
                .take(TIMEOUTS_SHOWN)
                .flat_map(|timeout| std::iter::once(timeout.location.clone()).chain(timeout.killed.clone()))
                .collect(),
        })
    }
}

/// `pid 7`, `pids 7, 8`, or how many there are.
pub(crate) fn pids(pids: impl Iterator<Item = u32>) -> String {
    let all: Vec<String> = pids.map(|pid| pid.to_string()).collect();
    match all.as_slice() {
        [one] => format!("pid {one}"),
        many if many.len() <= PIDS => format!("pids {}", many.join(", ")),
        many => format!("{} pids, the last one {}", many.len(), many.last().map_or("", String::as_str)),
    }
}

/// Whose workers these are.
pub(crate) const fn role(component: Component) -> &'static str {
    match component {
        Component::TaskProcessor => "the task processor's HTTP server (its probes)",
        _ => "the API",
    }
}

/// Where the first of these kills stand.
pub(crate) fn places(kills: &[&Kill]) -> Vec<LogLocation> {
    kills.iter().take(KILLS_SHOWN).map(|kill| kill.location.clone()).collect()
}
