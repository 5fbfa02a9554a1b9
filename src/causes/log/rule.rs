//! How a cause is recognised in a log: a table of signatures, and what each means.

use super::{
    evidence::{LogEvidence, Occurrence},
    failure::{Failure, FailureDetails, Stage},
    finding::Explanation,
    timeline::ProcessTimeline,
};
use crate::{
    logs::event::Service,
    postgres::phrases::{self, Phrase},
};

/// Whether what came later in the same log shows that a failure is over.
pub(crate) type IsOver = fn(&LogEvidence, &ProcessTimeline, &Occurrence) -> Option<bool>;

/// Rules from this precedence on are asked only of what no other rule recognises.
const LAST_RESORT: u16 = 890;

/// Something that a failure has, without which some rule recognises nothing in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The message has this text.
    Text(&'static str),
    /// The exception is of this class, without its module.
    Class(&'static str),
}

/// One way in which a log shows a cause.
pub(crate) trait LogRule: Sync {
    /// Rules are asked in this order, and the first that recognises a failure has it: the particular before the general.
    fn precedence(&self) -> u16;

    /// Whether it is asked only of an exception that ended a process and that no other rule recognises.
    fn is_last_resort(&self) -> bool {
        self.precedence() >= LAST_RESORT
    }

    /// Without one of what the rule recognises nothing; `None` where that cannot be said.
    fn needs(&self) -> Option<Vec<Need>> {
        None
    }

    /// Whether a failure shows the cause, and what it speaks of.
    fn recognise(&self, failure: &Failure<'_>) -> Option<FailureDetails>;

    /// What it means among everything else that the logs showed.
    fn explain(&self, evidence: &LogEvidence, occurrence: &Occurrence) -> Explanation;

    /// Whether what came later in the same log shows that it is over, where this rule knows better than the stage at
    /// which it happened.
    fn is_over(
        &self,
        _evidence: &LogEvidence,
        _timeline: &ProcessTimeline,
        _occurrence: &Occurrence,
    ) -> Option<bool> {
        None
    }
}

/// What a failure has to look like to be this variant `V` of a cause. What is empty or `None` is not asked for.
pub(crate) struct Signature<V> {
    /// The variant.
    pub(crate) variant: V,
    /// Where the words come from.
    pub(crate) from: From,
    /// The exception's class without its module is one of these.
    pub(crate) class: &'static [&'static str],
    /// What the process was doing is one of these.
    pub(crate) stage: &'static [Stage],
    /// Its traceback ends in this.
    pub(crate) service: Option<Service>,
    /// PostgreSQL says this, in any language.
    pub(crate) phrase: Option<Phrase>,
    /// The message has one of these.
    pub(crate) any: &'static [&'static str],
    /// And one of these.
    pub(crate) also: &'static [&'static str],
    /// The message has all of these.
    pub(crate) all: &'static [&'static str],
    /// The message has none of these.
    pub(crate) none: &'static [&'static str],
}

/// Where the words of a failure have to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// The PostgreSQL driver or what Django makes of it; an HTTP or Redis client may use the same words.
    Database,
    /// Any exception, or a line without one.
    Anything,
}

impl<V> Signature<V> {
    /// A signature of this variant that asks for nothing yet.
    pub(crate) const fn of(variant: V) -> Self {
        Self {
            variant,
            from: From::Anything,
            class: &[],
            stage: &[],
            service: None,
            phrase: None,
            any: &[],
            also: &[],
            all: &[],
            none: &[],
        }
    }

    /// A failure of the database driver with one of these texts.
    pub(crate) const fn of_database(variant: V, any: &'static [&'static str]) -> Self {
        Self::of_words(variant, any).only_database()
    }

    /// A failure or line with one of these texts.
    pub(crate) const fn of_words(variant: V, any: &'static [&'static str]) -> Self {
        Self::of(variant).any(any)
    }

    /// PostgreSQL's own words, in any language.
    pub(crate) const fn of_phrase(variant: V, phrase: Phrase) -> Self {
        let mut signature = Self::of(variant).only_database();
        signature.phrase = Some(phrase);
        signature
    }

    /// Only of the database driver.
    pub(crate) const fn only_database(mut self) -> Self {
        self.from = From::Database;
        self
    }

    /// Only exceptions of these classes.
    pub(crate) const fn class(mut self, class: &'static [&'static str]) -> Self {
        self.class = class;
        self
    }

    /// Only in these stages.
    pub(crate) const fn stage(mut self, stage: &'static [Stage]) -> Self {
        self.stage = stage;
        self
    }

    /// Only where its traceback ends in this.
    pub(crate) const fn through(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Only with one of these texts.
    pub(crate) const fn any(mut self, any: &'static [&'static str]) -> Self {
        self.any = any;
        self
    }

    /// And with one of these.
    pub(crate) const fn also(mut self, also: &'static [&'static str]) -> Self {
        self.also = also;
        self
    }

    /// Only with all of these texts.
    pub(crate) const fn all(mut self, all: &'static [&'static str]) -> Self {
        self.all = all;
        self
    }

    /// Only without all of these texts.
    pub(crate) const fn none(mut self, none: &'static [&'static str]) -> Self {
        self.none = none;
        self
    }

    /// See [`LogRule::needs`].
    fn needs(&self) -> Option<Vec<Need>> {
        let one_of = [self.any, self.also, self.all.get(..1).unwrap_or_default()];
        let texts = one_of.into_iter().find(|texts| !texts.is_empty());
        let texts = texts.map(<[_]>::to_vec).or_else(|| Some(phrases::texts(self.phrase?).collect()));
        let classes =
            || (!self.class.is_empty()).then(|| self.class.iter().copied().map(Need::Class).collect());
        texts.map(|texts| texts.into_iter().map(Need::Text).collect()).or_else(classes)
    }

    fn matches(&self, failure: &Failure<'_>) -> bool {
        (self.from == From::Anything || failure.is_database())
            && (self.class.is_empty() || failure.is(self.class))
            && (self.stage.is_empty() || self.stage.contains(&failure.stage))
            && self.service.is_none_or(|service| failure.service == Some(service))
            && self.phrase.is_none_or(|phrase| failure.phrase(phrase).is_some())
            && (self.any.is_empty() || failure.says_any(self.any))
            && (self.also.is_empty() || failure.says_any(self.also))
            && self.all.iter().all(|text| failure.says(text))
            && !failure.says_any(self.none)
    }
}

