//! Which release runs where, and in which order components change.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    api::{MigrationResult, MigrationStatus},
    decide::{Gate, GeneratedSecret, MigrationKey, Plan, Workload, decide},
    diagnose::{Code, Component, Diagnosis, Severity},
    fixtures::{database, installation, observation, spec},
    observe::{JobOutcome, JobState, Observation, PodProblem, PodSummary, SecretState, WorkloadState},
    validate::Installation,
};

const OLD: &str = "2.260.0";
const NEW: &str = "2.265.0";
const OLD_IMAGE: &str = "docker.io/flagsmith/flagsmith-api:2.260.0";
const NEW_IMAGE: &str = "docker.io/flagsmith/flagsmith-api:2.265.0";
const OLD_FRONTEND: &str = "docker.io/flagsmith/flagsmith-frontend:2.260.0";
const NEW_FRONTEND: &str = "docker.io/flagsmith/flagsmith-frontend:2.265.0";

/// An installation of [`NEW`] with further settings.
fn wanted(changes: Value) -> Installation {
    installation(&spec(changes))
}

fn key(installation: &Installation, version: &str) -> String {
    MigrationKey::new(installation, version.parse().unwrap(), &database()).to_string()
}

/// A Deployment whose pods are all of one release.
fn rolled_out(component: &str, version: &str, pods: i32) -> WorkloadState {
    let repository = if component == "frontend" {
        "frontend"
    } else {
        "api"
    };
    WorkloadState {
        name: format!("flagsmith-{component}"),
        release: Some(version.parse().unwrap()),
        image: Some(format!("docker.io/flagsmith/flagsmith-{repository}:{version}")),
        migration_key: None,
        migrated: Some(version.parse().unwrap()),
        secret_hash: Some("an-older-hash".to_owned()),
        desired: pods,
        replicas: pods,
        updated: pods,
        ready: pods,
        available: pods,
        observed: true,
        ..WorkloadState::default()
    }
}

/// Its template is new, and so is one pod of it, but an old one is left.
fn rolling(component: &str, version: &str, pods: i32) -> WorkloadState {
    WorkloadState {
        updated: pods - 1,
        ..rolled_out(component, version, pods)
    }
}

fn pod(component: &str, version: &str, phase: &str) -> PodSummary {
    PodSummary {
        name: format!("flagsmith-{component}-x"),
        component: component.to_owned(),
        version: Some(version.to_owned()),
        phase: phase.to_owned(),
        ready: phase == "Running",
        terminating: false,
        started: None,
        problems: Vec::new(),
    }
}

/// Everything runs a release, and its migration is recorded.
fn runs(installation: &Installation, version: &str) -> Observation {
    let mut seen = observation();
    let with_key = |state: WorkloadState| WorkloadState {
        migration_key: Some(key(installation, version)),
        ..state
    };
    seen.task_processor = Some(with_key(rolled_out("task-processor", version, 1)));
    seen.api = Some(with_key(rolled_out("api", version, 2)));
    seen.frontend = Some(with_key(rolled_out("frontend", version, 1)));
    seen.pods = vec![
        pod("api", version, "Running"),
        pod("task-processor", version, "Running"),
    ];
    seen
}

fn recorded(installation: &Installation, version: &str) -> MigrationStatus {
    MigrationStatus {
        key: Some(key(installation, version)),
        version: version.to_owned(),
        result: MigrationResult::Applied,
        ..MigrationStatus::default()
    }
}

fn job(installation: &Installation, version: &str, outcome: JobOutcome) -> JobState {
    let key = MigrationKey::new(installation, version.parse().unwrap(), &database());
    JobState {
        name: key.job_name(installation),
        key: Some(key.to_string()),
        release: Some(version.parse().unwrap()),
        outcome,
        started: None,
        finished: None,
        deleting: false,
    }
}

fn failed() -> JobOutcome {
    JobOutcome::Failed {
        reason: "BackoffLimitExceeded".to_owned(),
        message: String::new(),
    }
}

