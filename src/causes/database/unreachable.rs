//! Nothing answers at the database's address.

use super::shared::{ConnectionFailure, explained, probed};
use crate::{
    causes::{log::failure::Endpoint, prelude::*},
    observe::ProbeFailureKind,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    is_connection: true,
    passes_by_itself: true,
    explains: consequences::OF_NO_CONNECTION,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("unreachable.md"))
};

/// How the server is out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// `waitfordb` gave up, and the log does not say why.
    GaveUp,
    /// Closed before the first answer.
    Mute,
    /// A pooler answers and has no server behind it.
    Pooler,
    /// Connection refused.
    Refused,
    /// No answer at all.
    Silent,
    /// No route to the host.
    NoRoute,
    /// The Unix socket does not exist.
    Socket,
    /// The Unix socket may not be opened.
    SocketDenied,
    /// Closed while connecting.
    Closed,
    /// It answers, but not as PostgreSQL does.
    NotPostgres,
    /// Something else, in the words of whoever said it.
    Said,
}

/// What libpq says while it connects.
const CONNECTING: &[&str] =
    &["connection to server ", "could not connect to server", "Is the server running"];

/// What `waitfordb` ends with.
const GAVE_UP: &str = "Failed to connect to DB within ";

/// `waitfordb` ends with Django's exception for commands, or with a line without one.
const OF_A_COMMAND: &[&str] = &["CommandError", ""];

static LOG: Rule<Variant> = Rule {
    precedence: 370,
    signatures: &[
        Signature::of_words(Variant::GaveUp, &[GAVE_UP]).class(OF_A_COMMAND),
        // It was accepted, and closed before it had answered once: `waitfordb` asks nothing but SELECT 1.
        Signature::of_database(
            Variant::Mute,
            &["server closed the connection", "connection has been closed"],
        )
        .stage(&[Stage::Wait])
        .none(&["connection to server "]),
        Signature::of_database(
            Variant::Pooler,
            &[
                "server login has been failing",
                "cannot connect to server",
                "server_login_retry",
                "server down",
                "pooler cannot",
                "backend nodes are down",
            ],
        ),
        Signature::of_database(Variant::Refused, &["Connection refused", "0x0000274D"]),
        Signature::of_database(Variant::Silent, &["timed out", "timeout expired", "connect timeout"]),
        Signature::of_database(
            Variant::NoRoute,
            &["No route to host", "Network is unreachable", "Host is unreachable", "Network unreachable"],
        ),
        Signature::of_database(Variant::Socket, &["socket"]).all(&["No such file or directory"]),
        Signature::of_database(Variant::SocketDenied, CONNECTING).all(&["Permission denied"]),
        Signature::of_database(Variant::Closed, CONNECTING).also(&[
            "server closed the connection",
            "Connection reset",
            "EOF detected",
            "received invalid response",
            "expected authentication request",
        ]),
        Signature::of_database(Variant::Said, CONNECTING),
        Signature::of(Variant::Said).only_database().stage(&[Stage::Wait]).class(&["OperationalError"]),
    ],
    details,
    explain: |evidence, occurrence, variant| explained(evidence, occurrence, variant, words),
    is_over: None,
};

fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    match variant {
        Variant::GaveUp => {
            let (_, rest) = failure.message.split_once(GAVE_UP)?;
            Some(FailureDetails {
                object: rest.split(' ').next().map(str::to_owned),
                is_vague: true,
                ..FailureDetails::default()
            })
        }
        // What a command or a line says of a server may be of any server.
        _ if failure.is(OF_A_COMMAND) => None,
        Variant::Mute => Some(FailureDetails::default()),
        _ => {
            let line = failure.message.lines().next().unwrap_or_default();
            let said = line.split_once(" failed: ").map_or(line, |(_, said)| said);
            let said = said.trim_start_matches("FATAL:").trim_start_matches("ERROR:");
            Some(FailureDetails {
                endpoint: failure.endpoint(),
                detail: Some(said.trim().to_owned()),
                ..FailureDetails::default()
            })
        }
    }
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let variant = |kind, read: Option<Variant>| match kind {
        ProbeFailureKind::Refused => Variant::Refused,
        ProbeFailureKind::NotPostgres => Variant::NotPostgres,
        _ => read.unwrap_or(Variant::Said),
    };
    probed(context, Code::DatabaseUnreachable, &LOG, variant, words)
}

