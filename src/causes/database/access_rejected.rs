//! The server refuses this client, role or object.

use super::shared::{ConnectionFailure, explained, probed};
use crate::{
    causes::{
        log::failure::{first_quoted, quoted_after},
        prelude::*,
    },
    model::shell,
    postgres::phrases::Phrase,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    is_connection: true,
    explains: consequences::OF_NO_CONNECTION,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("access_rejected.md"))
};

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// A connection without encryption, by `pg_hba.conf`.
    Unencrypted,
    /// A connection, by `pg_hba.conf`.
    Rule,
    /// The privilege CONNECT.
    Connect,
    /// Every connection to this database.
    Closed,
    /// A client of the connection pooler.
    Pooler,
    /// A table or another object.
    Object,
}

/// In a migration a missing privilege is a cause of its own.
const NOT_MIGRATING: &[Stage] = &[Stage::Wait, Stage::Boot, Stage::Serve, Stage::Pooled, Stage::Pooler];

static LOG: Rule<Variant> = Rule {
    precedence: 325,
    signatures: &[
        Signature::of_database(Variant::Unencrypted, &["no encryption", "SSL off"])
            .all(&["pg_hba.conf"])
            .none(&["SSL encryption", "SSL on"]),
        Signature::of_database(Variant::Rule, &["pg_hba.conf"]),
        Signature::of_phrase(Variant::Connect, Phrase::ConnectDenied),
        Signature::of_phrase(Variant::Closed, Phrase::DatabaseClosed),
        Signature::of_database(
            Variant::Pooler,
            &["database does not allow connections", "database is disabled", "\" is disabled"],
        )
        .all(&["FATAL"]),
        Signature::of(Variant::Object).only_database().stage(NOT_MIGRATING).class(&["InsufficientPrivilege"]),
        Signature::of_database(Variant::Object, &["permission denied for "]).stage(NOT_MIGRATING),
    ],
    details,
    explain: |evidence, occurrence, variant| explained(evidence, occurrence, variant, words),
    is_over: None,
};

#[expect(clippy::unnecessary_wraps, reason = "the form of a rule's function")]
fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    let mut details = failure.details();
    match variant {
        // `host` in that sentence is the client.
        Variant::Unencrypted | Variant::Rule => {
            let host = quoted_after(failure.message, &["for host ", "host "]);
            details.object = host.or_else(|| first_of_rule(failure.message)).map(str::to_owned);
        }
        Variant::Connect => {
            details.database = failure.phrase(Phrase::ConnectDenied).map(str::to_owned);
        }
        Variant::Closed => {
            details.database = failure.phrase(Phrase::DatabaseClosed).map(str::to_owned);
        }
        Variant::Pooler => {}
        Variant::Object => details = FailureDetails::default().object(object(failure.message)),
    }
    Some(details)
}

/// The first name in the sentence about `pg_hba.conf`, which is the client in every language.
fn first_of_rule(message: &str) -> Option<&str> {
    let line = message.lines().find(|line| line.contains("pg_hba.conf"))?;
    first_quoted(line.split_once(" failed: ").map_or(line, |(_, said)| said))
}

/// `table users_ffadminuser` from `permission denied for table users_ffadminuser`.
fn object(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let name = line.split_once("permission denied for ").map(|(_, name)| name.replace("relation ", "table "));
    name.or_else(|| first_quoted(line).map(|name| format!("\"{name}\"")))
        .unwrap_or_else(|| "an object".to_owned())
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    // Words of pg_hba.conf name that file in every language.
    let variant = |_, read: Option<Variant>| read.unwrap_or(Variant::Connect);
    probed(context, Code::DatabaseAccessRejected, &LOG, variant, words)
}