fn blocked(code: Code) -> Vec<Diagnosis> {
    vec![Diagnosis {
        code,
        severity: Severity::Critical,
        component: Component::Database,
        message: String::new(),
        evidence: Vec::new(),
        remedy: String::new(),
    }]
}

/// Image and number of pods of task processor, API and frontend.
type Shape<'a> = [Option<(&'a str, Option<i32>)>; 3];

fn shape(plan: &Plan) -> Shape<'_> {
    [&plan.task_processor, &plan.api, &plan.frontend].map(|workload| {
        let Workload {
            release,
            image,
            replicas,
            ..
        } = workload.as_ref()?;
        assert!(image.ends_with(&format!(":{release}")));
        Some((image.as_str(), *replicas))
    })
}

#[test]
fn nothing_starts_before_the_first_migration() {
    let installation = wanted(json!({}));
    let plan = decide(&installation, &observation(), &[]);
    assert_eq!(plan.gate, Gate::Pending);
    assert_eq!(shape(&plan), [None, None, None]);
    let migrate = plan.migrate.unwrap();
    assert_eq!(migrate.release, installation.release);
    assert_eq!(
        migrate.name,
        format!("flagsmith-migrate-{}", key(&installation, NEW))
    );
}

#[rstest]
#[case(JobOutcome::Active)]
#[case(JobOutcome::Complete)]
#[case(failed())]
fn nothing_starts_and_nothing_runs_twice_while_the_first_migration_is_not_recorded(
    #[case] outcome: JobOutcome,
) {
    let installation = wanted(json!({}));
    let mut seen = observation();
    seen.jobs = vec![job(&installation, NEW, outcome)];
    let plan = decide(&installation, &seen, &[]);
    assert_eq!(shape(&plan), [None, None, None]);
    assert_eq!(plan.migrate, None);
    assert_eq!(plan.migrated, None);
}

#[test]
fn a_fresh_installation_starts_at_once() {
    let installation = wanted(json!({}));
    let mut seen = observation();
    seen.previous.migration = Some(recorded(&installation, NEW));
    let plan = decide(&installation, &seen, &[]);
    assert_eq!(
        shape(&plan),
        [
            Some((NEW_IMAGE, Some(1))),
            Some((NEW_IMAGE, Some(2))),
            Some((NEW_FRONTEND, Some(1)))
        ]
    );
    assert_eq!(plan.api.unwrap().secret_hash.as_deref(), Some("5ec7e7"));
    assert_eq!(plan.migrated.unwrap().key, key(&installation, NEW));
}

