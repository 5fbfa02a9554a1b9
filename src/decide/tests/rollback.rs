//! The way back: when it is open, when it needs a confirmation, and in which order it is gone.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use rstest::rstest;
use serde_json::{Value, json};

use super::scene::{
    NEW, NEW_IMAGE, OLD, OLD_IMAGE, failed, job, key, pod, pulled, rolled_out, runs, shape, wanted,
};
use crate::{
    api::{MigrationOperation, MigrationResult, MigrationStatus},
    decide::{Gate, decide},
    flagsmith::Release,
    migration::{Direction, Step, Undo, direction},
    model::{Code, PodPhase},
    observe::{History, JobOutcome, JobState, Look, Observation, Preflight, WorkloadState},
    validate::{Installation, RollbackOrder, RollbackPlan, UndoFirst, backup_name},
};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn release(text: &str) -> Release {
    text.parse().unwrap()
}

/// A migration that succeeded: from, to, how many migrations, and when the last one before it was applied.
pub(super) fn record(from: Option<&str>, to: &str, applied: Option<i32>, before: i64) -> MigrationStatus {
    MigrationStatus {
        version: to.to_owned(),
        from: from.map(str::to_owned),
        result: MigrationResult::Applied,
        applied,
        last_applied_before: Some(MicroTime(at(before))),
        job: Some(format!("migrate-to-{to}")),
        started: Some(Time(at(before + 10))),
        ..MigrationStatus::default()
    }
}

pub(super) fn undone(from: &str, to: &str) -> MigrationStatus {
    MigrationStatus { operation: MigrationOperation::RollBack, ..record(Some(from), to, None, 0) }
}

pub(super) fn going_back(history: Vec<MigrationStatus>) -> Observation {
    let mut observation = runs(&wanted(json!({})), NEW);
    observation.previous.migration_history = history;
    observation
}

pub(super) fn blocked(applied_after: Option<i64>, applied: Option<i32>) -> Direction {
    Direction::Blocked(Undo { from: release(NEW), applied_after: applied_after.map(at), applied })
}

#[rstest]
// Nothing is known of the upgrade.
#[case(vec![], blocked(None, None))]
#[case(vec![record(None, NEW, Some(3), 100)], blocked(None, None))]
// One upgrade, or several.
#[case(vec![record(Some(OLD), NEW, Some(3), 100)], blocked(Some(100), Some(3)))]
#[case(vec![record(Some(OLD), NEW, None, 100)], blocked(Some(100), None))]
#[case(vec![record(Some("2.263.0"), NEW, Some(2), 200), record(Some(OLD), "2.263.0", Some(3), 100)], blocked(Some(100), Some(5)))]
#[case(vec![record(None, NEW, Some(2), 200), record(None, OLD, Some(9), 50)], blocked(Some(200), Some(2)))]
// Nothing was applied since.
#[case(vec![record(Some(OLD), NEW, Some(0), 100)], Direction::Forward)]
#[case(vec![record(Some("2.263.0"), NEW, Some(0), 200), record(Some(OLD), "2.263.0", Some(0), 100)], Direction::Forward)]
// It was undone, and done again.
#[case(vec![undone(NEW, OLD), record(Some(OLD), NEW, Some(3), 100)], Direction::Forward)]
#[case(vec![record(Some(OLD), OLD, Some(0), 100), undone(NEW, OLD), record(Some(OLD), NEW, Some(3), 100)], Direction::Forward)]
#[case(vec![record(Some(OLD), NEW, Some(3), 100), undone(NEW, OLD)], blocked(Some(100), Some(3)))]
fn the_way_back_is_read_from_the_history(#[case] history: Vec<MigrationStatus>, #[case] expected: Direction) {
    let back = wanted(json!({ "version": OLD }));
    assert_eq!(direction(&back, &going_back(history)), expected);
}

#[test]
fn what_happened_to_another_database_does_not_count() {
    let mut elsewhere = record(Some(OLD), NEW, Some(0), 100);
    elsewhere.database = Some("other.prod:5432/flags".to_owned());
    let back = wanted(json!({ "version": OLD }));
    assert_eq!(direction(&back, &going_back(vec![elsewhere])), blocked(None, None));
}

