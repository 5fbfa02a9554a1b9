//! No connection comes about: name, network, TLS.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Endpoint, Failure, FailureDetails, Stage};
use crate::causes::log::{finding::Explanation, phrasing, rule::Plain};
use crate::model::Code;
use crate::model::redact::redact;

pub const DATABASE_HOST_NOT_FOUND: (Code, Plain) = (
    Code::DatabaseHostNotFound,
    Plain {
        precedence: 345,
        last_resort: false,
        recognise: host_not_found,
        explain: explain_host,
        is_over: None,
    },
);
pub const DATABASE_UNREACHABLE: (Code, Plain) = (
    Code::DatabaseUnreachable,
    Plain {
        precedence: 370,
        last_resort: false,
        recognise: unreachable,
        explain: explain_unreachable,
        is_over: None,
    },
);
pub const DATABASE_TLS_MISMATCH: (Code, Plain) = (
    Code::DatabaseTlsMismatch,
    Plain {
        precedence: 355,
        last_resort: false,
        recognise: tls_mismatch,
        explain: explain_tls,
        is_over: None,
    },
);

fn host_not_found(failure: &Failure<'_>) -> Option<FailureDetails> {
    let resolver = [
        "could not translate host name",
        "Name or service not known",
        "Name does not resolve",
        "No address associated with hostname",
        "nodename nor servname",
        "name resolution",
        "Non-recoverable failure in name",
        "DNS lookup failed",
    ];
    if !failure.is_database() || !failure.says_any(&resolver) {
        return None;
    }
    let form = if failure.says("DNS lookup failed") {
        "pooler"
    } else if failure.says("Temporary failure") || failure.says("Try again") {
        "temporary"
    } else {
        "unknown"
    };
    Some(FailureDetails {
        endpoint: failure.endpoint(),
        form,
        ..FailureDetails::default()
    })
}

fn explain_host(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = phrasing::who(case, occurrence);
    let host = occurrence
        .details
        .endpoint
        .host
        .as_deref()
        .unwrap_or("of the database");
    let (message, remedy) = match occurrence.details.form {
        "pooler" => (
            format!("{who} reaches the connection pooler, but the pooler cannot resolve the database's host name."),
            "Correct the host in the pooler's own database settings (PgBouncer: [databases] host=…), then restart the pooler.".to_owned(),
        ),
        "temporary" => (
            format!("{who} cannot resolve the database's host name {host}: no DNS server answered."),
            format!("See whether DNS works in the pod: kubectl exec POD -- getent hosts {host}; a NetworkPolicy has to allow UDP and TCP port 53 to the cluster's DNS."),
        ),
        _ => (
            format!("{who} cannot find the database: no DNS name {host} exists as seen from its pod."),
            format!("Correct the host in DATABASE_URL (or DJANGO_DB_HOST). A Service of another namespace needs its long name, SERVICE.NAMESPACE.svc.cluster.local. Test: kubectl exec POD -- getent hosts {host}"),
        ),
    };
    Explanation::new(Code::DatabaseHostNotFound, message, remedy)
}

fn unreachable(failure: &Failure<'_>) -> Option<FailureDetails> {
    if failure.class == "CommandError" || failure.class.ends_with(".CommandError") || failure.class.is_empty()
    {
        let seconds = failure
            .message
            .split_once("Failed to connect to DB within ")?
            .1
            .split(' ')
            .next()?;
        return Some(FailureDetails::form("gave-up").object(seconds));
    }
    if !failure.is_database() {
        return None;
    }
    // It was accepted, and closed before it had answered once: `waitfordb` asks nothing but SELECT 1.
    if failure.stage == Stage::Wait
        && failure.says_any(&["server closed the connection", "connection has been closed"])
        && !failure.says("connection to server ")
    {
        return Some(FailureDetails::form("mute"));
    }
    let connecting = failure.says_any(&[
        "connection to server ",
        "could not connect to server",
        "Is the server running",
    ]);
    let form = if failure.says_any(&[
        "server login has been failing",
        "cannot connect to server",
        "server_login_retry",
        "pooler cannot",
        "backend nodes are down",
    ]) {
        "pooler"
    } else if failure.says_any(&["Connection refused", "0x0000274D"]) {
        "refused"
    } else if failure.says_any(&["timed out", "timeout expired"]) {
        "silent"
    } else if failure.says_any(&[
        "No route to host",
        "Network is unreachable",
        "Host is unreachable",
        "Network unreachable",
    ]) {
        "no-route"
    } else if failure.says("No such file or directory") && failure.says("socket") {
        "socket"
    } else if connecting && failure.says("Permission denied") {
        "socket-denied"
    } else if connecting
        && failure.says_any(&[
            "server closed the connection",
            "Connection reset",
            "EOF detected",
            "received invalid response",
            "expected authentication request",
        ])
    {
        "closed"
    } else if connecting || failure.stage == Stage::Wait && failure.is(&["OperationalError"]) {
        "said"
    } else {
        return None;
    };
    let line = failure.message.lines().next().unwrap_or_default();
    let said = line.split_once(" failed: ").map_or(line, |(_, said)| said);
    Some(FailureDetails {
        endpoint: failure.endpoint(),
        form,
        detail: Some(
            said.trim_start_matches("FATAL:")
                .trim_start_matches("ERROR:")
                .trim()
                .to_owned(),
        ),
        ..FailureDetails::default()
    })
}

