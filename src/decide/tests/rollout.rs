//! Which release runs where, and in which order components change.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use super::scene::{
    NEW, NEW_FRONTEND, NEW_IMAGE, OLD, OLD_FRONTEND, OLD_IMAGE, blocked, failed, job, key, pod, pulled,
    recorded, rolled_out, rolling, runs, shape, wanted,
};
use crate::{
    api::MigrationStatus,
    decide::{EdgeProxy, Gate, decide},
    fixtures::empty_observation,
    model::{Code, Component, PodPhase},
    observe::{JobOutcome, JobState, Look, Observation, PodSummary, SecretState},
};

#[test]
fn nothing_starts_before_the_first_migration() {
    let installation = wanted(json!({}));
    let plan = decide(&installation, &empty_observation(), &[]);
    assert_eq!(plan.gate, Gate::Pending);
    assert_eq!(shape(&plan), [None, None, None]);
    let migrate = plan.migrate.unwrap();
    assert_eq!(migrate.release, installation.release);
    assert_eq!(migrate.name, format!("flagsmith-migrate-{}", key(&installation, NEW)));
}

/// What is not known of the database opens nothing, and what is only old stops nothing.
#[rstest]
#[case::looked_at_a_moment_ago(Look::Fresh, Gate::Pending, true, 0)]
#[case::looked_at_a_while_ago(Look::Stale, Gate::Pending, false, 0)]
#[case::never_looked_at(
    Look::Pending(Duration::from_mins(1)),
    Gate::Blocked(Code::MigrationsPending),
    false,
    1
)]
fn a_migration_starts_on_a_fresh_look_only(
    #[case] look: Look,
    #[case] gate: Gate,
    #[case] starts: bool,
    #[case] processors: i32,
) {
    let installation = wanted(json!({}));
    let plan = decide(&installation, &Observation { look, ..empty_observation() }, &[]);
    assert_eq!((&plan.gate, plan.migrate.is_some()), (&gate, starts));
    let mut observation = Observation { look, ..runs(&installation, OLD) };
    pulled(&installation, &mut observation);
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(plan.gate, gate);
    assert_eq!(shape(&plan)[0], Some((OLD_IMAGE, Some(processors))));
    // What has been recorded needs no look.
    observation.previous.migration = Some(recorded(&installation, NEW));
    assert_eq!(decide(&installation, &observation, &[]).gate, Gate::Succeeded);
}

#[rstest]
#[case(JobOutcome::Active)]
#[case(JobOutcome::Complete)]
#[case(failed())]
fn nothing_starts_and_nothing_runs_twice_while_the_first_migration_is_not_recorded(
    #[case] outcome: JobOutcome,
) {
    let installation = wanted(json!({}));
    let mut observation = empty_observation();
    observation.jobs = vec![job(&installation, NEW, outcome)];
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(shape(&plan), [None, None, None]);
    assert_eq!(plan.migrate, None);
    assert_eq!(plan.migrated, None);
}

#[rstest]
#[case::its_job_was_deleted_by_hand(PodPhase::Running, None, false)]
#[case::it_has_ended(PodPhase::Failed, None, true)]
#[case::its_job_is_there(PodPhase::Running, Some(failed()), false)]
fn no_migration_starts_while_the_pod_of_a_deleted_one_lives(
    #[case] phase: PodPhase,
    #[case] known: Option<JobOutcome>,
    #[case] starts: bool,
) {
    let installation = wanted(json!({}));
    let mut observation = empty_observation();
    let old = job(&installation, NEW, known.clone().unwrap_or(JobOutcome::Active));
    observation.pods = vec![PodSummary {
        component: Some(Component::Migrations),
        on_database: true,
        phase,
        job: Some(old.name.clone()),
        ..PodSummary::default()
    }];
    observation.jobs = known.map(|_| old).into_iter().collect();
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(plan.migrate.is_some(), starts, "{:?}", plan.gate);
    if !starts && observation.jobs.is_empty() {
        assert_eq!(plan.gate, Gate::Blocked(Code::MigrationConcurrent));
    }
}

