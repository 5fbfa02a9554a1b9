//! `ExposureReady`.

use rstest::rstest;
use serde_json::{Value, json};

use super::scene::{Said, Scene, said};
use crate::{
    model::{Code, Component, Severity},
    observe::ExposureState,
    report::ConditionType,
};

fn exposed(by: &str, settings: &Value, state: Option<ExposureState>) -> Scene {
    let exposure = json!({ "hosts": ["flags.example.com", "flags.example.org"], by: settings });
    Scene::managed(json!({ "exposure": exposure })).seeing(|observation| observation.exposure = state)
}

fn ingress(state: Option<ExposureState>) -> Scene {
    exposed("ingress", &json!({ "className": "nginx" }), state)
}

fn http_route(state: Option<ExposureState>) -> Scene {
    exposed("httpRoute", &json!({ "parentRefs": [{ "name": "public" }] }), state)
}

#[rstest]
#[case::not_asked_for(
    Scene::managed(json!({})),
    said("True", "NotWanted", "spec.exposure is not set; the Services are reachable inside of the cluster")
)]
#[case::ingress(
    ingress(Some(ExposureState::Accepted)),
    said("True", "Accepted", "the Ingress serves flags.example.com, flags.example.org")
)]
#[case::http_route(
    http_route(Some(ExposureState::Accepted)),
    said("True", "Accepted", "the HTTPRoute serves flags.example.com, flags.example.org")
)]
#[case::waiting(
    ingress(Some(ExposureState::Waiting)),
    said("Unknown", "Waiting", "no controller has reported an address for the Ingress yet; some never do")
)]
#[case::absent(http_route(None), said("Unknown", "Creating", "the HTTPRoute is being made"))]
#[case::critical(
    http_route(Some(ExposureState::Accepted))
        .diagnosed(Code::ChildNotOwned, Severity::Critical, Component::Exposure),
    said("False", "ChildNotOwned", "ChildNotOwned is the case")
)]
#[case::observed(
    Scene::observed(),
    said("True", "NotWanted", "spec.exposure is not set; the Services are reachable inside of the cluster")
)]
fn exposure_ready(#[case] scene: Scene, #[case] expected: Said) {
    assert_eq!(scene.says(ConditionType::ExposureReady), Some(expected));
}
