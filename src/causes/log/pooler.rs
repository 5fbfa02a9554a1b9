//! What PgBouncer says of connections, in a log that has its lines as well, or alone.

use std::borrow::Cow;

use super::failure::Stage;

/// What a line of PgBouncer tells of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// It refused a client, or has no connection to the server: at which stage, and in the words that the client or the
    /// pooler gets.
    Failed(Stage, Cow<'a, str>),
    /// A client that was connected has ended its connection.
    Served,
    /// Nothing that is wrong, or nothing that says what.
    Other,
}

/// The levels that it writes behind its process's number.
const LEVELS: &[&str] = &["LOG", "WARNING", "ERROR", "FATAL", "DEBUG", "NOISE"];
/// What it calls a client that has not said yet who it is: a health check, or a scanner.
const UNKNOWN: &str = "(nodb)/(nouser)";
/// Why it closes a connection to a server that it did not get. Behind the others stands `login failed`, of which there
/// is a line of its own, or what is no trouble.
const OF_SERVER: &[&str] = &[
    "connect failed",
    "connect timeout",
    "server DNS lookup failed",
    "server refused SSL",
    "TLS startup failed",
    "auth_query",
];

/// Reads a line; `None` where PgBouncer did not write it.
pub(super) fn read(line: &str) -> Option<Said<'_>> {
    let (_, text) = record(line)?;
    if let Some(said) = text.strip_prefix("server login failed: ") {
        // The severity, in the language of the server.
        let (_, words) = said.split_once(' ')?;
        return Some(Said::Failed(Stage::Pooler, format!("FATAL:  {words}").into()));
    }
    if let Some(name) = text.strip_prefix("DNS lookup failed: ") {
        let name = name.split(": ").next().unwrap_or_default();
        return Some(of_server(Some((name, "")), "DNS lookup failed"));
    }
    let Some((is_client, peer, text)) = connection(text) else {
        return Some(Said::Other);
    };
    let closing = text.strip_prefix("closing because: ").map(|why| why.split(" (age=").next().unwrap_or(why));
    Some(match closing {
        Some("client close request") if is_client && peer.name != UNKNOWN => Said::Served,
        Some(why) if !is_client && OF_SERVER.iter().any(|words| why.contains(words)) => {
            of_server(peer.address, why)
        }
        None if is_client => to_client(peer.name, text),
        _ => Said::Other,
    })
}

fn of_server<'a>(address: Option<(&str, &str)>, why: &str) -> Said<'a> {
    let words = match address {
        Some((host, "")) => format!("connection to server at \"{host}\" failed: {why}"),
        Some((host, port)) => format!("connection to server at \"{host}\", port {port} failed: {why}"),
        None => format!("connection to server failed: {why}"),
    };
    Said::Failed(Stage::Pooler, words.into())
}

fn to_client<'a>(name: &str, text: &'a str) -> Said<'a> {
    let told =
        text.strip_prefix("pooler error: ").filter(|it| *it != "client_login_timeout" || name != UNKNOWN);
    // It does not tell its client that there is no such user.
    let Some(words) = told.or_else(|| text.starts_with("no such user: ").then_some(text)) else {
        return Said::Other;
    };
    let user = name.split_once('/').map_or("", |(_, user)| user);
    let words = if words.ends_with("authentication failed") && user != "(nouser)" {
        format!("FATAL:  {words} for user \"{user}\"").into()
    } else {
        format!("FATAL:  {words}").into()
    };
    Said::Failed(Stage::Pooled, words)
}

/// The level of a line and what stands behind `STAMP [pid] LEVEL `. A line of syslog has the rest elsewhere.
pub(super) fn record(line: &str) -> Option<(&str, &str)> {
    if line.starts_with("C-0x") || line.starts_with("S-0x") {
        return Some(("", line));
    }
    let (stamp, rest) = line.split_once("] ")?;
    let (_, process) = stamp.rsplit_once('[')?;
    let (level, text) = rest.split_once(' ')?;
    (LEVELS.contains(&level) && process.bytes().all(|byte| byte.is_ascii_digit())).then_some((level, text))
}

/// The other end of a connection.
struct Peer<'a> {
    /// `database/user`.
    name: &'a str,
    /// Host and port.
    address: Option<(&'a str, &'a str)>,
}

/// `C-0x55d0c8f4a00: database/user@address:port text`: of a client or of a server, and what is said.
fn connection(text: &str) -> Option<(bool, Peer<'_>, &str)> {
    let is_client = text.starts_with("C-0x");
    let rest = text.strip_prefix("C-0x").or_else(|| text.strip_prefix("S-0x"))?;
    let (_, rest) = rest.split_once(": ")?;
    // A name with a blank in it is read no further: who chooses it would choose the words.
    let (peer, text) = rest.split_once(' ')?;
    let (name, address) = peer.rsplit_once('@')?;
    name.split_once('/')?;
    let address = address.rsplit_once(':').filter(|(host, port)| !host.starts_with('(') && *port != "0");
    let address = address.map(|(host, port)| (host.trim_matches(['[', ']']), port));
    Some((is_client, Peer { name, address }, text))
}

#[cfg(test)]
mod tests;
