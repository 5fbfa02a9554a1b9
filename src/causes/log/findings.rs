//! From everything seen to the few causes behind it: what was overcome goes, consequences become evidence,
//! the most likely cause comes first.

use super::evidence::{LogEvidence, Occurrence};
use super::failure::Stage;
use super::timeline::ProcessTimeline;
use super::workloads::KILLED_CONTAINER;
use super::{
    connection::connection,
    finding::{Finding, distinct, evidence},
    gunicorn, hosts, rules, tasks,
};
use crate::{
    causes::{
        all,
        ranking::{Ranked, rank},
    },
    model::{Code, Component, Severity},
};

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
    findings.extend(gunicorn::conclude(case));
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
    if occurrence.details.form == KILLED_CONTAINER {
        return !died_of_a_kill(life);
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

/// Whether a container that ended with SIGKILL was Flagsmith's and at work: `docker compose stop` kills what does not
/// end in time, and a service that is none of Flagsmith's is none of this case.
fn died_of_a_kill(life: &ProcessTimeline) -> bool {
    match life.runs.last() {
        Some(run) if life.up == 0 => run.current.is_some(),
        _ => life.up > 0 && life.stopping.is_none(),
    }
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
            || other.finding.explained.follows_from == Some(self.code())
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
