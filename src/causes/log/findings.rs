//! From everything seen to the few causes behind it: what was overcome goes, consequences become evidence,
//! the most likely cause comes first.

use super::evidence::{LogEvidence, LogLocation, Occurrence};
use super::failure::Stage;
use super::phrasing::times;
use super::{finding::Finding, hosts, rules, tasks};
use crate::{
    causes::{
        all,
        ranking::{Ranked, rank},
    },
    model::{Code, Component, Severity},
};

/// The most pieces of evidence of one diagnosis.
const EVIDENCE: usize = 6;

/// Seconds without a failed health check after which it counts as passed: probes come every ten seconds.
const HEALTH_QUIET_SECONDS: i64 = 30;

/// The causes of a case, the most likely first.
#[must_use]
pub fn conclude(case: &LogEvidence) -> Vec<Finding> {
    let standing: Vec<&Occurrence> = case
        .occurrences
        .iter()
        .filter(|occurrence| !is_overcome(case, occurrence))
        .collect();
    let mut findings: Vec<Finding> = Vec::new();
    if let Some(finding) = connection(case, &standing) {
        findings.push(finding);
    }
    for occurrence in standing
        .iter()
        .filter(|occurrence| !occurrence.code.cause().is_connection)
    {
        let explained = rules::explain(case, occurrence);
        merge(&mut findings, Finding::new(explained, evidence(occurrence)));
    }
    findings.extend(tasks::conclude(case));
    findings.extend(hosts::conclude(case));
    findings.extend(all().filter_map(|(_, cause)| cause.in_logs?(case)));
    let of_component = |finding| Ranking {
        component: case.component,
        finding,
    };
    let ranked = rank(findings.into_iter().map(of_component).collect());
    let mut findings: Vec<Finding> = ranked.into_iter().map(|it| it.finding).collect();
    tasks::conclude_coordinator(case, &mut findings);
    findings.sort_by_key(order);
    findings
}

/// Whether what came later in the same log shows that a failure is over and cost nothing.
fn is_overcome(case: &LogEvidence, occurrence: &Occurrence) -> bool {
    let Some(life) = case.life(occurrence.source) else {
        return false;
    };
    let last = occurrence.last.line;
    if let Some(over) = rules::is_over(case, life, occurrence) {
        return over;
    }
    // What an exception ended whose beginning is not in the log: a process only if nothing comes after it. The same
    // for every error of Node.js: Express prints the error of a request and goes on.
    let unknown_end =
        occurrence.torn || case.component == Component::Frontend && occurrence.details.form == "crash";
    if unknown_end && occurrence.code == Code::CrashLooping && life.last_line > last && life.node_ended < last
    {
        return true;
    }
    // Gunicorn tries the port five times.
    if occurrence.details.form == "port" {
        return life.up > last;
    }
    if occurrence.details.form == "health" {
        let quiet = life
            .last_time
            .zip(occurrence.last.time)
            .map_or(0, |(end, last)| end.seconds_since(last));
        return quiet >= HEALTH_QUIET_SECONDS;
    }
    match occurrence.stage {
        Stage::Wait => {
            life.connected > last && occurrence.code != Code::MigrationsPending
                || life.caught_up > last
                || life.up > last
        }
        Stage::Boot => life.up > last,
        // Another migrator's success in the same log is no success of this one: a new run has to begin first.
        Stage::Migrate => {
            life.runs
                .iter()
                .any(|run| run.line > last && Some(run.line) != occurrence.run)
                && life.migrated > last
                || life.up > last
        }
        Stage::Serve => occurrence.count == 1 && occurrence.code.cause().is_connection && life.served > last,
    }
}

