//! All failures to talk to the database are one finding: what kept it away at the end is what is to be repaired.

use super::evidence::{LogEvidence, Occurrence};
use super::failure::Stage;
use super::finding::{Finding, distinct, evidence};
use super::phrasing::{overcome, times};
use super::rules;
use crate::model::{Code, Component, Severity};

/// Seconds without a failure after which an outage counts as over: probes come every ten seconds.
const QUIET_SECONDS: i64 = 30;

/// One finding for all failures to talk to the database.
pub(crate) fn connection(case: &LogEvidence, standing: &[&Occurrence]) -> Option<Finding> {
    let mut failures: Vec<&Occurrence> =
        standing.iter().copied().filter(|occurrence| occurrence.code.cause().is_connection).collect();
    failures.sort_by_key(|occurrence| (occurrence.first.input, occurrence.first.line));
    let is_lost = |occurrence: &&&Occurrence| occurrence.code == Code::DatabaseConnectionLost;
    // The state at the end is what is to be repaired, but a vague line never explains a telling one.
    let latest = failures
        .iter()
        .filter(|occurrence| !is_lost(occurrence) && !occurrence.details.is_vague)
        .max_by_key(|occurrence| {
            // A pooler knows why its clients get no connection; what it tells them they say themselves.
            let tells = match occurrence.stage {
                Stage::Pooler => 2,
                Stage::Pooled => 0,
                _ => 1,
            };
            (tells, occurrence.last.input, occurrence.last.line)
        });
    let lost = failures.iter().find(is_lost);
    let primary = match (lost, latest) {
        // A connection broke, the server refused for a while, and then it went on: the break is the story.
        (Some(lost), Some(latest))
            if lost.source == latest.source
                && lost.first.line < latest.first.line
                && overcome(case, latest) =>
        {
            lost
        }
        (_, Some(latest)) => latest,
        (Some(lost), None) => lost,
        (None, None) => failures.first()?,
    };
    // That it gave up says nothing where the log tells what else is wrong with the database.
    let tells_why =
        |other: &&Occurrence| other.code.cause().component == Component::Database && !other.details.is_vague;
    if primary.details.is_vague && standing.iter().any(tells_why) {
        return None;
    }
    let mut explained = rules::explain(case, primary);
    if primary.first.message.contains("\n\"") {
        explained.remedy.insert_str(
            0,
            "A name in that message ends with a line break: write the Secret's value without one (kubectl create secret generic … --from-literal, printf %s instead of echo). ",
        );
    }
    if let Some(course) = is_past(case, primary, &failures) {
        explained.message.push_str(&course);
        explained.severity = Some(Severity::Warning);
    }
    let mut evidence = evidence(primary);
    for other in failures.iter().filter(|other| !std::ptr::eq(**other, *primary)) {
        evidence.push(other.first.clone());
    }
    Some(Finding::new(explained, distinct(evidence)))
}

/// How an outage went that requests met and that is over, where its cause passes by itself. A lost connection has words
/// of its own for that.
fn is_past(case: &LogEvidence, primary: &Occurrence, failures: &[&Occurrence]) -> Option<String> {
    let life = case.life(primary.source)?;
    let mine = failures.iter().filter(|other| other.source == primary.source);
    let last = mine.max_by_key(|other| other.last.line)?;
    let quiet = life.last_time?.seconds_since(last.last.time?);
    // A task processor asks every half second; an API shows by its answers that the database is back.
    let back = case.component == Component::TaskProcessor || life.served > last.last.line;
    let over = primary.code.cause().passes_by_itself
        && back
        && failures.iter().all(|other| other.stage == Stage::Serve)
        && quiet >= QUIET_SECONDS;
    over.then(|| {
        let seconds = last.last.time.zip(primary.first.time);
        let within = seconds
            .map(|(last, first)| last.seconds_since(first))
            .filter(|seconds| *seconds > 0)
            .map_or_else(String::new, |seconds| format!(" within {seconds} s"));
        format!(
            " That is over: it happened {}{within}, and not in the {quiet} s after that.",
            times(failures.iter().map(|other| other.count).sum())
        )
    })
}
