//! What the tests of this family share: installations as the operator and as the official chart make them.

use std::sync::Arc;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service, networking::v1::Ingress};
use serde_json::{Value, json};

use crate::{
    api::{MigrationResult, MigrationStatus},
    causes::{FAMILIES, context::Context, diagnose},
    decide::decide,
    fixtures::{self, CHART_DEFAULT, empty_observation, objects, observed, spec},
    model::{Code, Diagnosis, child::Kind},
    observe::{ExposureState, Observation, WorkloadState, discover::Objects},
    resources::build,
    validate::{Installation, MigrationKey},
};

/// How the owner of the chart's installation changes it.
pub(crate) const UPGRADE: &str =
    "helm upgrade flagsmith flagsmith/flagsmith --namespace prod --version 0.81.0 --reuse-values ";

/// How he does where a value of the chart has to go.
pub(crate) const UNSET: &str = "helm get values flagsmith --namespace prod --output yaml | helm upgrade flagsmith \
                                flagsmith/flagsmith --namespace prod --version 0.81.0 --values - ";

/// What the checks of this family find, before anything is ranked.
pub(crate) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let context = Context::new(installation, observation);
    FAMILIES
        .iter()
        .filter(|family| family.title == "502s and timeouts")
        .flat_map(|family| family.causes)
        .filter_map(|(_, cause)| cause.check)
        .flat_map(|check| check(&context))
        .map(Diagnosis::from)
        .collect()
}

pub(crate) fn codes(found: &[Diagnosis]) -> Vec<Code> {
    found.iter().map(|diagnosis| diagnosis.code).collect()
}

/// The diagnosis of a cause.
pub(crate) fn first(found: &[Diagnosis], code: Code) -> &Diagnosis {
    found.iter().find(|it| it.code == code).unwrap_or_else(|| panic!("no {code} in {found:#?}"))
}

/// What is seen of an installation whose objects are as the operator makes them, but for `change`.
pub(crate) fn made(installation: &Installation, change: &dyn Fn(&mut Value)) -> Observation {
    let mut observation = empty_observation();
    observation.exposure = installation.exposure.as_ref().map(|_| ExposureState::Waiting);
    observation.api_exposure = installation.api_exposure.as_ref().map(|_| ExposureState::Waiting);
    observation.previous.migration = Some(MigrationStatus {
        key: Some(
            MigrationKey::migrate(installation, installation.release, &fixtures::database()).to_string(),
        ),
        version: installation.release.to_string(),
        result: MigrationResult::Applied,
        ..MigrationStatus::default()
    });
    for child in build(installation, &decide(installation, &observation, &[])) {
        let mut body = child.body;
        match child.kind {
            Kind::Deployment if child.name.ends_with("-api") => {
                change(&mut body);
                let deployment: Deployment = serde_json::from_value(body).unwrap();
                observation.api = Some(WorkloadState::from(&deployment));
            }
            Kind::Ingress => {
                let ingress: Ingress = serde_json::from_value(body).unwrap();
                let apart = installation.api_exposure.is_some() && child.name.ends_with("-api");
                if apart { &mut observation.api_front } else { &mut observation.front }.see_ingress(&ingress);
            }
            Kind::Service if child.name.ends_with("-api") => {
                let service: Service = serde_json::from_value(body).unwrap();
                observation.front.see_service(&service.metadata);
                observation.api_front.see_service(&service.metadata);
            }
            Kind::HttpRoute => observation.front.see_route(&body),
            _ => {}
        }
    }
    assert!(observation.api.is_some());
    observation
}

/// What is found where one field of the operator's Deployment of the API has another value.
pub(crate) fn changed(path: &str, value: &Value) -> Vec<Code> {
    let installation = fixtures::installation(&spec(json!({})));
    let observation = made(&installation, &|body| {
        *body.pointer_mut(path).unwrap() = value.clone();
    });
    codes(&check(&installation, &observation))
}

/// An installation with an Ingress behind a proxy.
pub(crate) fn behind(proxy: &str) -> Installation {
    fixtures::installation(&spec(json!({
        "exposure": { "hosts": ["*"], "ingress": {}, "proxy": { "name": proxy } },
    })))
}

/// The API's container as the official chart starts it.
pub(crate) fn chart(body: &mut Value) {
    let pod = body.pointer_mut("/spec/template/spec").unwrap();
    pod["terminationGracePeriodSeconds"] = json!(30);
    let container = &mut pod["containers"][0];
    container["args"] = json!(["serve"]);
    container["command"] = Value::Null;
    container["lifecycle"] = Value::Null;
}

/// What is seen of the chart's installation behind ingress-nginx, with the API's pods and the Ingress changed.
pub(crate) fn observed_with(
    pods: &dyn Fn(&mut Value),
    ingress: &dyn Fn(&mut Value),
) -> (Installation, Observation) {
    let mut all: Objects = objects(CHART_DEFAULT);
    for deployment in &mut all.deployments {
        if deployment.metadata.name.as_deref() == Some("flagsmith-api") {
            let mut object = serde_json::to_value(deployment.as_ref()).unwrap();
            pods(object.pointer_mut("/spec/template/spec").unwrap());
            *deployment = Arc::new(serde_json::from_value(object).unwrap());
        }
    }
    for object in &mut all.ingresses {
        let mut changed = serde_json::to_value(object.as_ref()).unwrap();
        ingress(&mut changed);
        *object = Arc::new(serde_json::from_value(changed).unwrap());
    }
    let (found, mut observation) = observed("flagsmith", &all);
    observation.front.controller = Some("k8s.io/ingress-nginx".to_owned());
    (found.installation, observation)
}

/// What is found of it.
pub(crate) fn of_chart(pods: &dyn Fn(&mut Value), ingress: &dyn Fn(&mut Value)) -> Vec<Diagnosis> {
    let (installation, observation) = observed_with(pods, ingress);
    diagnose(&installation, &observation)
}

/// The first container of a pod.
pub(crate) fn container(pods: &mut Value) -> &mut Value {
    &mut pods["containers"][0]
}

/// A variable of it.
pub(crate) fn env(name: &'static str, value: &'static str) -> impl Fn(&mut Value) {
    move |pods| {
        let environment = container(pods)["env"].as_array_mut().unwrap();
        environment.push(json!({ "name": name, "value": value }));
    }
}

/// No change.
pub(crate) fn none(_: &mut Value) {}
