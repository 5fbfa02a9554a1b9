//! The values that run, read from the API's pod template, the annotations and what is known of the proxy.

use crate::{
    api::{IngressSpec, TimeoutsStatus},
    flagsmith::{Release, env, gunicorn::Gunicorn},
    model::{Component, Draft, Severity},
    observe::{Annotated, FrontSeen, Observation, Serving, recognise, recognise_api},
    proxy::{Limit, Place, Read, RouteField, Unit},
    timeouts::{Front, Timeouts, Values, entry},
    validate::{Change, Entrance, Installation, ManagedBy},
};

/// Gunicorn's default timeout, in seconds, where what runs cannot be seen.
const DEFAULT_TIMEOUT: i32 = 30;

/// What runs.
pub(crate) struct Running<'a> {
    /// The name of the API's Deployment.
    pub(crate) deployment: &'a str,
    /// Its pod template.
    pub(crate) serving: &'a Serving,
    /// Its release, where the image says.
    release: Option<Release>,
    /// Gunicorn's settings as they take effect.
    pub(crate) gunicorn: Gunicorn,
    /// What stands in front.
    pub(crate) front: Front,
    /// What was seen of it.
    pub(crate) seen: &'a FrontSeen,
    /// The field that describes it, where the operator makes it.
    pub(crate) field: &'static str,
    /// The Ingress that is asked for.
    pub(crate) ingress: Option<&'a IngressSpec>,
    /// Where the proxy's timeout for a response is set, as evidence.
    pub(crate) read: String,
    /// Whether it is set there, in contrast to the proxy's default.
    pub(crate) read_is_set: bool,
    /// The values that the rules speak of.
    pub(crate) values: Values,
    /// How its owner changes it.
    managed_by: &'a ManagedBy,
}

impl<'a> Running<'a> {
    /// Reads what runs; `None` before there is an API.
    pub(crate) fn of(installation: &'a Installation, observation: &'a Observation) -> Option<Self> {
        Self::behind_each(installation, observation).into_iter().next()
    }

    /// The same for each way to the API: first for the one that leads to the dashboard too, where there are two.
    pub(crate) fn behind_each(installation: &'a Installation, observation: &'a Observation) -> Vec<Self> {
        let everything = Way {
            wanted: installation.exposure.as_ref(),
            front: recognise(installation, observation),
            seen: &observation.front,
            is_there: observation.exposure.is_some(),
        };
        let api = installation.api_exposure.as_ref().map(|wanted| Way {
            wanted: Some(wanted),
            front: recognise_api(installation, observation),
            seen: &observation.api_front,
            is_there: observation.api_exposure.is_some(),
        });
        let ways = [everything].into_iter().chain(api);
        ways.filter_map(|way| Self::behind(&way, installation, observation)).collect()
    }

    fn behind(way: &Way<'a>, installation: &'a Installation, observation: &'a Observation) -> Option<Self> {
        let api = observation.api.as_ref()?;
        let serving = api.serving.as_ref()?;
        let gunicorn = api.gunicorn()?;
        let shown = read(installation, way);
        let front = way.front;
        let values = Values {
            regime: gunicorn.regime(),
            gunicorn_timeout: gunicorn.timeout,
            keep_alive: gunicorn.keep_alive,
            graceful_timeout: gunicorn.graceful_timeout,
            pre_stop: serving.pre_stop,
            grace_period: serving.grace_period,
            proxy_read: shown.limit,
            proxy_idle: front.idle(shown.limit),
            statement_timeout: None,
        };
        Some(Self {
            deployment: &api.name,
            serving,
            release: api.release,
            gunicorn,
            front,
            seen: way.seen,
            field: way.wanted.map_or("spec.exposure", |wanted| wanted.field),
            ingress: way.wanted.and_then(|wanted| wanted.ingress.as_ref()),
            read: shown.evidence,
            read_is_set: shown.set,
            values,
            managed_by: &installation.managed_by,
        })
    }

    /// What the operator would set.
    pub(crate) fn ours(&self) -> Timeouts {
        let request = self.values.gunicorn_timeout.unwrap_or(DEFAULT_TIMEOUT);
        Timeouts::chain(request, self.gunicorn.threads.unwrap_or(1), None, &self.front)
    }

