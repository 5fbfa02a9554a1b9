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

/// The rules, and what says which of them a failure can be for.
struct Rules {
    in_order: Vec<(Code, &'static dyn LogRule)>,
    usual: Search,
    /// Of the rules for what no other rule knows.
    last_resort: Search,
}

/// Says which of some rules a failure can be for: there are hundreds of texts to look for.
#[derive(Default)]
struct Search {
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
        let rules = || in_order.iter().map(|(_, rule)| *rule).enumerate();
        let usual = Search::of(rules().filter(|(_, rule)| !rule.is_last_resort()));
        let last_resort = Search::of(rules().filter(|(_, rule)| rule.is_last_resort()));
        Self { in_order, usual, last_resort }
    }

    const fn search(&self, last_resort: bool) -> &Search {
        if last_resort { &self.last_resort } else { &self.usual }
    }
}

impl Search {
    fn of(rules: impl Iterator<Item = (usize, &'static dyn LogRule)>) -> Self {
        let mut search = Self::default();
        let mut texts = Vec::new();
        for (index, rule) in rules {
            let Some(needs) = rule.needs() else {
                search.of_any.push(index);
                continue;
            };
            for need in needs {
                match need {
                    Need::Text(text) => {
                        texts.push(text);
                        search.of_text.push(index);
                    }
                    Need::Class(class) => search.of_class.entry(class).or_default().push(index),
                }
            }
        }
        search.texts = AhoCorasick::new(texts).ok();
        if search.texts.is_none() {
            search.of_any.append(&mut search.of_text);
            search.of_any.sort_unstable();
            search.of_any.dedup();
        }
        search
    }

    /// The indexes of the rules that have to be asked, in their order.
    fn to_ask(&self, failure: &Failure<'_>) -> Vec<usize> {
        let found = self.texts.iter().flat_map(|texts| texts.find_overlapping_iter(failure.message));
        let by_text = found.filter_map(|found| self.of_text.get(found.pattern().as_usize()));
        let by_class = self.of_class.get(failure.kind()).into_iter().flatten();
        let mut to_ask: Vec<usize> = by_text.chain(by_class).chain(&self.of_any).copied().collect();
        to_ask.sort_unstable();
        to_ask.dedup();
        to_ask
    }
}

/// What the first rule that recognises a failure makes of it. `last_resort` asks only the rules for what no other rule
/// knows, otherwise only the others are asked.
pub(crate) fn recognise(failure: &Failure<'_>, last_resort: bool) -> Option<Recognised> {
    let to_ask = RULES.search(last_resort).to_ask(failure);
    to_ask.into_iter().find_map(|index| {
        let (code, rule) = RULES.in_order.get(index)?;
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
                for (index, (code, rule)) in RULES.in_order.iter().enumerate() {
                    let asked = RULES.search(rule.is_last_resort()).to_ask(&failure).contains(&index);
                    prop_assert!(asked || rule.recognise(&failure).is_none(), "{code:?} in {class}: {message:?}");
                }
            }
        }
    }

    #[test]
    fn few_rules_are_asked_of_every_failure() {
        let of = |index: &usize| RULES.in_order.get(*index).map(|(code, _)| *code);
        let asked: Vec<Code> = RULES.usual.of_any.iter().filter_map(of).collect();
        assert_eq!(asked, [], "before anything is known of it");
        let asked: Vec<Code> = RULES.last_resort.of_any.iter().filter_map(of).collect();
        assert_eq!(asked, [Code::MigrationFailed, Code::CrashLooping]);
    }
}
