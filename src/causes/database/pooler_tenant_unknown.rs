//! A pooler or proxy that serves many customers does not know which database is meant.

use super::shared::{ConnectionFailure, explained};
use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    is_connection: true,
    explains: consequences::OF_NO_CONNECTION,
    log: &[&LOG],
    ..Cause::critical(Component::Database, include_str!("pooler_tenant_unknown.md"))
};

/// Whose pooler it is, and how it tells its customers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Supavisor: by the user name.
    Supabase,
    /// Supavisor: this address is not on the project's list.
    SupabaseNetwork,
    /// Neon: by the host name, which libpq sends since 14.
    Neon,
    /// Neon: host name and option name two endpoints.
    NeonTwo,
    /// Neon: there is no such endpoint.
    NeonEndpoint,
    /// Azure's single server: by the user name.
    Azure,
    /// That of `CockroachDB`: by the host name or an option.
    Cockroach,
    /// Another one.
    Other,
}

static LOG: Rule<Variant> = Rule {
    precedence: 300,
    signatures: &[
        Signature::of_database(
            Variant::Supabase,
            &["Tenant or user not found", "no tenant identifier provided", "ENOIDENTIFIER"],
        ),
        Signature::of_database(Variant::Supabase, &["tenant/user "]).all(&["not found"]),
        Signature::of_database(Variant::SupabaseNetwork, &["not in tenant allow_list"]),
        Signature::of_database(Variant::Neon, &["Endpoint ID is not specified"]),
        Signature::of_database(Variant::NeonTwo, &["Inconsistent project name inferred from"]),
        Signature::of_database(
            Variant::NeonEndpoint,
            &[
                "requested endpoint could not be found",
                "endpoint has been disabled",
                "Project ID is not specified",
            ],
        ),
        Signature::of_database(
            Variant::Azure,
            &["Invalid Username specified", "in <username@hostname> format"],
        ),
        Signature::of_database(
            Variant::Cockroach,
            &["missing cluster identifier", "codeParamsRoutingFailed"],
        ),
        Signature::of_database(Variant::Other, &["No pool configured for database", "route for '"]),
    ],
    details: |failure, _| {
        let line = failure.message.lines().next().unwrap_or_default();
        let said = line.rsplit_once(" failed: ").map_or(line, |(_, said)| said);
        let said = said.trim_start_matches("FATAL:").trim_start_matches("ERROR:").trim();
        Some(FailureDetails {
            endpoint: failure.endpoint(),
            detail: Some(said.to_owned()),
            ..FailureDetails::default()
        })
    },
    explain: |evidence, occurrence, variant| explained(evidence, occurrence, variant, words),
    is_over: None,
};

fn words(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, endpoint, variable) = (failed.who, failed.endpoint(), failed.variable);
    let message =
        |why: &str| format!("{who} reaches {endpoint}, {why}: {}.", failed.said("it is not known there"));
    match failed.variant {
        Variant::Supabase => (
            message("a pooler of many projects, which does not know whose database is meant"),
            format!(
                "Supabase's pooler finds the project by the user name: in {variable} it is postgres.PROJECT-REF, not postgres, and the \
                 host is that of the project's region. Copy the string from the project's Connect page (session mode, port 5432; \
                 migrations do not work through transaction mode, port 6543). A paused project is not known either: resume it."
            ),
        ),
        Variant::SupabaseNetwork => (
            message("which does not let this network in"),
            "Add the address from which the pods leave the cluster to the project's network restrictions."
                .to_owned(),
        ),
        Variant::Neon => (
            message("a proxy of many projects, which was not told the host name"),
            format!(
                "Neon finds the endpoint by the host name that libpq 14 and later send within TLS (SNI): connect by the full name \
                 ep-….neon.tech with sslmode=require, not by an address or through a proxy that ends TLS. Otherwise append \
                 options=endpoint%3DENDPOINT-ID to {variable} (after ? or &), where ENDPOINT-ID is the first part of that name."
            ),
        ),
        Variant::NeonTwo => (
            message("and host name and options name two different endpoints"),
            format!("Take options=endpoint… out of {variable}, or make it the first part of the host name."),
        ),
        Variant::NeonEndpoint => (
            message("a proxy of many projects, which does not have that endpoint"),
            format!(
                "Compare the host name in {variable} with the project's connection details; an endpoint that was disabled is enabled \
                 there again."
            ),
        ),
        Variant::Azure => (
            message("a gateway of many servers, which finds them by the user name"),
            format!(
                "Write the user as USER@SERVER in {variable}, with the @ as %40: postgresql://USER%40SERVER:PASSWORD@HOST:5432/NAME."
            ),
        ),
        Variant::Cockroach => (
            message("a proxy of many clusters, which was not told which one is meant"),
            format!(
                "Append options=--cluster%3DCLUSTER to {variable} (after ? or &), or use the host name of the cluster itself."
            ),
        ),
        Variant::Other => (
            message("a pooler that has no route for this database and user"),
            format!(
                "Add the database and its user to the pooler's settings, or correct their names in {variable}."
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::database::shared::testing::{OPERATIONAL, read};

    #[rstest]
    #[case("FATAL:  Tenant or user not found", Variant::Supabase)]
    #[case("FATAL:  (ENOTFOUND) tenant/user postgres.abcdefgh not found", Variant::Supabase)]
    #[case("FATAL:  Address not in tenant allow_list: {1, 2, 3, 4}", Variant::SupabaseNetwork)]
    #[case(
        "ERROR:  Endpoint ID is not specified. Either please upgrade the postgres client library (libpq) for SNI support or pass the endpoint ID (first part of the domain name) as a parameter: '?options=endpoint%3D<endpoint-id>'. See more at https://neon.tech/sni",
        Variant::Neon
    )]
    #[case(
        "ERROR:  Inconsistent project name inferred from SNI ('ep-a') and project option ('ep-b').",
        Variant::NeonTwo
    )]
    #[case(
        "FATAL:  Invalid Username specified. Please check the Username and retry connection. The Username should be in <username@hostname> format.",
        Variant::Azure
    )]
    #[case(
        "FATAL:  codeParamsRoutingFailed: rejected by BackendConfigFromParams: missing cluster identifier",
        Variant::Cockroach
    )]
    fn recognises(#[case] said: &str, #[case] expected: Variant) {
        let message = format!("connection to server at \"db.example\" (10.0.0.9), port 5432 failed: {said}");
        assert_eq!(
            read(&LOG, Stage::Wait, OPERATIONAL, &message),
            Some((Code::DatabasePoolerTenantUnknown, expected))
        );
    }
}
