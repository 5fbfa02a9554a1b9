//! Routes of `OpenShift` (`route.openshift.io/v1`), which no specification has: it makes them of an Ingress. Pure.

use serde_json::Value;

use super::live::{Live, OPENSHIFT, OPENSHIFT_ROUTE as KIND, items, leads_to, text};
use crate::model::child::Kind;

/// Those that somebody wrote; what `OpenShift` makes of an Ingress comes and goes with that.
pub(super) fn written(all: &[Value]) -> impl Iterator<Item = &Value> {
    let of_ingress = |it: &Value| {
        items(it, "/metadata/ownerReferences").any(|owner| text(owner, "/kind") == Kind::Ingress.as_str())
    };
    all.iter().filter(move |it| it["kind"] == KIND && !of_ingress(it))
}

/// The Services that one leads to.
pub(super) fn backends(route: &Value) -> Vec<&str> {
    let others = items(route, "/spec/alternateBackends").map(|it| text(it, "/name"));
    [text(route, "/spec/to/name")].into_iter().chain(others).filter(|name| !name.is_empty()).collect()
}

/// Those that lead to Flagsmith, each with the Ingress that takes its place.
pub(super) fn unsaid(all: &[Value], objects: &[Live]) -> Vec<String> {
    let ours =
        written(all).filter(|it| backends(it).into_iter().any(|name| leads_to(objects, name).is_some()));
    ours.map(|route| {
        let host = Some(text(route, "/spec/host")).filter(|host| !host.is_empty()).unwrap_or("HOST");
        let tls = match text(route, "/spec/tls/termination") {
            "" => String::new(),
            termination => format!(", annotations: {{{OPENSHIFT}/termination: {termination}}}, tls: [{{}}]"),
        };
        format!(
            "{KIND} {} ({host}{}): OpenShift makes Routes of an Ingress; add spec.exposure.hosts: [{host}] and spec.exposure.ingress: {{className: openshift-default{tls}}}. The Route itself stays until you delete it",
            text(route, "/metadata/name"),
            text(route, "/spec/path"),
        )
    })
    .collect()
}