#[test]
fn a_job_that_is_not_recorded_yet_stands_in_the_way() {
    let back = wanted(json!({ "version": OLD }));
    let mut observation = going_back(vec![record(None, OLD, Some(9), 50)]);
    observation.jobs = vec![JobState {
        from: Some(release(OLD)),
        last_applied_before: Some(at(100)),
        ..job(&wanted(json!({})), NEW, JobOutcome::Complete)
    }];
    assert_eq!(direction(&back, &observation), blocked(Some(100), None));
}

fn confirmed() -> Installation {
    wanted(json!({ "version": OLD, "migrations": { "rollback": { "from": NEW, "to": OLD } } }))
}

#[test]
fn a_confirmation_needs_a_known_moment() {
    assert_eq!(direction(&confirmed(), &going_back(vec![])), blocked(None, None));
    let given = wanted(json!({ "version": OLD, "migrations": { "rollback": {
        "from": NEW, "to": OLD, "appliedAfter": "1970-01-01T00:01:17Z",
    } } }));
    let expected = Direction::Back(RollbackPlan {
        from: release(NEW),
        to: release(OLD),
        applied_after: at(77),
        order: RollbackOrder::UndoFirst(UndoFirst::Unrecorded),
    });
    assert_eq!(direction(&given, &going_back(vec![])), expected);
    let other =
        wanted(json!({ "version": OLD, "migrations": { "rollback": { "from": "2.266.0", "to": OLD } } }));
    let history = vec![record(Some(OLD), NEW, Some(3), 100)];
    assert_eq!(direction(&other, &going_back(history)), blocked(Some(100), Some(3)));
}

/// Releases between which nothing is known that older pods cannot do.
const SERVES: &str = "2.259.0";
const NEWER: &str = "2.260.0";
const SERVES_IMAGE: &str = "docker.flagsmith.com/flagsmith/flagsmith-api:2.259.0";
const SERVES_FRONTEND: &str = "docker.flagsmith.com/flagsmith/flagsmith-frontend:2.259.0";
const NEWER_IMAGE: &str = "docker.flagsmith.com/flagsmith/flagsmith-api:2.260.0";

/// A confirmed way back between them, with further settings of the confirmation.
fn seamless(changes: &Value) -> Installation {
    let mut rollback = json!({ "from": NEWER, "to": SERVES });
    rollback.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    wanted(json!({ "version": SERVES, "migrations": { "rollback": rollback } }))
}

/// The newer release runs; the older one's own migrations were recorded before.
fn newer_runs(back: &Installation) -> Observation {
    let own = MigrationStatus { key: Some(key(back, SERVES)), ..record(None, SERVES, Some(9), 50) };
    let mut observation = runs(&wanted(json!({ "version": NEWER })), NEWER);
    observation.previous.migration_history = vec![record(Some(SERVES), NEWER, Some(3), 100), own];
    observation
}

