use rstest::rstest;

use crate::causes::diagnose_log;
use crate::model::{Code, Component};

const AT: &str = "2026-11-29 23:17:42.614 UTC [26228] ";
const CLIENT: &str = "C-0x55f241da6640: flagsmith/flagsmith@127.0.0.1:60042 ";
const STRANGER: &str = "C-0x55f241da6640: (nodb)/(nouser)@10.42.0.1:60042 ";
const SERVER: &str = "S-0x55f241dadd20: flagsmith/flagsmith@10.43.9.9:5432 ";

fn codes(log: &str) -> Vec<(Code, String)> {
    let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
    found.into_iter().map(|(_, it)| (it.code, it.message.to_string())).collect()
}

/// Written by PgBouncer 1.18, and by the format strings of 1.25.
#[rstest]
#[case::no_user(format!("LOG {STRANGER}no such user: nobody"), Code::DatabaseAuthenticationFailed, "nobody")]
#[case::password(
    "WARNING C-0x1: (nodb)/nobody@127.0.0.1:1 pooler error: SASL authentication failed".to_owned(),
    Code::DatabaseAuthenticationFailed,
    "nobody"
)]
#[case::login(
    "WARNING server login failed: FATAL password authentication failed for user \"app\"".to_owned(),
    Code::DatabaseAuthenticationFailed,
    "pooler cannot log in to the database behind it"
)]
#[case::auth_query(
    format!("LOG {SERVER}closing because: error response from auth_query (age=0s)"),
    Code::DatabaseAuthenticationFailed,
    "auth_query"
)]
#[case::no_database(
    format!("WARNING {STRANGER}pooler error: no such database: gone"),
    Code::DatabaseNotFound,
    "\"gone\""
)]
#[case::no_database_behind(
    "WARNING server login failed: FATAL database \"gone\" does not exist".to_owned(),
    Code::DatabaseNotFound,
    "\"gone\""
)]
#[case::refused(
    format!("LOG {SERVER}closing because: connect failed (age=0s)"),
    Code::DatabaseUnreachable,
    "10.43.9.9:5432"
)]
#[case::silent(
    format!("LOG {SERVER}closing because: connect timeout (age=15s)"),
    Code::DatabaseUnreachable,
    "does not answer"
)]
#[case::name(
    "WARNING DNS lookup failed: nosuch.invalid: result=0".to_owned(),
    Code::DatabaseHostNotFound,
    "nosuch.invalid"
)]
#[case::name_only_there(
    "LOG S-0x1: flagsmith/flagsmith@(bad-af):0 closing because: server DNS lookup failed (age=0s)".to_owned(),
    Code::DatabaseHostNotFound,
    "pooler cannot resolve"
)]
#[case::no_tls(
    format!("LOG {SERVER}closing because: server refused SSL (age=0s)"),
    Code::DatabaseTlsMismatch,
    "10.43.9.9:5432 does not offer it"
)]
#[case::clients(
    format!("WARNING {STRANGER}pooler error: no more connections allowed (max_client_conn)"),
    Code::DatabaseConnectionsExhausted,
    "from the connection pooler: all of its connections"
)]
#[case::waited(
    format!("WARNING {CLIENT}pooler error: query_wait_timeout"),
    Code::DatabaseConnectionsExhausted,
    "from the connection pooler: either"
)]
#[case::server_down(
    format!("WARNING {CLIENT}pooler error: client_login_timeout (server down)"),
    Code::DatabaseUnreachable,
    "no connection to the database"
)]
#[case::retry(
    format!("WARNING {CLIENT}pooler error: server login has been failing, cached error: connect failed (server_login_retry)"),
    Code::DatabaseUnreachable,
    "no connection to the database"
)]
#[case::retry_of_a_login(
    format!("WARNING {CLIENT}pooler error: server login has been failing, cached error: password authentication failed for user \"app\" (server_login_retry)"),
    Code::DatabaseAuthenticationFailed,
    "pooler cannot log in to the database behind it"
)]
#[case::options(
    format!("WARNING {STRANGER}pooler error: unsupported startup parameter: options"),
    Code::DatabasePoolerRejectsOptions,
    "options"
)]
#[case::tls_required(
    format!("WARNING {STRANGER}pooler error: SSL required"),
    Code::DatabaseTlsMismatch,
    "TLS"
)]
#[case::full_behind(
    "WARNING server login failed: FATAL sorry, too many clients already".to_owned(),
    Code::DatabaseConnectionsExhausted,
    "The connection pooler gets no database connection"
)]
fn a_trouble_is_told(#[case] line: String, #[case] code: Code, #[case] words: &str) {
    for line in [format!("{AT}{line}\n"), format!("pgbouncer-1  | {AT}{line}\n")] {
        let found = codes(&line.repeat(3));
        let [(found, message)] = found.as_slice() else { panic!("{line}: {found:#?}") };
        assert_eq!(*found, code, "{message}");
        assert!(message.contains(words) && !message.contains("  "), "{message}");
    }
}