#[test]
fn an_upgrade_goes_step_by_step() {
    let installation = wanted(json!({}));
    let mut seen = runs(&installation, OLD);
    let old = |processors| {
        [
            Some((OLD_IMAGE, Some(processors))),
            Some((OLD_IMAGE, Some(2))),
            Some((OLD_FRONTEND, Some(1))),
        ]
    };

    // The preflight fails: everything runs on.
    let plan = decide(&installation, &seen, &blocked(Code::DatabaseReadOnly));
    assert_eq!(plan.gate, Gate::Blocked(Code::DatabaseReadOnly));
    assert_eq!(shape(&plan), old(1));

    // The task processor is stopped first; while a pod of it is left no Job starts.
    let plan = decide(&installation, &seen, &[]);
    assert_eq!(plan.gate, Gate::Pending);
    assert_eq!(shape(&plan), old(0));
    assert_eq!(plan.migrate, None);
    assert_eq!(
        plan.api.as_ref().unwrap().secret_hash.as_deref(),
        Some("an-older-hash")
    );
    assert_eq!(plan.migrated.as_ref().unwrap().key, key(&installation, OLD));
    seen.task_processor = Some(rolled_out("task-processor", OLD, 0));
    assert_eq!(
        decide(&installation, &seen, &[]).migrate,
        None,
        "its pod still ends"
    );
    seen.pods.pop();

    // Then the Job.
    let plan = decide(&installation, &seen, &[]);
    assert_eq!(shape(&plan), old(0));
    assert_eq!(plan.migrate.as_ref().unwrap().release, installation.release);

    // While it runs, and until its result is recorded, all stays.
    for outcome in [JobOutcome::Active, JobOutcome::Complete] {
        seen.jobs = vec![job(&installation, NEW, outcome)];
        let plan = decide(&installation, &seen, &[]);
        assert_eq!(shape(&plan), old(0));
        assert_eq!(plan.migrate, None);
        assert_eq!(plan.migrated.as_ref().unwrap().key, key(&installation, OLD));
    }
    seen.previous.migration = Some(recorded(&installation, NEW));

    // The task processor changes, and nothing else until it is there.
    let processor_only = [
        Some((NEW_IMAGE, Some(1))),
        Some((OLD_IMAGE, Some(2))),
        Some((OLD_FRONTEND, Some(1))),
    ];
    assert_eq!(shape(&decide(&installation, &seen, &[])), processor_only);
    seen.task_processor = Some(rolling("task-processor", NEW, 1));
    assert_eq!(shape(&decide(&installation, &seen, &[])), processor_only);

    // Then the API.
    seen.task_processor = Some(rolled_out("task-processor", NEW, 1));
    let api_too = [
        Some((NEW_IMAGE, Some(1))),
        Some((NEW_IMAGE, Some(2))),
        Some((OLD_FRONTEND, Some(1))),
    ];
    assert_eq!(shape(&decide(&installation, &seen, &[])), api_too);
    seen.api = Some(rolling("api", NEW, 2));
    assert_eq!(shape(&decide(&installation, &seen, &[])), api_too);

    // Then the frontend.
    seen.api = Some(rolled_out("api", NEW, 2));
    let plan = decide(&installation, &seen, &[]);
    assert_eq!(
        shape(&plan),
        [
            Some((NEW_IMAGE, Some(1))),
            Some((NEW_IMAGE, Some(2))),
            Some((NEW_FRONTEND, Some(1)))
        ]
    );
    assert_eq!(plan.migrated.unwrap().key, key(&installation, NEW));
}

#[test]
fn after_a_failure_the_old_task_processor_comes_back() {
    let installation = wanted(json!({}));
    let mut seen = runs(&installation, OLD);
    seen.task_processor = Some(rolled_out("task-processor", OLD, 0));
    seen.jobs = vec![job(&installation, NEW, failed())];
    let plan = decide(&installation, &seen, &[]);
    assert!(matches!(plan.gate, Gate::Failed { .. }));
    assert_eq!(
        shape(&plan),
        [
            Some((OLD_IMAGE, Some(1))),
            Some((OLD_IMAGE, Some(2))),
            Some((OLD_FRONTEND, Some(1)))
        ]
    );
    assert_eq!(plan.migrate, None);
    assert!(plan.superseded_jobs.is_empty());
}

#[test]
fn settings_change_at_once_even_while_the_gate_is_closed() {
    let installation = wanted(json!({
        "api": {"replicas": 5}, "taskProcessor": {"replicas": 3}, "frontend": {"replicas": 4}
    }));
    let seen = runs(&installation, OLD);
    let plan = decide(&installation, &seen, &blocked(Code::DatabaseUnreachable));
    assert_eq!(
        shape(&plan),
        [
            Some((OLD_IMAGE, Some(3))),
            Some((OLD_IMAGE, Some(5))),
            Some((OLD_FRONTEND, Some(4)))
        ]
    );
}

#[test]
fn the_repository_of_what_runs_changes_only_after_its_migration() {
    let installation = wanted(json!({"images": {"api": "registry.example.com/api"}}));
    let mut seen = runs(&installation, NEW);
    for state in [&mut seen.api, &mut seen.task_processor] {
        state.as_mut().unwrap().migration_key = Some(key(&wanted(json!({})), NEW));
    }
    let plan = decide(&installation, &seen, &[]);
    assert_eq!(plan.gate, Gate::Pending);
    assert_eq!(shape(&plan)[1], Some((NEW_IMAGE, Some(2))));
    seen.previous.migration = Some(recorded(&installation, NEW));
    let plan = decide(&installation, &seen, &[]);
    assert_eq!(
        shape(&plan)[1],
        Some(("registry.example.com/api:2.265.0", Some(2)))
    );
}

