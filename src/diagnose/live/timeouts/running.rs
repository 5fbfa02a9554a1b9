//! The values that run, read from the API's pod template, the annotations and what is known of the proxy.

use crate::{
    flagsmith::gunicorn::Gunicorn,
    observe::{Annotated, Observation, Serving},
    proxy::{Limit, Place, Read, RouteField, Unit},
    timeouts::{Front, Regime, Values, entry, recognise, rules},
    validate::Installation,
};

/// What runs.
pub struct Running<'a> {
    /// The name of the API's Deployment.
    pub deployment: &'a str,
    /// Its pod template.
    pub serving: &'a Serving,
    /// Its release, where the image says.
    pub release: Option<String>,
    /// Gunicorn's settings as they take effect.
    pub gunicorn: Gunicorn,
    /// What stands in front.
    pub front: Front,
    /// Where the proxy's timeout for a response stands, as evidence.
    pub read: String,
    /// Whether somebody wrote it there, in contrast to the proxy's default.
    pub read_is_set: bool,
    /// The values that the rules speak of.
    pub values: Values,
}

impl<'a> Running<'a> {
    /// Reads what runs; `None` before there is an API.
    #[must_use]
    pub fn of(installation: &Installation, seen: &'a Observation) -> Option<Self> {
        let api = seen.api.as_ref()?;
        let serving = api.serving.as_ref()?;
        let gunicorn = Gunicorn::of(api.release, &serving.command, |name| {
            serving.variables.get(name).map(String::as_str)
        });
        let front = recognise(installation, seen);
        let shown = read(installation, seen, &front);
        let values = Values {
            regime: Regime::of(gunicorn.threads),
            gunicorn_timeout: gunicorn.timeout,
            // What is not known cannot be too short; the rule about it is skipped below.
            keep_alive: gunicorn.keep_alive.unwrap_or_default(),
            graceful_timeout: gunicorn.graceful_timeout,
            pre_stop: serving.pre_stop.unwrap_or(rules::ENDPOINTS_TAKE),
            grace_period: serving.grace_period,
            proxy_read: shown.limit,
            proxy_idle: front.idle(shown.limit),
            statement_timeout: None,
        };
        Some(Self {
            deployment: &api.name,
            serving,
            release: api.release.map(|release| release.to_string()),
            gunicorn,
            front,
            read: shown.evidence,
            read_is_set: shown.set,
            values,
        })
    }
}

struct Shown {
    limit: Limit,
    evidence: String,
    set: bool,
}

/// The proxy's timeout for a response as it stands, and where.
fn read(installation: &Installation, seen: &Observation, front: &Front) -> Shown {
    let nowhere = |limit| Shown {
        limit,
        evidence: String::new(),
        set: false,
    };
    let Front::Proxy { proxy, read, .. } = *front else {
        return nowhere(Limit::Unlimited);
    };
    let default = proxy.map_or(Limit::Unknown, |proxy| proxy.default_read);
    let by_default = |what: String| Shown {
        limit: default,
        evidence: match default {
            Limit::Seconds(seconds) => format!("{what}, so the default of {seconds} s counts"),
            _ => what,
        },
        set: false,
    };
    // Before the object exists there is nothing to judge.
    if seen.exposure.is_none() {
        return nowhere(Limit::Unknown);
    }
    let name = &installation.identity.name;
    if let Some((place, key, unit, part)) = read.annotation() {
        let (kind, object, annotations) = match place {
            Place::Ingress => ("Ingress", name.clone(), &seen.front.ingress),
            Place::Service => ("Service", installation.child("api"), &seen.front.service),
        };
        return match annotations.get(key) {
            Some(annotated) => annotation(
                annotated,
                key,
                unit,
                part,
                &format!("{kind} {object}"),
                &by_default,
            ),
            None => by_default(format!("{kind} {object} has no annotation {key}")),
        };
    }
    if let Read::Route(field) = read {
        return route(seen, field, name, &by_default);
    }
    nowhere(front.read(installation.request_timeout))
}

fn annotation(
    annotated: &Annotated,
    key: &str,
    unit: Unit,
    part: Option<&str>,
    object: &str,
    by_default: &dyn Fn(String) -> Shown,
) -> Shown {
    let value = part.map_or(Some(annotated.value.as_str()), |part| {
        entry(&annotated.value, part)
    });
    let by = annotated.by.as_ref().map_or_else(String::new, |(manager, at)| {
        let at = at
            .map(|at| format!(" on {}", at.strftime("%Y-%m-%d")))
            .unwrap_or_default();
        format!(", set by field manager {manager:?}{at}")
    });
    let shown = format!("{object}: {key} is {:?}{by}", annotated.value);
    match value.map(|value| unit.read(value)) {
        None => by_default(shown),
        Some(None) => Shown {
            limit: Limit::Unknown,
            evidence: format!("{shown}, which it does not understand"),
            set: true,
        },
        Some(Some(limit)) => Shown {
            limit,
            evidence: shown,
            set: true,
        },
    }
}

/// The shortest timeout of any rule of the `HTTPRoute`.
fn route(seen: &Observation, field: RouteField, name: &str, by_default: &dyn Fn(String) -> Shown) -> Shown {
    let texts = seen
        .front
        .route
        .iter()
        .filter_map(|(request, backend)| match field {
            RouteField::BackendRequest => backend.as_deref(),
            RouteField::Both => request.as_deref().or(backend.as_deref()),
        });
    let shortest = texts
        .filter_map(|text| match Unit::Go.read(text) {
            Some(Limit::Seconds(seconds)) if seconds > 0 => Some((seconds, text)),
            _ => None,
        })
        .min();
    match shortest {
        Some((seconds, text)) => Shown {
            limit: Limit::Seconds(seconds),
            evidence: format!("HTTPRoute {name}: a rule's timeout is {text:?}"),
            set: true,
        },
        None => by_default(format!("HTTPRoute {name} sets no timeout")),
    }
}
