//! What log collectors put in front of a line: kubectl, container runtimes, Docker Compose.

use super::time::Moment;

/// A line without the prefixes of collectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripped<'a> {
    /// The pod or Compose service; empty when the line names none.
    pub source: &'a str,
    /// When the collector received the line.
    pub time: Option<Moment>,
    /// The line as the process wrote it.
    pub text: &'a str,
}

/// Removes `[pod/NAME/CONTAINER] ` (`kubectl logs --prefix`), `NAME-1  | ` (Docker Compose), and the stamps of
/// `kubectl logs --timestamps` and of container runtimes (`STAMP stderr F `).
#[must_use]
pub fn strip(line: &str) -> Stripped<'_> {
    let (source, text) = kubectl(line).or_else(|| compose(line)).unwrap_or(("", line));
    let (time, text) = stamp(text).map_or((None, text), |(time, text)| (Some(time), text));
    Stripped { source, time, text }
}

fn kubectl(line: &str) -> Option<(&str, &str)> {
    let inner = line.strip_prefix("[pod/")?;
    let (name, text) = inner.split_once(']')?;
    Some((name, text.strip_prefix(' ').unwrap_or(text)))
}

fn compose(line: &str) -> Option<(&str, &str)> {
    let (name, text) = line.split_once('|')?;
    let name = name.trim_end_matches(' ');
    let is_name = !name.is_empty()
        && name.len() <= 80
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
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
    for stream in ["stdout ", "stderr "] {
        if let Some(tagged) = rest.strip_prefix(stream) {
            let text = tagged
                .strip_prefix("F ")
                .or_else(|| tagged.strip_prefix("P "))
                .unwrap_or(tagged);
            return Some((time, text));
        }
    }
    Some((time, rest))
}

/// `[warning  ] `: structlog pads the level in lower case.
fn is_structlog_level(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
        .is_some_and(|(level, _)| {
            level
                .bytes()
                .all(|byte| byte == b' ' || byte.is_ascii_lowercase())
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
    #[case::pod(
        "[pod/api-5d/flagsmith-api] 2026-11-22T15:40:56Z x",
        "api-5d/flagsmith-api",
        true,
        "x"
    )]
    #[case::compose("task-processor-1  |   File \"x\"", "task-processor-1", false, "  File \"x\"")]
    #[case::compose_old("flagsmith_api_1 | x", "flagsmith_api_1", false, "x")]
    #[case::runtime("2026-11-22T15:40:56.1Z stderr F Traceback", "", true, "Traceback")]
    #[case::code_with_bar("    value = a | b", "", false, "    value = a | b")]
    #[case::postgres_stamp(
        "2026-11-22 15:40:56.1 UTC [1] FATAL:  x",
        "",
        false,
        "2026-11-22 15:40:56.1 UTC [1] FATAL:  x"
    )]
    fn strips(#[case] line: &str, #[case] source: &str, #[case] stamped: bool, #[case] text: &str) {
        let stripped = strip(line);
        assert_eq!(
            (stripped.source, stripped.time.is_some(), stripped.text),
            (source, stamped, text)
        );
    }
}
