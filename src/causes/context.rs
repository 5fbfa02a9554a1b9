//! What every check of an observation is given.

use std::cell::OnceCell;

use super::gunicorn::shared::running::Running;
use crate::{
    flagsmith::Release,
    migration::Step,
    model::{Component, Draft},
    observe::{Observation, PodSummary},
    validate::{Installation, SecretKey},
};

/// An installation and what was observed of it.
pub(crate) struct Context<'a> {
    /// What is asked for, or what an observed installation amounts to.
    pub(crate) installation: &'a Installation,
    /// What was observed.
    pub(crate) observation: &'a Observation,
    running: OnceCell<Vec<Running<'a>>>,
}

impl<'a> Context<'a> {
    /// The context of one pass.
    pub(crate) const fn new(installation: &'a Installation, observation: &'a Observation) -> Self {
        Self { installation, observation, running: OnceCell::new() }
    }

    /// The release that the migration leads to which is due: the wanted one, or a stop on the way there.
    pub(crate) fn due(&self) -> Release {
        let step = Step::of(self.installation, self.observation);
        step.map_or(self.installation.release, |step| step.release)
    }

    /// What a log has shown, with what to do about it in the words of whose installation it is: a log is read without
    /// knowing that.
    pub(crate) fn owned(&self, found: Draft) -> Draft {
        let database = &self.installation.database;
        let url = match found.component {
            Component::Migrations => database.migration_url(),
            _ => database.url(),
        };
        self.owned_of(found, url)
    }

    /// The same, where `DATABASE_URL` comes from this key.
    pub(crate) fn owned_of(&self, found: Draft, url: &SecretKey) -> Draft {
        let here = found.code.cause().remedy_here;
        let remedy =
            here.and_then(|here| here(self, &found)).unwrap_or_else(|| self.spelled(&found.remedy, url));
        Draft { remedy, ..found }
    }

    /// A remedy in the words of whose installation it is, where `DATABASE_URL` comes from this key.
    pub(crate) fn spelled(&self, remedy: &str, url: &SecretKey) -> String {
        let Installation { managed_by, integrations, .. } = self.installation;
        managed_by.spelled(remedy, Some(url), integrations)
    }

    /// Whether a pod is of a release that the user has asked to undo: it misses its migrations from the moment they are
    /// undone until one of the older release takes its place, and nothing is wrong with that.
    pub(crate) fn is_rolled_back(&self, pod: &PodSummary) -> bool {
        let confirmed = self.installation.rollback.is_some();
        let release: Option<Release> = pod.version.as_ref().and_then(|version| version.parse().ok());
        confirmed && release.is_some_and(|release| release > self.installation.release)
    }

    /// The timeouts that run; `None` before there is an API.
    pub(crate) fn running(&self) -> Option<&Running<'a>> {
        self.ways().first()
    }

    /// The same behind each way to the API, read once.
    pub(crate) fn ways(&self) -> &[Running<'a>] {
        self.running.get_or_init(|| Running::behind_each(self.installation, self.observation))
    }
}
