//! The beginning of a log record in text: structlog, Gunicorn's own format, and Python's `logging`.

use super::event::Level;
use super::time::Moment;

/// A log record's first line, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// When it was written.
    pub time: Option<Moment>,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// Its level.
    pub level: Level,
    /// Its logger; `None` where it comes at the end of a later line, or is not written.
    pub logger: Option<&'a str>,
    /// The first line of the message.
    pub message: &'a str,
}

/// Reads a record's first line, in whatever format; `None` for a line that begins no record.
pub(super) fn read(text: &str) -> Option<Record<'_>> {
    structlog(text).or_else(|| gunicorn(text)).or_else(|| named(text)).or_else(|| basic(text))
}

/// `2026-11-22T15:40:56.927275Z [critical ] WORKER TIMEOUT (pid:1)   [gunicorn.error] positional_args=(1,)`:
/// Flagsmith since 2.225.
fn structlog(text: &str) -> Option<Record<'_>> {
    let (time, rest) = match Moment::read(text) {
        Some((time, rest)) => (Some(time), rest.strip_prefix(' ')?),
        None => (None, text),
    };
    let (level, rest) = rest.strip_prefix('[')?.split_once(']')?;
    if !level.bytes().all(|byte| byte == b' ' || byte.is_ascii_lowercase()) {
        return None;
    }
    let level = Level::read(level)?;
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let (message, logger) =
        split_logger(rest).map_or((rest, None), |(message, logger)| (message, Some(logger)));
    Some(Record { time, pid: None, level, logger, message: message.trim_end() })
}

/// Splits `message   [logger.name] key=value` at the logger, which structlog writes behind the message.
pub(super) fn split_logger(text: &str) -> Option<(&str, &str)> {
    // Nothing is looked at beyond the first byte that a name cannot have, so that the time is in proportion to the length.
    let text = text.trim_end();
    text.match_indices('[').find_map(|(start, _)| {
        let message = text.get(..start)?;
        if !(message.is_empty() || message.ends_with(' ')) {
            return None;
        }
        let (logger, rest) = name(text.get(start + 1..)?)?;
        ends_record(rest.strip_prefix(']')?).then_some((message, logger))
    })
}

/// Nothing, or ` key=…`.
fn ends_record(after: &str) -> bool {
    after.is_empty() || after.strip_prefix(' ').and_then(name).is_some_and(|(_, rest)| rest.starts_with('='))
}

/// The name of a logger or key at the beginning of a text, and what follows.
fn name(text: &str) -> Option<(&str, &str)> {
    let end = text
        .bytes()
        .position(|byte| !(byte.is_ascii_alphanumeric() || b"._-".contains(&byte)))
        .unwrap_or(text.len());
    text.split_at_checked(end).filter(|(name, _)| !name.is_empty())
}

/// `[2023-11-28 06:07:21 +0000] [1] [INFO] Booting worker with pid: 7`: Gunicorn's own.
fn gunicorn(text: &str) -> Option<Record<'_>> {
    let (time, rest) = Moment::read(text.strip_prefix('[')?)?;
    let (pid, rest) = rest.strip_prefix("] [")?.split_once(']')?;
    let (level, message) = rest.strip_prefix(" [")?.split_once(']')?;
    Some(Record {
        time: Some(time),
        pid: pid.trim().parse().ok(),
        level: Level::read(level)?,
        logger: Some("gunicorn.error"),
        message: message.trim(),
    })
}

/// `common.core.management.commands.waitfordb WARNING  Error was: …`: Flagsmith before 2.225.
fn named(text: &str) -> Option<Record<'_>> {
    let (logger, rest) = text.split_once(' ')?;
    let (level, message) = rest.trim_start().split_once(' ')?;
    let is_name = logger.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_name || logger.is_empty() || !level.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    Some(Record {
        time: None,
        pid: None,
        level: Level::read(level)?,
        logger: Some(logger),
        message: message.trim(),
    })
}

/// `WARNING:root:…`: Python's `logging` without any configuration.
fn basic(text: &str) -> Option<Record<'_>> {
    let (level, rest) = text.split_once(':')?;
    if !level.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let (logger, message) = rest.split_once(':')?;
    // PostgreSQL writes `FATAL:  …` and `ERROR:  …`: no logger has a space.
    if logger.is_empty() || logger.contains(char::is_whitespace) {
        return None;
    }
    Some(Record { time: None, pid: None, level: Level::read(level)?, logger: Some(logger), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::structlog(
        "2026-11-22T15:40:56.927275Z [critical ] WORKER TIMEOUT (pid:24526)     [gunicorn.error] positional_args=(24526,)",
        Level::Critical,
        Some("gunicorn.error"),
        "WORKER TIMEOUT (pid:24526)"
    )]
    #[case::structlog_open(
        "2026-11-22T15:33:21.369576Z [warning  ] Error was: OperationalError: connection refused",
        Level::Warning,
        None,
        "Error was: OperationalError: connection refused"
    )]
    #[case::structlog_brackets(
        "[info     ] took [a] long time [x.y]",
        Level::Info,
        Some("x.y"),
        "took [a] long time"
    )]
    #[case::gunicorn(
        "[2023-11-28 06:07:21 +0000] [1] [INFO] Using worker: sync",
        Level::Info,
        Some("gunicorn.error"),
        "Using worker: sync"
    )]
    #[case::named(
        "common.waitfordb WARNING  Error was: x",
        Level::Warning,
        Some("common.waitfordb"),
        "Error was: x"
    )]
    #[case::basic("ERROR:root:no", Level::Error, Some("root"), "no")]
    fn reads(#[case] text: &str, #[case] level: Level, #[case] logger: Option<&str>, #[case] message: &str) {
        let record = read(text).unwrap();
        assert_eq!((record.level, record.logger, record.message), (level, logger, message));
    }

    #[rstest]
    #[case::traceback("Traceback (most recent call last):")]
    #[case::frame("  File \"/app/manage.py\", line 1, in <module>")]
    #[case::exception("django.db.utils.OperationalError: FATAL:  no")]
    #[case::postgres("FATAL:  the database system is starting up")]
    #[case::progress("  Applying users.0041_add_onboarding_field... OK")]
    #[case::access("10.0.0.1 - - [22/Nov/2026:15:40:56 +0000] \"GET / HTTP/1.1\" 200 5")]
    #[case::tail(" [gunicorn.error] positional_args=()")]
    #[case::empty("")]
    fn is_no_record(#[case] text: &str) {
        assert_eq!(read(text), None);
    }
}
