//! `diagnose --release`: an installation of the official Helm chart, without the operator and without its CRD.

use std::fmt::Write as _;

use super::super::{
    cluster::Cluster,
    look::{LookArgs, Scene, look_at},
};
use crate::{
    causes::Running,
    model::Component,
    observe::{WorkloadState, discover::Found},
    validate::{Identity, ObservedInstallation, Selection},
};

/// What is looked at when a release is named.
pub(crate) fn subject(cluster: &Cluster, release: &str) -> ObservedInstallation {
    ObservedInstallation {
        identity: Identity {
            name: release.to_owned(),
            namespace: cluster.namespace.clone(),
            uid: String::new(),
            generation: 0,
        },
        selection: Selection::Release(release.to_owned()),
        release: None,
        database: None,
        authorities: None,
        proxy: None,
    }
}

/// Looks at a release.
pub(crate) async fn look(cluster: &Cluster, release: &str, args: LookArgs) -> (String, Scene) {
    let (found, scene) = Box::pin(look_at(cluster, &subject(cluster, release), args)).await;
    let timeouts = Running::of(&found.installation, &scene.observation).map(|running| running.summary());
    (heading(release, &cluster.namespace, &found, timeouts.as_deref()), scene)
}

/// What runs, in a line each.
fn heading(release: &str, namespace: &str, found: &Found, timeouts: Option<&str>) -> String {
    let mut text = format!("Helm release {release} in namespace {namespace}\n");
    for (component, state) in [
        (Component::Api, &found.api),
        (Component::TaskProcessor, &found.task_processor),
        (Component::Frontend, &found.frontend),
    ] {
        let line = state.as_ref().map_or_else(|| "none".to_owned(), summary);
        let _ = writeln!(text, "  {:<15} {line}", component.as_str());
    }
    if let Some(timeouts) = timeouts {
        let _ = writeln!(text, "  {:<15} {timeouts}", "timeouts");
    }
    text.push('\n');
    text
}

fn summary(state: &WorkloadState) -> String {
    let version = state.release.map_or_else(|| "unknown version".to_owned(), |release| release.to_string());
    format!("{version}, {} of {} ready (Deployment {})", state.ready, state.desired, state.name)
}
