//! The server answers and says no: access rules, passwords, names.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, Stage, first_quoted, quoted_after};
use crate::causes::log::phrasing::{self, identifier, role, who};
use crate::causes::log::{finding::Explanation, rule::Plain};
use crate::model::Code;
use crate::postgres::phrases::Phrase;

pub const DATABASE_ACCESS_REJECTED: (Code, Plain) = (
    Code::DatabaseAccessRejected,
    Plain {
        precedence: 325,
        last_resort: false,
        recognise: access,
        explain: explain_access,
        is_over: None,
    },
);
pub const DATABASE_AUTHENTICATION_FAILED: (Code, Plain) = (
    Code::DatabaseAuthenticationFailed,
    Plain {
        precedence: 330,
        last_resort: false,
        recognise: authentication,
        explain: explain_authentication,
        is_over: None,
    },
);
pub const DATABASE_NOT_FOUND: (Code, Plain) = (
    Code::DatabaseNotFound,
    Plain {
        precedence: 335,
        last_resort: false,
        recognise: not_found,
        explain: explain_not_found,
        is_over: None,
    },
);

fn access(failure: &Failure<'_>) -> Option<FailureDetails> {
    if !failure.is_database() {
        return None;
    }
    let mut details = failure.details();
    if failure.says("pg_hba.conf") {
        details.form = if failure.says_any(&["no encryption", "SSL off"])
            && !failure.says_any(&["SSL encryption", "SSL on"])
        {
            "rule-unencrypted"
        } else {
            "rule"
        };
        details.object = quoted_after(failure.message, &["host "]).map(str::to_owned);
        // `host` in that sentence is the client.
        details.object = quoted_after(failure.message, &["for host "])
            .map(str::to_owned)
            .or(details.object);
    } else if let Some(database) = failure.phrase(Phrase::ConnectDenied) {
        details.form = "connect";
        details.database = Some(database.to_owned());
    } else if let Some(database) = failure.phrase(Phrase::DatabaseClosed) {
        details.form = "closed";
        details.database = Some(database.to_owned());
    } else if failure.says_any(&[
        "database does not allow connections",
        "database is disabled",
        "\" is disabled",
    ]) && failure.says("FATAL")
    {
        details.form = "pooler";
    } else if failure.stage != Stage::Migrate
        && (failure.is(&["InsufficientPrivilege"]) || failure.says("permission denied for "))
    {
        details = FailureDetails::form("object").object(object(failure.message));
    } else {
        return None;
    }
    Some(details)
}

/// `table users_ffadminuser` from `permission denied for table users_ffadminuser`.
fn object(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let name = line
        .split_once("permission denied for ")
        .map(|(_, name)| name.replace("relation ", "table "));
    name.or_else(|| first_quoted(line).map(|name| format!("\"{name}\"")))
        .unwrap_or_else(|| "an object".to_owned())
}

fn explain_access(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = who(case, occurrence);
    let details = &occurrence.details;
    let role_name = role(details.role.as_deref());
    let database = details.database.as_deref().map_or_else(
        || "its database".to_owned(),
        |name| format!("database \"{name}\""),
    );
    let client = details.object.as_deref().unwrap_or("the pod's address");
    let endpoint = &details.endpoint;
    let (message, remedy) = match details.form {
        "rule-unencrypted" => (
            format!(
                "{who} may not connect: pg_hba.conf of the server at {endpoint} has no rule that lets {role_name} into {database} from {client} without encryption. Either TLS is required there, or that client or role is not allowed at all; the log does not separate the two."
            ),
            format!(
                "Add ?sslmode=require to DATABASE_URL (managed databases often refuse unencrypted connections). If that is refused as well, add to pg_hba.conf: host {} {} {client}/32 scram-sha-256, then SELECT pg_reload_conf();",
                details.database.as_deref().unwrap_or("DATABASE"),
                details.role.as_deref().unwrap_or("ROLE")
            ),
        ),
        "rule" => (
            format!(
                "{who} may not connect: pg_hba.conf of the server at {endpoint} does not let {role_name} into {database} from {client}."
            ),
            format!(
                "Add to pg_hba.conf: hostssl {} {} {client}/32 scram-sha-256, then SELECT pg_reload_conf(); on a managed database allow the pods' network in its firewall.",
                details.database.as_deref().unwrap_or("DATABASE"),
                details.role.as_deref().unwrap_or("ROLE")
            ),
        ),
        "connect" => (
            format!("{who} may not connect to {database}: {role_name} has no CONNECT privilege on it."),
            format!(
                "As the owner of the database: GRANT CONNECT ON DATABASE {} TO {};",
                identifier(details.database.as_deref().unwrap_or("DATABASE")),
                details
                    .role
                    .as_deref()
                    .map_or_else(|| "ROLE".to_owned(), identifier)
            ),
        ),
        "closed" => (
            format!("{who} may not connect: {database} accepts no connections at present."),
            format!(
                "As a superuser, from another database: ALTER DATABASE {} ALLOW_CONNECTIONS true;",
                identifier(details.database.as_deref().unwrap_or("DATABASE"))
            ),
        ),
        "pooler" => (
            format!("{who} is refused by the connection pooler: it has {database} disabled or full."),
            "On the pooler's admin console: ENABLE DATABASE; or raise max_db_connections for it.".to_owned(),
        ),
        _ => {
            let object = details.object.as_deref().unwrap_or("a table");
            (
                format!("{who}'s database role lacks the privilege for {object}."),
                "As the owner of the tables (ROLE is the one in DATABASE_URL): GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ROLE; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ROLE; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO ROLE; and the same with ALTER DEFAULT PRIVILEGES for what later migrations create.".to_owned(),
            )
        }
    };
    Explanation::new(Code::DatabaseAccessRejected, message, remedy)
}

