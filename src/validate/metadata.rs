//! Labels and annotations of the user's own: by which of them the operator finds its objects again is not theirs to say.

use std::collections::BTreeMap;

use super::problem::Problem;
use crate::api::FlagsmithDeploymentSpec;

/// Prefixes of labels and annotations that belong to the operator.
const OWN_PREFIXES: &[&str] = &["operator.flagsmith.com/", "app.kubernetes.io/"];

/// Characters of the name of a label, and of its value.
const LABEL_LENGTH: usize = 63;

/// Characters of the prefix of a label or an annotation: a DNS name.
const PREFIX_LENGTH: usize = 253;

/// Everything that is wrong with them.
pub(super) fn check(spec: &FlagsmithDeploymentSpec, problems: &mut Vec<Problem>) {
    let (api, processor, frontend) = (&spec.api, &spec.task_processor, &spec.frontend);
    for (field, labels, annotations) in [
        ("spec.api.pod", &api.container.pod.labels, &api.container.pod.annotations),
        ("spec.api.service", &api.service.labels, &api.service.annotations),
        ("spec.taskProcessor.pod", &processor.container.pod.labels, &processor.container.pod.annotations),
        ("spec.taskProcessor.service", &processor.service.labels, &processor.service.annotations),
        ("spec.frontend.pod", &frontend.container.pod.labels, &frontend.container.pod.annotations),
        ("spec.frontend.service", &frontend.service.labels, &frontend.service.annotations),
        ("spec.migrations.pod", &spec.migrations.pod.labels, &spec.migrations.pod.annotations),
    ] {
        map(&format!("{field}.labels"), labels, true, problems);
        map(&format!("{field}.annotations"), annotations, false, problems);
    }
    if let Some(edge_proxy) = &spec.edge_proxy {
        let (pod, service) = (&edge_proxy.container.pod, &edge_proxy.service);
        map("spec.edgeProxy.pod.labels", &pod.labels, true, problems);
        map("spec.edgeProxy.pod.annotations", &pod.annotations, false, problems);
        map("spec.edgeProxy.service.labels", &service.labels, true, problems);
        map("spec.edgeProxy.service.annotations", &service.annotations, false, problems);
    }
    for monitor in spec.monitoring.iter().filter_map(|monitoring| monitoring.pod_monitor.as_ref()) {
        map("spec.monitoring.podMonitor.labels", &monitor.labels, true, problems);
        map("spec.monitoring.podMonitor.annotations", &monitor.annotations, false, problems);
    }
    map("spec.commonLabels", &spec.common_labels, true, problems);
    map("spec.commonAnnotations", &spec.common_annotations, false, problems);
}

fn map(field: &str, entries: &BTreeMap<String, String>, are_labels: bool, problems: &mut Vec<Problem>) {
    let what = if are_labels { "label" } else { "annotation" };
    for (key, value) in entries {
        if OWN_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
            problems.push(Problem::invalid(
                field,
                &format!("the {what} {key:?} belongs to the operator"),
                "Remove it, or use a prefix of your own.",
            ));
        } else if !is_key(key) {
            problems.push(Problem::invalid(
                field,
                &format!("{key:?} cannot be the name of a {what}"),
                "Write letters, digits, \"-\", \"_\" and \".\", up to 63 of them, with or without a prefix such as example.com/.",
            ));
        } else if are_labels && !is_value(value) {
            problems.push(Problem::invalid(
                field,
                &format!("{value:?} cannot be the value of a label"),
                "Write letters, digits, \"-\", \"_\" and \".\", up to 63 of them; an annotation may have any value.",
            ));
        }
    }
}

fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let domain =
        |prefix: &str| prefix.len() <= PREFIX_LENGTH && crate::api::object_name::is_object_name(prefix);
    prefix.is_none_or(domain) && !name.is_empty() && is_value(name)
}

fn is_value(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let edge = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    value.len() <= LABEL_LENGTH
        && value.bytes().all(allowed)
        && edge(value.bytes().next())
        && edge(value.bytes().last())
}
