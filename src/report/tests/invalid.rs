//! The conditions of a resource that is no valid specification, and when a condition's time moves.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    model::Code,
    report::{ConditionType, conditions::invalid},
};

const MESSAGE: &str = "spec.version: \"latest\" is no release";

fn now() -> Timestamp {
    "2026-01-01T10:00:00Z".parse().unwrap()
}

fn known(kind: ConditionType, status: &str) -> Condition {
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: "Known".to_owned(),
        message: "from before".to_owned(),
        observed_generation: Some(1),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

fn conditions(previous: &[Condition]) -> Vec<Condition> {
    invalid(previous, 2, Code::InvalidSpec, MESSAGE, now())
}

#[test]
fn every_condition_is_there_from_the_first_pass_on() {
    let all = conditions(&[]);
    let names: Vec<&str> = all.iter().map(|condition| condition.type_.as_str()).collect();
    assert_eq!(
        names,
        [
            "Ready",
            "DatabaseReachable",
            "MigrationsApplied",
            "ApiAvailable",
            "TaskProcessorAvailable",
            "FrontendAvailable",
            "TimeoutsAligned",
            "ExposureReady",
            "Stalled"
        ]
    );
    for condition in &all {
        let (status, message) = match condition.type_.as_str() {
            "Ready" => ("False", MESSAGE),
            "Stalled" => ("True", MESSAGE),
            _ => ("Unknown", "not looked at: the specification is not valid"),
        };
        assert_eq!(
            (condition.status.as_str(), condition.reason.as_str(), condition.message.as_str()),
            (status, "InvalidSpec", message)
        );
        assert_eq!(condition.observed_generation, Some(2));
        assert_eq!(condition.last_transition_time, Time(now()));
    }
}

#[test]
fn what_was_known_of_the_parts_is_kept_and_the_summary_is_not() {
    let api = known(ConditionType::ApiAvailable, "True");
    let before =
        [known(ConditionType::Ready, "True"), api.clone(), known(ConditionType::Reconciling, "True")];
    let all = conditions(&before);
    assert_eq!(ConditionType::ApiAvailable.find(&all), Some(&api));
    assert_eq!(ConditionType::Reconciling.find(&all), None);
    assert!(!ConditionType::Ready.is_true(&all));
    assert_eq!(all.len(), 9, "{all:?}");
}

#[test]
fn the_time_moves_only_with_the_status() {
    let since = |before: &str| {
        let all = conditions(&[known(ConditionType::Ready, before)]);
        ConditionType::Ready.find(&all).map(|ready| ready.last_transition_time.clone())
    };
    assert_eq!(since("False"), Some(Time(Timestamp::UNIX_EPOCH)));
    assert_eq!(since("True"), Some(Time(now())));
}