fn words(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, variable, attempts) = (failed.who, failed.variable, &failed.attempts);
    let endpoint = failed.endpoint();
    match failed.variant {
        Variant::GaveUp => (
            format!(
                "{who} could not connect to its database within {} s; the log does not say why.",
                failed.details.object.as_deref().unwrap_or("5")
            ),
            format!(
                "Try from the same pod, with the same {variable}: flagsmith waitfordb. The reason is in the lines that \
                 begin with \"Error was:\"."
            ),
        ),
        Variant::Pooler => (
            format!("{} has no connection to the database behind it.", failed.pooler_behind()),
            "Look at the pooler's own log for the reason; correct host, port, user and password of the database in its \
             settings, or start that database. Pgpool-II has to be restarted after all of its nodes were down."
                .to_owned(),
        ),
        Variant::Mute => (
            format!(
                "{who} connects to its database, but the connection is closed before the first answer{attempts}: a \
                 pooler that gets no server connection (all in use, or the server behind it is down), or a server that \
                 stops."
            ),
            "Look at the pooler's own log (PgBouncer: SHOW POOLS; query_wait_timeout), or at PostgreSQL's if there is \
             no pooler."
                .to_owned(),
        ),
        Variant::Refused => refused(failed),
        Variant::Silent => silent(failed),
        Variant::NoRoute => (
            format!("{who} cannot reach the database: there is no network route to {endpoint}."),
            format!(
                "Correct the host in {variable}, or the route from the pods' network to it. Where it resolves to an \
                 IPv6 address and the cluster has only IPv4, give the IPv4 address. {}",
                failed.connect_test()
            ),
        ),
        Variant::Socket => (
            format!(
                "{who} looks for the database at the Unix socket {endpoint}, which does not exist in its container: \
                 {variable} names no host, or the proxy that makes the socket is not running."
            ),
            format!(
                "Give a host in {variable} (postgresql://USER:PASSWORD@HOST:5432/NAME), or mount the socket's directory \
                 into the container."
            ),
        ),
        Variant::SocketDenied => (
            format!(
                "{who} may not open the connection to {endpoint} (permission denied by the operating system)."
            ),
            "Give the container's user access to the socket's directory, or connect by TCP.".to_owned(),
        ),
        Variant::Closed => (
            format!(
                "{who} reaches {endpoint}, but whatever listens there closes the connection at once: a proxy or pooler \
                 without a database behind it, or no PostgreSQL."
            ),
            format!(
                "Look at the log of what listens at {endpoint}; correct host and port in {variable} if that is not the \
                 database."
            ),
        ),
        Variant::NotPostgres => not_postgres(failed),
        Variant::Said => said(failed),
    }
}

fn refused(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, attempts, endpoint) = (failed.who, &failed.attempts, failed.endpoint());
    (
        format!(
            "{who} cannot reach the database: nothing accepts connections at {endpoint} (connection \
             refused){attempts}."
        ),
        refused_remedy(failed),
    )
}

fn silent(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, attempts, endpoint) = (failed.who, &failed.attempts, failed.endpoint());
    (
        format!(
            "{who} cannot reach the database: {endpoint} does not answer (timeout){attempts}. A firewall, security \
             group or NetworkPolicy drops the packets, or the host is off."
        ),
        format!(
            "Allow TCP from the pods to {endpoint} (security group, firewall, NetworkPolicy). {}",
            failed.connect_test()
        ),
    )
}

fn said(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, variable, endpoint) = (failed.who, failed.variable, failed.endpoint());
    let message = format!(
        "{who} cannot connect to the database{}: {}.",
        failed.at(),
        failed.said("no reason is given")
    );
    if failed.stage == Stage::Pooler {
        let remedy = format!(
            "Start PostgreSQL there, or correct host and port in the pooler's settings (PgBouncer: [databases]), then \
             reload the pooler. {}",
            failed.connect_test()
        );
        return (message, remedy);
    }
    (
        message,
        format!(
            "Those are the words of the server, of a pooler before it, or of the library that connects. Try from \
             the pod, with the same {variable}: flagsmith waitfordb; and look at the log of what listens at \
             {endpoint}."
        ),
    )
}

fn not_postgres(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, variable, endpoint) = (failed.who, failed.variable, failed.endpoint());
    (
        format!("{who} reaches {endpoint}, but what listens there does not answer as PostgreSQL does."),
        format!("Correct host and port in {variable}; PostgreSQL's own port is 5432."),
    )
}

fn refused_remedy(failed: &ConnectionFailure<'_, Variant>) -> String {
    let (endpoint, variable) = (failed.endpoint(), failed.variable);
    if is_local(endpoint) {
        return format!(
            "In a container {endpoint} is the container itself: give the database's own host in {variable}. If a proxy \
             runs beside it (Cloud SQL Auth Proxy, PgBouncer), start that before it: containers start after every init \
             container, so for a migration in one of those the proxy has to be an init container itself, with \
             restartPolicy: Always."
        );
    }
    format!(
        "Start PostgreSQL there, or correct host and port in {variable} (or DJANGO_DB_HOST, DJANGO_DB_PORT). {}",
        failed.connect_test()
    )
}