fn explain_unreachable(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = phrasing::who(case, occurrence);
    let endpoint = &occurrence.details.endpoint;
    let (message, remedy) = match occurrence.details.form {
        "gave-up" => (
            format!("{who} could not connect to its database within {} s; the log does not say why.", occurrence.details.object.as_deref().unwrap_or("5")),
            "Try from the same pod, with the same DATABASE_URL: flagsmith waitfordb. The reason is in the lines that begin with \"Error was:\".".to_owned(),
        ),
        "pooler" => (
            format!("{who} reaches the connection pooler at {endpoint}, but the pooler has no connection to the database behind it."),
            "Look at the pooler's own log for the reason; correct host, port, user and password of the database in its settings, or start that database. Pgpool-II has to be restarted after all of its nodes were down.".to_owned(),
        ),
        "mute" => (
            format!("{who} connects to its database, but the connection is closed before the first answer{}: a pooler that gets no server connection (all in use, or the server behind it is down), or a server that stops.", attempts(occurrence)),
            "Look at the pooler's own log (PgBouncer: SHOW POOLS; query_wait_timeout), or at PostgreSQL's if there is no pooler.".to_owned(),
        ),
        "refused" => (
            format!("{who} cannot reach its database: nothing accepts connections at {endpoint} (connection refused){}.", attempts(occurrence)),
            refused_remedy(endpoint),
        ),
        "silent" => (
            format!("{who} cannot reach its database: {endpoint} does not answer (timeout){}. A firewall, security group or NetworkPolicy drops the packets, or the host is off.", attempts(occurrence)),
            format!("Allow TCP from the pods to {endpoint} (security group, firewall, NetworkPolicy). Test from the pod: {}", test(endpoint)),
        ),
        "no-route" => (
            format!("{who} cannot reach its database: there is no network route to {endpoint}."),
            format!("Correct the host in DATABASE_URL, or the route from the pods' network to it. Where it resolves to an IPv6 address and the cluster has only IPv4, give the IPv4 address. Test from the pod: {}", test(endpoint)),
        ),
        "socket" => (
            format!("{who} looks for the database at the Unix socket {endpoint}, which does not exist in its container: DATABASE_URL names no host, or the proxy that makes the socket is not running."),
            "Give a host in DATABASE_URL (postgresql://USER:PASSWORD@HOST:5432/NAME), or mount the socket's directory into the container.".to_owned(),
        ),
        "socket-denied" => (
            format!("{who} may not open the connection to {endpoint} (permission denied by the operating system)."),
            "Give the container's user access to the socket's directory, or connect by TCP.".to_owned(),
        ),
        "said" => (
            format!("{who} cannot connect to its database{}: {}.", phrasing::at(endpoint), redact(occurrence.details.detail.as_deref().unwrap_or("no reason is given")).trim_end_matches('.')),
            format!("Those are the words of the server, of a pooler before it, or of libpq. Try from the pod, with the same DATABASE_URL: flagsmith waitfordb; and look at the log of what listens at {endpoint}."),
        ),
        _ => (
            format!("{who} reaches {endpoint}, but whatever listens there closes the connection at once: a proxy or pooler without a database behind it, or no PostgreSQL."),
            format!("Look at the log of what listens at {endpoint}; correct host and port in DATABASE_URL if that is not the database."),
        ),
    };
    Explanation::new(Code::DatabaseUnreachable, message, remedy)
}

