//! Every rule of the gate.

use rstest::rstest;

use crate::{
    api::{MigrationOperation, MigrationResult, MigrationStatus},
    decide::{Gate, GateInput, gate::decide},
    fixtures::{database, installation, minimal},
    flagsmith::Release,
    model::Code,
    observe::{JobOutcome, JobState},
    validate::MigrationKey,
};

/// What a gate is decided from, owned.
struct Case {
    key: Option<MigrationKey>,
    name: Option<String>,
    annotated: Vec<String>,
    recorded: Option<MigrationStatus>,
    jobs: Vec<JobState>,
    blocked: Option<Code>,
    external: bool,
}

impl Case {
    /// A fresh installation whose database is known.
    fn fresh() -> Self {
        let installation = installation(&minimal());
        let key = MigrationKey::migrate(&installation, installation.release, &database());
        Self {
            name: Some(key.job_name(&installation, MigrationOperation::Migrate)),
            key: Some(key),
            annotated: Vec::new(),
            recorded: None,
            jobs: Vec::new(),
            blocked: None,
            external: false,
        }
    }

    fn key(&self) -> String {
        self.key.as_ref().unwrap().to_string()
    }

    fn annotated(mut self) -> Self {
        self.annotated = vec!["an-older-key".to_owned(), self.key()];
        self
    }

    fn recorded(mut self, result: MigrationResult) -> Self {
        self.recorded = Some(MigrationStatus {
            key: Some(self.key()),
            version: "2.265.0".to_owned(),
            result,
            job: self.name.clone(),
            ..MigrationStatus::default()
        });
        self
    }

    /// The Job of this attempt.
    fn job(mut self, outcome: JobOutcome) -> Self {
        let (name, key) = (self.name.clone().unwrap(), self.key());
        self.jobs.push(job(&name, &key, outcome));
        self
    }

    /// A Job of another release.
    fn other_job(mut self, outcome: JobOutcome) -> Self {
        self.jobs.insert(0, job("flagsmith-migrate-other", "other", outcome));
        self
    }

    fn deleting(mut self) -> Self {
        self.jobs.last_mut().unwrap().deleting = true;
        self
    }

    /// Another attempt was asked for: the Job that exists has another name, but the same key.
    fn retried(mut self) -> Self {
        self.name = Some("flagsmith-migrate-retried".to_owned());
        self
    }

    fn blocked(mut self, code: Code) -> Self {
        self.blocked = Some(code);
        self
    }

    fn external(mut self) -> Self {
        self.external = true;
        self
    }

    fn unknown_database(mut self) -> Self {
        self.key = None;
        self.name = None;
        self
    }

    fn gate(&self) -> Gate {
        let annotated: Vec<&str> = self.annotated.iter().map(String::as_str).collect();
        decide(GateInput {
            key: self.key.as_ref(),
            job_name: self.name.as_deref(),
            annotated: &annotated,
            recorded: self.recorded.as_ref(),
            jobs: &self.jobs,
            blocked: self.blocked,
            external: self.external,
        })
    }

    fn label(&self) -> String {
        match self.gate() {
            Gate::Blocked(code) => format!("blocked {code}"),
            Gate::Pending => "pending".to_owned(),
            Gate::Running(job) => format!("running {}", self.own(&job)),
            Gate::Unrecorded(job) => format!("unrecorded {}", self.own(&job)),
            Gate::Succeeded => "succeeded".to_owned(),
            Gate::Failed { job, state } => {
                assert_eq!(Some(&job), self.name.as_ref());
                format!("failed, {}", if state.is_some() { "seen" } else { "gone" })
            }
        }
    }

    fn own(&self, job: &JobState) -> &'static str {
        if Some(job.key.as_deref()) == self.key.as_ref().map(|key| Some(key.as_str())) {
            "own"
        } else {
            "other"
        }
    }
}

fn job(name: &str, key: &str, outcome: JobOutcome) -> JobState {
    JobState {
        name: name.to_owned(),
        key: Some(key.to_owned()),
        release: Some(Release::new(2, 265, 0)),
        outcome,
        ..JobState::default()
    }
}

fn failed() -> JobOutcome {
    JobOutcome::Failed { reason: "BackoffLimitExceeded".to_owned(), message: String::new() }
}