#[test]
fn a_fresh_installation_starts_at_once() {
    let installation = wanted(json!({}));
    let mut observation = empty_observation();
    observation.previous.migration = Some(recorded(&installation, NEW));
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(
        shape(&plan),
        [Some((NEW_IMAGE, Some(1))), Some((NEW_IMAGE, Some(2))), Some((NEW_FRONTEND, Some(1)))]
    );
    assert_eq!(plan.api.unwrap().secret_hash.as_deref(), Some("5ec7e7"));
    assert_eq!(plan.migrated.unwrap().key, key(&installation, NEW));
}

#[test]
fn an_upgrade_goes_step_by_step() {
    let installation = wanted(json!({}));
    let mut observation = runs(&installation, OLD);
    let old = |processors| {
        [Some((OLD_IMAGE, Some(processors))), Some((OLD_IMAGE, Some(2))), Some((OLD_FRONTEND, Some(1)))]
    };

    // The preflight fails: everything runs on.
    let plan = decide(&installation, &observation, &blocked(Code::DatabaseReadOnly));
    assert_eq!(plan.gate, Gate::Blocked(Code::DatabaseReadOnly));
    assert_eq!(shape(&plan), old(1));

    // The image is pulled; everything runs on until it is there.
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(plan.gate, Gate::Blocked(Code::MigrationImagePending));
    assert_eq!(shape(&plan), old(1));
    let pull = plan.pull.unwrap();
    assert_eq!(pull.images, [NEW_IMAGE]);
    observation.pulls = vec![JobState { name: pull.name, ..JobState::default() }];
    let plan = decide(&installation, &observation, &[]);
    assert_eq!((plan.pull.as_ref(), shape(&plan)), (None, old(1)));
    // What its pod waits for is corrected.
    let corrected = wanted(json!({"migrations": {"pod": {"nodeSelector": {"disk": "ssd"}}}}));
    let plan = decide(&corrected, &observation, &[]);
    assert_eq!(plan.superseded_jobs, [observation.pulls[0].name.clone()]);
    assert!(plan.pull.is_some_and(|pull| pull.name != observation.pulls[0].name));
    pulled(&installation, &mut observation);

    // The task processor is stopped; while a pod of it is left no Job starts.
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(plan.gate, Gate::Pending);
    assert_eq!(shape(&plan), old(0));
    assert_eq!(plan.migrate, None);
    assert_eq!(plan.api.as_ref().unwrap().secret_hash.as_deref(), Some("an-older-hash"));
    assert_eq!(plan.migrated.as_ref().unwrap().key, key(&installation, OLD));
    observation.task_processor = Some(rolled_out("task-processor", OLD, 0));
    assert_eq!(decide(&installation, &observation, &[]).migrate, None, "its pod still ends");
    observation.pods.pop();

    // Then the Job.
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(shape(&plan), old(0));
    assert_eq!(plan.migrate.as_ref().unwrap().release, installation.release);

    // While it runs, and until its result is recorded, all stays.
    for outcome in [JobOutcome::Active, JobOutcome::Complete] {
        observation.jobs = vec![job(&installation, NEW, outcome)];
        let plan = decide(&installation, &observation, &[]);
        assert_eq!(shape(&plan), old(0));
        assert_eq!(plan.migrate, None);
        assert_eq!(plan.migrated.as_ref().unwrap().key, key(&installation, OLD));
        assert_eq!(plan.superseded_jobs, [observation.pulls[0].name.clone()]);
    }
    observation.pulls.clear();
    observation.previous.migration = Some(recorded(&installation, NEW));

    // The task processor changes, and nothing else until it is there.
    let processor_only =
        [Some((NEW_IMAGE, Some(1))), Some((OLD_IMAGE, Some(2))), Some((OLD_FRONTEND, Some(1)))];
    assert_eq!(shape(&decide(&installation, &observation, &[])), processor_only);
    observation.task_processor = Some(rolling("task-processor", NEW, 1));
    assert_eq!(shape(&decide(&installation, &observation, &[])), processor_only);

    // Then the API.
    observation.task_processor = Some(rolled_out("task-processor", NEW, 1));
    let api_too = [Some((NEW_IMAGE, Some(1))), Some((NEW_IMAGE, Some(2))), Some((OLD_FRONTEND, Some(1)))];
    assert_eq!(shape(&decide(&installation, &observation, &[])), api_too);
    observation.api = Some(rolling("api", NEW, 2));
    assert_eq!(shape(&decide(&installation, &observation, &[])), api_too);

    // Then the frontend.
    observation.api = Some(rolled_out("api", NEW, 2));
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(
        shape(&plan),
        [Some((NEW_IMAGE, Some(1))), Some((NEW_IMAGE, Some(2))), Some((NEW_FRONTEND, Some(1)))]
    );
    assert_eq!(plan.migrated.unwrap().key, key(&installation, NEW));
}