#[test]
fn new_secrets_reach_pods_whose_release_is_recorded() {
    let installation = wanted(json!({}));
    let mut seen = runs(&installation, NEW);
    let hashes = |seen: &Observation| {
        let plan = decide(&installation, seen, &[]);
        [plan.task_processor, plan.api].map(|workload| workload.unwrap().secret_hash)
    };
    assert_eq!(
        hashes(&seen),
        [Some("5ec7e7".to_owned()), Some("5ec7e7".to_owned())]
    );
    // A Secret that is gone is no reason to restart pods without it.
    seen.secrets.hash = None;
    assert_eq!(
        hashes(&seen),
        [Some("an-older-hash".to_owned()), Some("an-older-hash".to_owned())]
    );
}

#[test]
fn an_unknown_database_changes_nothing() {
    let installation = wanted(json!({}));
    let mut seen = runs(&installation, NEW);
    seen.secrets.migration_database = SecretState::Missing;
    let plan = decide(&installation, &seen, &blocked(Code::DatabaseSecretMissing));
    assert_eq!(
        shape(&plan),
        [
            Some((NEW_IMAGE, Some(1))),
            Some((NEW_IMAGE, Some(2))),
            Some((NEW_FRONTEND, Some(1)))
        ]
    );
    assert_eq!(plan.migrated.unwrap().key, key(&installation, NEW));
    assert_eq!(plan.migrate, None);
}

#[test]
fn a_downgrade_that_is_blocked_changes_nothing() {
    let installation = wanted(json!({"version": OLD}));
    let mut seen = runs(&installation, NEW);
    seen.previous.migration = Some(recorded(&installation, OLD));
    let plan = decide(&installation, &seen, &blocked(Code::DowngradeBlocked));
    assert_eq!(
        shape(&plan),
        [
            Some((NEW_IMAGE, Some(1))),
            Some((NEW_IMAGE, Some(2))),
            Some((NEW_FRONTEND, Some(1)))
        ]
    );
    assert_eq!(plan.migrated.unwrap().release, NEW.parse().unwrap());
}

#[test]
fn in_a_downgrade_the_older_processor_waits_until_the_newer_api_is_gone() {
    let installation = wanted(json!({"version": OLD}));
    let mut seen = runs(&installation, NEW);
    seen.previous.migration = Some(recorded(&installation, OLD));
    seen.task_processor = Some(rolled_out("task-processor", NEW, 0));
    seen.pods.pop();
    assert_eq!(
        shape(&decide(&installation, &seen, &[]))[..2],
        [Some((OLD_IMAGE, Some(0))), Some((NEW_IMAGE, Some(2)))]
    );
    seen.task_processor = Some(rolled_out("task-processor", OLD, 0));
    assert_eq!(
        shape(&decide(&installation, &seen, &[]))[..2],
        [Some((OLD_IMAGE, Some(0))), Some((OLD_IMAGE, Some(2)))]
    );
    seen.api = Some(rolling("api", OLD, 2));
    assert_eq!(
        shape(&decide(&installation, &seen, &[]))[0],
        Some((OLD_IMAGE, Some(0))),
        "a newer pod is left"
    );
    seen.pods = vec![pod("api", OLD, "Running"), pod("api", NEW, "Succeeded")];
    assert_eq!(
        shape(&decide(&installation, &seen, &[]))[0],
        Some((OLD_IMAGE, Some(1)))
    );
}

