//! Exceptions that a message quotes, where the log has no traceback.

/// Begins what the loop of a task processor says of an exception, before it goes on.
pub(crate) const LOOP: &str = "Error handling tasks from database ";

/// What the loop of task processors before 2.160.0 says of an exception, without its class, when it fails to ask the
/// database for tasks.
pub(super) const RETRIEVING: &str = "Received error retrieving tasks: ";
/// Django's base class of what such a question can raise.
pub(super) const RETRIEVING_CLASS: &str = "django.db.utils.DatabaseError";

/// `Error was: OperationalError: …` (waitfordb), `Received error retrieving tasks: ….`, and `…: django.db.utils.OperationalError('…')` (the task loop).
pub(super) fn quoted_exception(message: &str) -> Option<(&str, &str)> {
    if let Some(rest) = message.strip_prefix("Error was: ") {
        return rest.split_once(": ").filter(|(class, _)| !class.contains(' '));
    }
    if let Some(rest) = message.strip_prefix(RETRIEVING) {
        return Some((RETRIEVING_CLASS, rest.trim_end_matches(['.', '\n'])));
    }
    let (_, rest) = message.strip_prefix(LOOP)?.split_once(": ")?;
    let (class, rest) = rest.split_once('(')?;
    // One pair of quotes is Python's; further ones are the message's own.
    let rest = rest.strip_suffix(')').unwrap_or(rest);
    let quote = rest.chars().next().filter(|first| matches!(first, '\'' | '"'));
    let message = quote.map_or(rest, |quote| {
        let inner = rest.trim_start_matches(quote);
        inner.strip_suffix(quote).unwrap_or(inner)
    });
    Some((class, message))
}