/// One finding for all failures to talk to the database.
fn connection(case: &LogEvidence, standing: &[&Occurrence]) -> Option<Finding> {
    let mut failures: Vec<&Occurrence> = standing
        .iter()
        .copied()
        .filter(|occurrence| occurrence.code.cause().is_connection)
        .collect();
    failures.sort_by_key(|occurrence| (occurrence.first.input, occurrence.first.line));
    let is_lost = |occurrence: &&&Occurrence| occurrence.code == Code::DatabaseConnectionLost;
    let is_vague = |occurrence: &&Occurrence| occurrence.details.form == "gave-up";
    // The state at the end is what is to be repaired, but a vague line never explains a telling one.
    let latest = failures
        .iter()
        .filter(|occurrence| !is_lost(occurrence) && !is_vague(occurrence))
        .max_by_key(|occurrence| (occurrence.last.input, occurrence.last.line));
    let lost = failures.iter().find(is_lost);
    let primary = match (lost, latest) {
        // A connection broke, the server refused for a while, and then it went on: the break is the story.
        (Some(lost), Some(latest))
            if lost.source == latest.source
                && lost.first.line < latest.first.line
                && super::phrasing::overcome(case, latest) =>
        {
            lost
        }
        (_, Some(latest)) => latest,
        (Some(lost), None) => lost,
        (None, None) => failures.first()?,
    };
    // That it gave up says nothing where the log tells why.
    let told = |other: &&Occurrence| {
        matches!(
            other.code,
            Code::DatabaseUrlInvalid | Code::DatabaseDiskFull | Code::DatabaseReadOnly
        )
    };
    if is_vague(primary) && standing.iter().any(told) {
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
    let passes = matches!(
        primary.code,
        Code::DatabaseStarting | Code::DatabaseUnreachable | Code::DatabaseHostNotFound
    );
    let life = case.life(primary.source)?;
    let mine = failures.iter().filter(|other| other.source == primary.source);
    let last = mine.max_by_key(|other| other.last.line)?;
    let quiet = life.last_time?.seconds_since(last.last.time?);
    // A task processor asks every half second; an API shows by its answers that the database is back.
    let back = case.component == Component::TaskProcessor || life.served > last.last.line;
    let over = passes
        && back
        && failures.iter().all(|other| other.stage == Stage::Serve)
        && quiet >= HEALTH_QUIET_SECONDS;
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

fn evidence(occurrence: &Occurrence) -> Vec<LogLocation> {
    let mut evidence = vec![occurrence.first.clone()];
    if occurrence.count > 1 {
        evidence.push(occurrence.last.clone());
    } else {
        evidence.extend(occurrence.others.iter().cloned());
    }
    distinct(evidence)
}

fn distinct(evidence: Vec<LogLocation>) -> Vec<LogLocation> {
    let mut kept: Vec<LogLocation> = Vec::new();
    for location in evidence {
        if kept.len() < EVIDENCE
            && !kept
                .iter()
                .any(|known| (known.input, known.line) == (location.input, location.line))
        {
            kept.push(location);
        }
    }
    kept
}

/// Several sightings of one code with the same words are one finding; with other words the evidence is added.
fn merge(findings: &mut Vec<Finding>, new: Finding) {
    match findings
        .iter_mut()
        .find(|known| known.explained.code == new.explained.code)
    {
        Some(known) => {
            let mut evidence = std::mem::take(&mut known.evidence);
            evidence.extend(new.evidence);
            known.evidence = distinct(evidence);
        }
        None => findings.push(new),
    }
}

/// A finding and the component whose logs show it.
struct Ranking {
    component: Component,
    finding: Finding,
}

impl Ranked for Ranking {
    const IN_LOG: bool = true;

    fn code(&self) -> Code {
        self.finding.explained.code
    }

    fn component(&self) -> Component {
        self.component
    }

    fn severity(&self) -> Severity {
        self.finding.severity()
    }

    fn explains(&self, other: &Self) -> bool {
        self.finding.explains.contains(&other.code())
    }

    fn first_seen(&self) -> Option<(u16, u64)> {
        let places = self.finding.evidence.iter();
        places.map(|location| (location.input, location.line)).min()
    }

    fn merge(&mut self, again: Self) {
        self.absorb(again);
    }

    fn absorb(&mut self, consequence: Self) {
        let known = &mut self.finding.evidence;
        known.extend(consequence.finding.evidence);
        *known = distinct(std::mem::take(known));
    }
}

/// The order of findings: severity, then the order of the causes, then where it began.
fn order(finding: &Finding) -> (Severity, Code, u16, u64) {
    let first = finding.evidence.first();
    (
        finding.severity(),
        finding.explained.code,
        first.map_or(0, |location| location.input),
        first.map_or(0, |location| location.line),
    )
}
