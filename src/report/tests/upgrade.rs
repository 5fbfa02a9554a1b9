//! The stops of an upgrade, and what a condition says of them.

use rstest::rstest;
use serde_json::json;

use super::scene::{Said, Scene, job, said, workload};
use crate::{
    api::StopState::{self, Applied, Current, Failed, Waiting},
    decide::Gate,
    model::Component,
    observe::{JobOutcome, JobState, Observation, PodSummary, WorkloadState},
    report::ConditionType,
};

/// Pods of 2.232.0 serve, and the database is at a release.
fn at(observation: &mut Observation, migrated: &str) {
    observation.api = Some(WorkloadState {
        release: "2.232.0".parse().ok(),
        migrated: migrated.parse().ok(),
        migration_key: None,
        ..workload("api", 2)
    });
    observation.task_processor = observation.api.clone();
    observation.pods.clear();
    observation.previous.migration = None;
    observation.previous.migration_history.clear();
}

fn stepwise(migrated: &str) -> Scene {
    let migrated = migrated.to_owned();
    Scene::managed(json!({ "upgrade": { "strategy": "Stepwise" } }))
        .seeing(move |observation| at(observation, &migrated))
}

fn states(scene: &Scene) -> Vec<(String, StopState)> {
    let upgrade = scene.status().upgrade.unwrap();
    assert_eq!(upgrade.from, "2.232.0");
    upgrade.stops.into_iter().map(|stop| (stop.version, stop.state)).collect()
}

#[rstest]
#[case::before_the_first(stepwise("2.232.0").at(Gate::Pending), [Current, Waiting, Waiting], &["2.232.0"])]
#[case::after_it(stepwise("2.234.2").at(Gate::Pending), [Applied, Current, Waiting], &["2.232.0", "2.234.2"])]
#[case::the_second_has_failed(
    stepwise("2.234.2").at(Gate::Failed { job: "flagsmith-migrate-1a2b".to_owned(), state: None }),
    [Applied, Failed, Waiting],
    &["2.232.0", "2.234.2"]
)]
// What the last one may have begun, older pods do not get along with.
#[case::the_last_one_runs(
    stepwise("2.260.0").at(Gate::Running(job(JobOutcome::Active))),
    [Applied, Applied, Current],
    &[]
)]
#[case::all_are_done(stepwise("2.265.0").at(Gate::Succeeded), [Applied, Applied, Applied], &["2.265.0"])]
fn stops_say_how_they_stand(#[case] scene: Scene, #[case] expected: [StopState; 3], #[case] serve: &[&str]) {
    let versions = ["2.234.2", "2.260.0", "2.265.0"].map(str::to_owned);
    assert_eq!(states(&scene), versions.into_iter().zip(expected).collect::<Vec<_>>());
    assert_eq!(scene.status().upgrade.unwrap().can_serve, serve);
}

/// What is left of the older pods ends, and serves nobody any more.
#[test]
fn it_is_over_when_pods_of_the_last_stop_serve() {
    let ends = |terminating| {
        let scene = stepwise("2.265.0").at(Gate::Succeeded).seeing(|observation| {
            observation.api = Some(workload("api", 2));
            observation.pods = vec![PodSummary {
                component: Some(Component::Api),
                version: Some("2.232.0".to_owned()),
                terminating,
                ..PodSummary::default()
            }];
        });
        scene.status().upgrade.is_none()
    };
    assert_eq!([ends(false), ends(true)], [false, true]);
}

#[test]
fn without_stops_there_is_nothing_to_say() {
    let direct = Scene::managed(json!({})).seeing(|observation| at(observation, "2.232.0")).at(Gate::Pending);
    assert_eq!(direct.status().upgrade, None);
}

#[rstest]
#[case::waits(
    stepwise("2.232.0").at(Gate::Pending),
    said("False", "Pending", "the migration to 2.234.2 (stop 1 of 3 on the way to 2.265.0) starts when the task processor has stopped")
)]
#[case::runs(
    stepwise("2.234.2").at(Gate::Running(JobState { release: "2.260.0".parse().ok(), ..job(JobOutcome::Active) })),
    said("False", "Running", "Job flagsmith-migrate-1a2b is migrating the database to 2.260.0 (stop 2 of 3 on the way to 2.265.0)")
)]
#[case::recorded_in_a_moment(
    stepwise("2.232.0").at(Gate::Unrecorded(job(JobOutcome::Complete))),
    said("False", "AtStop", "2.234.2 (stop 1 of 3 on the way to 2.265.0) is migrated to; that is being recorded")
)]
fn the_condition_says_where_it_is(#[case] scene: Scene, #[case] expected: Said) {
    assert_eq!(scene.says(ConditionType::MigrationsApplied), Some(expected));
}
