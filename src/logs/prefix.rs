//! What log collectors put in front of a line: kubectl, container runtimes, Docker Compose.

use super::time::Moment;

/// A line without the prefixes of collectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stripped<'a> {
    /// The pod or Compose service; empty when the line names none.
    pub source: &'a str,
    /// When the collector received the line.
    pub time: Option<Moment>,
    /// The line as the process wrote it.
    pub text: &'a str,
    /// The runtime has cut the line here; it goes on in the next one of the same stream.
    pub partial: bool,
}

/// Removes `[pod/NAME/CONTAINER] ` (`kubectl logs --prefix`), `NAME-1  | ` (Docker Compose), `POD CONTAINER ` (stern),
/// what syslog and journald write before a line, and the stamps of `kubectl logs --timestamps` and of container
/// runtimes (`STAMP stderr F `).
pub(crate) fn strip(line: &str) -> Stripped<'_> {
    let (source, text) = kubectl(line)
        .or_else(|| compose(line))
        .or_else(|| stern(line))
        .or_else(|| syslog(line))
        .unwrap_or(("", line));
    let Some((time, rest)) = stamp(text) else {
        return Stripped { source, time: None, text, partial: false };
    };
    let (rest, partial) = runtime(rest);
    let (tag, text) = shipper(rest).unwrap_or(("", rest));
    Stripped { source: if source.is_empty() { tag } else { source }, time: Some(time), text, partial }
}

/// `stderr F `, or `stdout P ` where the line goes on.
fn runtime(text: &str) -> (&str, bool) {
    let tagged = text.strip_prefix("stdout ").or_else(|| text.strip_prefix("stderr "));
    let Some(tagged) = tagged else {
        return (text, false);
    };
    match (tagged.strip_prefix("F "), tagged.strip_prefix("P ")) {
        (Some(text), _) => (text, false),
        (_, Some(text)) => (text, true),
        _ => (tagged, false),
    }
}

/// `flagsmith-api-5d8f6-x2x9z flagsmith-api `, also with `› ` between: stern.
fn stern(line: &str) -> Option<(&str, &str)> {
    let label = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let (pod, rest) = line.split_once(' ').filter(|(pod, _)| is_pod(pod))?;
    let (container, text) = rest.trim_start_matches("› ").split_once(' ')?;
    (!container.is_empty() && label(container)).then_some((pod, text))
}

/// Whether a word is the name of a pod: it has a hash in it, which prose has not.
pub(crate) fn is_pod(word: &str) -> bool {
    let label = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    label
        && word.len() >= 10
        && word.bytes().filter(|byte| *byte == b'-').count() >= 2
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.starts_with(|first: char| first.is_ascii_lowercase())
}

/// `Nov 22 16:02:25 host name[pid]: ` (syslog, journald) and `<11>1 STAMP host name pid id - ` (RFC 5424).
fn syslog(line: &str) -> Option<(&str, &str)> {
    if let Some(rest) = line.strip_prefix('<') {
        let (priority, rest) = rest.split_once(">1 ")?;
        let mut parts = rest.splitn(7, ' ');
        let (_, _, name) = (parts.next()?, parts.next()?, parts.next()?);
        let (_, _, data) = (parts.next()?, parts.next()?, parts.next()?);
        let text = parts.next()?;
        return (priority.bytes().all(|byte| byte.is_ascii_digit()) && data == "-").then_some((name, text));
    }
    let bytes = line.as_bytes();
    let is = |at: usize, sign: u8| bytes.get(at) == Some(&sign);
    if !(is(3, b' ') && is(6, b' ') && is(9, b':') && is(12, b':') && is(15, b' ')) {
        return None;
    }
    let (_, rest) = line.get(16..)?.split_once(' ')?;
    let (tag, text) = rest.split_once(": ").or_else(|| rest.strip_suffix(':').map(|tag| (tag, "")))?;
    (!tag.contains(' ')).then_some((tag, text))
}

/// What a shipper of logs writes between its stamp and the line: `host name[pid]: ` (journald), `app[web.1]: `
/// (Heroku), `group/stream ` (AWS), `{label="value"} ` (Loki).
fn shipper(text: &str) -> Option<(&str, &str)> {
    if let Some(labels) = text.strip_prefix('{') {
        let (labels, text) = labels.split_once("} ")?;
        return labels.contains("=\"").then_some((labels, text));
    }
    let (first, rest) = text.split_once(' ')?;
    // A stream ends with an identifier; PostgreSQL's languages are written `PL/pgSQL`.
    let path = first.contains('/')
        && first.bytes().any(|byte| byte.is_ascii_digit())
        && first.starts_with(|start: char| start.is_ascii_alphanumeric())
        && first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte));
    if path {
        return Some((first, rest));
    }
    let tagged = |word: &str| {
        let (name, number) = word.strip_suffix("]:").and_then(|word| word.split_once('['))?;
        (!name.is_empty() && number.bytes().any(|byte| byte.is_ascii_digit())).then_some(())
    };
    if tagged(first).is_some() {
        return Some((first, rest));
    }
    let (second, text) = rest.split_once(' ').unwrap_or((rest, ""));
    tagged(second).map(|()| (second, text))
}

fn kubectl(line: &str) -> Option<(&str, &str)> {
    let inner = line.strip_prefix("[pod/")?;
    let (name, text) = inner.split_once(']')?;
    Some((name, text.strip_prefix(' ').unwrap_or(text)))
}