fn authentication(failure: &Failure<'_>) -> Option<FailureDetails> {
    if !failure.is_database() {
        return None;
    }
    let mut details = failure.details();
    if let Some((_, said)) = failure.message.split_once("server login failed: ") {
        details.form = "behind";
        details.detail = said.lines().next().map(str::to_owned);
    } else if let Some(role) = failure.phrase(Phrase::PasswordFailed) {
        details.form = "password";
        details.role = Some(role.to_owned());
    } else if let Some((_, rest)) = failure
        .message
        .split_once("password that was provided for the role ")
    {
        // RDS Proxy.
        details.form = "password";
        details.role = rest.split(' ').next().map(str::to_owned);
    } else if let Some((_, rest)) = failure.message.split_once("has no credentials for the role ") {
        details.form = "proxy";
        details.role = rest.split(['.', ' ']).next().map(str::to_owned);
    } else if failure.says("password authentication failed") {
        // PgBouncer does not name the role.
        details.form = "password";
    } else if failure.says("no password supplied") {
        details.form = "none";
    } else if failure.says("no such user") {
        details.form = "pooler";
        details.role = failure
            .message
            .split_once("no such user: ")
            .map(|(_, name)| name.trim().trim_matches('"').to_owned());
    } else if let Some(role) = failure.phrase(Phrase::LoginDenied) {
        details.form = "login";
        details.role = Some(role.to_owned());
    } else if failure.says_any(&[
        "authentication failed",
        "auth failed",
        "authentication method",
        "SCRAM",
        "SASL",
        "password is not",
        "wrong password",
        "User does not have a valid",
        "no password assigned",
        "empty password",
        "There is no user",
        "user not found",
        "Access denied for user",
        "token has expired",
        "invalid secret format",
        "channel binding required",
    ]) {
        details.form = if failure.says_any(&["PAM", "IAM", "token"]) {
            "token"
        } else if failure.says_any(&["There is no user", "user not found"]) {
            "unknown"
        } else {
            "other"
        };
        details.detail = failure
            .message
            .lines()
            .next()
            .and_then(|line| line.rsplit("FATAL:").next())
            .map(|line| line.trim().to_owned());
    } else if failure.stage != Stage::Serve || failure.says("FATAL") {
        details.role = Some(
            failure
                .phrase(Phrase::RoleUnknown)
                .filter(|_| failure.says("FATAL") || failure.says("connection to"))?
                .to_owned(),
        );
        details.form = "role";
    } else {
        return None;
    }
    details.database = None;
    Some(details)
}