#[test]
fn going_back_while_a_migration_runs_waits_for_its_end() {
    let installation = wanted(json!({"version": OLD}));
    let mut seen = runs(&installation, OLD);
    seen.task_processor.as_mut().unwrap().desired = 0;
    seen.jobs = vec![job(&installation, NEW, JobOutcome::Active)];
    let plan = decide(&installation, &seen, &[]);
    assert!(matches!(plan.gate, Gate::Running(_)));
    assert_eq!(shape(&plan)[0], Some((OLD_IMAGE, Some(0))));
    assert_eq!(seen.newest_migrated(), Some(OLD.parse().unwrap()));
    seen.jobs = vec![job(&installation, NEW, JobOutcome::Complete)];
    assert_eq!(
        seen.newest_migrated(),
        Some(NEW.parse().unwrap()),
        "so the downgrade is seen"
    );
}

#[test]
fn a_deleted_component_comes_back_at_the_release_of_the_others_while_the_gate_is_closed() {
    let installation = wanted(json!({}));
    let everything = runs(&installation, OLD);
    let unreachable = blocked(Code::DatabaseUnreachable);
    for lost in 0..3 {
        let mut seen = everything.clone();
        *[&mut seen.task_processor, &mut seen.api, &mut seen.frontend][lost] = None;
        assert_eq!(
            shape(&decide(&installation, &seen, &unreachable)),
            [
                Some((OLD_IMAGE, Some(1))),
                Some((OLD_IMAGE, Some(2))),
                Some((OLD_FRONTEND, Some(1)))
            ]
        );
    }
}

#[test]
fn autoscalers_count_their_pods() {
    let scaled = wanted(json!({
        "version": OLD, "api": {"autoscaling": {"maxReplicas": 5}}, "frontend": {"autoscaling": {"maxReplicas": 5}}
    }));
    assert_eq!(
        shape(&decide(&scaled, &runs(&scaled, OLD), &[])),
        [
            Some((OLD_IMAGE, Some(1))),
            Some((OLD_IMAGE, None)),
            Some((OLD_FRONTEND, None))
        ]
    );
    let fixed = wanted(json!({"version": OLD}));
    let mut seen = runs(&fixed, OLD);
    let foreign = ["api", "frontend", "task-processor"].map(|component| format!("flagsmith-{component}"));
    seen.foreign_autoscalers = BTreeSet::from(foreign);
    assert_eq!(
        shape(&decide(&fixed, &seen, &[])),
        [
            Some((OLD_IMAGE, None)),
            Some((OLD_IMAGE, None)),
            Some((OLD_FRONTEND, None))
        ]
    );
    // An autoscaler does not raise a Deployment that stands at 0.
    seen.task_processor = Some(rolled_out("task-processor", OLD, 0));
    assert_eq!(shape(&decide(&fixed, &seen, &[]))[0], Some((OLD_IMAGE, Some(1))));
    // And while a migration runs nobody may start a processor.
    let upgrade = wanted(json!({}));
    assert_eq!(
        shape(&decide(&upgrade, &seen, &[]))[0],
        Some((OLD_IMAGE, Some(0)))
    );
    seen.foreign_autoscalers = BTreeSet::from(["somebody-elses".to_owned()]);
    assert_eq!(shape(&decide(&fixed, &seen, &[]))[1], Some((OLD_IMAGE, Some(2))));
}

#[test]
fn a_processor_that_is_stopped_on_purpose_holds_nothing_up() {
    let installation = wanted(json!({"taskProcessor": {"replicas": 0}}));
    let mut seen = runs(&installation, OLD);
    seen.previous.migration = Some(recorded(&installation, NEW));
    seen.task_processor = Some(rolled_out("task-processor", NEW, 0));
    assert_eq!(
        shape(&decide(&installation, &seen, &[]))[..2],
        [Some((NEW_IMAGE, Some(0))), Some((NEW_IMAGE, Some(2)))]
    );
}

#[test]
fn without_a_frontend_there_is_none() {
    let installation = wanted(json!({"frontend": {"enabled": false}, "version": OLD}));
    assert_eq!(
        shape(&decide(&installation, &runs(&installation, OLD), &[]))[2],
        None
    );
}

