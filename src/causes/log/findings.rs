//! From everything seen to the few causes behind it: what was overcome goes, consequences become evidence,
//! the most likely cause comes first.

use super::evidence::{LogEvidence, LogLocation, Occurrence};
use super::failure::Stage;
use super::{
    connection::connection,
    finding::{Finding, distinct, evidence},
    rules,
    timeline::ProcessTimeline,
};
use crate::{
    causes::{
        all,
        ranking::{Ranked, rank},
    },
    model::{Code, Component, Severity},
};

/// The causes of a case, the most likely first.
pub(super) fn conclude(case: &LogEvidence) -> Vec<Finding> {
    let standing: Vec<&Occurrence> =
        case.occurrences.iter().filter(|occurrence| !is_overcome(case, occurrence)).collect();
    let mut findings: Vec<Finding> = Vec::new();
    if let Some(finding) = connection(case, &standing) {
        findings.push(finding);
    }
    for occurrence in standing.iter().filter(|occurrence| !occurrence.code.cause().is_connection) {
        let explained = rules::explain(case, occurrence);
        merge(&mut findings, Finding::new(explained, evidence(occurrence)));
    }
    findings.extend(all().filter_map(|(_, cause)| cause.in_logs?(case)));
    let of_component = |finding| Ranking { component: case.component, finding };
    let ranked = rank(findings.into_iter().map(of_component).collect());
    let mut findings: Vec<Finding> = ranked.into_iter().map(|it| it.finding).collect();
    findings.sort_by_key(order);
    findings
}

/// Whether what came later in the same log shows that a failure is over and cost nothing.
fn is_overcome(case: &LogEvidence, occurrence: &Occurrence) -> bool {
    let Some(life) = case.life(occurrence.source) else {
        return false;
    };
    let last = occurrence.last.line;
    if !occurrence.stage.is_of_pooler()
        && let Some(over) = rules::is_over(case, life, occurrence)
    {
        return over;
    }
    match occurrence.stage {
        Stage::Wait => life.connected.max(life.caught_up).max(life.up) > last,
        Stage::Boot => life.up > last,
        // Another migrator's success in the same log is no success of this one: a new run has to begin first.
        Stage::Migrate => {
            life.runs.iter().any(|run| run.line > last && Some(run.line) != occurrence.run)
                && life.migrated > last
                || life.up > last
        }
        Stage::Pooled | Stage::Pooler => is_over_for_flagsmith(case, occurrence),
        Stage::Serve => occurrence.count == 1 && occurrence.code.cause().is_connection && life.served > last,
    }
}

/// Whether what a pooler says is over: somebody was served or connected later; or it is of other clients, as the lines of
/// Flagsmith beside it show no such trouble.
fn is_over_for_flagsmith(case: &LogEvidence, occurrence: &Occurrence) -> bool {
    let LogLocation { input, line, .. } = occurrence.last;
    let lives = || case.sources.iter().filter(|source| source.input == input).map(|source| &source.life);
    let came_up = |life: &ProcessTimeline| life.up.max(life.connected).max(life.caught_up);
    // That one client has a connection says nothing of whether there are enough.
    let comes_back = occurrence.code.cause().comes_and_goes;
    let later = !comes_back && lives().any(|life| came_up(life).max(life.served) > line);
    let is_met_by_flagsmith = || {
        let mut others = case.occurrences.iter().filter(|other| other.last.input == input);
        others.any(|other| {
            other.code.cause().is_connection && !other.stage.is_of_pooler() && !is_overcome(case, other)
        })
    };
    later || lives().any(|life| came_up(life) > 0) && !is_met_by_flagsmith()
}

/// Several sightings of one code with the same words are one finding; with other words the evidence is added.
fn merge(findings: &mut Vec<Finding>, new: Finding) {
    match findings.iter_mut().find(|known| known.explained.code == new.explained.code) {
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
        other.finding.is_left_by(&self.finding)
            || other.finding.explained.follows_from == Some(self.code())
            || self.finding.explains.contains(&other.code()) && !self.finding.is_left_by(&other.finding)
    }

    fn first_seen(&self) -> Option<(u16, u64)> {
        let places = self.finding.evidence.iter();
        places.map(|location| (location.input, location.line)).min()
    }

    fn merge(&mut self, again: Self) {
        let known = &mut self.finding;
        known.explains.extend(again.finding.explains);
        known.aftermath = known.aftermath.or(again.finding.aftermath);
        self.take(again.finding.evidence);
    }

    fn absorb(&mut self, consequence: Self) {
        if let Some(aftermath) = consequence.finding.aftermath {
            self.finding.explained.remedy.push_str(aftermath.then);
        }
        self.take(consequence.finding.evidence);
    }
}

impl Ranking {
    fn take(&mut self, evidence: Vec<LogLocation>) {
        let known = &mut self.finding.evidence;
        known.extend(evidence);
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
