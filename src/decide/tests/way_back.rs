//! What counts as proof of where a database is, and what does not.

use rstest::rstest;
use serde_json::json;

use super::{
    rollback::{at, blocked, going_back, record, release, undone},
    scene::{NEW, NEW_IMAGE, OLD, OLD_IMAGE, failed, job, key, recorded, rolled_out, runs, shape, wanted},
};
use crate::{
    api::{MigrationOperation, MigrationResult, MigrationStatus},
    decide::{Migrated, decide},
    migration::{Action, Direction, Step, direction},
    observe::{JobOutcome, JobState, Observation, WorkloadState},
    validate::Installation,
};

/// A Job to [`NEW`] from [`OLD`] that has ended, as that record tells of it.
fn ended() -> JobState {
    JobState {
        name: format!("migrate-to-{NEW}"),
        started: Some(at(110)),
        from: Some(release(OLD)),
        last_applied_before: Some(at(100)),
        release: Some(release(NEW)),
        outcome: JobOutcome::Complete,
        ..JobState::default()
    }
}

/// How many migrations a Job has applied is known once it is recorded: each run is one, and a name comes back when what was
/// undone is done again.
#[rstest]
#[case::this_run(|_: &mut JobState| {}, Some(3))]
#[case::this_run_to_the_second(|job: &mut JobState| job.started = Some(at(110) + jiff::SignedDuration::from_millis(9)), Some(3))]
#[case::an_earlier_run_of_its_name(|job: &mut JobState| job.started = Some(at(50)), None)]
#[case::another_that_began_with_it(|job: &mut JobState| job.name = "migrate-otherwise".to_owned(), None)]
#[case::one_that_has_not_begun(|job: &mut JobState| job.started = None, None)]
#[case::one_that_still_runs(|job: &mut JobState| (job.started, job.outcome) = (Some(at(50)), JobOutcome::Active), Some(3))]
fn a_run_counts_once(#[case] change: fn(&mut JobState), #[case] applied: Option<i32>) {
    let mut observation = going_back(vec![record(Some(OLD), NEW, Some(3), 100)]);
    let mut job = ended();
    change(&mut job);
    observation.jobs = vec![job];
    assert_eq!(direction(&wanted(json!({ "version": OLD })), &observation), blocked(Some(100), applied));
}

/// What opens a way is worth nothing before it is recorded.
#[rstest]
#[case::to_the_wanted_release(MigrationOperation::Migrate, OLD)]
#[case::to_an_older_one(MigrationOperation::Migrate, "2.255.0")]
#[case::back(MigrationOperation::RollBack, OLD)]
fn a_job_that_is_not_recorded_opens_no_way(#[case] operation: MigrationOperation, #[case] to: &str) {
    let mut observation = going_back(vec![record(Some("2.263.0"), NEW, Some(3), 100)]);
    observation.jobs =
        vec![JobState { name: "not-recorded".to_owned(), operation, release: Some(release(to)), ..ended() }];
    assert_eq!(direction(&wanted(json!({ "version": OLD })), &observation), blocked(None, None));
}

/// Not every backup tells of which release it is. What is there was migrated since, and nothing before it counts.
#[test]
fn a_restore_ends_the_history_whatever_release_it_was_of() {
    let restored = MigrationStatus { operation: MigrationOperation::Restore, ..record(None, "", None, 90) };
    let mut observation = going_back(vec![restored, record(None, NEW, Some(3), 50)]);
    observation.jobs = vec![JobState { from: None, ..ended() }];
    let back = wanted(json!({ "version": OLD }));
    let Direction::Blocked(undo) = direction(&back, &observation) else { panic!() };
    assert_eq!((undo.applied_after, undo.applied), (Some(at(100)), None));
}

/// Everything runs the older release, whose key is annotated; the newest migration of the status is as it is changed.
fn upgrading(change: impl FnOnce(&Installation, &mut Observation)) -> (Installation, Observation) {
    let installation = wanted(json!({}));
    let mut observation = runs(&installation, OLD);
    observation.previous.migration_history = vec![recorded(&installation, NEW)];
    change(&installation, &mut observation);
    (installation, observation)
}

/// The annotations follow the status, so that a later way back is seen even when the status was lost.
#[rstest]
#[case::applied(|_: &mut MigrationStatus| {}, true)]
#[case::to_another_database(|record: &mut MigrationStatus| record.key = Some("of-another-database".to_owned()), false)]
#[case::without_a_key(|record: &mut MigrationStatus| record.key = None, false)]
#[case::undone(|record: &mut MigrationStatus| record.operation = MigrationOperation::RollBack, false)]
#[case::failed(|record: &mut MigrationStatus| record.result = MigrationResult::Failed, false)]
fn what_the_status_calls_applied_is_annotated(
    #[case] change: fn(&mut MigrationStatus),
    #[case] annotated: bool,
) {
    let (installation, observation) = upgrading(|_, seen| change(&mut seen.previous.migration_history[0]));
    let version = if annotated { NEW } else { OLD };
    let expected = Migrated { key: key(&installation, version), release: release(version) };
    assert_eq!(decide(&installation, &observation, &[]).migrated, Some(expected));
}

