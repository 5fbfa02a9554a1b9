//! Pods in trouble, and their probes.

use jiff::SignedDuration;
use rstest::rstest;

use super::{codes, of, pod, running, waiting};
use crate::fixtures::{empty_observation, installation, minimal};
use crate::migration::Step;
use crate::model::Code;
use crate::observe::{ContainerRun, JobState, Observation, PodLogFindings, PodProblem, PodSummary, Warning};
use crate::validate::pull_name;

#[rstest]
#[case("api", unschedulable(60), Code::PodUnschedulable)]
#[case("migrations", unschedulable(60), Code::MigrationPodUnschedulable)]
#[case("api", waiting("ImagePullBackOff"), Code::ImagePullFailed)]
#[case("migrations", waiting("ErrImagePull"), Code::MigrationImagePullFailed)]
#[case("api", waiting("CreateContainerConfigError"), Code::ContainerConfigError)]
#[case("api", waiting("CreateContainerError"), Code::CrashLooping)]
#[case("task-processor", PodProblem::OutOfMemory { container: "c".to_owned(), restarts: 2, limit: Some("1Gi".to_owned()) }, Code::ContainerOutOfMemory)]
#[case("migrations", PodProblem::OutOfMemory { container: "c".to_owned(), restarts: 0, limit: None }, Code::MigrationOutOfMemory)]
#[case("api", PodProblem::CrashLoop { sidecar: None, restarts: 7, exit_code: Some(3), reason: None, message: None }, Code::CrashLooping)]
fn a_pod_in_trouble(#[case] component: &str, #[case] problem: PodProblem, #[case] code: Code) {
    let observation = Observation {
        pods: vec![pod(component, vec![problem])],
        // A migration's pods count while it is under way.
        jobs: Vec::from_iter((component == "migrations").then(JobState::default)),
        ..running()
    };
    let found = of(&observation);
    assert_eq!(codes(&found), [code]);
    assert!(!found.first().unwrap().remedy.is_empty());
}

/// Before anything is stopped for a migration its image is pulled: what the pods of an earlier attempt ended of is
/// another matter, and so is what was pulled for it.
#[test]
fn nothing_was_stopped_for_an_image_that_cannot_be_pulled() {
    let installation = installation(&minimal());
    let old: Option<crate::flagsmith::Release> = "2.260.0".parse().ok();
    let mut observation = running();
    for state in [&mut observation.api, &mut observation.task_processor].into_iter().flatten() {
        (state.release, state.migrated) = (old, old);
    }
    let step = Step::of(&installation, &observation).unwrap();
    let of_job =
        |job: &str, problem| PodSummary { job: Some(job.to_owned()), ..pod("migrations", vec![problem]) };
    let failed = PodProblem::Failed { exit_code: 1, reason: None, message: None };
    let pull = pull_name(&installation, &step.job, &step.images(&installation));
    observation.pulls = vec![JobState { name: pull.clone(), ..JobState::default() }];
    observation.pods.push(of_job("flagsmith-migrate-earlier", failed));
    observation.pods.push(of_job("flagsmith-pull-earlier", unschedulable(60)));
    observation.pods.push(of_job(&pull, waiting("ErrImagePull")));
    let found = of(&observation);
    assert_eq!(found[0].code, Code::MigrationImagePullFailed, "{found:#?}");
    let message = found[0].message.to_string();
    assert!(message.ends_with("Nothing was stopped for it: version 2.260.0 keeps running."), "{message}");
    assert!(!codes(&found).contains(&Code::MigrationPodUnschedulable), "{found:#?}");
    assert!(!codes(&found).contains(&Code::MigrationConcurrent), "its pod is no migrator: {found:#?}");
}

fn unschedulable(seconds: i64) -> PodProblem {
    let since = empty_observation().now - SignedDuration::from_secs(seconds);
    PodProblem::Unschedulable { message: "0/3 nodes".to_owned(), since: Some(since) }
}

#[test]
fn a_pod_that_waits_for_its_volume_is_no_alarm() {
    let observation = Observation { pods: vec![pod("api", vec![unschedulable(5)])], ..running() };
    assert_eq!(of(&observation), []);
}

#[test]
fn last_words_are_shown_without_secrets() {
    let message = "OperationalError: connection to postgresql://app:hunter2secret@db/flags failed".to_owned();
    let problem = PodProblem::CrashLoop {
        sidecar: None,
        restarts: 1,
        exit_code: Some(1),
        reason: None,
        message: Some(message),
    };
    let found = of(&Observation { pods: vec![pod("api", vec![problem])], ..running() });
    let shown = format!("{found:?}");
    assert!(shown.contains("OperationalError") && !shown.contains("hunter2secret"), "{shown}");
}

#[rstest]
#[case::not_answering(
    "Readiness probe failed: HTTP probe failed with statuscode: 500",
    0,
    60,
    Some(Code::ProbeFailing)
)]
#[case::still_starting("Startup probe failed: connection refused", 0, 20, None)]
#[case::killed("Liveness probe failed: context deadline exceeded", 2, 20, Some(Code::LivenessProbeKilling))]
#[case::about_to_be_killed(
    "Liveness probe failed: context deadline exceeded",
    0,
    60,
    Some(Code::ProbeFailing)
)]
fn probes_that_fail(
    #[case] message: &str,
    #[case] restarts: i32,
    #[case] age: i64,
    #[case] expected: Option<Code>,
) {
    let mut unready = pod("api", vec![]);
    unready.ready = false;
    unready.containers = vec![ContainerRun {
        name: "flagsmith".to_owned(),
        init: false,
        sidecar: false,
        restarts,
        running_since: Some(empty_observation().now - SignedDuration::from_secs(age)),
        failed: None,
        ready: false,
    }];
    let observation = Observation {
        pod_logs: PodLogFindings {
            logs: Vec::new(),
            warnings: vec![Warning {
                pod: unready.name.clone(),
                reason: "Unhealthy".to_owned(),
                message: message.to_owned(),
            }],
        },
        pods: vec![unready],
        ..running()
    };
    let found = of(&observation);
    assert_eq!(codes(&found).first().copied(), expected, "{found:#?}");
    for diagnosis in &found {
        assert!(diagnosis.evidence[0].contains(message), "{found:#?}");
    }
}