fn order(back: &Installation, observation: &Observation) -> RollbackOrder {
    match direction(back, observation) {
        Direction::Back(plan) => plan.order,
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::nothing_against_it(json!({}), RollbackOrder::PodsFirst)]
#[case::what_was_recorded_or_less(json!({ "appliedAfter": "1970-01-01T00:01:40Z" }), RollbackOrder::PodsFirst)]
#[case::more(json!({ "appliedAfter": "1970-01-01T00:01:39Z" }), RollbackOrder::UndoFirst(UndoFirst::Unrecorded))]
#[case::asked(json!({ "undoFirst": true }), RollbackOrder::UndoFirst(UndoFirst::Asked))]
fn older_pods_come_first_where_they_serve(#[case] changes: Value, #[case] expected: RollbackOrder) {
    let back = seamless(&changes);
    assert_eq!(order(&back, &newer_runs(&back)), expected);
}

#[test]
fn older_pods_need_a_record_that_what_they_need_stays() {
    let back = seamless(&json!({}));
    let unrecorded = RollbackOrder::UndoFirst(UndoFirst::Unrecorded);
    let mut observation = newer_runs(&back);
    observation.previous.migration_history[1].key = Some("of-another-image".to_owned());
    assert_eq!(order(&back, &observation), unrecorded);
    // It came from further back, so undoing goes further back.
    let mut observation = newer_runs(&back);
    observation.previous.migration_history[0].from = Some("2.253.0".to_owned());
    assert_eq!(order(&back, &observation), unrecorded);
    // How far an earlier rollback went is not known.
    let mut observation = newer_runs(&back);
    observation.previous.migration_history[0].from = Some(NEWER.to_owned());
    observation.previous.migration_history.insert(1, undone(NEWER, SERVES));
    assert_eq!(order(&back, &observation), unrecorded);
    // The known step.
    let mut observation = going_back(vec![record(Some(OLD), NEW, Some(3), 100)]);
    let own = MigrationStatus { key: Some(key(&confirmed(), OLD)), ..record(None, OLD, Some(9), 50) };
    observation.previous.migration_history.push(own);
    let RollbackOrder::UndoFirst(UndoFirst::Incompatible(what)) = order(&confirmed(), &observation) else {
        panic!("{:?}", order(&confirmed(), &observation));
    };
    assert!(what.contains("identities"), "{what}");
}

#[test]
fn older_pods_serve_before_anything_is_undone() {
    let back = seamless(&json!({}));
    let mut observation = newer_runs(&back);
    pulled(&back, &mut observation);
    let of = |image, processors, api| [Some((image, Some(processors))), Some((api, Some(2)))];

    // The API first, while the newer processor works; then the frontend.
    let plan = decide(&back, &observation, &[]);
    assert_eq!(plan.gate, Gate::Blocked(Code::OlderPodsPending));
    assert_eq!(shape(&plan)[..2], of(NEWER_IMAGE, 1, SERVES_IMAGE));
    assert_eq!(plan.migrated.as_ref().unwrap().release, release(NEWER), "nothing is undone yet");
    assert_eq!(plan.migrated.as_ref().unwrap().key, key(&back, NEWER));
    observation.api.as_mut().unwrap().release = Some(release(SERVES));
    observation.api.as_mut().unwrap().image = Some(SERVES_IMAGE.to_owned());
    let plan = decide(&back, &observation, &[]);
    assert_eq!(plan.gate, Gate::Blocked(Code::OlderPodsPending), "a newer pod is left");
    assert_eq!(shape(&plan)[..2], of(NEWER_IMAGE, 1, SERVES_IMAGE));
    assert_eq!(shape(&plan)[2], Some((SERVES_FRONTEND, Some(1))));
    observation.pods[0] = pod("api", SERVES, PodPhase::Running);

    // Then the newer processor is stopped, and only then is undone.
    let plan = decide(&back, &observation, &[]);
    assert_eq!(plan.gate, Gate::Pending);
    assert_eq!(shape(&plan)[..2], of(SERVES_IMAGE, 0, SERVES_IMAGE));
    assert_eq!(plan.migrate, None);
    let step = plan.step.unwrap();
    let mut stopped = rolled_out("task-processor", SERVES, 0);
    stopped.migrated = Some(release(NEWER));
    observation.task_processor = Some(stopped);
    observation.pods.truncate(1);
    for state in [&mut observation.api, &mut observation.task_processor] {
        state.as_mut().unwrap().migration_key = step.undoing();
    }
    observation.previous.migration = Some(MigrationStatus {
        key: Some(step.key.to_string()),
        result: MigrationResult::Pending,
        ..MigrationStatus::default()
    });
    let migrate = decide(&back, &observation, &[]).migrate.unwrap();
    assert_eq!(
        migrate.action.rollback().map(|it| (it.from, it.applied_after)),
        Some((release(NEWER), at(100)))
    );

    // Half undone: what the older release needs is there, so its processor works on beside its API.
    for (outcome, processors) in [(JobOutcome::Active, 0), (JobOutcome::Complete, 0), (failed(), 1)] {
        observation.jobs = vec![undoes(&step, outcome)];
        let plan = decide(&back, &observation, &[]);
        assert_eq!(shape(&plan)[..2], of(SERVES_IMAGE, processors, SERVES_IMAGE), "{:?}", plan.gate);
        assert_eq!(plan.migrated.unwrap().key, step.undoing().unwrap());
    }

    // Undone: its own check, which finds nothing to do, changes no pod.
    observation.jobs.clear();
    observation.previous.migration_history.insert(0, undone(NEWER, SERVES));
    let plan = decide(&back, &observation, &[]);
    assert_eq!(plan.gate, Gate::Pending);
    assert_eq!(shape(&plan)[..2], of(SERVES_IMAGE, 0, SERVES_IMAGE));
    observation.previous.migration = Some(super::scene::recorded(&back, SERVES));
    assert_eq!(shape(&decide(&back, &observation, &[]))[..2], of(SERVES_IMAGE, 1, SERVES_IMAGE));
}

/// The Job of a step, which undoes migrations.
fn undoes(step: &Step, outcome: JobOutcome) -> JobState {
    JobState {
        name: step.job.clone(),
        key: Some(step.key.to_string()),
        operation: MigrationOperation::RollBack,
        release: Some(release(SERVES)),
        outcome,
        ..JobState::default()
    }
}

/// Nothing is undone before the older pods serve, or nobody wants any.
#[rstest]
#[case::they_serve(|_: &mut WorkloadState| {}, true)]
#[case::another_template(|api: &mut WorkloadState| api.release = Some(release(NEWER)), false)]
#[case::not_seen_by_its_controller(|api: &mut WorkloadState| api.observed = false, false)]
#[case::older_ones_are_left(|api: &mut WorkloadState| api.updated = 1, false)]
#[case::none_serves(|api: &mut WorkloadState| api.available = 0, false)]
#[case::one_serves(|api: &mut WorkloadState| api.available = 1, true)]
#[case::none_is_wanted(|api: &mut WorkloadState| (api.available, api.desired) = (0, 0), true)]
fn undoing_begins_when_the_older_pods_serve(#[case] change: fn(&mut WorkloadState), #[case] begins: bool) {
    let back = seamless(&json!({}));
    let mut observation = newer_runs(&back);
    pulled(&back, &mut observation);
    observation.pods[0] = pod("api", SERVES, PodPhase::Running);
    let api = observation.api.as_mut().unwrap();
    api.release = Some(release(SERVES));
    change(api);
    let gate = decide(&back, &observation, &[]).gate;
    assert_eq!(gate, if begins { Gate::Pending } else { Gate::Blocked(Code::OlderPodsPending) });
}

/// The pods go back for the Job that undoes; while another one changes the database they stay as they are.
#[rstest]
#[case::its_own(None, SERVES_IMAGE)]
#[case::another(Some("flagsmith-migrate-other"), NEWER_IMAGE)]
fn older_pods_come_for_their_own_undoing_only(#[case] runs: Option<&str>, #[case] image: &str) {
    let back = seamless(&json!({}));
    let mut observation = newer_runs(&back);
    pulled(&back, &mut observation);
    let step = decide(&back, &observation, &[]).step.unwrap();
    for outcome in [JobOutcome::Active, JobOutcome::Complete] {
        let job = undoes(&step, outcome);
        observation.jobs = vec![JobState { name: runs.map_or(job.name, str::to_owned), ..job }];
        let plan = decide(&back, &observation, &[]);
        assert_eq!(shape(&plan)[1], Some((image, Some(2))), "{:?}", plan.gate);
    }
}

#[test]
fn turning_round_before_anything_is_undone_needs_no_migration() {
    let back = seamless(&json!({}));
    let mut observation = newer_runs(&back);
    observation.api.as_mut().unwrap().release = Some(release(SERVES));
    observation.api.as_mut().unwrap().image = Some(SERVES_IMAGE.to_owned());
    let newer = wanted(json!({ "version": NEWER }));
    let plan = decide(&newer, &observation, &[]);
    assert_eq!(plan.gate, Gate::Succeeded);
    assert_eq!(
        shape(&plan)[..2],
        [Some((NEWER_IMAGE, Some(1))), Some((NEWER_IMAGE, Some(2)))],
        "the processor is there, so the API follows"
    );
}

#[test]
fn it_is_gone_step_by_step() {
    let back = confirmed();
    let newer = wanted(json!({}));
    let mut observation = going_back(vec![record(Some(OLD), NEW, Some(3), 100)]);
    observation.jobs = vec![job(&newer, NEW, JobOutcome::Complete)];
    // A Job of that history, so that it is recorded.
    observation.previous.migration_history[0].job = Some(observation.jobs[0].name.clone());
    observation.previous.migration_history[0].started = None;
    let new_runs = |processors| [Some((NEW_IMAGE, Some(processors))), Some((NEW_IMAGE, Some(2)))];

    // Nothing is undone before the images of both releases are there.
    let plan = decide(&back, &observation, &[]);
    assert_eq!(plan.gate, Gate::Blocked(Code::MigrationImagePending));
    assert_eq!(shape(&plan)[..2], new_runs(1));
    assert_eq!(plan.pull.unwrap().images, [NEW_IMAGE, OLD_IMAGE]);
    pulled(&back, &mut observation);

    // Then the processor stops, the proof of the upgrade goes, and no annotation calls it applied any more.
    let plan = decide(&back, &observation, &[]);
    assert_eq!(plan.gate, Gate::Pending);
    assert_eq!(shape(&plan)[..2], new_runs(0));
    assert_eq!(plan.superseded_jobs, [observation.jobs[0].name.clone()]);
    let step = plan.step.clone().unwrap();
    let migrated = plan.migrated.unwrap();
    assert_eq!(migrated.key, format!("undone-by-{}", step.key));
    assert_eq!(migrated.release, release(NEW), "pods of it run");
    assert_eq!(plan.migrate, None);
    observation.task_processor = Some(rolled_out("task-processor", NEW, 0));
    observation.pods = vec![pod("api", NEW, PodPhase::Running)];
    assert_eq!(decide(&back, &observation, &[]).migrate, None, "the old Job is there");
    observation.jobs.clear();
    assert_eq!(decide(&back, &observation, &[]).migrate, None, "an annotation says applied");
    for state in [&mut observation.api, &mut observation.task_processor] {
        state.as_mut().unwrap().migration_key = Some(migrated.key.clone());
    }
    assert_eq!(decide(&back, &observation, &[]).migrate, None, "the status does not say so yet");
    observation.previous.migration = Some(MigrationStatus {
        key: Some(step.key.to_string()),
        result: MigrationResult::Pending,
        ..MigrationStatus::default()
    });

    // Then the Job, in the newer image.
    let migrate = decide(&back, &observation, &[]).migrate.unwrap();
    assert_eq!(
        migrate.action.rollback().map(|it| (it.from, it.applied_after)),
        Some((release(NEW), at(100)))
    );
    assert_eq!(migrate.name, step.job);

    // While it runs nothing moves; when it fails the newer release goes on.
    let with = |observation: &Observation, outcome| Observation {
        jobs: vec![JobState {
            name: step.job.clone(),
            key: Some(step.key.to_string()),
            operation: MigrationOperation::RollBack,
            release: Some(release(OLD)),
            outcome,
            ..JobState::default()
        }],
        ..observation.clone()
    };
    let shape_of = |outcome| {
        shape(&decide(&back, &with(&observation, outcome), &[]))[..2]
            .to_vec()
            .into_iter()
            .map(|it| it.map(|(image, count)| (image.to_owned(), count)))
            .collect::<Vec<_>>()
    };
    let owned = |processors| {
        new_runs(processors).map(|it| it.map(|(image, count)| (image.to_owned(), count))).to_vec()
    };
    assert_eq!(shape_of(JobOutcome::Active), owned(0));
    assert_eq!(shape_of(JobOutcome::Complete), owned(0));
    assert_eq!(shape_of(failed()), owned(1));

    // When it is recorded, the older release migrates (which finds nothing to do), and only then starts.
    observation.previous.migration_history.insert(0, undone(NEW, OLD));
    let plan = decide(&back, &observation, &[]);
    assert_eq!(plan.gate, Gate::Pending);
    assert_eq!(plan.step.as_ref().unwrap().key.to_string(), key(&back, OLD));
    assert_eq!(shape(&plan)[..2], new_runs(0));
    assert_eq!(plan.migrate.unwrap().action.rollback(), None);
    observation.previous.migration = Some(super::scene::recorded(&back, OLD));
    observation.previous.migration_history.insert(0, record(Some(OLD), OLD, Some(0), 100));
    assert_eq!(
        shape(&decide(&back, &observation, &[]))[..2],
        [Some((OLD_IMAGE, Some(0))), Some((NEW_IMAGE, Some(2)))]
    );
}

/// The newest migration in the database is the one that was the newest before the upgrade: nothing is left to apply.
#[rstest]
#[case::as_it_was(100, true)]
#[case::somebody_has_migrated_since(101, false)]
#[case::more_was_undone(99, false)]
fn what_was_undone_completely_needs_no_migration(#[case] newest: i64, #[case] expected: bool) {
    let back = confirmed();
    let of_old = MigrationStatus { key: Some(key(&back, OLD)), ..record(None, OLD, Some(9), 50) };
    let mut observation = going_back(vec![undone(NEW, OLD), record(Some(OLD), NEW, Some(3), 100), of_old]);
    observation.preflight = Some(Ok(Preflight {
        complete: true,
        history: History { last_applied: Some(at(newest).as_microsecond()), ..History::default() },
        ..Preflight::default()
    }));
    let gate = |observation: &Observation| decide(&back, observation, &[]).gate;
    assert_eq!(gate(&observation) == Gate::Succeeded, expected);
    // What was so a while ago opens nothing.
    observation.look = Look::Stale;
    assert_eq!(gate(&observation), Gate::Blocked(Code::MigrationImagePending));
    observation.look = Look::Fresh;
    // Without the record of the older release nobody knows that it was applied.
    observation.previous.migration_history.pop();
    assert_eq!(gate(&observation), Gate::Blocked(Code::MigrationImagePending));
}

/// Only the undoing of what came after the wanted release tells what that had left.
#[rstest]
#[case::gone_back_further(|history: &mut [MigrationStatus]| history[0].version = "2.255.0".to_owned())]
#[case::it_came_from_elsewhere(|history: &mut [MigrationStatus]| history[1].from = Some("2.255.0".to_owned()))]
#[case::it_only_ran_again(|history: &mut [MigrationStatus]| history[1].version = OLD.to_owned())]
fn what_was_undone_of_another_way_proves_nothing(#[case] change: fn(&mut [MigrationStatus])) {
    let back = confirmed();
    let of_old = MigrationStatus { key: Some(key(&back, OLD)), ..record(None, OLD, Some(9), 50) };
    let mut history = vec![undone(NEW, OLD), record(Some(OLD), NEW, Some(3), 100), of_old];
    change(&mut history);
    let mut observation = going_back(history);
    observation.preflight = Some(Ok(Preflight {
        complete: true,
        history: History { last_applied: Some(at(100).as_microsecond()), ..History::default() },
        ..Preflight::default()
    }));
    assert_ne!(decide(&back, &observation, &[]).gate, Gate::Succeeded);
}

#[test]
fn turning_round_migrates_again() {
    let newer = wanted(json!({}));
    let mut observation = going_back(vec![record(Some(OLD), NEW, Some(3), 100)]);
    observation.task_processor = Some(rolled_out("task-processor", NEW, 0));
    for state in [&mut observation.api, &mut observation.task_processor] {
        state.as_mut().unwrap().migration_key = Some("undone-by-x".to_owned());
    }
    observation.pods = vec![pod("api", NEW, PodPhase::Running)];
    let plan = decide(&newer, &observation, &[]);
    assert_eq!(plan.gate, Gate::Pending);
    assert!(plan.migrate.is_some_and(|migrate| migrate.action.rollback().is_none()));
}

#[test]
fn a_backup_holds_the_gate_and_not_the_processor() {
    let backup = json!({ "migrations": { "backup": { "volumeClaim": { "claimName": "backups" } } } });
    let installation = wanted(backup);
    let mut observation = runs(&installation, OLD);
    pulled(&installation, &mut observation);
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(plan.gate, Gate::Blocked(Code::BackupPending));
    assert_eq!(shape(&plan)[0], Some((OLD_IMAGE, Some(1))), "tasks run on");
    let name = backup_name(&installation, &plan.step.unwrap().job);
    assert_eq!(plan.backup.unwrap().name, name);
    for (outcome, gate) in [
        (JobOutcome::Active, Gate::Blocked(Code::BackupPending)),
        (failed(), Gate::Blocked(Code::BackupFailed)),
        (JobOutcome::Complete, Gate::Pending),
    ] {
        observation.backups = vec![JobState { name: name.clone(), outcome, ..JobState::default() }];
        let plan = decide(&installation, &observation, &[]);
        assert_eq!((plan.gate, plan.backup), (gate, None));
    }
    // A database without data needs none.
    let fresh = decide(&installation, &crate::fixtures::empty_observation(), &[]);
    assert_eq!(fresh.gate, Gate::Pending);
}