#[rstest]
#[case(format!("LOG {STRANGER}closing because: client unexpected eof (age=0s)"))]
#[case(format!("WARNING {STRANGER}pooler error: client_login_timeout"))]
#[case(format!("WARNING {STRANGER}pooler error: client sent partial pkt in startup phase"))]
#[case(format!("WARNING {STRANGER}pooler error: bad packet header: '160301'"))]
#[case(format!("LOG {CLIENT}closing because: client close request (age=60s)"))]
#[case(format!("LOG {SERVER}closing because: server lifetime over (age=3600s)"))]
#[case(format!("LOG {SERVER}closing because: server idle timeout (age=600s)"))]
#[case(format!("LOG {SERVER}new connection to server (from 10.42.0.9:41022)"))]
#[case("LOG stats: 12 xacts/s, 40 queries/s, in 4312 B/s, out 9011 B/s, xact 812 us, query 402 us, wait 31 us".to_owned())]
#[case("LOG got SIGTERM, fast exit".to_owned())]
#[case("WARNING TLS handshake error: handshake failed: error:0A00009C:SSL routines::http request".to_owned())]
fn what_is_no_trouble_gives_nothing(#[case] line: String) {
    let line = format!("{AT}{line}\n");
    assert_eq!(codes(&line.repeat(5)), []);
}

/// Beside Flagsmith's own lines.
#[rstest]
#[case::its_reason_comes_before_what_clients_see(
    "connect failed",
    "FATAL:  query_wait_timeout",
    Some(Code::DatabaseUnreachable)
)]
#[case::the_same_in_other_words(
    "server DNS lookup failed",
    "FATAL:  server DNS lookup failed",
    Some(Code::DatabaseHostNotFound)
)]
fn both_are_one_trouble(#[case] pooler: &str, #[case] client: &str, #[case] code: Option<Code>) {
    let log = format!(
        "pgbouncer-1 | {AT}LOG {SERVER}closing because: {pooler} (age=0s)\n\
         api-1 | django.db.utils.OperationalError: connection to server at \"pgbouncer\" (10.0.0.2), port 6432 failed: {client}\n"
    );
    let found: Vec<Code> = codes(&log.repeat(2)).into_iter().map(|(code, _)| code).collect();
    assert_eq!(found, code.into_iter().collect::<Vec<_>>());
}

const UP: &str = "api-1 | 2026-11-29T23:17:42Z [info     ] Listening at: http://0.0.0.0:8000 (1) [gunicorn.error] positional_args=()\n";

#[test]
fn what_it_says_before_flagsmith_comes_up_is_over() {
    let before = format!("pgbouncer-1 | {AT}LOG {SERVER}closing because: connect failed (age=0s)\n{UP}");
    assert_eq!(codes(&before), []);
}

#[test]
fn a_client_that_is_served_shows_that_it_is_over() {
    let log = format!(
        "{AT}WARNING {CLIENT}pooler error: client_login_timeout (server down)\n{AT}LOG {CLIENT}closing because: client close request (age=9s)\n"
    );
    assert_eq!(codes(&log), []);
}

#[test]
fn clients_that_have_a_connection_do_not_show_that_there_are_enough() {
    let log = format!(
        "{AT}WARNING {STRANGER}pooler error: no more connections allowed (max_client_conn)\n{AT}LOG {CLIENT}closing because: client close request (age=9s)\n"
    );
    assert_eq!(codes(&log)[0].0, Code::DatabaseConnectionsExhausted);
}

/// The pooler has other clients: while Flagsmith is well, these are refused.
#[rstest]
#[case(format!("WARNING {STRANGER}pooler error: no such database: billing"))]
#[case("WARNING server login failed: FATAL password authentication failed for user \"billing\"".to_owned())]
fn other_clients_troubles_are_not_flagsmiths(#[case] line: String) {
    let line = format!("pgbouncer-1 | {AT}{line}\n");
    assert_eq!(codes(&format!("{UP}{}", line.repeat(9))), []);
}

#[test]
fn a_wrong_setting_ends_it() {
    let log = format!(
        "pgbouncer-1 | {AT}ERROR unknown parameter: pgbouncer/no_such_setting\n\
         pgbouncer-1 | {AT}ERROR invalid value \"1\" for parameter no_such_setting in configuration (/etc/pgbouncer/pgbouncer.ini:13)\n\
         pgbouncer-1 | {AT}FATAL cannot load config file\n\
         api-1 | django.db.utils.OperationalError: connection to server at \"pgbouncer\" (10.0.0.2), port 6432 failed: Connection refused\n"
    );
    let found = codes(&log);
    let [(code, message)] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(*code, Code::DatabaseNotStarting);
    assert!(message.contains("PgBouncer") && message.contains("no_such_setting"), "{message}");
}