#[test]
fn after_a_failure_the_old_task_processor_comes_back() {
    let installation = wanted(json!({}));
    let mut observation = runs(&installation, OLD);
    observation.task_processor = Some(rolled_out("task-processor", OLD, 0));
    observation.jobs = vec![job(&installation, NEW, failed())];
    let plan = decide(&installation, &observation, &[]);
    assert!(matches!(plan.gate, Gate::Failed { .. }));
    assert_eq!(
        shape(&plan),
        [Some((OLD_IMAGE, Some(1))), Some((OLD_IMAGE, Some(2))), Some((OLD_FRONTEND, Some(1)))]
    );
    assert_eq!(plan.migrate, None);
    assert!(plan.superseded_jobs.is_empty());
}

#[test]
fn settings_change_at_once_even_while_the_gate_is_closed() {
    let installation = wanted(json!({
        "api": {"replicas": 5}, "taskProcessor": {"replicas": 3}, "frontend": {"replicas": 4}
    }));
    let observation = runs(&installation, OLD);
    let plan = decide(&installation, &observation, &blocked(Code::DatabaseUnreachable));
    assert_eq!(
        shape(&plan),
        [Some((OLD_IMAGE, Some(3))), Some((OLD_IMAGE, Some(5))), Some((OLD_FRONTEND, Some(4)))]
    );
}

#[test]
fn the_repository_of_what_runs_changes_only_after_its_migration() {
    let installation = wanted(json!({"images": {"api": "registry.example.com/api"}}));
    let mut observation = runs(&installation, NEW);
    for state in [&mut observation.api, &mut observation.task_processor] {
        state.as_mut().unwrap().migration_key = Some(key(&wanted(json!({})), NEW));
    }
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(plan.gate, Gate::Blocked(Code::MigrationImagePending));
    assert_eq!(plan.pull.as_ref().unwrap().images, ["registry.example.com/api:2.265.0"]);
    assert_eq!(shape(&plan)[1], Some((NEW_IMAGE, Some(2))));
    observation.previous.migration = Some(recorded(&installation, NEW));
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(shape(&plan)[1], Some(("registry.example.com/api:2.265.0", Some(2))));
}

#[test]
fn new_secrets_reach_pods_whose_release_is_recorded() {
    let installation = wanted(json!({}));
    let mut observation = runs(&installation, NEW);
    let hashes = |observation: &Observation| {
        let plan = decide(&installation, observation, &[]);
        [plan.task_processor, plan.api].map(|workload| workload.unwrap().secret_hash)
    };
    assert_eq!(hashes(&observation), [Some("5ec7e7".to_owned()), Some("5ec7e7".to_owned())]);
    // A Secret that is gone is no reason to restart pods without it.
    observation.secrets.hash = None;
    assert_eq!(hashes(&observation), [Some("an-older-hash".to_owned()), Some("an-older-hash".to_owned())]);
}

#[test]
fn an_unknown_database_changes_nothing() {
    let installation = wanted(json!({}));
    let mut observation = runs(&installation, NEW);
    observation.secrets.migration_database = SecretState::Missing;
    let plan = decide(&installation, &observation, &blocked(Code::DatabaseSecretMissing));
    assert_eq!(
        shape(&plan),
        [Some((NEW_IMAGE, Some(1))), Some((NEW_IMAGE, Some(2))), Some((NEW_FRONTEND, Some(1)))]
    );
    assert_eq!(plan.migrated.unwrap().key, key(&installation, NEW));
    assert_eq!(plan.migrate, None);
}