#[test]
fn a_job_that_cannot_start_is_given_up_for_another_one_only() {
    let typo = wanted(json!({"version": "2.999.0"}));
    let corrected = wanted(json!({}));
    let mut seen = runs(&corrected, OLD);
    seen.jobs = vec![job(&typo, "2.999.0", JobOutcome::Active)];
    let waiting = PodSummary {
        problems: vec![PodProblem::Waiting {
            reason: "ImagePullBackOff".to_owned(),
            message: "manifest unknown".to_owned(),
            image: String::new(),
        }],
        ..pod("migrations", "2.999.0", "Pending")
    };
    let deleted = |seen: &Observation, wanted: &Installation| decide(wanted, seen, &[]).superseded_jobs;
    assert!(deleted(&seen, &corrected).is_empty(), "no pod is seen yet");
    seen.pods.push(waiting.clone());
    assert_eq!(deleted(&seen, &corrected), [seen.jobs[0].name.clone()]);
    assert!(deleted(&seen, &typo).is_empty(), "it is the wanted one");
    seen.pods.push(pod("migrations", "2.999.0", "Failed"));
    assert!(
        deleted(&seen, &corrected).is_empty(),
        "an earlier pod has started"
    );
    seen.pods.pop();
    seen.pods.push(pod("migrations", OLD, "Failed"));
    assert_eq!(
        deleted(&seen, &corrected).len(),
        1,
        "a pod of another Job says nothing"
    );
    seen.jobs[0].deleting = true;
    assert!(deleted(&seen, &corrected).is_empty(), "once is enough");
    assert!(matches!(decide(&corrected, &seen, &[]).gate, Gate::Running(_)));
}

#[test]
fn jobs_are_kept_while_they_prove_or_explain_something() {
    let installation = wanted(json!({}));
    let mut seen = runs(&installation, NEW);
    let attempt = |name: &str, minute: i64| JobState {
        name: name.to_owned(),
        finished: jiff::Timestamp::from_second(minute * 60).ok(),
        ..job(&installation, NEW, failed())
    };
    seen.jobs = vec![
        job(&installation, OLD, JobOutcome::Complete),
        job(&installation, NEW, JobOutcome::Complete),
        attempt("first", 1),
        attempt("third", 3),
        attempt("second", 2),
        JobState {
            deleting: true,
            ..attempt("zeroth", 0)
        },
    ];
    let plan = decide(&installation, &seen, &[]);
    assert_eq!(
        plan.superseded_jobs,
        [seen.jobs[0].name.clone(), "first".to_owned()]
    );
    let unreachable = wanted(json!({"version": "2.266.0"}));
    assert!(decide(&unreachable, &seen, &[]).superseded_jobs.is_empty());
}

#[test]
fn secrets_are_generated_once() {
    let embedded = wanted(json!({"database": {"embedded": {}}}));
    let mut seen = observation();
    seen.secrets.django = SecretState::Missing;
    seen.secrets.database = SecretState::Missing;
    seen.secrets.migration_database = SecretState::Missing;
    let generated =
        |installation: &Installation, seen: &Observation| decide(installation, seen, &[]).generate;
    assert_eq!(
        generated(&embedded, &seen),
        [GeneratedSecret::Django, GeneratedSecret::EmbeddedDatabase]
    );
    // The user's own are never made.
    assert_eq!(generated(&wanted(json!({})), &seen), [GeneratedSecret::Django]);
    let own = json!({"django": {"secretKeyFrom": {"secretKeyRef": {"name": "own", "key": "k"}}}});
    assert!(generated(&wanted(own), &seen).is_empty());
    // What exists is never made again, and neither is what was lost.
    seen.embedded_database = Some(WorkloadState::default());
    assert_eq!(generated(&embedded, &seen), [GeneratedSecret::Django]);
    seen.api = Some(rolled_out("api", NEW, 2));
    assert!(generated(&embedded, &seen).is_empty());
    seen = observation();
    seen.secrets.django = SecretState::Unreadable("forbidden".to_owned());
    seen.secrets.database = SecretState::KeyMissing { keys: Vec::new() };
    assert!(generated(&embedded, &seen).is_empty());
}