fn is_local(endpoint: &Endpoint) -> bool {
    matches!(endpoint.host.as_deref(), Some("127.0.0.1" | "::1" | "localhost" | "0.0.0.0"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::database::shared::testing::{
        HOSTILE, OPERATIONAL, host_of, observed, only, read, remedy,
    };
    use crate::causes::log::testing::code;

    #[rstest]
    #[case(
        "connection to server at \"10.0.0.5\", port 5432 failed: Connection refused\nIs the server running on that host and accepting TCP/IP connections?",
        Variant::Refused
    )]
    #[case(
        "connection to server at \"2001:db8::5\", port 5432 failed: Network is unreachable",
        Variant::NoRoute
    )]
    #[case("connection to server at \"db\" (10.0.0.5), port 5432 failed: timeout expired", Variant::Silent)]
    #[case(
        "connection to server at \"db\" (10.0.0.5), port 5432 failed: Connection timed out",
        Variant::Silent
    )]
    #[case(
        "connection to server on socket \"/var/run/postgresql/.s.PGSQL.5432\" failed: No such file or directory\nIs the server running locally and accepting connections on that socket?",
        Variant::Socket
    )]
    #[case(
        "could not connect to server: No such file or directory\nIs the server running locally and accepting\nconnections on Unix domain socket \"/tmp/.s.PGSQL.5432\"?",
        Variant::Socket
    )]
    #[case(
        "connection to server at \"lb\", port 5432 failed: server closed the connection unexpectedly",
        Variant::Closed
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  server login has been failing, try again later (server_login_retry)",
        Variant::Pooler
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: ERROR:  pgbouncer cannot connect to server",
        Variant::Pooler
    )]
    #[case("server closed the connection unexpectedly", Variant::Mute)]
    #[case("something new", Variant::Said)]
    fn recognises(#[case] message: &str, #[case] expected: Variant) {
        assert_eq!(
            read(&LOG, Stage::Wait, OPERATIONAL, message),
            Some((Code::DatabaseUnreachable, expected))
        );
    }

    #[rstest]
    #[case("CommandError")]
    #[case("django.core.management.base.CommandError")]
    #[case("")]
    fn giving_up_is_vague(#[case] class: &str) {
        let message = "Failed to connect to DB within 5 seconds.";
        assert_eq!(
            read(&LOG, Stage::Boot, class, message),
            Some((Code::DatabaseUnreachable, Variant::GaveUp))
        );
    }

    #[rstest]
    #[case::webhook(
        "requests.exceptions.ConnectionError",
        "HTTPConnectionPool(host='hooks', port=80): Failed to establish a new connection: [Errno 111] Connection refused"
    )]
    #[case::redis(
        "redis.exceptions.ConnectionError",
        "Error 111 connecting to redis:6379. Connection refused."
    )]
    #[case::mail("socket.gaierror", "[Errno -2] Name or service not known")]
    #[case::http(
        "urllib3.exceptions.NewConnectionError",
        "Failed to resolve 'hooks' ([Errno -2] Name or service not known)"
    )]
    fn other_servers_are_not_the_database(#[case] class: &str, #[case] message: &str) {
        assert_eq!(code(Stage::Serve, class, message), None);
    }

    /// The log and the operator's connection are explained by the same words.
    #[test]
    fn a_log_and_the_operator_say_the_same() {
        let seen = only(&observed(ProbeFailureKind::Refused, "Connection refused (os error 111)"));
        assert_eq!(
            seen.message,
            "The operator cannot reach the database: nothing accepts connections at db.prod:5432 (connection refused)."
        );
        assert!(
            seen.remedy.starts_with(
                "Start PostgreSQL there, or correct host and port in the key DATABASE_URL of Secret db"
            ) && seen.remedy.ends_with("pg_isready -h db.prod -p 5432"),
            "{seen:#?}"
        );
        let foreign = only(&observed(ProbeFailureKind::NotPostgres, "not PostgreSQL"));
        assert_eq!(
            foreign.message,
            "The operator reaches db.prod:5432, but what listens there does not answer as PostgreSQL does."
        );
        let other = only(&observed(ProbeFailureKind::Other, "expected SSLRequest"));
        assert_eq!(
            other.message,
            "The operator cannot connect to the database at db.prod:5432: expected SSLRequest."
        );
    }

    #[test]
    fn a_hostile_host_is_not_repeated_in_a_command() {
        for name in HOSTILE {
            let message = format!("connection to server at \"{name}\", port 5432 failed: Connection refused");
            let remedy = remedy(OPERATIONAL, &message);
            // A name over two lines ends the message, which then says too little for a command with a host.
            let quoted = format!("create_connection(('{}', ", host_of(name));
            let no_host = name.contains('\n') && !remedy.contains("create_connection");
            assert!(remedy.contains(&quoted) || no_host, "{remedy}");
            assert!(!remedy.contains(name), "{remedy}");
        }
    }
}
