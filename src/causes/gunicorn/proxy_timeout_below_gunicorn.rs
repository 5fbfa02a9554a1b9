//! The proxy gives up before Gunicorn.

use super::shared::running::{Running, at_ways};
use crate::{
    causes::prelude::*,
    model::shell,
    proxy::{Limit, Place, Read, RouteField},
    timeouts::{
        Annotation, Front,
        rules::{Rule, Verdict},
    },
    validate::{Change, ManagedBy},
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::Exposure, include_str!("proxy_timeout_below_gunicorn.md"))
};

/// What the proxy's timeout should have above Gunicorn's: time to transfer the response.
const MARGIN: i32 = 5;

/// The shortest timeout of requests that a specification can ask for, in seconds.
const SHORTEST: i32 = 5;

fn check(context: &Context<'_>) -> Vec<Draft> {
    at_ways(context.ways().iter().filter_map(|running| of(context, running)))
}

fn of(context: &Context<'_>, running: &Running<'_>) -> Option<Draft> {
    if Rule::ProxyOutlastsGunicorn.check(&running.values) != Verdict::Broken {
        return None;
    }
    let Limit::Seconds(cut) = running.values.proxy_read else {
        return None;
    };
    let timeout = running.values.gunicorn_timeout?;
    let proxy = running.front.proxy()?;
    let severity = if running.read_is_set { Severity::Warning } else { running.severity(&["--timeout"]) };
    let remedy = context
        .installation
        .managed_by
        .by_owner(|| of_resource(running, cut, timeout), || of_objects(context, running, timeout));
    Some(Draft {
        code: Code::ProxyTimeoutBelowGunicorn,
        severity,
        component: Component::Exposure,
        message: format!(
            "Requests longer than {cut} s are cut by {} ({}), while Gunicorn works on them for up to {timeout} s: \
             the client sees an error, the worker stays busy.",
            proxy.name, proxy.gives_up,
        ),
        evidence: vec![
            if running.read.is_empty() {
                format!("{} waits {cut} s", proxy.name)
            } else {
                running.read.clone()
            },
            format!("Deployment {}: --timeout {timeout}", running.deployment),
        ],
        remedy,
    })
}

/// What is changed in the `FlagsmithDeployment`.
fn of_resource(running: &Running<'_>, cut: i32, timeout: i32) -> String {
    let wanted = timeout.saturating_add(MARGIN);
    let field = running.field;
    let own = running
        .ingress
        .zip(match running.front {
            Front::Proxy { read, .. } => read.annotation(),
            Front::Services => None,
        })
        .is_some_and(|(ingress, (_, key, ..))| ingress.annotations.contains_key(key));
    let shorter = (SHORTEST..timeout)
        .contains(&cut)
        .then(|| format!(", or set spec.requestTimeoutSeconds: {cut} if {cut} s is what you want"));
    let how = match running.front {
        Front::Proxy { read: Read::Elsewhere(how), .. } => {
            let how = how.replace("{}", &wanted.to_string());
            format!("{}. Then state it in {field}.proxy.readTimeoutSeconds: {wanted}", upper(&how))
        }
        _ if own => format!(
            "Remove that annotation from {field}.ingress.annotations (the operator then sets {wanted} s)"
        ),
        _ if running.read_is_set => format!("Remove what sets it (the operator then sets {wanted} s)"),
        _ => format!("Set it to {wanted} s"),
    };
    format!("{how}{}.", shorter.unwrap_or_default())
}

/// What is changed in objects that the operator did not make.
fn of_objects(context: &Context<'_>, running: &Running<'_>, timeout: i32) -> String {
    let wanted = timeout.saturating_add(MARGIN);
    let installation = context.installation;
    let front = running.seen;
    let namespace = shell::name(&installation.identity.namespace, "NAMESPACE");
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
                shell::name(&front.name, "NAME")
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
        .map(|(key, value)| Change::Annotation { kind, name, values, key, value })
        .collect();
    // An object that the chart did not make has no value of it.
    let kubectl = ManagedBy::Manifests { namespace, deployments: [const { None }; 3] };
    let managed_by = values.map_or(&kubectl, |_| &installation.managed_by);
    managed_by.change(&changes)
}

