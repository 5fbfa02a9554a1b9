//! Requests are refused for their Host header.

use crate::{
    causes::{
        log::{access::Answer, hosts::Kind, phrasing::times},
        prelude::*,
    },
    flagsmith::{env, hosts::allows},
    validate::Change,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_NO_START,
    in_logs: Some(in_logs),
    remedy_here: Some(remedy_here),
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("allowed_hosts_rejected.md"))
};

/// Places of refused requests that are shown.
const SHOWN: usize = 3;

fn check(context: &Context<'_>) -> Vec<Draft> {
    exposed(context).into_iter().chain(probed(context)).collect()
}

/// Hosts that the exposure takes and Django refuses.
fn exposed(context: &Context<'_>) -> Option<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    // The frontend asks the API by a name of its own.
    if observation.front.through_frontend {
        return None;
    }
    let allowed = installation.managed_by.by_owner(
        || Some(installation.allowed_hosts.clone()),
        // A value that cannot be seen may be right.
        || {
            let container = observation.api.as_ref()?.container()?;
            let given = container.environment.value(env::DJANGO_ALLOWED_HOSTS)?;
            Some(given.split(',').map(|host| host.trim().to_owned()).collect())
        },
    )?;
    let refused: Vec<&str> = installation
        .entrances()
        .flat_map(|entrance| &entrance.hosts)
        .map(String::as_str)
        .filter(|host| !allowed.iter().any(|entry| allows(entry, host)))
        .collect();
    let first = refused.first()?;
    let allowed = allowed.join(",");
    let wanted = format!("{allowed},{}", refused.join(","));
    let change = [Change::Env(Component::Api, env::DJANGO_ALLOWED_HOSTS, &wanted)];
    let (evidence, remedy) = installation.managed_by.by_owner(
        || {
            (
                format!("spec.exposure.hosts has {first:?}; spec.django.allowedHosts is {allowed}"),
                format!("Add {first:?} to spec.django.allowedHosts, or set it to [\"*\"]."),
            )
        },
        || {
            (
                format!("{first:?} leads to the API; its DJANGO_ALLOWED_HOSTS is {allowed}"),
                installation.managed_by.change(&change),
            )
        },
    );
    Some(Draft {
        code: Code::AllowedHostsRejected,
        severity: Severity::Warning,
        component: Component::Exposure,
        message: format!(
            "Requests for {} reach Django, which answers 400: it is not one of its allowed hosts.",
            refused.join(", ")
        ),
        evidence: vec![evidence],
        remedy,
    })
}

/// The kubelet asks by the pod's address unless the probe has a Host header. A template that is rolled out proves that
/// Django answers it; the operator's own templates have a header with a listed name.
fn probed(context: &Context<'_>) -> Option<Draft> {
    let installation = context.installation;
    let api = context.observation.api.as_ref()?;
    let container = api.container()?;
    let environment = &container.environment;
    let given = environment.value(env::DJANGO_ALLOWED_HOSTS);
    let unknown = given.is_none() && !environment.lacks(env::DJANGO_ALLOWED_HOSTS);
    let rolling = api.desired > 0 && api.updated > 0 && !api.rolled_out();
    if unknown || !rolling {
        return None;
    }
    let entries: Vec<&str> = given.unwrap_or_default().split(',').map(str::trim).collect();
    let accepts = |host: Option<&str>| {
        entries.iter().any(|entry| *entry == "*" || host.is_some_and(|host| allows(entry, host)))
    };
    let probe = container.probe_hosts.iter().find(|host| !accepts(host.as_deref()))?;
    let asked = probe
        .as_deref()
        .map_or_else(|| "the pod's address".to_owned(), |host| format!("the Host header {host}"));
    Some(Draft {
        message: "Django refuses the kubelet's probes for their Host header, so no new pod of the API becomes ready."
            .to_owned(),
        evidence: vec![
            format!(
                "Deployment {}: DJANGO_ALLOWED_HOSTS is {}; the probes ask by {asked}",
                api.name,
                given.map_or_else(
                    || "not set, which allows no host".to_owned(),
                    |it| format!("{it:?}")
                ),
            ),
            format!(
                "{} of {} pods have the newest template, and the rollout does not end",
                api.updated, api.desired
            ),
        ],
        remedy: installation
            .managed_by
            .change(&[Change::Env(Component::Api, env::DJANGO_ALLOWED_HOSTS, "*")]),
        ..Code::AllowedHostsRejected.draft()
    })
}

/// The field is a list, and the operator's probes ask by a name that it allows itself.
fn remedy_here(context: &Context<'_>, _: &Draft) -> Option<String> {
    context.installation.managed_by.is_operator().then(|| {
        "Add it to spec.django.allowedHosts, or set spec.django.allowedHosts: [\"*\"] where a proxy in front checks hosts."
            .to_owned()
    })
}

