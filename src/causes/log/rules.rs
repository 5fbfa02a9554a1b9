//! The log rules of all causes, in the order in which they are asked.

use std::{collections::HashMap, sync::LazyLock};

use aho_corasick::AhoCorasick;

use super::{
    evidence::{LogEvidence, Occurrence, Recognised},
    failure::Failure,
    finding::Explanation,
    rule::{LogRule, Need},
    timeline::ProcessTimeline,
};
use crate::{causes::all, model::Code};

static RULES: LazyLock<Rules> = LazyLock::new(Rules::of_all_causes);

/// The rules, and a search that says which of them a failure can be for: there are hundreds of texts to look for.
struct Rules {
    in_order: Vec<(Code, &'static dyn LogRule)>,
    /// Finds the texts that rules need.
    texts: Option<AhoCorasick>,
    /// Of each text, the index of the rule that needs it.
    of_text: Vec<usize>,
    /// Of each class of exceptions, the indexes of the rules that need it.
    of_class: HashMap<&'static str, Vec<usize>>,
    /// The indexes of rules that have to be asked of every failure.
    of_any: Vec<usize>,
}

impl Rules {
    fn of_all_causes() -> Self {
        let mut in_order: Vec<(Code, &'static dyn LogRule)> =
            all().flat_map(|(code, cause)| cause.log.iter().map(move |rule| (code, *rule))).collect();
        in_order.sort_by_key(|(_, rule)| rule.precedence());
        let (mut texts, mut of_text, mut of_any) = (Vec::new(), Vec::new(), Vec::new());
        let mut of_class: HashMap<_, Vec<_>> = HashMap::new();
        for (index, (_, rule)) in in_order.iter().enumerate() {
            let Some(needs) = rule.needs() else {
                of_any.push(index);
                continue;
            };
            for need in needs {
                match need {
                    Need::Text(text) => {
                        texts.push(text);
                        of_text.push(index);
                    }
                    Need::Class(class) => of_class.entry(class).or_default().push(index),
                }
            }
        }
        Self { in_order, texts: AhoCorasick::new(texts).ok(), of_text, of_class, of_any }
    }

    /// Whether the rule with each index has to be asked.
    fn to_ask(&self, failure: &Failure<'_>) -> Vec<bool> {
        let Some(texts) = &self.texts else {
            return vec![true; self.in_order.len()];
        };
        let mut to_ask = vec![false; self.in_order.len()];
        let found = texts.find_overlapping_iter(failure.message);
        let by_text = found.filter_map(|found| self.of_text.get(found.pattern().as_usize()));
        let by_class = self.of_class.get(failure.kind()).into_iter().flatten();
        for index in by_text.chain(by_class).chain(&self.of_any) {
            if let Some(asked) = to_ask.get_mut(*index) {
                *asked = true;
            }
        }
        to_ask
    }
}

/// What the first rule that recognises a failure makes of it. `last_resort` asks only the rules for what no other rule
/// knows, otherwise only the others are asked.
pub(crate) fn recognise(failure: &Failure<'_>, last_resort: bool) -> Option<Recognised> {
    let to_ask = RULES.to_ask(failure);
    (0..).zip(&RULES.in_order).zip(to_ask).find_map(|((index, (code, rule)), asked)| {
        if !asked || rule.is_last_resort() != last_resort {
            return None;
        }
        Some(Recognised { code: *code, rule: index, details: rule.recognise(failure)?.redacted() })
    })
}

/// What an occurrence means among everything else that the logs showed.
pub(crate) fn explain(evidence: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let claimed = all().find_map(|(_, cause)| cause.claims?(evidence, occurrence));
    claimed.unwrap_or_else(|| {
        RULES.in_order.get(occurrence.rule).map_or_else(
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
    let (_, rule) = RULES.in_order.get(occurrence.rule)?;
    rule.is_over(evidence, timeline, occurrence)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{causes::log::failure::Stage, model::Component};

    proptest! {
        /// Whoever is not asked would have recognised nothing.
        #[test]
        fn no_rule_is_passed_over_in_vain(
            texts in prop::collection::vec((any::<prop::sample::Index>(), "[ -~]{0,6}"), 0..6),
            class in any::<prop::sample::Index>(),
            stage in prop::sample::select(vec![Stage::Wait, Stage::Migrate, Stage::Boot, Stage::Serve, Stage::Pooler]),
        ) {
            let (mut known, mut classes) = (vec![""], vec!["", "KeyError", "OperationalError"]);
            for need in RULES.in_order.iter().filter_map(|(_, rule)| rule.needs()).flatten() {
                match need {
                    Need::Text(text) => known.push(text),
                    Need::Class(class) => classes.push(class),
                }
            }
            let message: String = texts.iter().flat_map(|(at, more)| [*at.get(&known), more]).collect();
            for module in ["", "psycopg2.errors."] {
                let class = format!("{module}{}", class.get(&classes));
                let failure = Failure::new(&class, &message, Component::Api, stage);
                let asked = RULES.to_ask(&failure);
                for ((code, rule), asked) in RULES.in_order.iter().zip(asked) {
                    prop_assert!(asked || rule.recognise(&failure).is_none(), "{code:?} in {class}: {message:?}");
                }
            }
        }
    }

    #[test]
    fn few_rules_are_asked_of_every_failure() {
        let asked = RULES.of_any.iter().filter_map(|index| RULES.in_order.get(*index));
        let asked: Vec<Code> = asked.map(|(code, _)| *code).collect();
        assert!(asked.len() * 4 < RULES.in_order.len(), "{asked:?}");
    }
}