use JobOutcome::{Active, Complete};
use MigrationResult as Result;

#[rstest]
// Nothing has happened yet.
#[case(Case::fresh(), "pending")]
#[case(Case::fresh().external(), "blocked MigrationConcurrent")]
#[case(Case::fresh().blocked(Code::DatabaseUnreachable), "blocked DatabaseUnreachable")]
#[case(Case::fresh().blocked(Code::DatabaseUnreachable).external(), "blocked DatabaseUnreachable")]
#[case(Case::fresh().unknown_database(), "blocked MigrationsPending")]
#[case(Case::fresh().unknown_database().blocked(Code::DatabaseSecretMissing), "blocked DatabaseSecretMissing")]
// A Job runs: nothing else counts.
#[case(Case::fresh().job(Active), "running own")]
#[case(Case::fresh().job(Active).deleting(), "running own")]
#[case(Case::fresh().job(Active).blocked(Code::DatabaseUnreachable), "running own")]
#[case(Case::fresh().job(Active).external(), "running own")]
#[case(Case::fresh().other_job(Active), "running other")]
#[case(Case::fresh().other_job(Active).job(Complete), "running other")]
#[case(Case::fresh().other_job(Active).annotated(), "running other")]
#[case(Case::fresh().other_job(Active).blocked(Code::DowngradeBlocked), "running other")]
#[case(Case::fresh().other_job(Active).unknown_database(), "running other")]
#[case(Case::fresh().recorded(Result::Failed).retried().other_job(Active), "running other")]
// The Job is complete.
#[case(Case::fresh().job(Complete), "unrecorded own")]
#[case(Case::fresh().job(Complete).deleting(), "unrecorded own")]
#[case(Case::fresh().job(Complete).retried(), "unrecorded own")]
#[case(Case::fresh().job(Complete).blocked(Code::DatabaseUnreachable), "unrecorded own")]
#[case(Case::fresh().job(Complete).recorded(Result::Running), "unrecorded own")]
#[case(Case::fresh().other_job(Complete), "pending")]
// It is recorded, in either place.
#[case(Case::fresh().recorded(Result::Applied), "succeeded")]
#[case(Case::fresh().annotated(), "succeeded")]
#[case(Case::fresh().annotated().recorded(Result::Running), "succeeded")]
#[case(Case::fresh().recorded(Result::Applied).job(Complete), "succeeded")]
#[case(Case::fresh().recorded(Result::Applied).blocked(Code::DatabaseUnreachable), "succeeded")]
#[case(Case::fresh().recorded(Result::Applied).retried(), "succeeded")]
#[case(Case::fresh().recorded(Result::Applied).external(), "succeeded")]
#[case(Case::fresh().recorded(Result::Applied).blocked(Code::DowngradeBlocked), "blocked DowngradeBlocked")]
#[case(Case::fresh().job(Complete).blocked(Code::DowngradeBlocked), "blocked DowngradeBlocked")]
#[case(Case::fresh().recorded(Result::Applied).unknown_database(), "blocked MigrationsPending")]
// It has failed.
#[case(Case::fresh().job(failed()), "failed, seen")]
#[case(Case::fresh().job(failed()).deleting(), "failed, seen")]
#[case(Case::fresh().job(failed()).recorded(Result::Failed), "failed, seen")]
#[case(Case::fresh().recorded(Result::Failed), "failed, gone")]
#[case(Case::fresh().recorded(Result::Failed).blocked(Code::DatabaseUnreachable), "failed, gone")]
#[case(Case::fresh().recorded(Result::Failed).job(failed()).retried(), "pending")]
#[case(Case::fresh().job(failed()).retried().external(), "blocked MigrationConcurrent")]
#[case(Case::fresh().job(failed()).retried().blocked(Code::DatabaseReadOnly), "blocked DatabaseReadOnly")]
#[case(Case::fresh().other_job(failed()), "pending")]
fn follows_the_rules(#[case] case: Case, #[case] expected: &str) {
    assert_eq!(case.label(), expected);
}

#[test]
fn a_record_of_another_key_opens_nothing() {
    let mut case = Case::fresh().recorded(Result::Applied);
    case.recorded.as_mut().unwrap().key = Some("other".to_owned());
    case.annotated = vec!["another".to_owned()];
    assert_eq!(case.gate(), Gate::Pending);
}