fn attempts(occurrence: &Occurrence) -> String {
    let seconds = occurrence
        .last
        .time
        .zip(occurrence.first.time)
        .map_or(0, |(last, first)| last.seconds_since(first));
    match (occurrence.stage, occurrence.count, seconds) {
        (Stage::Wait, count, seconds) if count > 1 && seconds > 0 => {
            format!(", {count} attempts in {seconds} s")
        }
        (_, count, _) if count > 1 => format!(", {count} times in this log"),
        _ => String::new(),
    }
}

fn refused_remedy(endpoint: &Endpoint) -> String {
    let local = matches!(
        endpoint.host.as_deref(),
        Some("127.0.0.1" | "::1" | "localhost" | "0.0.0.0")
    );
    if local {
        return format!(
            "In a container {endpoint} is the container itself: give the database's own host in DATABASE_URL. If a proxy runs beside it (Cloud SQL Auth Proxy, PgBouncer), start that before it."
        );
    }
    format!(
        "Start PostgreSQL there, or correct host and port in DATABASE_URL (or DJANGO_DB_HOST, DJANGO_DB_PORT). Test from the pod: {}",
        test(endpoint)
    )
}

fn test(endpoint: &Endpoint) -> String {
    let host = endpoint.host.as_deref().unwrap_or("HOST");
    let port = endpoint
        .port
        .map_or_else(|| "PORT".to_owned(), |port| port.to_string());
    format!("python -c \"import socket; socket.create_connection(('{host}', {port}), 5)\"")
}

fn tls_mismatch(failure: &Failure<'_>) -> Option<FailureDetails> {
    if !failure.is_database() {
        return None;
    }
    let form = if failure.says_any(&["server does not support SSL", "server does not support GSS"]) {
        "not-offered"
    } else if failure.says_any(&[
        "certificate verify failed",
        "certificate has expired",
        "unknown ca",
        "unable to get local issuer",
    ]) {
        "untrusted"
    } else if failure.says("server certificate for") {
        "name"
    } else if failure.says("root certificate file")
        || failure.says("could not open certificate file")
        || failure.says("could not read root certificate")
    {
        "file"
    } else if failure.says_any(&[
        "SSL required",
        "SSL connection is required",
        "SSL is required",
        "requires SSL",
        "requires TLS",
        "TLS required",
        "connection is insecure",
        "unencrypted connection",
    ]) {
        "required"
    } else if failure.says("private key file") {
        "key"
    } else if failure.says_any(&[
        "requires a valid client certificate",
        "certificate required",
        "certificate authentication failed",
    ]) {
        "client"
    } else if failure.says_any(&["SSL error: ", "sslmode", "tlsv1", "unsupported protocol"]) {
        "other"
    } else {
        return None;
    };
    let detail = failure
        .message
        .lines()
        .next()
        .and_then(|line| line.rsplit("failed: ").next())
        .map(str::to_owned);
    Some(FailureDetails {
        endpoint: failure.endpoint(),
        form,
        detail,
        ..FailureDetails::default()
    })
}