/// Health checks that get 400, where the log has no more than that.
fn in_access_log(evidence: &LogEvidence) -> Option<Finding> {
    let probes = evidence.access.bad(Answer::Refused).filter(|probes| evidence.goes_on(&probes.last))?;
    let explained = Explanation::new(
        Code::AllowedHostsRejected,
        format!(
            "Health checks ({}) are answered with status 400, {} in this log and none of them well since: Django refuses them before it \
             looks at anything else, as it does for a host that DJANGO_ALLOWED_HOSTS does not list. Probes ask by the pod's address: the \
             pod does not become ready, or is restarted.",
            probes.path,
            times(probes.rate.count)
        ),
        "Set DJANGO_ALLOWED_HOSTS=* where a proxy in front checks hosts, or give the probes a Host header with a listed name in \
         httpGet.httpHeaders. The reason stands in the log at level ERROR, from django.security.DisallowedHost: \"Invalid HTTP_HOST header\".",
    );
    let places = vec![probes.first.clone(), probes.last.clone()];
    Some(Finding::new(explained.with(Severity::Warning), places))
}

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let hosts = evidence.hosts.refused();
    let Some(first) = hosts.first() else {
        return in_access_log(evidence).filter(|_| evidence.hosts.misnamed().is_none());
    };
    let who = match first.kind {
        Kind::PodAddress => {
            "That is a pod's own address, as the kubelet's probes and load balancers use it: the pod does not become ready, \
             or is restarted."
        }
        Kind::Internal => {
            "That is a name within the cluster: other components or probes reach the API by it."
        }
        Kind::Name => "Everyone who opens that address gets 400.",
        Kind::PublicAddress => "Requests to that address get 400.",
    };
    let host = first.host;
    let explained = Explanation::new(
        Code::AllowedHostsRejected,
        format!(
            "The API refused requests for host \"{host}\" {} with status 400: DJANGO_ALLOWED_HOSTS does not list it. {who}",
            times(first.count)
        ),
        format!(
            "Add it to DJANGO_ALLOWED_HOSTS (comma-separated), or set DJANGO_ALLOWED_HOSTS=* where a proxy in front checks \
             hosts. For probes only, a Host header in httpGet.httpHeaders with a listed name ({host} is not one) is \
             enough."
        ),
    );
    let explained =
        if first.kind == Kind::PodAddress { explained } else { explained.with(Severity::Warning) };
    Some(Finding::new(explained, hosts.iter().take(SHOWN).map(|it| it.location.clone()).collect()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        causes::{
            diagnose,
            gunicorn::shared::testing::{env, observed_with},
        },
        fixtures::{empty_observation, installation, spec},
    };

    #[rstest]
    #[case(json!([".example.com"]), false)]
    #[case(json!(["flags.example.com"]), false)]
    #[case(json!(["*"]), false)]
    #[case(json!(["example.com", "localhost"]), true)]
    fn hosts_that_django_refuses(#[case] allowed: Value, #[case] expected: bool) {
        let installation = installation(&spec(json!({
            "django": { "allowedHosts": allowed },
            "exposure": { "hosts": ["flags.example.com"], "ingress": {}, "proxy": { "name": "traefik" } },
        })));
        let observation = empty_observation();
        let context = Context::new(&installation, &observation);
        let codes: Vec<Code> = check(&context).iter().map(|it| it.code).collect();
        assert_eq!(codes, Vec::from_iter(expected.then_some(Code::AllowedHostsRejected)));
    }

    #[rstest]
    #[case::another(false, "api.example.com, localhost", Some("DJANGO_ALLOWED_HOSTS=api.example.com"))]
    #[case::the_same(false, "flags.example.com", None)]
    #[case::every(false, "*", None)]
    #[case::the_frontend_asks(true, "api.example.com", None)]
    fn hosts_of_the_ingress_that_django_refuses(
        #[case] through_frontend: bool,
        #[case] allowed: &'static str,
        #[case] expected: Option<&str>,
    ) {
        let (installation, mut observation) =
            observed_with(&env("DJANGO_ALLOWED_HOSTS", allowed), &|ingress| {
                ingress["spec"]["rules"][0]["host"] = json!("flags.example.com");
            });
        observation.front.through_frontend = through_frontend;
        let found = diagnose(&installation, &observation);
        let refused = found
            .iter()
            .find(|it| (it.code, it.component) == (Code::AllowedHostsRejected, Component::Exposure));
        assert_eq!(refused.is_some(), expected.is_some(), "{found:#?}");
        if let (Some(refused), Some(expected)) = (refused, expected) {
            assert!(
                refused.remedy.contains(expected) && refused.remedy.contains("flags.example.com"),
                "{refused:#?}"
            );
        }
    }
}