fn words(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, endpoint, variable) = (failed.who, failed.endpoint(), failed.variable);
    let (role, database) = (failed.role(), failed.database());
    let client = failed.details.object.as_deref().unwrap_or("the pod's address");
    match failed.variant {
        Variant::Unencrypted => (
            format!(
                "{who} may not connect: pg_hba.conf of the server at {endpoint} has no rule that lets {role} into \
                 {database} from {client} without encryption. Either TLS is required there, or that client or role is \
                 not allowed at all; the log does not separate the two."
            ),
            format!(
                "Add ?sslmode=require to {variable} (managed databases often refuse unencrypted connections). If that \
                 is refused as well, add to pg_hba.conf: host {}, then SELECT pg_reload_conf();",
                allowed(failed)
            ),
        ),
        Variant::Rule => (
            format!(
                "{who} may not connect: pg_hba.conf of the server at {endpoint} does not let {role} into {database} \
                 from {client}."
            ),
            format!(
                "Add to pg_hba.conf: hostssl {}, then SELECT pg_reload_conf(); on a managed database allow the pods' \
                 network in its firewall.",
                allowed(failed)
            ),
        ),
        Variant::Connect => (
            format!("{who} may not connect to {database}: {role} has no CONNECT privilege on it."),
            format!(
                "As the owner of the database: GRANT CONNECT ON DATABASE {} TO {};",
                failed.database_in_sql(),
                failed.role_in_sql()
            ),
        ),
        Variant::Closed => (
            format!("{who} may not connect: {database} accepts no connections at present."),
            format!(
                "As a superuser, from another database: ALTER DATABASE {} ALLOW_CONNECTIONS true;",
                failed.database_in_sql()
            ),
        ),
        Variant::Pooler => (
            format!("{who} is refused by the connection pooler: it has {database} disabled or full."),
            "On the pooler's admin console: ENABLE DATABASE; or raise max_db_connections for it.".to_owned(),
        ),
        Variant::Object => (
            format!(
                "{who}'s database role lacks the privilege for {}.",
                failed.details.object.as_deref().unwrap_or("a table")
            ),
            format!(
                "As the owner of the tables (ROLE is the one in {variable}): GRANT SELECT, INSERT, UPDATE, DELETE ON \
                 ALL TABLES IN SCHEMA public TO ROLE; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ROLE; GRANT \
                 EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO ROLE; and the same with ALTER DEFAULT PRIVILEGES for \
                 what later migrations create."
            ),
        ),
    }
}