fn upper(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::shared::testing::{UPGRADE, behind, check, codes, env, first, made, none, of_chart};
    use crate::{
        fixtures::{installation, spec},
        model::{Code, Severity},
        observe::Annotated,
    };

    const READ_TIMEOUT: &str = "nginx.ingress.kubernetes.io/proxy-read-timeout";

    #[test]
    fn an_annotation_that_cuts_is_named_with_who_set_it() {
        let installation = behind("ingress-nginx");
        let mut observation = made(&installation, &|_| {});
        observation.front.ingress.insert(
            READ_TIMEOUT.to_owned(),
            Annotated {
                value: "10".to_owned(),
                by: Some(("kubectl-annotate".to_owned(), "2026-11-21T10:00:00Z".parse().ok())),
            },
        );
        let found = check(&installation, &observation);
        assert_eq!(codes(&found), [Code::ProxyTimeoutBelowGunicorn]);
        let first = found.first().unwrap();
        assert_eq!(
            first.evidence,
            [
                "Ingress flagsmith: nginx.ingress.kubernetes.io/proxy-read-timeout is \"10\", set by field manager \"kubectl-annotate\" on 2026-11-21",
                "Deployment flagsmith-api: --timeout 30",
            ]
        );
        assert!(first.message.contains("longer than 10 s are cut by ingress-nginx (504)"), "{first:?}");
        assert!(first.remedy.contains("spec.requestTimeoutSeconds: 10"), "{first:?}");
        observation.front.ingress.remove(READ_TIMEOUT);
        assert_eq!(
            check(&installation, &observation),
            [],
            "its default of 60 s is enough for requests of 30 s"
        );
    }

    #[test]
    fn an_annotation_in_the_specification_is_to_be_removed_there() {
        let installation = installation(&spec(json!({
            "exposure": {
                "hosts": ["*"],
                "ingress": { "annotations": { "haproxy.org/timeout-server": "10000" } },
                "proxy": { "name": "haproxy" },
            },
        })));
        let found = check(&installation, &made(&installation, &|_| {}));
        assert_eq!(codes(&found), [Code::ProxyTimeoutBelowGunicorn]);
        assert!(found.first().unwrap().remedy.contains("spec.exposure.ingress.annotations"), "{found:?}");
    }

    #[test]
    fn the_apis_own_entrance_is_looked_at_like_the_dashboards() {
        let entrance = |host: &str, timeout: &str| {
            json!({
                "hosts": [host],
                "ingress": { "annotations": { "haproxy.org/timeout-server": timeout } },
                "proxy": { "name": "haproxy" },
            })
        };
        let apart = |dashboard: &str, api: &str| {
            let exposure = json!({ "frontend": entrance("flags.example.com", dashboard), "api": entrance("api.example.com", api) });
            let installation = installation(&spec(json!({ "exposure": exposure })));
            check(&installation, &made(&installation, &|_| {}))
        };
        assert_eq!(apart("40000", "40000"), []);
        let [found] = &apart("40000", "10000")[..] else {
            panic!("the API's alone");
        };
        assert_eq!(found.code, Code::ProxyTimeoutBelowGunicorn);
        assert!(found.remedy.contains("from spec.exposure.api.ingress.annotations"), "{found:?}");
        assert!(
            found.evidence[0].starts_with("Ingress flagsmith-api: haproxy.org/timeout-server"),
            "{found:?}"
        );
        let [both] = &apart("20000", "10000")[..] else {
            panic!("both are one");
        };
        assert_eq!(both.evidence.len(), 3, "{both:?}");
        for field in ["spec.exposure.frontend.ingress", "spec.exposure.api.ingress"] {
            assert!(both.remedy.contains(field), "{both:?}");
        }
    }

    #[test]
    fn a_stated_timeout_that_is_too_short() {
        let exposed = |proxy: Value| {
            installation(&spec(json!({
                "exposure": { "hosts": ["*"], "ingress": { "className": "own" }, "proxy": proxy },
            })))
        };
        let short = exposed(json!({ "name": "gke", "readTimeoutSeconds": 20 }));
        let found = check(&short, &made(&short, &|_| {}));
        assert_eq!(codes(&found), [Code::ProxyTimeoutBelowGunicorn]);
        assert!(found.first().unwrap().remedy.contains("BackendConfig"), "{found:?}");
    }

    #[test]
    fn an_ingress_without_annotations_is_named_when_gunicorn_waits_longer() {
        let found = of_chart(&env("GUNICORN_TIMEOUT", "120"), &none);
        let cut = first(&found, Code::ProxyTimeoutBelowGunicorn);
        assert_eq!(cut.severity, Severity::Warning);
        assert_eq!(
            cut.evidence.first().unwrap(),
            "Ingress flagsmith-api has no annotation nginx.ingress.kubernetes.io/proxy-read-timeout, so the default of 60 s counts"
        );
        assert_eq!(
            cut.remedy,
            format!(
                r"{UPGRADE}--set-string 'ingress.api.annotations.nginx\.ingress\.kubernetes\.io/proxy-read-timeout=125' --set-string 'ingress.api.annotations.nginx\.ingress\.kubernetes\.io/proxy-send-timeout=125' --set-string 'ingress.api.annotations.nginx\.ingress\.kubernetes\.io/proxy-next-upstream-timeout=120'"
            )
        );
        // Of an Ingress that is not the chart's.
        let found = of_chart(&env("GUNICORN_TIMEOUT", "120"), &|ingress| {
            ingress["metadata"]["labels"] = Value::Null;
        });
        let cut = first(&found, Code::ProxyTimeoutBelowGunicorn);
        assert!(
            cut.remedy.starts_with(
                "kubectl -n prod annotate --overwrite ingress flagsmith-api 'nginx.ingress.kubernetes.io/proxy-read-timeout=125'"
            ),
            "{cut:#?}"
        );
    }
}
