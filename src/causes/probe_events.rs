//! What the kubelet says of a pod's probes.

use crate::observe::{Observation, PodSummary};

/// The messages of the kubelet's Events about the probes of a pod that failed, as evidence.
pub(crate) fn probe_events(observation: &Observation, pod: &PodSummary) -> Vec<String> {
    let warnings = observation.pod_logs.warnings.iter();
    warnings
        .filter(|warning| warning.pod == pod.name && warning.reason == "Unhealthy")
        .map(|warning| format!("pod {}: {}", pod.name, warning.message.trim()))
        .collect()
}