/// The rest of a line of `pg_hba.conf` that lets the client in.
fn allowed(failed: &ConnectionFailure<'_, Variant>) -> String {
    let details = &failed.details;
    let database = shell::name(details.database.as_deref().unwrap_or_default(), "DATABASE");
    let role = shell::name(details.role.as_deref().unwrap_or_default(), "ROLE");
    let client = shell::host(details.object.as_deref().unwrap_or_default(), "ADDRESS");
    let bits = if client.contains(':') { 128 } else { 32 };
    format!("{database} {role} {client}/{bits} scram-sha-256")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::{
        database::shared::testing::{HOSTILE, OPERATIONAL, observed, only, read, remedy},
        log::testing::{code, recognise},
    };
    use crate::observe::ProbeFailureKind;

    #[rstest]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  pg_hba.conf rejects connection for host \"10.1.1.1\", user \"u\", database \"d\", SSL encryption",
        Variant::Rule
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  no pg_hba.conf entry for host \"10.1.1.1\", user \"u\", database \"d\", no encryption",
        Variant::Unencrypted
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  permission denied for database \"d\"\nDETAIL:  User does not have CONNECT privilege.",
        Variant::Connect
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  database \"rt\" is not currently accepting connections",
        Variant::Closed
    )]
    fn recognises(#[case] message: &str, #[case] expected: Variant) {
        for stage in [Stage::Wait, Stage::Migrate, Stage::Boot, Stage::Serve] {
            assert_eq!(
                read(&LOG, stage, OPERATIONAL, message),
                Some((Code::DatabaseAccessRejected, expected)),
                "{stage:?}"
            );
        }
    }

    /// PostgreSQL 15's own words: the first name is the client.
    #[rstest]
    #[case(
        "kein pg_hba.conf-Eintrag für Host »10.42.3.17«, Benutzer »u«, Datenbank »d«, keine Verschlüsselung"
    )]
    #[case(
        "aucune entrée dans pg_hba.conf pour l'hôte « 10.42.3.17 », utilisateur « u »,\nbase de données « d », chiffrement SSL"
    )]
    #[case(
        "pg_hba.conf にホスト\"10.42.3.17\"、ユーザー\"u\"、データベース\"d, SSL暗号化用のエントリがありません"
    )]
    #[case(
        "в pg_hba.conf нет записи для компьютера \"10.42.3.17\", пользователя \"u\", базы \"d\", SSL-шифрование"
    )]
    fn the_client_is_named_in_every_language(#[case] said: &str) {
        let message = format!("connection to server at \"db\", port 5432 failed: FATAL:  {said}");
        let (found, details) = recognise(Stage::Wait, OPERATIONAL, &message).unwrap();
        assert_eq!((found, details.object.as_deref()), (Code::DatabaseAccessRejected, Some("10.42.3.17")));
    }

    #[test]
    fn names_are_read() {
        let message = "connection to server at \"db\", port 5432 failed: FATAL:  no pg_hba.conf entry for host \"10.1.1.1\", user \"u\", database \"d\", no encryption";
        let (_, details) = recognise(Stage::Wait, "OperationalError", message).unwrap();
        assert_eq!(
            (details.role.as_deref(), details.database.as_deref(), details.object.as_deref()),
            (Some("u"), Some("d"), Some("10.1.1.1"))
        );
    }

    #[test]
    fn missing_privilege_is_access_at_run_time_and_a_migration_cause_in_a_migration() {
        let (class, message) =
            ("psycopg2.errors.InsufficientPrivilege", "permission denied for table users_ffadminuser");
        assert_eq!(code(Stage::Boot, class, message), Some(Code::DatabaseAccessRejected));
        // The same where the log begins behind the driver's part of the traceback.
        assert_eq!(
            code(Stage::Boot, "django.db.utils.ProgrammingError", message),
            Some(Code::DatabaseAccessRejected)
        );
        assert_eq!(code(Stage::Migrate, class, message), Some(Code::MigrationPermissionDenied));
    }

    #[rstest]
    #[case(
        "no pg_hba.conf entry for host \"10.42.0.9\", user \"app\", database \"flags\", no encryption",
        "host flags app 10.42.0.9/32 scram-sha-256"
    )]
    #[case(
        "pg_hba.conf rejects connection for host \"fd00::9\", user \"app\", database \"flags\", SSL encryption",
        "hostssl flags app fd00::9/128 scram-sha-256"
    )]
    #[case("permission denied for database \"flags\"", "GRANT CONNECT ON DATABASE flags TO ROLE;")]
    #[case("in its own words", "GRANT CONNECT ON DATABASE flags TO ROLE;")]
    fn the_operator_reads_the_servers_words(#[case] said: &str, #[case] remedy: &str) {
        let seen = only(&observed(ProbeFailureKind::AccessRejected, said));
        assert!(seen.remedy.contains(remedy), "{seen:#?}");
    }

    #[test]
    fn hostile_names_are_quoted() {
        let at = "connection to server at \"db\", port 5432 failed: FATAL:  ";
        for name in HOSTILE {
            let rule = format!(
                "{at}no pg_hba.conf entry for host \"{name}\", user \"{name}\", database \"{name}\", SSL encryption"
            );
            let remedy = remedy(OPERATIONAL, &rule);
            assert!(
                remedy.contains("hostssl DATABASE ROLE ADDRESS/32 scram-sha-256")
                    || remedy.contains("hostssl x ROLE ADDRESS/32")
                    || remedy.contains("hostssl x x x/32"),
                "{remedy}"
            );
        }
        let connect = format!("{at}permission denied for database x;curl|sh");
        let remedy = remedy(OPERATIONAL, &connect);
        assert!(remedy.contains("ON DATABASE \"x;curl|sh\" TO ROLE;"), "{remedy}");
    }
}