fn explain_authentication(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = who(case, occurrence);
    let details = &occurrence.details;
    let endpoint = &details.endpoint;
    let name = role(details.role.as_deref());
    let sql = details
        .role
        .as_deref()
        .map_or_else(|| "ROLE".to_owned(), identifier);
    let (message, remedy) = match details.form {
        "password" => (
            format!("{who} cannot log in to the database at {endpoint}: the password for {name} is wrong, or that role does not exist (the server does not say which)."),
            format!("Correct the password in DATABASE_URL (percent-encode # [ ] / ? @ % and : in it), or set a new one on the server: \\password {sql} in psql. Restart the pods after changing a Secret: environment variables are read at start."),
        ),
        "none" => (
            format!("{who} cannot log in to the database at {endpoint}: the server asks for a password and DATABASE_URL has none."),
            "Set DATABASE_URL to postgresql://USER:PASSWORD@HOST:5432/NAME, or DJANGO_DB_PASSWORD where the parts are given one by one.".to_owned(),
        ),
        "role" => (
            format!("{who} cannot log in to the database at {endpoint}: {name} does not exist there."),
            format!("Correct the user in DATABASE_URL, or create the role: CREATE ROLE {sql} LOGIN; then \\password {sql} in psql."),
        ),
        "login" => (
            format!("{who} cannot log in to the database at {endpoint}: {name} is not permitted to log in."),
            format!("ALTER ROLE {sql} LOGIN;"),
        ),
        "pooler" => (
            format!("{who} is refused by the connection pooler: it does not know {name}."),
            "Add the role with its password hash to the pooler's userlist.txt, or set auth_query there; then reload the pooler.".to_owned(),
        ),
        "proxy" => (
            format!("{who} is refused by the database proxy at {endpoint}: it has no credentials for {name}."),
            "Add a secret with the user name and password of that role to the proxy (RDS Proxy: in Secrets Manager, listed in the proxy's authentication settings), or correct the user in DATABASE_URL.".to_owned(),
        ),
        "behind" => (
            format!("{who} reaches the connection pooler at {endpoint}, but the pooler cannot log in to the database behind it: {}.", details.detail.as_deref().unwrap_or("authentication failed")),
            "Correct the password that the pooler uses for the server (PgBouncer: its userlist.txt, or user= and password= in [databases]), then reload the pooler. DATABASE_URL was accepted.".to_owned(),
        ),
        form => (
            format!("{who} cannot log in to the database{}: {}.", phrasing::at(endpoint), details.detail.as_deref().unwrap_or("authentication failed").trim_end_matches('.')),
            match form {
                "token" => "With IAM authentication the password is a token that expires after 15 minutes: it cannot stand in DATABASE_URL. Use a role with a password, or a proxy that renews it (RDS Proxy, Cloud SQL Auth Proxy).",
                "unknown" => "Correct the user in DATABASE_URL; a hosted pooler may want more than the role's name there (Supabase: ROLE.PROJECT).",
                _ => "Check user and password in DATABASE_URL, and the method that the server asks for (pg_hba.conf).",
            }.to_owned(),
        ),
    };
    Explanation::new(Code::DatabaseAuthenticationFailed, message, remedy)
}

fn not_found(failure: &Failure<'_>) -> Option<FailureDetails> {
    if !failure.is_database() {
        return None;
    }
    let mut details = failure.details();
    details.role = None;
    if let Some(database) = failure.phrase(Phrase::DatabaseUnknown) {
        details.database = Some(database.to_owned());
        return Some(details);
    }
    let (_, rest) = failure.message.split_once("no such database")?;
    details.database = rest
        .strip_prefix(": ")
        .map(|name| name.trim().trim_matches('"').to_owned());
    details.form = "pooler";
    Some(details)
}

