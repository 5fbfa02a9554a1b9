//! `TimeoutsAligned`.

use rstest::rstest;
use serde_json::json;

use super::scene::{Said, Scene, said, workload};
use crate::{
    model::{Code, Component, Severity},
    observe::ExposureState,
    report::ConditionType,
};

const OURS: &str =
    "requests may take 30 s: Gunicorn's timeout is 30 s, its keep-alive 95 s, pods get 50 s to end";

fn managed() -> Scene {
    Scene::managed(json!({}))
}

fn exposed() -> Scene {
    Scene::managed(json!({
        "exposure": {
            "hosts": ["flags.example.com"],
            "ingress": { "className": "nginx" },
            "proxy": { "name": "ingress-nginx" },
        },
    }))
}

#[rstest]
#[case::aligned(managed(), said("True", "Aligned", OURS))]
#[case::behind_a_proxy(
    exposed().seeing(|observation| observation.exposure = Some(ExposureState::Accepted)),
    said(
        "True",
        "Aligned",
        "requests may take 30 s: Gunicorn's timeout is 30 s, its keep-alive 65 s, pods get 50 s to end, ingress-nginx waits 35 s"
    )
)]
#[case::nothing_runs(
    managed().seeing(|observation| observation.api = None),
    said("Unknown", "Creating", &format!("nothing runs yet; {OURS}"))
)]
#[case::the_ingress_is_not_there(
    exposed(),
    said(
        "Unknown",
        "Creating",
        "nothing runs yet; requests may take 30 s: Gunicorn's timeout is 30 s, its keep-alive 65 s, pods get 50 s to end"
    )
)]
#[case::proxy_not_checked(
    managed().diagnosed(Code::ProxyNotChecked, Severity::Info, Component::Exposure),
    said("Unknown", "ProxyNotChecked", &format!("{OURS}. ProxyNotChecked is the case"))
)]
#[case::proxy_cuts_first(
    managed().diagnosed(Code::ProxyTimeoutBelowGunicorn, Severity::Warning, Component::Exposure),
    said("False", "ProxyTimeoutBelowGunicorn", "ProxyTimeoutBelowGunicorn is the case")
)]
#[case::keep_alive(
    managed().diagnosed(Code::KeepAliveBelowProxyIdle, Severity::Warning, Component::Api),
    said("False", "KeepAliveBelowProxyIdle", "KeepAliveBelowProxyIdle is the case")
)]
#[case::grace(
    managed().diagnosed(Code::GraceBelowGracefulTimeout, Severity::Warning, Component::Api),
    said("False", "GraceBelowGracefulTimeout", "GraceBelowGracefulTimeout is the case")
)]
#[case::pre_stop(
    Scene::observed().diagnosed(Code::PreStopTooShort, Severity::Warning, Component::Api),
    said("False", "PreStopTooShort", "PreStopTooShort is the case")
)]
#[case::another_cause_is_no_reason(
    managed().diagnosed(Code::CrashLooping, Severity::Critical, Component::Api),
    said("True", "Aligned", OURS)
)]
#[case::observed_without_an_api(
    Scene::observed().seeing(|observation| observation.api = None),
    said("Unknown", "NotKnown", "there is no API whose timeouts could be read")
)]
fn timeouts_aligned(#[case] scene: Scene, #[case] expected: Said) {
    assert_eq!(scene.says(ConditionType::TimeoutsAligned), Some(expected));
}

/// What an observed installation's timeouts are is a matter of `causes`; here only what becomes of it.
#[test]
fn timeouts_of_an_observed_installation() {
    let kind = ConditionType::TimeoutsAligned;
    let (status, reason, message) = Scene::observed().says(kind).unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("True", "Aligned"), "{message}");

    let scene = Scene::observed().diagnosed(Code::ProxyNotChecked, Severity::Info, Component::Exposure);
    let unchecked = format!("{message}. ProxyNotChecked is the case");
    assert_eq!(scene.says(kind), Some(said("Unknown", "ProxyNotChecked", &unchecked)));

    let unseen = Scene::observed().seeing(|observation| observation.api = Some(workload("api", 1)));
    let (status, reason, message) = unseen.says(kind).unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "NotKnown"), "{message}");
}
