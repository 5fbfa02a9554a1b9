//! The proxy gives up before Gunicorn does.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};
use crate::{
    observe::Observation,
    proxy::{Limit, Place, Read, RouteField},
    timeouts::{
        Annotation, Front,
        rules::{Rule, Verdict},
    },
    validate::{Change, Installation, ManagedBy},
};

/// What the proxy's timeout should have above Gunicorn's: time to transfer the response.
const MARGIN: i32 = 5;

pub(super) fn check(
    installation: &Installation,
    observation: &Observation,
    running: &Running<'_>,
) -> Option<Diagnosis> {
    if Rule::ProxyOutlastsGunicorn.check(&running.values) != Verdict::Broken {
        return None;
    }
    let Limit::Seconds(cut) = running.values.proxy_read else {
        return None;
    };
    let timeout = running.values.gunicorn_timeout?;
    let proxy = running.front.proxy()?;
    let severity = if running.read_is_set {
        Severity::Warning
    } else {
        running.severity(&["--timeout"])
    };
    let remedy = if installation.managed_by.is_operator() {
        managed(installation, running, cut, timeout)
    } else {
        observed(installation, observation, running, timeout)
    };
    Some(diagnosis(
        Code::ProxyTimeoutBelowGunicorn,
        severity,
        Component::Exposure,
        format!(
            "Requests longer than {cut} s are cut by {} ({}), while Gunicorn works on them for up to {timeout} s: the client sees an error, the worker stays busy.",
            proxy.name, proxy.gives_up,
        ),
        vec![
            if running.read.is_empty() {
                format!("{} waits {cut} s", proxy.name)
            } else {
                running.read.clone()
            },
            format!("Deployment {}: --timeout {timeout}", running.deployment),
        ],
        remedy,
    ))
}

/// What the user changes in the specification.
fn managed(installation: &Installation, running: &Running<'_>, cut: i32, timeout: i32) -> String {
    let wanted = timeout.saturating_add(MARGIN);
    let own = installation
        .exposure
        .as_ref()
        .and_then(|exposure| exposure.ingress.as_ref())
        .zip(match running.front {
            Front::Proxy { read, .. } => read.annotation(),
            Front::Services => None,
        })
        .is_some_and(|(ingress, (_, key, ..))| ingress.annotations.contains_key(key));
    let shorter = (5..timeout)
        .contains(&cut)
        .then(|| format!(", or set spec.requestTimeoutSeconds: {cut} if {cut} s is what you want"));
    let how = match running.front {
        Front::Proxy {
            read: Read::Elsewhere(how),
            ..
        } => {
            let how = how.replace("{}", &wanted.to_string());
            format!(
                "{}. Then state it in spec.exposure.proxy.readTimeoutSeconds: {wanted}",
                upper(&how)
            )
        }
        _ if own => format!(
            "Remove that annotation from spec.exposure.ingress.annotations (the operator then sets {wanted} s)"
        ),
        _ if running.read_is_set => format!("Remove what sets it (the operator then sets {wanted} s)"),
        _ => format!("Set it to {wanted} s"),
    };
    format!("{how}{}.", shorter.unwrap_or_default())
}

/// What the owner of an installation changes that the operator did not make.
fn observed(
    installation: &Installation,
    observation: &Observation,
    running: &Running<'_>,
    timeout: i32,
) -> String {
    let wanted = timeout.saturating_add(MARGIN);
    let front = &observation.front;
    let namespace = &installation.identity.namespace;
    let Front::Proxy { read, .. } = running.front else {
        return String::new();
    };
    let place = match read {
        Read::Annotations(place, _) | Read::Entry(place, ..) => place,
        Read::Route(field) => {
            let fields = match field {
                RouteField::Both => "timeouts.request and timeouts.backendRequest",
                RouteField::BackendRequest => "timeouts.backendRequest",
            };
            return format!(
                "Set {fields} of each rule to {wanted}s: kubectl -n {namespace} edit httproute {}",
                front.name
            );
        }
        Read::Elsewhere(how) => return format!("{}.", upper(&how.replace("{}", &wanted.to_string()))),
        Read::Nowhere | Read::NotServed => return format!("Set its timeout for a response to {wanted} s."),
    };
    let (kind, name, known) = match place {
        Place::Ingress => ("ingress", &front.name, &front.ingress),
        Place::Service => ("service", &front.service_name, &front.service),
    };
    let values = match place {
        Place::Ingress if front.by_chart && front.through_frontend => Some("ingress.frontend.annotations"),
        Place::Ingress if front.by_chart => Some("ingress.api.annotations"),
        _ => None,
    };
    let annotations: Vec<(&str, String)> = running
        .front
        .annotations(place, timeout)
        .iter()
        .map(|annotation: &Annotation| {
            let own = known.get(annotation.key).map(|own| own.value.as_str());
            (annotation.key, annotation.instead_of(own))
        })
        .collect();
    let changes: Vec<Change<'_>> = annotations
        .iter()
        .map(|(key, value)| Change::Annotation {
            kind,
            name,
            values,
            key,
            value,
        })
        .collect();
    // An object that the chart did not make has no value of it.
    let kubectl = ManagedBy::Manifests {
        namespace: namespace.clone(),
        deployments: [const { None }; 3],
    };
    let tool = values.map_or(&kubectl, |_| &installation.managed_by);
    tool.change(&changes)
}

fn upper(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}