#[test]
fn a_downgrade_that_is_blocked_changes_nothing() {
    let installation = wanted(json!({"version": OLD}));
    let mut observation = runs(&installation, NEW);
    observation.previous.migration = Some(recorded(&installation, OLD));
    let plan = decide(&installation, &observation, &blocked(Code::DowngradeBlocked));
    assert_eq!(
        shape(&plan),
        [Some((NEW_IMAGE, Some(1))), Some((NEW_IMAGE, Some(2))), Some((NEW_FRONTEND, Some(1)))]
    );
    assert_eq!(plan.migrated.unwrap().release, NEW.parse().unwrap());
}

#[test]
fn in_a_downgrade_the_older_processor_waits_until_the_newer_api_is_gone() {
    let installation = wanted(json!({"version": OLD}));
    let mut observation = runs(&installation, NEW);
    observation.previous.migration = Some(recorded(&installation, OLD));
    // The newer release brought no migration.
    observation.previous.migration_history = vec![MigrationStatus {
        from: Some(OLD.to_owned()),
        applied: Some(0),
        ..recorded(&installation, NEW)
    }];
    observation.task_processor = Some(rolled_out("task-processor", NEW, 0));
    observation.pods.pop();
    assert_eq!(
        shape(&decide(&installation, &observation, &[]))[..2],
        [Some((OLD_IMAGE, Some(0))), Some((NEW_IMAGE, Some(2)))]
    );
    observation.task_processor = Some(rolled_out("task-processor", OLD, 0));
    assert_eq!(
        shape(&decide(&installation, &observation, &[]))[..2],
        [Some((OLD_IMAGE, Some(0))), Some((OLD_IMAGE, Some(2)))]
    );
    observation.api = Some(rolling("api", OLD, 2));
    assert_eq!(
        shape(&decide(&installation, &observation, &[]))[0],
        Some((OLD_IMAGE, Some(0))),
        "a newer pod is left"
    );
    observation.pods = vec![pod("api", OLD, PodPhase::Running), pod("api", NEW, PodPhase::Succeeded)];
    assert_eq!(shape(&decide(&installation, &observation, &[]))[0], Some((OLD_IMAGE, Some(1))));
}

#[test]
fn going_back_while_a_migration_runs_waits_for_its_end() {
    let installation = wanted(json!({"version": OLD}));
    let mut observation = runs(&installation, OLD);
    observation.task_processor.as_mut().unwrap().desired = 0;
    observation.jobs = vec![job(&installation, NEW, JobOutcome::Active)];
    let plan = decide(&installation, &observation, &[]);
    assert!(matches!(plan.gate, Gate::Running(_)));
    assert_eq!(shape(&plan)[0], Some((OLD_IMAGE, Some(0))));
    assert_eq!(observation.newest_migrated(), Some(OLD.parse().unwrap()));
    observation.jobs = vec![job(&installation, NEW, JobOutcome::Complete)];
    assert_eq!(observation.newest_migrated(), Some(NEW.parse().unwrap()), "so the downgrade is seen");
}

/// It asks the API, so it comes with that; whatever release is migrated to, it stays as it is.
#[test]
fn an_edge_proxy_comes_with_the_api_and_has_releases_of_its_own() {
    let key = |key: &str| json!({ "secretKeyRef": { "name": "sdk", "key": key } });
    let environment = json!({ "clientSideKeyFrom": key("client"), "serverSideKeyFrom": key("server") });
    let installation = wanted(json!({ "edgeProxy": { "environments": [environment], "replicas": 3 } }));
    let first = decide(&installation, &empty_observation(), &[]);
    assert_eq!((first.api, first.edge_proxy), (None, None));
    let upgrading = decide(&installation, &runs(&installation, OLD), &blocked(Code::DatabaseUnreachable));
    assert_eq!(upgrading.edge_proxy, Some(EdgeProxy { replicas: Some(3) }));
}
