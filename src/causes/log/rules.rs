//! The log rules of all causes, in the order in which they are asked.

use std::sync::LazyLock;

use super::{
    evidence::{LogEvidence, Occurrence, Recognised},
    failure::Failure,
    finding::Explanation,
    rule::LogRule,
    timeline::ProcessTimeline,
};
use crate::{causes::all, model::Code};

static RULES: LazyLock<Vec<(Code, &'static dyn LogRule)>> = LazyLock::new(|| {
    let mut rules: Vec<(Code, &'static dyn LogRule)> =
        all().flat_map(|(code, cause)| cause.log.iter().map(move |rule| (code, *rule))).collect();
    rules.sort_by_key(|(_, rule)| rule.precedence());
    rules
});

/// What the first rule that recognises a failure makes of it. `last_resort` asks only the rules for what no other rule
/// knows, otherwise only the others are asked.
pub(crate) fn recognise(failure: &Failure<'_>, last_resort: bool) -> Option<Recognised> {
    (0..).zip(RULES.iter()).find_map(|(index, (code, rule))| {
        if rule.is_last_resort() != last_resort {
            return None;
        }
        Some(Recognised { code: *code, rule: index, details: rule.recognise(failure)?.redacted() })
    })
}

/// What an occurrence means among everything else that the logs showed.
pub(crate) fn explain(evidence: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let claimed = all().find_map(|(_, cause)| cause.claims?(evidence, occurrence));
    claimed.unwrap_or_else(|| {
        RULES.get(occurrence.rule).map_or_else(
            || Explanation::new(occurrence.code, "", ""),
            |(_, rule)| rule.explain(evidence, occurrence),
        )
    })
}

/// What the rule of an occurrence knows of whether it is over.
pub(crate) fn is_over(
    evidence: &LogEvidence,
    timeline: &ProcessTimeline,
    occurrence: &Occurrence,
) -> Option<bool> {
    let (_, rule) = RULES.get(occurrence.rule)?;
    rule.is_over(evidence, timeline, occurrence)
}