/// A rule of signatures, the first of which that matches decides the variant.
pub(crate) struct Rule<V: 'static> {
    /// See [`LogRule::precedence`].
    pub(crate) precedence: u16,
    /// The signatures, the particular before the general.
    pub(crate) signatures: &'static [Signature<V>],
    /// What the failure speaks of; `None` where a closer look shows that it is not this cause after all.
    pub(crate) details: fn(&Failure<'_>, V) -> Option<FailureDetails>,
    /// What the variant means among everything else that the logs showed.
    pub(crate) explain: fn(&LogEvidence, &Occurrence, V) -> Explanation,
    /// See [`LogRule::is_over`].
    pub(crate) is_over: Option<IsOver>,
}

impl<V: Copy + PartialEq + Sync> Rule<V> {
    /// The variant that a failure shows, and what it speaks of.
    pub(crate) fn read(&self, failure: &Failure<'_>) -> Option<(V, FailureDetails)> {
        let signature = self.signatures.iter().find(|it| it.matches(failure))?;
        let details = (self.details)(failure, signature.variant)?;
        // Several signatures of one variant are one trouble.
        let (index, _) = (0..).zip(self.signatures).find(|(_, it)| it.variant == signature.variant)?;
        let details = FailureDetails { signature: index, ..details };
        Some((signature.variant, details))
    }

    /// The variant of what this rule has recognised.
    pub(crate) fn variant(&self, details: &FailureDetails) -> Option<V> {
        let signature = self.signatures.get(usize::from(details.signature))?;
        Some(signature.variant)
    }
}

impl<V: Copy + PartialEq + Sync> LogRule for Rule<V> {
    fn precedence(&self) -> u16 {
        self.precedence
    }

    fn needs(&self) -> Option<Vec<Need>> {
        let of_each: Option<Vec<_>> = self.signatures.iter().map(Signature::needs).collect();
        of_each.map(|needs| needs.concat())
    }

    fn recognise(&self, failure: &Failure<'_>) -> Option<FailureDetails> {
        self.read(failure).map(|(_, details)| details)
    }

    fn explain(&self, evidence: &LogEvidence, occurrence: &Occurrence) -> Explanation {
        self.variant(&occurrence.details).map_or_else(
            || Explanation::new(occurrence.code, "", ""),
            |variant| (self.explain)(evidence, occurrence, variant),
        )
    }

    fn is_over(
        &self,
        evidence: &LogEvidence,
        timeline: &ProcessTimeline,
        occurrence: &Occurrence,
    ) -> Option<bool> {
        self.is_over.and_then(|is_over| is_over(evidence, timeline, occurrence))
    }
}

/// A rule of two functions, for a cause that has one form, or whose forms no table of words tells apart.
pub(crate) struct Plain {
    /// See [`LogRule::precedence`].
    pub(crate) precedence: u16,
    /// It recognises nothing in a message that has none of these texts.
    pub(crate) words: &'static [&'static str],
    /// See [`LogRule::recognise`].
    pub(crate) recognise: fn(&Failure<'_>) -> Option<FailureDetails>,
    /// See [`LogRule::explain`].
    pub(crate) explain: fn(&LogEvidence, &Occurrence) -> Explanation,
    /// See [`LogRule::is_over`].
    pub(crate) is_over: Option<IsOver>,
}

impl LogRule for Plain {
    fn precedence(&self) -> u16 {
        self.precedence
    }

    fn needs(&self) -> Option<Vec<Need>> {
        Some(self.words.iter().copied().map(Need::Text).collect())
    }

    fn recognise(&self, failure: &Failure<'_>) -> Option<FailureDetails> {
        (self.recognise)(failure)
    }

    fn explain(&self, evidence: &LogEvidence, occurrence: &Occurrence) -> Explanation {
        (self.explain)(evidence, occurrence)
    }

    fn is_over(
        &self,
        evidence: &LogEvidence,
        timeline: &ProcessTimeline,
        occurrence: &Occurrence,
    ) -> Option<bool> {
        self.is_over.and_then(|is_over| is_over(evidence, timeline, occurrence))
    }
}
