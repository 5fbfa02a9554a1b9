//! Everything that is wrong with an installation, as far as an observation shows.

use super::{
    all,
    cause::Applies,
    context::Context,
    migrations::shared::job,
    pod_logs,
    ranking::{Ranked, rank},
};
use crate::{
    model::{Code, Component, Diagnosis, Draft, Severity},
    observe::Observation,
    validate::Installation,
};

/// The most pieces of evidence of one diagnosis, consequences included.
const EVIDENCE: usize = 8;

/// Characters of a consequence's message in the evidence of its cause.
const CONSEQUENCE: usize = 200;

/// Everything that is wrong with an installation, as far as this observation shows, the most severe first.
#[must_use]
pub fn diagnose(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let context = Context::new(installation, observation);
    let managed = installation.managed_by.is_operator();
    let applies = |applies: Applies| match applies {
        Applies::Everywhere => true,
        Applies::Observed => !managed,
    };
    let causes = all().filter(|(_, cause)| applies(cause.applies));
    let checks = causes.filter_map(|(_, cause)| cause.check);
    // Before the obstacles of the next attempt: where both have one cause, its failure is told first.
    let mut found = job::diagnose(&context);
    found.extend(checks.flat_map(|check| check(&context)));
    // What an observation shows is said in its words, to which those of a log are added as evidence.
    found.extend(pod_logs::check(&context));
    let ranked = rank_in(Some(&context), found);
    #[cfg(test)]
    super::tests::remedies::hold(installation, &ranked);
    ranked
}

/// Diagnoses of one installation, from whatever source, each said once and the most severe first.
#[must_use]
pub fn ranked(found: Vec<Diagnosis>) -> Vec<Diagnosis> {
    rank_in(None, found.into_iter().map(Draft::from).collect())
}

fn rank_in(context: Option<&Context<'_>>, found: Vec<Draft>) -> Vec<Diagnosis> {
    let found = found.into_iter().map(|diagnosis| Observed { context, diagnosis }).collect();
    let mut ranked: Vec<Diagnosis> =
        rank(found).into_iter().map(|it| Diagnosis::from(it.diagnosis)).collect();
    sort(&mut ranked);
    ranked
}

/// The most severe first; within a severity in the order of the causes.
pub fn sort(diagnoses: &mut [Diagnosis]) {
    diagnoses.sort_by_key(|diagnosis| diagnosis.severity);
}

/// A diagnosis and the situation that it was made in.
struct Observed<'a, 'c> {
    context: Option<&'a Context<'c>>,
    diagnosis: Draft,
}

impl Ranked for Observed<'_, '_> {
    const IN_LOG: bool = false;

    fn code(&self) -> Code {
        self.diagnosis.code
    }

    fn component(&self) -> Component {
        self.diagnosis.component
    }

    fn severity(&self) -> Severity {
        self.diagnosis.severity
    }

    fn explains(&self, other: &Self) -> bool {
        self.explains_here(&other.diagnosis)
    }

    fn merge(&mut self, again: Self) {
        self.take(again.diagnosis.severity, again.diagnosis.evidence);
    }

    fn absorb(&mut self, consequence: Self) {
        let here = self.explains_here(&consequence.diagnosis);
        let Draft { code, severity, component, message, evidence, .. } = consequence.diagnosis;
        let evidence = if code == self.diagnosis.code {
            evidence.into_iter().take(1).collect()
        } else {
            let text: String = message.chars().take(CONSEQUENCE).collect();
            vec![format!("therefore, {}: {text}", component.as_str())]
        };
        // What only looks like a trouble of its own in this situation does not make its cause a worse one.
        self.take(if here { self.severity() } else { severity }, evidence);
    }
}

impl Observed<'_, '_> {
    fn explains_here(&self, other: &Draft) -> bool {
        let here = self.code().cause().explains_here.zip(self.context);
        here.is_some_and(|(explains, context)| explains(context, other))
    }

    fn take(&mut self, severity: Severity, evidence: Vec<String>) {
        let known = &mut self.diagnosis;
        known.severity = known.severity.min(severity);
        for line in evidence {
            if known.evidence.len() < EVIDENCE && !known.evidence.contains(&line) {
                known.evidence.push(line);
            }
        }
    }
}
