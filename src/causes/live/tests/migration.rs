//! Migrations that failed, or that were tried before.

use rstest::rstest;

use super::{codes, of, pod};
use crate::api::{MigrationOperation, MigrationResult, MigrationStatus};
use crate::fixtures::{database, empty_observation, installation, minimal};
use crate::model::Code;
use crate::observe::{JobOutcome, JobState, Observation, PodProblem, PodSummary};
use crate::validate::MigrationKey;

fn failed_job(name: &str, reason: &str) -> JobState {
    JobState {
        name: name.to_owned(),
        key: None,
        release: "2.265.0".parse().ok(),
        outcome: JobOutcome::Failed {
            reason: reason.to_owned(),
            message: "Job has reached it".to_owned(),
        },
        ..JobState::default()
    }
}

fn attempt() -> String {
    let installation = installation(&minimal());
    MigrationKey::migrate(&installation, installation.release, &database())
        .job_name(&installation, MigrationOperation::Migrate)
}

const TRACEBACK: &str = "Applying users.0041_add_onboarding_field...Traceback (most recent call last):
  File \"/x/django/db/backends/utils.py\", line 105, in _execute
psycopg2.errors.InsufficientPrivilege: must be owner of table users_ffadminuser

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
django.db.utils.ProgrammingError: must be owner of table users_ffadminuser
";

#[rstest]
#[case("BackoffLimitExceeded", None, Code::MigrationFailed)]
#[case("BackoffLimitExceeded", Some(TRACEBACK), Code::MigrationPermissionDenied)]
#[case("DeadlineExceeded", None, Code::MigrationDeadlineExceeded)]
fn a_failed_migration(#[case] reason: &str, #[case] message: Option<&str>, #[case] code: Code) {
    let problem = PodProblem::Failed {
        exit_code: 1,
        reason: Some("Error".to_owned()),
        message: message.map(str::to_owned),
    };
    let observation = Observation {
        jobs: vec![failed_job(&attempt(), reason)],
        pods: vec![pod("migrations", vec![problem])],
        ..empty_observation()
    };
    let found = of(&observation);
    assert_eq!(codes(&found), [code]);
    let first = found.first().unwrap();
    assert!(
        first
            .remedy
            .contains("kubectl -n prod annotate fsd flagsmith operator.flagsmith.com/retry-migration="),
        "{first:?}"
    );
    assert!(first.message.contains("Nothing was started"), "{first:?}");
}

#[rstest]
#[case(75, &[Code::MigrationPermissionDenied])]
#[case(1, &[])]
fn only_what_is_tried_again_is_called_so(#[case] exit_code: i32, #[case] expected: &[Code]) {
    let problem = PodProblem::Failed {
        exit_code,
        reason: None,
        message: Some(TRACEBACK.to_owned()),
    };
    let observation = Observation {
        jobs: vec![JobState::default()],
        pods: vec![pod("migrations", vec![problem])],
        ..empty_observation()
    };
    assert_eq!(codes(&of(&observation)), expected);
}

#[test]
fn an_earlier_attempt_does_not_hold_back_the_next() {
    let observation = Observation {
        jobs: vec![failed_job("flagsmith-migrate-before", "BackoffLimitExceeded")],
        ..empty_observation()
    };
    assert_eq!(of(&observation), []);
}

/// The user has gone back to the release that serves, or has asked for another attempt.
#[rstest]
#[case::of_another_attempt("flagsmith-migrate-before", "2.260.0", &[])]
#[case::of_what_is_served(&attempt(), "2.265.0", &[])]
#[case::of_this_attempt(&attempt(), "2.260.0", &[Code::MigrationOutOfMemory])]
fn the_pods_of_an_earlier_attempt_are_history(
    #[case] job: &str,
    #[case] migrated: &str,
    #[case] expected: &[Code],
) {
    let problem = PodProblem::OutOfMemory {
        restarts: 0,
        limit: None,
    };
    let failed = PodSummary {
        job: Some(job.to_owned()),
        ..pod("migrations", vec![problem])
    };
    let mut api = super::healthy("flagsmith-api", 1);
    api.migrated = Some(migrated.parse().unwrap());
    let observation = Observation {
        api: Some(api),
        jobs: vec![failed_job(job, "BackoffLimitExceeded")],
        pods: vec![failed],
        ..empty_observation()
    };
    let found = of(&observation);
    assert_eq!(codes(&found).first(), expected.first(), "{found:#?}");
}

#[test]
fn a_recorded_failure_outlives_its_job() {
    let mut observation = empty_observation();
    observation.previous.migration = Some(MigrationStatus {
        version: "2.265.0".to_owned(),
        result: MigrationResult::Failed,
        job: Some(attempt()),
        ..MigrationStatus::default()
    });
    assert_eq!(codes(&of(&observation)), [Code::MigrationFailed]);
}
