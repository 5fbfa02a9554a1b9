//! What is true of one cause: the form that every room fills in.

use super::{
    context::Context,
    log::{
        evidence::{LogEvidence, Occurrence},
        finding::{Explanation, Finding},
        rule::LogRule,
    },
};
use crate::{
    api::Circumstance,
    model::{Code, Component, Draft, Severity},
    observe::Observation,
};

/// What is true of one cause.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Cause {
    /// How much it matters, unless the situation says otherwise.
    pub(crate) severity: Severity,
    /// The part of an installation that it usually concerns.
    pub(crate) component: Component,
    /// Whether no migration may start while it lasts: the migration would fail, or do harm.
    pub(crate) blocks_migration: bool,
    /// Whether a person has to change the resource, an object or an annotation before the operator can go on; otherwise
    /// it goes on by itself once the outside world has changed.
    pub(crate) needs_person: bool,
    /// What a migration Job was given that makes it fail of this: with another value it is worth another attempt.
    pub(crate) cured_by: Option<Circumstance>,
    /// Whether it is a connection to the database that cannot be made, or breaks: one trouble, whatever the words.
    pub(crate) is_connection: bool,
    /// Whether an outage of this kind passes without anything being changed, so that one that is over is history.
    pub(crate) passes_by_itself: bool,
    /// Whether it comes and goes within minutes, so that one connection that succeeds does not show that it is over.
    pub(crate) comes_and_goes: bool,
    /// Whether it only says that something failed, and to which causes that say why it gives way.
    pub(crate) gives_way: GivesWay,
    /// What follows from it, and is evidence of it rather than a diagnosis of its own.
    pub(crate) explains: &'static [Explains],
    /// Whether a diagnosis only looks like a trouble of its own in this situation, and is a sign of this cause: beyond
    /// `explains`, and without making it more severe.
    pub(crate) explains_here: Option<fn(&Context<'_>, &Draft) -> bool>,
    /// Its documentation: `#` title, explanation, and the sections `Passes by itself`, `Confirm` and `Do`.
    pub(crate) prose: &'static str,
    /// How it shows itself in an exception or a single line of a log.
    pub(crate) log: &'static [&'static dyn LogRule],
    /// Explains as this cause what the log rule of another one recognised, where the rest of the log shows that it is
    /// this one. The first cause that does so, in the order of the documentation, has it.
    pub(crate) claims: Option<fn(&LogEvidence, &Occurrence) -> Option<Explanation>>,
    /// How it shows itself in a log as a whole.
    pub(crate) in_logs: Option<fn(&LogEvidence) -> Option<Finding>>,
    /// What to do about what a log has shown, where it is known whose installation it is, and the log's own remedy with
    /// the names of its owner's settings would not do.
    pub(crate) remedy_here: Option<fn(&Context<'_>, &Draft) -> Option<String>>,
    /// In which installations its check is asked.
    pub(crate) applies: Applies,
    /// Whether what was observed shows the opposite of what a log said a while ago.
    pub(crate) refuted: Option<fn(&Observation) -> bool>,
    /// How it shows itself in what was observed in the cluster.
    pub(crate) check: Option<fn(&Context<'_>) -> Vec<Draft>>,
}

impl Cause {
    /// A cause that usually is critical, of this component and with this prose. Nothing else is said of it yet: this, or
    /// one of the next two, is the base of a room's struct update.
    pub(crate) const fn critical(component: Component, prose: &'static str) -> Self {
        Self::new(Severity::Critical, component, prose)
    }

    /// The same of one that usually is a warning.
    pub(crate) const fn warning(component: Component, prose: &'static str) -> Self {
        Self::new(Severity::Warning, component, prose)
    }

    /// The same of one that usually is for information.
    pub(crate) const fn info(component: Component, prose: &'static str) -> Self {
        Self::new(Severity::Info, component, prose)
    }

    const fn new(severity: Severity, component: Component, prose: &'static str) -> Self {
        Self {
            severity,
            component,
            blocks_migration: false,
            needs_person: false,
            cured_by: None,
            is_connection: false,
            passes_by_itself: false,
            comes_and_goes: false,
            gives_way: GivesWay::Never,
            explains: &[],
            explains_here: None,
            prose,
            log: &[],
            claims: None,
            in_logs: None,
            remedy_here: None,
            applies: Applies::Everywhere,
            refuted: None,
            check: None,
        }
    }
}

/// In which installations a check is asked: the one place where it matters who made the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applies {
    /// In all of them.
    Everywhere,
    /// In those that are only observed: the operator's own objects never come to this.
    Observed,
}

/// To which other causes one gives way that only says that something failed, whatever `explains` of those says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivesWay {
    /// To none: it says what is wrong.
    Never,
    /// To every cause that the same logs show: a process has ended, and whatever else it logged says more.
    InLogs,
    /// To every critical cause of the database or its schema, as evidence of it: whatever needs the database fails then,
    /// and not all of it in words that speak of the database.
    ToDatabase,
}

/// Consequences of a cause, and where they are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Explains {
    /// Where a consequence counts as one.
    pub(crate) reach: Reach,
    /// The consequences.
    pub(crate) codes: &'static [Code],
    /// The least severity at which the cause has them.
    pub(crate) least: Option<Severity>,
}

/// How far a cause reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Whatever component shows the consequence.
    Everywhere,
    /// Only the component that shows the cause.
    SameComponent,
    /// Whatever component shows the consequence, where the API shows the cause.
    FromApi,
    /// Only where the same log shows the cause first and the consequence later.
    LaterInLog,
    /// Only within logs: the observation has a better look at the two.
    InLogs,
}

impl Explains {
    const fn within(reach: Reach, codes: &'static [Code]) -> Self {
        Self { reach, codes, least: None }
    }

    /// Whatever component shows them.
    pub(crate) const fn everywhere(codes: &'static [Code]) -> Self {
        Self::within(Reach::Everywhere, codes)
    }

    /// Where the same component shows them.
    pub(crate) const fn same_component(codes: &'static [Code]) -> Self {
        Self::within(Reach::SameComponent, codes)
    }

    /// Whatever component shows them, where the API shows the cause.
    pub(crate) const fn from_api(codes: &'static [Code]) -> Self {
        Self::within(Reach::FromApi, codes)
    }

    /// Where the same log shows them after the cause.
    pub(crate) const fn later_in_log(codes: &'static [Code]) -> Self {
        Self::within(Reach::LaterInLog, codes)
    }

    /// Where a log shows both.
    pub(crate) const fn in_logs(codes: &'static [Code]) -> Self {
        Self::within(Reach::InLogs, codes)
    }

    /// The same, but only where the cause is critical.
    pub(crate) const fn when_critical(mut self) -> Self {
        self.least = Some(Severity::Critical);
        self
    }
}

impl Code {
    /// The base of a diagnosis of this cause: its usual severity and component, without words.
    pub(crate) const fn draft(self) -> Draft {
        let cause = self.cause();
        Draft {
            code: self,
            severity: cause.severity,
            component: cause.component,
            message: String::new(),
            evidence: Vec::new(),
            remedy: String::new(),
        }
    }
}
