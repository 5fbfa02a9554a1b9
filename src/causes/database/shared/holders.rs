//! Who held the connections of a server.

use crate::observe::{
    Observation,
    database::{Held, Holder},
};

/// The most holders that are named.
const NAMED: usize = 3;

/// Who held most of the server's connections when it was last asked, if they were most of all that it has: before that
/// they say nothing of why it has none left.
pub(crate) fn holders(observation: &Observation) -> Vec<String> {
    let Some(held) = &observation.queues.held else {
        return Vec::new();
    };
    let Held { at, connections, holders } = held;
    let free = connections.for_others();
    if connections.used * 2 < free {
        return Vec::new();
    }
    let most = holders.iter().take(NAMED);
    let told: Vec<String> = most.map(|holder| told(observation, holder)).collect();
    if told.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "at {} clients held {} of {free} connections: {}",
        at.strftime("%H:%M:%SZ"),
        connections.used,
        told.join("; ")
    )]
}

/// `12 by pod flagsmith-api-abc`, or `80 by role "billing" in database "billing", application "psql", from 10.0.0.7`.
fn told(observation: &Observation, holder: &Holder) -> String {
    let Holder { user, database, application, address, connections, .. } = holder;
    let of_pod = observation.pods.iter().find(|pod| address.is_some() && pod.address == *address);
    if let Some(pod) = of_pod {
        return format!("{connections} by pod {}", pod.name);
    }
    let application =
        if application.is_empty() { String::new() } else { format!(", application \"{application}\"") };
    let from = address.map_or_else(String::new, |address| format!(", from {address}"));
    format!("{connections} by role \"{user}\" in database \"{database}\"{application}{from}")
}
