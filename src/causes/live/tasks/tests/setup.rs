//! What the set-up shows: the pause between looks, the pods; and whose fields remedies name.

use rstest::rstest;
use serde_json::json;

use super::{super::check, NOW, codes, growth, lock, processor, silent, with_queue};
use crate::{
    fixtures::{installation, spec},
    model::Code,
    observe::{PodProblem, PodSummary, Warning},
    validate::ManagedBy,
};

#[rstest]
#[case::the_default(500, false)]
#[case::noticed_by_nobody(5_000, false)]
#[case::a_minute(60_000, true)]
fn sleeping(#[case] milliseconds: i32, #[case] expected: bool) {
    let wanted = installation(&spec(
        json!({ "taskProcessor": { "sleepIntervalMilliseconds": milliseconds } }),
    ));
    let found = check(&wanted, &with_queue(|_| {}));
    let codes: Vec<Code> = found.iter().map(|diagnosis| diagnosis.code).collect();
    let expected = if expected {
        vec![Code::TaskSleepIntervalHigh]
    } else {
        vec![]
    };
    assert_eq!(codes, expected, "{found:?}");
}

#[test]
fn a_processor_that_does_not_get_ready_is_told_unless_its_pods_say_why() {
    let mut observation = with_queue(silent);
    observation.task_processor.as_mut().unwrap().ready = 0;
    observation.pods[0].ready = false;
    observation.pod_logs.warnings = vec![Warning {
        pod: observation.pods[0].name.clone(),
        reason: "Unhealthy".to_owned(),
        message: "Readiness probe failed: HTTP probe failed with statuscode: 404".to_owned(),
    }];
    let found = check(&installation(&spec(json!({}))), &observation);
    assert_eq!(codes(&observation), [Code::TaskProcessorNotReady]);
    assert!(found[0].evidence[1].ends_with("statuscode: 404"), "{found:#?}");
    observation.pods[0].problems = vec![PodProblem::CrashLoop {
        restarts: 3,
        exit_code: Some(1),
        reason: None,
        message: None,
    }];
    assert_eq!(codes(&observation), []);
    observation.pods = vec![PodSummary {
        ready: false,
        ..processor(NOW - 10)
    }];
    assert_eq!(codes(&observation), [], "it is starting");
}

#[test]
fn no_processor_is_told_with_what_waits() {
    let wanted = installation(&spec(json!({ "taskProcessor": { "replicas": 0 } })));
    let mut observation = with_queue(silent);
    observation.pods.clear();
    let found = check(&wanted, &observation);
    let first = found.first().unwrap();
    assert_eq!(first.code, Code::TaskProcessorScaledToZero);
    assert!(
        first
            .evidence
            .iter()
            .any(|line| line.contains("more than 2,000 tasks ready")),
        "{first:?}"
    );
    assert_eq!(found.len(), 1, "{found:?}");
}

/// What is said of an installation of the official chart can be typed there.
#[rstest]
#[case::growing(
    Code::TaskQueueGrowing,
    "--set taskProcessor.replicacount=2. Or give each more threads than its 60"
)]
#[case::sleep(Code::TaskSleepIntervalHigh, "--set taskProcessor.sleepIntervalMs=500")]
#[case::stuck(Code::TasksStuckLocked, "--set taskProcessor.replicacount=0")]
fn remedies_are_in_the_owners_tool(#[case] code: Code, #[case] expected: &str) {
    let mut wanted = installation(&spec(json!({
        "taskProcessor": { "threads": 60, "sleepIntervalMilliseconds": 60_000 },
    })));
    wanted.managed_by = ManagedBy::Helm {
        release: "acme".to_owned(),
        chart: None,
        namespace: "prod".to_owned(),
    };
    let mut observation = with_queue(|queue| {
        if code == Code::TasksStuckLocked {
            queue.locks = vec![lock(1, 99_700, 60)];
        } else {
            growth(queue, [100, 400, 700], 110);
        }
    });
    if code == Code::TasksStuckLocked {
        observation.pods = vec![processor(NOW - 30)];
    }
    let found = check(&wanted, &observation);
    let diagnosis = found.iter().find(|it| it.code == code).unwrap();
    assert!(diagnosis.remedy.contains(expected), "{diagnosis:#?}");
    assert!(!diagnosis.remedy.contains("spec."), "{diagnosis:#?}");
}