    /// As `status.timeouts`.
    pub(crate) fn status(&self) -> TimeoutsStatus {
        self.values.status(self.front.proxy().map(|proxy| proxy.name))
    }

    /// In one sentence without its full stop.
    pub(crate) fn summary(&self) -> String {
        let values = &self.values;
        let proxy = match (self.front.proxy(), values.proxy_read) {
            (Some(proxy), Limit::Seconds(read)) => format!(", {} waits {read} s", proxy.name),
            _ => String::new(),
        };
        format!(
            "Gunicorn's timeout is {}, its keep-alive {}, its graceful timeout {}; preStop sleeps {}, pods get {} s to end{proxy}",
            seconds(values.gunicorn_timeout),
            seconds(values.keep_alive),
            seconds(values.graceful_timeout),
            seconds(values.pre_stop),
            values.grace_period,
        )
    }

    /// A default that was not chosen (`flags`: Gunicorn's) is a risk to know of, and no alarm; the operator's own
    /// settings are all chosen.
    pub(crate) fn severity(&self, flags: &[&str]) -> Severity {
        let chosen = flags.iter().any(|flag| self.gunicorn.is_chosen(flag));
        if chosen {
            return Severity::Warning;
        }
        self.managed_by.by_owner(|| Severity::Warning, || Severity::Info)
    }