fn explain_tls(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = phrasing::who(case, occurrence);
    let endpoint = &occurrence.details.endpoint;
    let (message, remedy) = match occurrence.details.form {
        "not-offered" => (
            format!("{who} insists on TLS, but the database at {endpoint} does not offer it."),
            "Turn TLS on in PostgreSQL (ssl = on, with a certificate), or, where the network is trusted, set sslmode=prefer or sslmode=disable in DATABASE_URL.",
        ),
        "untrusted" => (
            format!(
                "{who} does not trust the certificate of the database at {endpoint}: {}.",
                occurrence
                    .details
                    .detail
                    .as_deref()
                    .unwrap_or("verification failed")
            ),
            "Mount the authority that signed it and name it in DATABASE_URL: ?sslmode=verify-full&sslrootcert=/path/ca.pem; renew the certificate if it has expired. sslmode=require encrypts without checking.",
        ),
        "name" => (
            format!(
                "{who} refuses the certificate of the database at {endpoint}: it was issued for another host name."
            ),
            "Use in DATABASE_URL the host name that the certificate has, or sslmode=verify-ca, which does not compare names.",
        ),
        "file" => (
            format!(
                "{who} is to check the database's certificate, but the file with the authority does not exist in its container or cannot be read."
            ),
            "Mount that file into the container at the path that sslrootcert in DATABASE_URL names (also into init containers and the migration Job), or set sslmode=require.",
        ),
        "required" => (
            format!(
                "The database at {endpoint} accepts only TLS connections, and {} does not use TLS.",
                phrasing::within(who)
            ),
            "Add ?sslmode=require to DATABASE_URL.",
        ),
        "key" => (
            format!(
                "{who} cannot use its own TLS key, so it does not connect to the database at {endpoint}: {}.",
                occurrence
                    .details
                    .detail
                    .as_deref()
                    .unwrap_or("it cannot be read")
            ),
            "In Kubernetes set defaultMode: 0400 on the Secret's volume. Together with fsGroup the kubelet makes that 0440 and owned by root, which libpq accepts as well.",
        ),
        "client" => (
            format!(
                "The database at {endpoint} asks for a client certificate that {} does not present.",
                phrasing::within(who)
            ),
            "Mount certificate and key and name them in DATABASE_URL: sslcert=… and sslkey=…; the key's mode must be 0600 or stricter.",
        ),
        _ => (
            format!(
                "{who} and the database at {endpoint} do not agree on TLS: {}.",
                occurrence.details.detail.as_deref().unwrap_or("handshake failed")
            ),
            "Compare sslmode in DATABASE_URL with what the server offers; a server below TLS 1.2 needs ssl_min_protocol_version=TLSv1 there.",
        ),
    };
    Explanation::new(Code::DatabaseTlsMismatch, message, remedy)
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::{code, recognise};
    use crate::model::Code::{self, *};
    use rstest::rstest;

    const OPERATIONAL: &str = "psycopg2.OperationalError";

    #[rstest]
    #[case(
        "could not translate host name \"nosuch.invalid\" to address: Name or service not known",
        DatabaseHostNotFound,
        "unknown"
    )]
    #[case(
        "could not translate host name \"db\" to address: Temporary failure in name resolution",
        DatabaseHostNotFound,
        "temporary"
    )]
    #[case(
        "could not translate host name \"db\" to address: Name does not resolve",
        DatabaseHostNotFound,
        "unknown"
    )]
    #[case(
        "could not translate host name \"db\" to address: No address associated with hostname",
        DatabaseHostNotFound,
        "unknown"
    )]
    #[case(
        "connection to server at \"127.0.0.1\", port 6432 failed: FATAL:  server DNS lookup failed",
        DatabaseHostNotFound,
        "pooler"
    )]
    #[case(
        "connection to server at \"10.0.0.5\", port 5432 failed: Connection refused\nIs the server running on that host and accepting TCP/IP connections?",
        DatabaseUnreachable,
        "refused"
    )]
    #[case(
        "connection to server at \"2001:db8::5\", port 5432 failed: Network is unreachable",
        DatabaseUnreachable,
        "no-route"
    )]
    #[case(
        "connection to server at \"db\" (10.0.0.5), port 5432 failed: timeout expired",
        DatabaseUnreachable,
        "silent"
    )]
    #[case(
        "connection to server at \"db\" (10.0.0.5), port 5432 failed: Connection timed out",
        DatabaseUnreachable,
        "silent"
    )]
    #[case(
        "connection to server on socket \"/var/run/postgresql/.s.PGSQL.5432\" failed: No such file or directory\nIs the server running locally and accepting connections on that socket?",
        DatabaseUnreachable,
        "socket"
    )]
    #[case(
        "could not connect to server: No such file or directory\nIs the server running locally and accepting\nconnections on Unix domain socket \"/tmp/.s.PGSQL.5432\"?",
        DatabaseUnreachable,
        "socket"
    )]
    #[case(
        "connection to server at \"lb\", port 5432 failed: server closed the connection unexpectedly",
        DatabaseUnreachable,
        "closed"
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  server login has been failing, try again later (server_login_retry)",
        DatabaseUnreachable,
        "pooler"
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: ERROR:  pgbouncer cannot connect to server",
        DatabaseUnreachable,
        "pooler"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: server does not support SSL, but SSL was required",
        DatabaseTlsMismatch,
        "not-offered"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: SSL error: certificate verify failed",
        DatabaseTlsMismatch,
        "untrusted"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: root certificate file \"/root/.postgresql/root.crt\" does not exist",
        DatabaseTlsMismatch,
        "file"
    )]
    #[case(
        "connection to server at \"db\", port 5432 failed: server certificate for \"a\" does not match host name \"db\"",
        DatabaseTlsMismatch,
        "name"
    )]
    #[case(
        "connection to server at \"pgb\", port 6432 failed: FATAL:  SSL required",
        DatabaseTlsMismatch,
        "required"
    )]
    fn recognises(#[case] message: &str, #[case] expected: Code, #[case] form: &str) {
        let (code, details) = recognise(Stage::Wait, OPERATIONAL, message).unwrap();
        assert_eq!((code, details.form), (expected, form));
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
}