/// Once undoing has begun no key holds any more, whatever was applied before.
#[test]
fn nothing_is_annotated_over_what_is_being_undone() {
    let (installation, observation) = upgrading(|_, seen| {
        for state in [&mut seen.api, &mut seen.task_processor] {
            state.as_mut().unwrap().migration_key = Some("undone-by-x".to_owned());
        }
    });
    let expected = Migrated { key: "undone-by-x".to_owned(), release: release(OLD) };
    assert_eq!(decide(&installation, &observation, &[]).migrated, Some(expected));
}

/// What failed before may not be there any more once a backup was brought back; the restore's own failure is final.
#[test]
fn before_a_restore_the_failures_of_others_go() {
    let made = "2026-11-30T10:00:00Z";
    let confirm = format!("{} {made}", crate::fixtures::database());
    let installation =
        wanted(json!({ "migrations": { "restore": { "from": "a-backup", "confirm": confirm } } }));
    let mut observation = runs(&installation, NEW);
    observation.previous.observed_generation = Some(1);
    observation.previous.backups = vec![crate::api::BackupStatus {
        name: "a-backup".to_owned(),
        finished: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(made.parse().unwrap())),
        volume_claim: Some("backups".to_owned()),
        ..crate::api::BackupStatus::default()
    }];
    let step = Step::of(&installation, &observation).unwrap();
    assert!(matches!(step.action, Action::Restore(_)));
    let of = |name: &str, outcome| JobState { name: name.to_owned(), outcome, ..JobState::default() };
    let own = JobState { operation: MigrationOperation::Restore, ..of(&step.job, failed()) };
    let jobs =
        [own, of("failed", failed()), of("runs", JobOutcome::Active), of("applied", JobOutcome::Complete)];
    let gone: Vec<&str> = step.contradicted(&jobs).map(|job| job.name.as_str()).collect();
    assert_eq!(gone, ["failed", "applied"]);
}

/// The release that a database is at while it is gone back from is told by what was begun, also where that has failed: the
/// way up begins there again, and at the stops that are above it.
#[rstest]
#[case::undone(MigrationResult::Applied)]
#[case::half_undone(MigrationResult::Failed)]
fn the_way_up_begins_where_undoing_has_gone(#[case] result: MigrationResult) {
    let installation = wanted(json!({ "upgrade": { "via": ["2.262.0"] } }));
    let mut observation = runs(&installation, OLD);
    for state in [&mut observation.api, &mut observation.task_processor] {
        state.as_mut().unwrap().migrated = Some(release(NEW));
    }
    let begun = MigrationStatus { result, ..undone(NEW, OLD) };
    observation.previous.migration_history =
        vec![begun, record(Some(OLD), NEW, Some(3), 100), record(None, OLD, Some(9), 50)];
    let step = Step::of(&installation, &observation).unwrap();
    assert_eq!(
        step.path.iter().map(|stop| stop.release).collect::<Vec<_>>(),
        [release("2.262.0"), release(NEW)]
    );
    assert_eq!(step.release, release("2.262.0"));
}

/// While a backup takes the place of what is there, and until what it is of was migrated to, nothing may run that writes.
#[test]
fn after_a_restore_nothing_starts_before_its_release_is_migrated_to() {
    let installation = wanted(json!({}));
    let mut observation = runs(&installation, OLD);
    let restored = MigrationStatus { operation: MigrationOperation::Restore, ..record(None, OLD, None, 90) };
    observation.previous.migration_history = vec![restored];
    for (state, component) in
        [(&mut observation.api, "api"), (&mut observation.task_processor, "task-processor")]
    {
        let stopped = rolled_out(component, OLD, 0);
        *state = Some(WorkloadState { migration_key: Some("undone-by-x".to_owned()), ..stopped });
    }
    observation.pods.clear();
    let unreachable = super::scene::blocked(crate::model::Code::DatabaseUnreachable);
    let plan = decide(&installation, &observation, &unreachable);
    assert!(plan.is_restoring);
    assert_eq!(shape(&plan)[..2], [Some((OLD_IMAGE, Some(0))), Some((OLD_IMAGE, Some(0)))]);
    // Then everything starts, at the wanted release.
    observation.previous.migration = Some(recorded(&installation, NEW));
    let plan = decide(&installation, &observation, &[]);
    assert!(!plan.is_restoring);
    assert_eq!(shape(&plan)[0], Some((NEW_IMAGE, Some(1))));
    observation.jobs = vec![job(&installation, NEW, JobOutcome::Active)];
    assert!(decide(&installation, &observation, &[]).is_restoring);
}