    /// How its owner gives Gunicorn these settings, each in the form that its release obeys, together with other
    /// changes.
    pub(crate) fn set(&self, settings: &[(&'static str, i32)], others: &[Change<'_>]) -> String {
        let all: Vec<(&str, Option<&str>, String)> =
            settings.iter().map(|(flag, value)| (*flag, self.variable(flag), value.to_string())).collect();
        let flags: Vec<(&str, String)> = all
            .iter()
            .filter(|(_, variable, _)| variable.is_none())
            .map(|(flag, _, value)| (*flag, value.clone()))
            .collect();
        let arguments = self.gunicorn.start(&flags);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut changes: Vec<Change<'_>> = all
            .iter()
            .filter_map(|(_, variable, value)| Some(Change::Env(Component::Api, (*variable)?, value)))
            .collect();
        if !flags.is_empty() {
            changes.push(Change::Start(Component::Api, &arguments));
        }
        changes.extend(others);
        self.managed_by.change(&changes)
    }

    /// How its owner says as flags what these variables were meant to say, and removes them.
    pub(crate) fn instead(&self, variables: &[&(&'static str, String)]) -> String {
        let mut flags: Vec<(&str, String)> = Vec::new();
        for (name, value) in variables {
            if *name == env::GUNICORN_KEEP_ALIVE {
                flags.push(("--keep-alive", value.trim().to_owned()));
            } else {
                let mut words = value.split_whitespace().peekable();
                while let Some(word) = words.next() {
                    match word.split_once('=') {
                        Some((flag, value)) => flags.push((flag, value.to_owned())),
                        None => flags.push((word, words.next().unwrap_or_default().to_owned())),
                    }
                }
            }
        }
        let arguments = self.gunicorn.start(&flags);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let gone = variables.iter().map(|(name, _)| Change::NoEnv(Component::Api, name));
        let changes: Vec<Change<'_>> = gone.chain([Change::Start(Component::Api, &arguments)]).collect();
        self.managed_by.change(&changes)
    }

    /// How its owner gets the worker class that is in every image: threads make it gthread.
    pub(crate) fn without_class(&self) -> String {
        let threads = self.gunicorn.threads.unwrap_or_default().max(2);
        let mut arguments = self.gunicorn.start(&[]);
        for flag in ["--worker-class", "-k"] {
            if let Some(at) = arguments.iter().position(|word| word == flag) {
                arguments.drain(at..(at + 2).min(arguments.len()));
            }
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.managed_by.change(&[
            Change::Env(Component::Api, env::GUNICORN_THREADS, &threads.to_string()),
            Change::Start(Component::Api, &arguments),
        ])
    }

    /// Its release, where the image says.
    pub(crate) fn release(&self) -> String {
        self.release.map(|release| release.to_string()).unwrap_or_default()
    }

    /// The variable that its release obeys for a flag, unless a flag says it, which would win.
    fn variable(&self, flag: &str) -> Option<&'static str> {
        if self.gunicorn.has_flag(flag) {
            return None;
        }
        match flag {
            "--timeout" => Some(env::GUNICORN_TIMEOUT),
            "--workers" => Some(env::GUNICORN_WORKERS),
            "--threads" => Some(env::GUNICORN_THREADS),
            "--keep-alive" if self.gunicorn.by_script => Some(env::GUNICORN_KEEP_ALIVE),
            _ => None,
        }
    }
}

/// What is found at one way to the API or at both, as one: said of the first, with the evidence of all, and each remedy.
pub(crate) fn at_ways(found: impl Iterator<Item = Draft>) -> Vec<Draft> {
    let together = found.reduce(|mut first, other| {
        first.severity = first.severity.min(other.severity);
        for evidence in other.evidence {
            if !first.evidence.contains(&evidence) {
                first.evidence.push(evidence);
            }
        }
        if !first.remedy.contains(&other.remedy) {
            first.remedy = format!("{} {}", first.remedy, other.remedy);
        }
        first
    });
    together.into_iter().collect()
}

/// Seconds as a person reads them.
pub(crate) fn seconds(value: Option<i32>) -> String {
    value.map_or_else(|| "not known".to_owned(), |value| format!("{value} s"))
}

/// A way to the API.
struct Way<'a> {
    /// As it is asked for.
    wanted: Option<&'a Entrance>,
    front: Front,
    /// As it was seen.
    seen: &'a FrontSeen,
    /// Whether its Ingress or `HTTPRoute` exists.
    is_there: bool,
}

struct Shown {
    limit: Limit,
    evidence: String,
    set: bool,
}

/// The proxy's timeout for a response, and where it is set.
fn read(installation: &Installation, way: &Way<'_>) -> Shown {
    let nowhere = |limit| Shown { limit, evidence: String::new(), set: false };
    let Front::Proxy { proxy, read, .. } = way.front else {
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
    if !way.is_there {
        return nowhere(Limit::Unknown);
    }
    let seen = way.seen;
    if let Some((place, key, unit, part)) = read.annotation() {
        let (kind, object, annotations) = match place {
            Place::Ingress => ("Ingress", &seen.name, &seen.ingress),
            Place::Service => ("Service", &seen.service_name, &seen.service),
        };
        return match annotations.get(key) {
            Some(annotated) => {
                annotation(annotated, key, unit, part, &format!("{kind} {object}"), &by_default)
            }
            None => by_default(format!("{kind} {object} has no annotation {key}")),
        };
    }
    if let Read::Route(field) = read {
        return route(seen, field, &by_default);
    }
    nowhere(way.front.read(installation.request_timeout))
}

fn annotation(
    annotated: &Annotated,
    key: &str,
    unit: Unit,
    part: Option<&str>,
    object: &str,
    by_default: &dyn Fn(String) -> Shown,
) -> Shown {
    let value = part.map_or(Some(annotated.value.as_str()), |part| entry(&annotated.value, part));
    let by = annotated.by.as_ref().map_or_else(String::new, |(manager, at)| {
        let at = at.map(|at| format!(" on {}", at.strftime("%Y-%m-%d"))).unwrap_or_default();
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
        Some(Some(limit)) => Shown { limit, evidence: shown, set: true },
    }
}

/// The shortest timeout of any rule of the `HTTPRoute`.
fn route(seen: &FrontSeen, field: RouteField, by_default: &dyn Fn(String) -> Shown) -> Shown {
    let name = &seen.name;
    let texts = seen.route.iter().filter_map(|(request, backend)| match field {
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

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};
    use serde_json::json;

    use super::super::testing::{check, container, made, none, observed_with, of_chart};
    use super::*;
    use crate::{
        causes::diagnose,
        fixtures::{installation, spec},
        model::Code,
        proxy,
    };

    proptest! {
        /// Whatever the operator makes obeys the rules that it holds others to.
        #[test]
        fn what_the_operator_makes_is_aligned(
            request in 5..=3600,
            threads in 1..=8,
            proxy in select(proxy::ALL),
            ingress in any::<bool>(),
        ) {
            let served = if ingress { proxy.ingress } else { proxy.route };
            prop_assume!(served != Read::NotServed);
            let mut exposure = json!({ "hosts": ["*"], "proxy": { "name": proxy.name } });
            exposure[if ingress { "ingress" } else { "httpRoute" }] =
                if ingress { json!({}) } else { json!({ "parentRefs": [{ "name": "public" }] }) };
            let installation = installation(&spec(json!({
                "requestTimeoutSeconds": request,
                "api": { "gunicorn": { "threads": threads } },
                "exposure": exposure,
            })));
            let found = check(&installation, &made(&installation, &|_| {}));
            let cannot_be_seen = matches!(served, Read::Elsewhere(_)) || proxy.idle == proxy::Idle::Unknown;
            for diagnosis in &found {
                prop_assert!(cannot_be_seen && diagnosis.code == Code::ProxyNotChecked, "{diagnosis:?}");
                prop_assert_eq!(diagnosis.severity, Severity::Info);
            }
        }
    }

    proptest! {
        /// So do the API's pods behind two proxies, whichever these are.
        #[test]
        fn what_suits_both_proxies_is_aligned(
            request in 5..=3600,
            dashboard in select(proxy::ALL),
            api in select(proxy::ALL),
        ) {
            let at = |host: &str, proxy: &proxy::Proxy| {
                json!({ "hosts": [host], "ingress": {}, "proxy": { "name": proxy.name } })
            };
            prop_assume!([dashboard, api].iter().all(|it| it.ingress != Read::NotServed));
            let exposure = json!({ "frontend": at("a.example.com", dashboard), "api": at("b.example.com", api) });
            let installation =
                installation(&spec(json!({ "requestTimeoutSeconds": request, "exposure": exposure })));
            for diagnosis in check(&installation, &made(&installation, &|_| {})) {
                prop_assert_eq!(diagnosis.code, Code::ProxyNotChecked, "{:?}", diagnosis);
            }
        }
    }

    #[test]
    fn services_only_are_aligned() {
        let installation = installation(&spec(json!({})));
        assert_eq!(check(&installation, &made(&installation, &|_| {})), []);
    }

    #[test]
    fn the_chart_as_it_is_has_risks_and_no_alarm() {
        let (installation, observation) = observed_with(&none, &none);
        let found = diagnose(&installation, &observation);
        assert!(found.iter().all(|it| it.severity == Severity::Info), "{found:#?}");
        let status = Running::of(&installation, &observation).unwrap().status();
        assert_eq!(
            serde_json::to_value(status).unwrap(),
            json!({
                "workerClass": "gthread", "proxy": "ingress-nginx", "proxyRead": 60, "proxyIdle": 60, "gunicornTimeout": 30,
                "gunicornKeepAlive": 2, "gunicornGracefulTimeout": 30, "preStop": 0, "terminationGracePeriod": 30,
            }),
            "what runs"
        );
    }

    #[test]
    fn what_is_advised_heals() {
        let found = of_chart(
            &|pods| {
                pods["terminationGracePeriodSeconds"] = json!(50);
                container(pods)["command"] = json!(["flagsmith"]);
                container(pods)["args"] =
                    json!(["start", "--worker-tmp-dir", "/dev/shm", "--keep-alive", "65", "api"]);
                container(pods)["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": 10 } } });
            },
            &none,
        );
        for code in [
            Code::KeepAliveBelowProxyIdle,
            Code::PreStopTooShort,
            Code::GraceBelowGracefulTimeout,
            Code::ProxyNotChecked,
        ] {
            assert!(found.iter().all(|it| it.code != code), "{found:#?}");
        }
    }

    #[test]
    fn what_a_secret_or_a_script_says_is_left_out() {
        let (installation, observation) = observed_with(
            &|pods| {
                container(pods)["envFrom"] = json!([{ "secretRef": { "name": "settings" } }]);
                container(pods)["lifecycle"] = json!({ "preStop": { "exec": { "command": ["/drain"] } } });
            },
            &none,
        );
        let running = Running::of(&installation, &observation).unwrap();
        let status = running.status();
        assert_eq!(
            (
                status.gunicorn_timeout,
                status.pre_stop,
                status.gunicorn_keep_alive,
                status.worker_class.as_str()
            ),
            (None, None, Some(2), ""),
            "no release of today reads a keep-alive from the environment"
        );
        assert!(running.summary().contains("Gunicorn's timeout is not known"), "{}", running.summary());
        let found = diagnose(&installation, &observation);
        assert!(found.iter().all(|it| it.code != Code::PreStopTooShort), "{found:#?}");
    }
}
