//! How lines of Flagsmith's processes begin: by that a log is recognised in whatever a product has made of it.

use std::net::IpAddr;

use super::prefix::strip;
use super::record;
use super::time::Moment;

/// Words with which lines begin that nothing else does.
const WORDS: &[&str] = &[
    "Traceback (most recent call last):",
    "  File \"",
    "The above exception was the direct cause of",
    "During handling of the above exception",
    "{\"",
    "  Applying ",
    "Operations to perform:",
    "Running migrations:",
    "psycopg2.",
    "django.db.",
    "django.core.",
    "CommandError: ",
    "System check identified ",
    "[HPM] ",
    "    at ",
];

/// Whether a line of a process begins here, with nothing in front.
pub(crate) fn is_beginning(text: &str) -> bool {
    match text.as_bytes().first() {
        None => false,
        Some(b'0'..=b'9') => is_stamped(text) || is_access(text) || is_of_database(text),
        Some(b'[') if text.starts_with("[2") => {
            text.get(1..).and_then(Moment::read).is_some_and(|(_, rest)| rest.starts_with("] ["))
        }
        Some(_) => WORDS.iter().any(|word| text.starts_with(word)) || is_named(text),
    }
}

/// Whether a line of a process begins here, perhaps behind what collectors write in front of it.
pub(crate) fn begins(text: &str) -> bool {
    is_beginning(text) || {
        let stripped = strip(text);
        stripped.text.len() < text.len() && is_beginning(stripped.text)
    }
}

/// `2026-11-22T15:40:56.927275Z [info     ] `: structlog's, since 2.225.
fn is_stamped(text: &str) -> bool {
    let Some((_, rest)) = Moment::read(text) else {
        return false;
    };
    rest.strip_prefix(" [").is_some_and(|level| level.starts_with(|first: char| first.is_ascii_lowercase()))
        && record::read(text).is_some()
}

/// `2026-11-29 23:18:29.972 UTC [27476] LOG`: PgBouncer's, and PostgreSQL's unless its `log_line_prefix` is another.
fn is_of_database(text: &str) -> bool {
    let Some((_, rest)) = Moment::read(text) else {
        return false;
    };
    let zone = rest.trim_start_matches(|letter: char| letter == ' ' || letter.is_ascii_uppercase());
    let process = zone.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    process.is_some_and(|(process, said)| {
        !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit()) && !said.is_empty()
    })
}

/// `10.0.0.1 - - [22/Nov/2026:15:40:56 +0000] "GET …`.
fn is_access(text: &str) -> bool {
    let (host, rest) = text.split_once(' ').unwrap_or_default();
    rest.starts_with("- ") && rest.contains("] \"") && host.parse::<IpAddr>().is_ok()
}

/// `common.core.management.commands.waitfordb WARNING  …`: before 2.225.
fn is_named(text: &str) -> bool {
    let name = text.split_once(' ').map_or("", |(name, _)| name);
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
    is_name && name.contains('.') && name.len() <= 100 && record::read(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-11-22T15:40:56.927275Z [critical ] WORKER TIMEOUT (pid:1)")]
    #[case("[2023-11-28 06:07:21 +0000] [1] [INFO] Using worker: sync")]
    #[case("10.0.0.1 - - [22/Nov/2026:15:40:56 +0000] \"GET / HTTP/1.1\" 200 5")]
    #[case("common.core.management.commands.waitfordb WARNING  Error was: x")]
    #[case("  File \"/app/x.py\", line 1, in f")]
    #[case("{\"levelname\": \"INFO\"}")]
    #[case("2026-11-29 23:18:29.972 UTC [27476] LOG listening on 127.0.0.1:6544")]
    #[case("2026-11-29 23:18:29.972 CET [7] ПРЕДУПРЕЖДЕНИЕ:  x")]
    #[case("[pod/a/b] 2026-11-22T15:40:56Z Traceback (most recent call last):")]
    fn lines_of_a_process(#[case] text: &str) {
        assert!(begins(text));
    }

    #[rstest]
    #[case("")]
    #[case("    return x")]
    #[case("   File \"/app/x.py\", line 1, in f")]
    #[case("12:Traceback (most recent call last):")]
    #[case("\tIs the server running on that host?")]
    #[case("2026-11-22T15:40:56Z app[148ed193b51938] fra [info] x")]
    #[case("2026-11-22 15:40:56 UTC [main] INFO x")]
    fn other_lines(#[case] text: &str) {
        assert!(!begins(text));
    }
}
