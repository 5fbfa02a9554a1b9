//! `HorizontalPodAutoscalers` of other people.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::index::Snapshot;

/// The name of the Deployment that an autoscaler targets.
pub(super) fn target(snapshot: &Snapshot) -> Option<String> {
    let autoscaler: HorizontalPodAutoscaler = snapshot.parse()?;
    let target = autoscaler.spec?.scale_target_ref;
    (target.kind == "Deployment").then_some(target.name)
}
