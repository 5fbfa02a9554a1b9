//! Words that the messages of several causes share.

use super::evidence::{LogEvidence, Occurrence};
use super::failure::{Endpoint, Stage};
use super::timeline::Run;
use crate::model::Component;

/// Seconds without the failure after which it counts as over although nothing says so. The task processor asks
/// the database every 0.5 s, `waitfordb` every 0.25 s.
const QUIET_SECONDS: i64 = 5;

/// Who failed, at the beginning of a sentence.
pub(crate) fn who(case: &LogEvidence, occurrence: &Occurrence) -> &'static str {
    match occurrence.stage {
        Stage::Migrate => "The migration",
        Stage::Pooled => "A client",
        Stage::Pooler => "The connection pooler",
        _ => component(case.component),
    }
}

/// A component at the beginning of a sentence.
pub(crate) const fn component(component: Component) -> &'static str {
    match component {
        Component::Migrations => "The migration",
        Component::TaskProcessor => "The task processor",
        Component::Frontend => "The frontend",
        Component::EdgeProxy => "The edge proxy",
        _ => "The API",
    }
}

/// The same within a sentence: "the API", not "the api".
pub(crate) fn within(who: &str) -> String {
    who.strip_prefix("The ").map_or_else(|| who.to_owned(), |name| format!("the {name}"))
}

/// The migration of a sighting; where the log has its name only after the failure, from the run.
pub(crate) fn migration<'a>(case: &'a LogEvidence, occurrence: &'a Occurrence) -> Option<&'a str> {
    occurrence.migration.as_deref().or_else(|| run(case, occurrence)?.current.as_deref())
}

/// The run of `migrate` that a sighting belongs to.
pub(crate) fn run<'a>(case: &'a LogEvidence, occurrence: &Occurrence) -> Option<&'a Run> {
    let line = occurrence.run?;
    case.life(occurrence.source)?.runs.iter().find(|run| run.line == line)
}

/// ` at migration users.0041_x`, or nothing.
pub(crate) fn at_migration(case: &LogEvidence, occurrence: &Occurrence) -> String {
    migration(case, occurrence).map(|name| format!(" at migration {name}")).unwrap_or_default()
}

/// `Migration users.0041_x`, or `The migration`.
pub(crate) fn the_migration(case: &LogEvidence, occurrence: &Occurrence) -> String {
    migration(case, occurrence).map_or_else(|| "The migration".to_owned(), |name| format!("Migration {name}"))
}

/// ` 3 migrations of this run were applied before it, the last one users.0040_y.`, or nothing.
pub(crate) fn progress(case: &LogEvidence, occurrence: &Occurrence) -> String {
    let Some(run) = run(case, occurrence) else {
        return String::new();
    };
    let planned = case.life(occurrence.source).map_or(0, |life| life.planned);
    let of = if planned >= run.applied && planned > 0 { format!(" of {planned}") } else { String::new() };
    match (run.applied, &run.last_applied) {
        (1, Some(last)) => format!(" One{of} migration was applied before it: {last}."),
        (applied, Some(last)) => {
            format!(" {applied}{of} migrations were applied before it, the last one {last}.")
        }
        _ if migration(case, occurrence).is_some() => {
            " This attempt had applied none before; an earlier one may have.".to_owned()
        }
        _ => String::new(),
    }
}

/// Whether a failure of a running process had stopped before the log ended.
pub(crate) fn overcome(case: &LogEvidence, occurrence: &Occurrence) -> bool {
    let Some(life) = case.life(occurrence.source) else {
        return false;
    };
    if life.served.max(life.up).max(life.connected) > occurrence.last.line {
        return true;
    }
    life.last_time
        .zip(occurrence.last.time)
        .is_some_and(|(end, last)| end.seconds_since(last) >= QUIET_SECONDS)
}

/// ` at db:5432`, or nothing where the message does not name the server.
pub(crate) fn at(endpoint: &Endpoint) -> String {
    endpoint.host.as_ref().map_or_else(String::new, |_| format!(" at {endpoint}"))
}

/// `once`, `twice`, `12 times`.
pub(crate) fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}
