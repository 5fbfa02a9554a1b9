use rstest::rstest;

use crate::causes::{cause::Reach, ranked as rank};
use crate::model::{Code, Component, Diagnosis, Severity};

fn diagnosis(code: Code, component: Component) -> Diagnosis {
    Diagnosis::from(crate::model::Draft {
        code,
        severity: Severity::Critical,
        component,
        message: format!("{code} of the {}.", component.as_str()),
        evidence: vec![format!("{code} seen at the {}", component.as_str())],
        remedy: "repair it".to_owned(),
    })
}

fn ranked(found: &[(Code, Component)]) -> Vec<Diagnosis> {
    rank(found.iter().map(|(code, component)| diagnosis(*code, *component)).collect())
}

fn codes(found: &[Diagnosis]) -> Vec<Code> {
    found.iter().map(|it| it.code).collect()
}

#[test]
fn a_database_that_is_down_explains_everything_that_stands_still() {
    let found = ranked(&[
        (Code::CrashLooping, Component::Api),
        (Code::DatabaseUnreachable, Component::Database),
        (Code::DatabaseUnreachable, Component::Api),
        (Code::ProbeFailing, Component::TaskProcessor),
        (Code::TaskQueueStalled, Component::TaskProcessor),
    ]);
    assert_eq!(codes(&found), [Code::DatabaseUnreachable]);
    assert_eq!(
        found[0].evidence,
        [
            "DatabaseUnreachable seen at the database",
            "therefore, api: CrashLooping of the api.",
            "DatabaseUnreachable seen at the api",
            "therefore, task-processor: ProbeFailing of the task-processor.",
            "therefore, task-processor: TaskQueueStalled of the task-processor.",
        ]
    );
}

/// Pairs of a cause and something that it explains, or does not.
#[rstest]
#[case::image((Code::ImagePullFailed, Component::Api), (Code::RolloutDeadlineExceeded, Component::Api), true)]
#[case::image_of_another((Code::ImagePullFailed, Component::Frontend), (Code::CrashLooping, Component::Api), false)]
#[case::memory((Code::ContainerOutOfMemory, Component::Api), (Code::CrashLooping, Component::Api), true)]
#[case::memory_of_a_worker((Code::ContainerOutOfMemory, Component::Api), (Code::GunicornWorkerOutOfMemory, Component::Api), true)]
#[case::hosts((Code::AllowedHostsRejected, Component::Api), (Code::ProbeFailing, Component::Api), true)]
#[case::api_and_frontend((Code::CrashLooping, Component::Api), (Code::FrontendCannotReachApi, Component::Frontend), true)]
#[case::api_and_edge_proxy((Code::CrashLooping, Component::Api), (Code::EdgeProxyCannotUpdate, Component::EdgeProxy), true)]
#[case::frontend_alone((Code::CrashLooping, Component::Frontend), (Code::FrontendCannotReachApi, Component::Frontend), false)]
#[case::broken_release((Code::TaskProcessorReleaseBroken, Component::TaskProcessor), (Code::TasksStuckLocked, Component::TaskProcessor), true)]
#[case::poisoned_batch((Code::TaskUnregistered, Component::TaskProcessor), (Code::TasksStuckLocked, Component::TaskProcessor), true)]
#[case::failing_tasks_are_no_stall((Code::TasksFailing, Component::TaskProcessor), (Code::TaskQueueStalled, Component::TaskProcessor), false)]
#[case::failed_migration((Code::MigrationLockTimeout, Component::Migrations), (Code::MigrationsPending, Component::Api), true)]
#[case::timeouts_are_apart((Code::GunicornWorkerTimeout, Component::Api), (Code::ContainerOutOfMemory, Component::Api), false)]
#[case::a_proxy_is_apart((Code::DatabaseUnreachable, Component::Database), (Code::ProxyTimeoutBelowGunicorn, Component::Exposure), false)]
#[case::no_room((Code::PodUnschedulable, Component::TaskProcessor), (Code::TaskProcessorNotReady, Component::TaskProcessor), true)]
fn explains_or_not(
    #[case] cause: (Code, Component),
    #[case] other: (Code, Component),
    #[case] explained: bool,
) {
    for found in [[cause, other], [other, cause]] {
        let mut left = codes(&ranked(&found));
        left.sort();
        let mut expected = vec![cause.0];
        if !explained {
            expected.push(other.0);
        }
        expected.sort();
        assert_eq!(left, expected);
    }
}

#[test]
fn the_worst_consequence_gives_the_severity() {
    let cause =
        Diagnosis { severity: Severity::Info, ..diagnosis(Code::DatabaseStarting, Component::Database) };
    let found = rank(vec![cause, diagnosis(Code::CrashLooping, Component::Api)]);
    assert_eq!((found.len(), found[0].severity), (1, Severity::Critical));
}

#[test]
fn no_two_causes_explain_each_other() {
    let explains =
        |cause: Code, other: Code| cause.cause().explains.iter().any(|it| it.codes.contains(&other));
    for cause in Code::ALL {
        for other in Code::ALL {
            let both = explains(*cause, *other) && explains(*other, *cause);
            assert!(!both, "{cause} and {other}: both would vanish");
        }
    }
}

#[test]
fn what_a_cause_explains_everywhere_is_named_once() {
    for cause in Code::ALL {
        let explains = cause.cause().explains;
        for (index, everywhere) in explains.iter().enumerate() {
            if everywhere.reach != Reach::Everywhere || everywhere.least.is_some() {
                continue;
            }
            for (_, other) in explains.iter().enumerate().filter(|(other, _)| *other != index) {
                let again = other.codes.iter().find(|code| everywhere.codes.contains(code));
                assert_eq!(again, None, "{cause} explains it everywhere already");
            }
        }
    }
}

#[test]
fn something_always_remains() {
    let all: Vec<Diagnosis> = Code::ALL.iter().map(|code| diagnosis(*code, Component::Api)).collect();
    assert!(!rank(all).is_empty());
}