fn explain_not_found(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = who(case, occurrence);
    let details = &occurrence.details;
    let endpoint = &details.endpoint;
    let name = details.database.as_deref().unwrap_or("in DATABASE_URL");
    let (message, remedy) = if details.form == "pooler" {
        (
            format!(
                "{who} is refused by the connection pooler at {endpoint}: it has no database \"{name}\" in its settings."
            ),
            format!(
                "Add it to the pooler's [databases] section: {name} = host=… port=5432 dbname={name}, then reload the pooler; or correct the name in DATABASE_URL."
            ),
        )
    } else {
        (
            format!("{who} reaches the server at {endpoint}, but there is no database \"{name}\" on it."),
            format!(
                "Correct the name at the end of DATABASE_URL (or DJANGO_DB_NAME), or create it: CREATE DATABASE {} OWNER ROLE;",
                identifier(name)
            ),
        )
    };
    Explanation::new(Code::DatabaseNotFound, message, remedy)
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::{code, recognise};
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case(
        "connection to server at \"127.0.0.1\", port 55432 failed: FATAL:  password authentication failed for user \"pw\"",
        DatabaseAuthenticationFailed,
        "password"
    )]
    #[case(
        "connection to server at \"db\" (10.0.0.5), port 5432 failed: FATAL:  Passwort-Authentifizierung für Benutzer »pw« fehlgeschlagen",
        DatabaseAuthenticationFailed,
        "password"
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  password authentication failed",
        DatabaseAuthenticationFailed,
        "password"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: fe_sendauth: no password supplied",
        DatabaseAuthenticationFailed,
        "none"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  role \"nobody1\" does not exist",
        DatabaseAuthenticationFailed,
        "role"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  PAM authentication failed for user \"iam\"",
        DatabaseAuthenticationFailed,
        "token"
    )]
    #[case(
        "connection to server at \"rds\", port 5432 failed: FATAL:  The password that was provided for the role fs is wrong.",
        DatabaseAuthenticationFailed,
        "password"
    )]
    #[case(
        "connection to server at \"rds\", port 5432 failed: FATAL:  This RDS proxy has no credentials for the role fs. Check the credentials for this role and try again.",
        DatabaseAuthenticationFailed,
        "proxy"
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  server login failed: FATAL password authentication failed for user \"fs\"",
        DatabaseAuthenticationFailed,
        "behind"
    )]
    #[case(
        "connection to server at \"pooler\", port 6543 failed: FATAL:  Tenant or user not found",
        DatabaseAuthenticationFailed,
        "unknown"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  Peer authentication failed for user \"x\"",
        DatabaseAuthenticationFailed,
        "other"
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  no such user: flag",
        DatabaseAuthenticationFailed,
        "pooler"
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  SASL authentication failed",
        DatabaseAuthenticationFailed,
        "other"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  role \"ro\" is not permitted to log in",
        DatabaseAuthenticationFailed,
        "login"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  database \"nosuchdb\" does not exist",
        DatabaseNotFound,
        ""
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  no such database: fs",
        DatabaseNotFound,
        "pooler"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  pg_hba.conf rejects connection for host \"10.1.1.1\", user \"u\", database \"d\", SSL encryption",
        DatabaseAccessRejected,
        "rule"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  no pg_hba.conf entry for host \"10.1.1.1\", user \"u\", database \"d\", no encryption",
        DatabaseAccessRejected,
        "rule-unencrypted"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  permission denied for database \"d\"\nDETAIL:  User does not have CONNECT privilege.",
        DatabaseAccessRejected,
        "connect"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  database \"rt\" is not currently accepting connections",
        DatabaseAccessRejected,
        "closed"
    )]
    fn recognises(#[case] message: &str, #[case] expected: Code, #[case] form: &str) {
        for stage in [Stage::Wait, Stage::Migrate, Stage::Boot, Stage::Serve] {
            let (code, details) = recognise(stage, "psycopg2.OperationalError", message).unwrap();
            assert_eq!((code, details.form), (expected, form), "{stage:?}");
        }
    }

    #[test]
    fn names_are_read() {
        let message = "connection to server at \"db\", port 5432 failed: FATAL:  no pg_hba.conf entry for host \"10.1.1.1\", user \"u\", database \"d\", no encryption";
        let (_, details) = recognise(Stage::Wait, "OperationalError", message).unwrap();
        assert_eq!(
            (
                details.role.as_deref(),
                details.database.as_deref(),
                details.object.as_deref()
            ),
            (Some("u"), Some("d"), Some("10.1.1.1"))
        );
    }

    #[test]
    fn missing_privilege_is_access_at_run_time_and_a_migration_cause_in_a_migration() {
        let (class, message) = (
            "psycopg2.errors.InsufficientPrivilege",
            "permission denied for table users_ffadminuser",
        );
        assert_eq!(code(Stage::Boot, class, message), Some(DatabaseAccessRejected));
        // The same where the log begins behind the driver's part of the traceback.
        assert_eq!(
            code(Stage::Boot, "django.db.utils.ProgrammingError", message),
            Some(DatabaseAccessRejected)
        );
        assert_eq!(
            code(Stage::Migrate, class, message),
            Some(MigrationPermissionDenied)
        );
    }
}