fn compose(line: &str) -> Option<(&str, &str)> {
    // What Compose itself says of a service's container has no bar.
    let (name, text) = line
        .split_once('|')
        .or_else(|| line.split_once(' ').filter(|(_, text)| text.starts_with("exited with code ")))?;
    let name = name.trim_end_matches(' ');
    let is_name = name.len() <= 80
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_name.then(|| (name, text.strip_prefix(' ').unwrap_or(text)))
}

/// A collector's stamp: not structlog's own, which has `[level` behind it.
fn stamp(text: &str) -> Option<(Moment, &str)> {
    if !text.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    // structlog's own stamp has `[level` behind it; that is seen faster than a stamp is read.
    let behind = text.split_once(' ').map_or("", |(_, behind)| behind);
    if behind.starts_with('[') && is_structlog_level(behind) {
        return None;
    }
    let (time, rest) = Moment::read(text)?;
    // Only the ISO form with `T` is a collector's; a space is in Python's and PostgreSQL's own stamps.
    if text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let Some(rest) = rest.strip_prefix([' ', '\t']) else {
        return rest.is_empty().then_some((time, rest));
    };
    Some((time, rest))
}

/// `[warning  ] `: structlog pads the level in lower case.
fn is_structlog_level(text: &str) -> bool {
    text.strip_prefix('[').and_then(|inner| inner.split_once(']')).is_some_and(|(level, _)| {
        level.bytes().all(|byte| byte == b' ' || byte.is_ascii_lowercase())
            && super::event::Level::read(level).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::strip;
    use rstest::rstest;

    #[rstest]
    #[case::bare("  Applying a.0001_x... OK", "", false, "  Applying a.0001_x... OK")]
    #[case::structlog(
        "2026-11-22T15:40:56.9Z [info     ] x",
        "",
        false,
        "2026-11-22T15:40:56.9Z [info     ] x"
    )]
    #[case::kubectl_stamp("2026-11-22T15:40:56.927275123Z   File \"x\"", "", true, "  File \"x\"")]
    #[case::stamped_structlog(
        "2026-11-22T15:40:56Z 2026-11-22T15:40:56.9Z [info] x",
        "",
        true,
        "2026-11-22T15:40:56.9Z [info] x"
    )]
    #[case::stamped_gunicorn(
        "2026-11-22T15:40:56Z [2023-11-28 06:07:21 +0000] [1] [INFO] x",
        "",
        true,
        "[2023-11-28 06:07:21 +0000] [1] [INFO] x"
    )]
    #[case::stamped_empty("2026-11-22T15:40:56Z ", "", true, "")]
    #[case::pod("[pod/api-5d/flagsmith-api] 2026-11-22T15:40:56Z x", "api-5d/flagsmith-api", true, "x")]
    #[case::compose("task-processor-1  |   File \"x\"", "task-processor-1", false, "  File \"x\"")]
    #[case::compose_old("flagsmith_api_1 | x", "flagsmith_api_1", false, "x")]
    #[case::compose_end("migrate-1 exited with code 137", "migrate-1", false, "exited with code 137")]
    #[case::runtime("2026-11-22T15:40:56.1Z stderr F Traceback", "", true, "Traceback")]
    #[case::code_with_bar("    value = a | b", "", false, "    value = a | b")]
    #[case::postgres_stamp(
        "2026-11-22 15:40:56.1 UTC [1] FATAL:  x",
        "",
        false,
        "2026-11-22 15:40:56.1 UTC [1] FATAL:  x"
    )]
    #[case::journald(
        "Nov 22 16:02:25 node flagsmith[4711]:   File \"x\"",
        "flagsmith[4711]",
        false,
        "  File \"x\""
    )]
    #[case::journald_iso(
        "2026-11-22T16:02:25+0000 node docker/api[4711]: x y",
        "docker/api[4711]:",
        true,
        "x y"
    )]
    #[case::rfc5424("<11>1 2026-11-22T16:02:25Z node api 4711 - - x y", "api", false, "x y")]
    #[case::heroku("2026-11-22T16:02:25+00:00 app[web.1]: x y", "app[web.1]:", true, "x y")]
    #[case::cloudwatch("2026-11-22T16:02:25+00:00 ecs/api/0123 x y", "ecs/api/0123", true, "x y")]
    #[case::logcli("2026-11-22T16:02:25Z {app=\"f\", pod=\"p\"} x y", "app=\"f\", pod=\"p\"", true, "x y")]
    #[case::stamped_json("2026-11-22T16:02:25Z {\"message\": \"x\"} ", "", true, "{\"message\": \"x\"} ")]
    #[case::stern(
        "flagsmith-api-5d8f6-x2x9z flagsmith-api   File",
        "flagsmith-api-5d8f6-x2x9z",
        false,
        "  File"
    )]
    #[case::prose("well-known-thing is no pod", "", false, "well-known-thing is no pod")]
    fn strips(#[case] line: &str, #[case] source: &str, #[case] stamped: bool, #[case] text: &str) {
        let stripped = strip(line);
        assert_eq!((stripped.source, stripped.time.is_some(), stripped.text), (source, stamped, text));
    }

    #[test]
    fn a_cut_line_is_marked() {
        assert!(strip("2026-11-22T15:40:56.1Z stderr P half").partial);
        assert!(!strip("2026-11-22T15:40:56.1Z stderr F rest").partial);
    }
}
