//! The lines of Python tracebacks, one at a time.

use super::event::Link;

/// What a line is to a traceback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// `Traceback (most recent call last):`
    Start,
    /// A frame, its code, or its marks: anything indented.
    Frame,
    /// "The above exception was the direct cause …" or "During handling of the above exception …".
    Connector(Link),
    /// `dotted.Class: message`, at the end of a traceback or alone.
    Exception {
        /// The dotted class name.
        class: &'a str,
        /// The first line of the message.
        message: &'a str,
    },
    /// Nothing but white space.
    Blank,
    /// Anything else.
    Other,
}

/// Says what a line is. Whether an `Exception` line really is one depends on what came before it; a class that
/// could be any word needs an open traceback, see [`is_well_known`].
pub(super) fn classify(text: &str) -> Line<'_> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Line::Blank;
    }
    if trimmed.ends_with("Traceback (most recent call last):") {
        return Line::Start;
    }
    if text.starts_with([' ', '\t']) {
        return Line::Frame;
    }
    if trimmed.starts_with("The above exception was the direct cause") {
        return Line::Connector(Link::Cause);
    }
    if trimmed.starts_with("During handling of the above exception") {
        return Line::Connector(Link::Context);
    }
    let (class, message) = match trimmed.split_once(':') {
        Some((class, message)) if message.is_empty() || message.starts_with(' ') => {
            (class, message.trim_start())
        }
        Some(_) => return Line::Other,
        None => (trimmed, ""),
    };
    if is_class(class) { Line::Exception { class, message } } else { Line::Other }
}

/// Exceptions of the interpreter's own modules that are not written like a class.
const LOWER_CASE: &[&str] =
    &["socket.gaierror", "socket.herror", "socket.timeout", "struct.error", "zlib.error"];

/// A dotted Python name whose last part is written like a class.
fn is_class(name: &str) -> bool {
    if LOWER_CASE.contains(&name) {
        return true;
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    last.starts_with(|first: char| first.is_ascii_uppercase())
        && last.len() > 1
        && name.split('.').all(|part| {
            part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
}

/// Whether a class can be taken for an exception without a traceback before it.
pub(super) fn is_well_known(class: &str) -> bool {
    class.contains('.') && class.starts_with(|first: char| first.is_ascii_lowercase())
        || ["Error", "Exception", "Exit", "Interrupt"].iter().any(|end| class.ends_with(end))
}

/// Whether a line goes on with the message of a record or an exception: what libpq and PostgreSQL put on lines
/// of their own, in any language.
pub(super) fn continues_message(text: &str) -> bool {
    let trimmed = text.trim_end();
    text.starts_with([' ', '\t'])
        || trimmed == ")"
        // The end of a name that has a line break in it.
        || trimmed.starts_with('"')
        || [
            "connection to server ",
            "could not ",
            "FATAL: ",
            "SSL ",
            "server closed ",
            "invalid ",
            // The context goes on in the function around the statement.
            "PL/pgSQL",
            "SQL ",
            "SQL-",
        ]
        .iter()
        .any(|start| trimmed.starts_with(start))
        || is_field(trimmed)
}

/// `LINE 1: …`, `DETAIL:  …`, `ZEILE 1: …`, `描述:  …`: upper-case letters, or those of a script without case, perhaps a
/// number, a colon.
fn is_field(text: &str) -> bool {
    text.split_once(':').is_some_and(|(name, _)| {
        let name = name.trim_end_matches(|end: char| end.is_ascii_digit() || end == ' ' || end == '\u{a0}');
        let has_no_case = |letter: char| letter.is_alphabetic() && !letter.is_lowercase();
        (3..=24).contains(&name.len()) && name.chars().all(has_no_case)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Traceback (most recent call last):", Line::Start)]
    #[case("  File \"/app/x.py\", line 1, in f", Line::Frame)]
    #[case("    ~~~^^^", Line::Frame)]
    #[case("", Line::Blank)]
    #[case(
        "The above exception was the direct cause of the following exception:",
        Line::Connector(Link::Cause)
    )]
    #[case(
        "During handling of the above exception, another exception occurred:",
        Line::Connector(Link::Context)
    )]
    #[case("psycopg2.errors.LockNotAvailable: canceling", Line::Exception { class: "psycopg2.errors.LockNotAvailable", message: "canceling" })]
    #[case("KeyError: 'DJANGO_DB_USER'", Line::Exception { class: "KeyError", message: "'DJANGO_DB_USER'" })]
    #[case("TimeoutError", Line::Exception { class: "TimeoutError", message: "" })]
    #[case("Operations to perform:", Line::Other)]
    #[case("http://127.0.0.1:8000", Line::Other)]
    #[case("?: (axes.W004) You have a deprecated setting", Line::Other)]
    fn classifies(#[case] text: &str, #[case] expected: Line<'_>) {
        assert_eq!(classify(text), expected);
    }

    #[rstest]
    #[case("\tIs the server running on that host and accepting TCP/IP connections?", true)]
    #[case("LINE 1: CREATE TABLE \"django_migrations\" (\"id\" integer NOT NULL PRIM...", true)]
    #[case("DETAIL:  Process 1 waits for AccessExclusiveLock", true)]
    #[case("DÉTAIL : x", true)]
    #[case("ПОДРОБНОСТИ:  x", true)]
    #[case("描述:  x", true)]
    #[case(")", true)]
    #[case("\" does not exist", true)]
    #[case("PL/pgSQL function many_locks() line 1 at EXECUTE", true)]
    #[case("SQL statement \"lock table t\"", true)]
    #[case("connection to server at \"::1\", port 5432 failed: Connection refused", true)]
    #[case("System check identified some issues:", false)]
    #[case("Running migrations:", false)]
    #[case("+ flagsmith migrate", false)]
    fn continues(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(continues_message(text), expected);
    }

    #[rstest]
    #[case("psycopg2.errors.UndefinedTable", true)]
    #[case("CommandError", true)]
    #[case("WARNINGS", false)]
    #[case("Note", false)]
    fn well_known(#[case] class: &str, #[case] expected: bool) {
        assert_eq!(is_well_known(class), expected);
    }
}
