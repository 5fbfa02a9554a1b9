//! Client and server do not agree on TLS.

use super::shared::{ConnectionFailure, explained, probed};
use crate::causes::{log::phrasing, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    is_connection: true,
    explains: consequences::OF_NO_CONNECTION,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("tls_mismatch.md"))
};

/// What the two sides do not agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The client insists, and the server has no TLS.
    NotOffered,
    /// The certificate is not trusted.
    Untrusted,
    /// The certificate is of another host.
    Name,
    /// The file with the authority is missing.
    File,
    /// The server insists, and the client does not use TLS.
    Required,
    /// The client's own key cannot be used.
    Key,
    /// The server asks for a client certificate.
    Client,
    /// Anything else.
    Other,
}

static LOG: Rule<Variant> = Rule {
    precedence: 355,
    signatures: &[
        Signature::of_database(
            Variant::NotOffered,
            &["server does not support SSL", "server does not support GSS", "server refused SSL"],
        ),
        Signature::of_database(
            Variant::Untrusted,
            &[
                "certificate verify failed",
                "certificate has expired",
                "unknown ca",
                "unable to get local issuer",
            ],
        ),
        Signature::of_database(Variant::Name, &["server certificate for"]),
        Signature::of_database(
            Variant::File,
            &["root certificate file", "could not open certificate file", "could not read root certificate"],
        ),
        Signature::of_database(
            Variant::Required,
            &[
                "SSL required",
                "SSL connection is required",
                "SSL is required",
                "requires SSL",
                "requires TLS",
                "TLS required",
                "connection is insecure",
                "unencrypted connection",
            ],
        ),
        Signature::of_database(Variant::Key, &["private key file"]),
        Signature::of_database(
            Variant::Client,
            &[
                "requires a valid client certificate",
                "certificate required",
                "certificate authentication failed",
            ],
        ),
        Signature::of_database(
            Variant::Other,
            &["SSL error: ", "sslmode", "tlsv1", "unsupported protocol", "TLS startup failed"],
        ),
    ],
    details,
    explain: |evidence, occurrence, variant| explained(evidence, occurrence, variant, words),
    is_over: None,
};

#[expect(clippy::unnecessary_wraps, reason = "the form of a rule's function")]
fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    let line = failure.message.lines().next();
    Some(FailureDetails {
        endpoint: failure.endpoint(),
        detail: line.and_then(|line| line.rsplit("failed: ").next()).map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    // A certificate that the operator does not trust is `Unverified`, so it is always the handshake itself.
    let variant = |_, read: Option<Variant>| read.unwrap_or(Variant::Other);
    probed(context, Code::DatabaseTlsMismatch, &LOG, variant, words)
}

fn words(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, endpoint, variable) = (failed.who, failed.endpoint(), failed.variable);
    match failed.variant {
        Variant::NotOffered => (
            format!("{who} insists on TLS, but the database at {endpoint} does not offer it."),
            format!(
                "Turn TLS on in PostgreSQL (ssl = on, with a certificate), or, where the network is trusted, set \
                 {} in {variable}.",
                if failed.stage == Stage::Pooler { "server_tls_sslmode = prefer" } else { "sslmode=prefer or sslmode=disable" }
            ),
        ),
        Variant::Untrusted => (
            format!(
                "{who} does not trust the certificate of the database at {endpoint}: {}.",
                failed.said("verification failed")
            ),
            format!(
                "Mount the authority that signed it and name it in {variable}: \
                 ?sslmode=verify-full&sslrootcert=/path/ca.pem; renew the certificate if it has expired. \
                 sslmode=require encrypts without checking."
            ),
        ),
        Variant::Name => (
            format!(
                "{who} refuses the certificate of the database at {endpoint}: it was issued for another host name."
            ),
            format!(
                "Use in {variable} the host name that the certificate has, or sslmode=verify-ca, which does not \
                 compare names."
            ),
        ),
        Variant::File => (
            format!(
                "{who} is to check the database's certificate, but the file with the authority does not exist in its \
                 container or cannot be read."
            ),
            format!(
                "Mount that file into the container at the path that sslrootcert in {variable} names (also into init \
                 containers and the migration Job), or set sslmode=require."
            ),
        ),
        Variant::Required => (
            format!(
                "The database at {endpoint} accepts only TLS connections, and {} does not use TLS.",
                phrasing::within(who)
            ),
            format!("Add ?sslmode=require to {variable}."),
        ),
        Variant::Key => (
            format!(
                "{who} cannot use its own TLS key, so it does not connect to the database at {endpoint}: {}.",
                failed.said("it cannot be read")
            ),
            "In Kubernetes set defaultMode: 0400 on the Secret's volume. Together with fsGroup the kubelet makes that \
             0440 and owned by root, which libpq accepts as well."
                .to_owned(),
        ),
        Variant::Client => (
            format!(
                "The database at {endpoint} asks for a client certificate that {} does not present.",
                phrasing::within(who)
            ),
            format!(
                "Mount certificate and key and name them in {variable}: sslcert=… and sslkey=…; the key's mode must be \
                 0600 or stricter."
            ),
        ),
        Variant::Other => (
            format!(
                "{who} and the database at {endpoint} do not agree on TLS: {}.",
                failed.said("handshake failed")
            ),
            format!(
                "Compare sslmode in {variable} with what the server offers: if it has no TLS, write sslmode=disable (or \
                 prefer); if it requires TLS, sslmode=require; a server below TLS 1.2 needs \
                 ssl_min_protocol_version=TLSv1 there."
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::{
        database::shared::testing::{OPERATIONAL, observed, only, read},
        log::failure::Stage,
    };
    use crate::observe::ProbeFailureKind;

    #[rstest]
    #[case(
        "connection to server at \"db\", port 5432 failed: server does not support SSL, but SSL was required",
        Variant::NotOffered
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: SSL error: certificate verify failed",
        Variant::Untrusted
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: root certificate file \"/root/.postgresql/root.crt\" does not exist",
        Variant::File
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: server certificate for \"a\" does not match host name \"db\"",
        Variant::Name
    )]
    #[case("connection to server at \"pgb\", port 6432 failed: FATAL:  SSL required", Variant::Required)]
    fn recognises(#[case] message: &str, #[case] expected: Variant) {
        assert_eq!(
            read(&LOG, Stage::Wait, OPERATIONAL, message),
            Some((Code::DatabaseTlsMismatch, expected))
        );
    }

    #[test]
    fn a_log_and_the_operator_say_the_same() {
        let seen = only(&observed(ProbeFailureKind::Tls, "server does not support TLS"));
        assert_eq!(
            seen.message,
            "The operator and the database at db.prod:5432 do not agree on TLS: server does not support TLS."
        );
        assert!(seen.remedy.contains("sslmode=disable"), "{seen:#?}");
    }
}
