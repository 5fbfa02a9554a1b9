//! The official chart's objects, healthy and with one trouble at a time.

use std::sync::Arc;

use rstest::rstest;
use serde_json::json;

use crate::causes::diagnose;
use crate::{
    fixtures::{CHART_DEFAULT, CHART_WITH_PROCESSOR, objects, observed},
    model::{Code, Diagnosis, Severity},
};

/// What is wrong with a manifest of the official chart.
fn of(release: &str, manifest: &str) -> Vec<Diagnosis> {
    let (found, observation) = observed(release, &objects(manifest));
    diagnose(&found.installation, &observation)
}

fn first(found: &[Diagnosis], code: Code) -> &Diagnosis {
    found.iter().find(|it| it.code == code).unwrap_or_else(|| panic!("no {code} in {found:#?}"))
}

fn lacks(found: &[Diagnosis], code: Code) {
    assert!(found.iter().all(|it| it.code != code), "{found:#?}");
}

#[rstest]
#[case("flagsmith", CHART_DEFAULT)]
#[case("acme", CHART_WITH_PROCESSOR)]
fn what_the_chart_makes_is_no_alarm(#[case] release: &str, #[case] manifest: &str) {
    let found = of(release, manifest);
    assert!(found.iter().all(|it| it.severity == Severity::Info), "{found:#?}");
}

#[test]
fn a_release_that_is_not_there_names_those_that_are() {
    let found = of("production", CHART_DEFAULT);
    let missing = first(&found, Code::InstallationNotFound);
    assert_eq!(found.len(), 1, "nothing else is known: {found:#?}");
    assert!(missing.evidence.iter().any(|it| it.ends_with(": flagsmith")), "{missing:?}");
}

#[test]
fn a_release_that_nothing_names_is_said_to_be_assumed() {
    let manifest = CHART_DEFAULT.replace("flagsmith-api:2.265.0", "flagsmith-api:latest");
    let found = of("flagsmith", &manifest);
    let unknown = first(&found, Code::ReleaseUnknown);
    assert_eq!(unknown.severity, Severity::Info);
    assert!(unknown.message.contains("2.170.0"), "{unknown:?}");
    assert!(unknown.evidence[0].ends_with("flagsmith-api:latest is no release"), "{unknown:?}");
    assert!(unknown.remedy.contains("patch fsd watched"), "{unknown:?}");
    lacks(&of("flagsmith", CHART_DEFAULT), Code::ReleaseUnknown);
}

#[test]
fn an_autoscaler_and_a_manifest_that_both_set_replicas() {
    let mut all = objects(CHART_WITH_PROCESSOR);
    lacks(&diagnosed("acme", &all), Code::ReplicasContested);
    for deployment in &mut all.deployments {
        let managers = json!([{ "manager": "helm", "operation": "Update", "fieldsV1": { "f:spec": { "f:replicas": {} } } }]);
        Arc::make_mut(deployment).metadata.managed_fields = serde_json::from_value(managers).unwrap();
    }
    let found = diagnosed("acme", &all);
    let contested = first(&found, Code::ReplicasContested);
    assert!(contested.evidence.iter().any(|it| it.ends_with("is set by helm")), "{contested:?}");
    assert!(contested.remedy.ends_with("--set api.replicacount=null"), "{contested:?}");
    // One pod is also the API server's default, which stands in the name of whoever removed the number.
    assert_eq!(contested.severity, Severity::Info);
    for deployment in &mut all.deployments {
        if let Some(spec) = &mut Arc::make_mut(deployment).spec {
            spec.replicas = Some(2);
        }
    }
    let found = diagnosed("acme", &all);
    assert_eq!(first(&found, Code::ReplicasContested).severity, Severity::Warning);
}

fn diagnosed(release: &str, objects: &crate::observe::discover::Objects) -> Vec<Diagnosis> {
    let (found, observation) = observed(release, objects);
    diagnose(&found.installation, &observation)
}

#[test]
fn no_pods_are_a_trouble_unless_somebody_said_so() {
    let sleeping = CHART_WITH_PROCESSOR.replace("replicas: 1", "replicas: 0");
    let found = of("acme", &sleeping);
    assert!(first(&found, Code::ScaledToZero).remedy.contains("annotate deployment acme-flagsmith"));
    let intended = sleeping.replace(
        "  labels:\n    helm.sh/chart",
        "  annotations: {operator.flagsmith.com/scaled-to-zero: intended}\n  labels:\n    helm.sh/chart",
    );
    let found = of("acme", &intended);
    lacks(&found, Code::ScaledToZero);
}

#[test]
fn a_secret_key_that_nobody_sets() {
    let found = of("flagsmith", &CHART_DEFAULT.replace("name: DJANGO_SECRET_KEY", "name: SOMETHING_ELSE"));
    let ephemeral = first(&found, Code::SecretKeyEphemeral);
    assert!(ephemeral.remedy.contains("set env deployment/flagsmith-api --from=secret"), "{ephemeral:?}");
}

#[rstest]
#[case("flags.example.com", 0, true)]
#[case("flags.example.com,*", 0, false)]
#[case("flags.example.com", 1, false)]
fn allowed_hosts_against_probes(#[case] hosts: &str, #[case] ready: i32, #[case] expected: bool) {
    let mut all = objects(&CHART_DEFAULT.replace("value: '*'", &format!("value: '{hosts}'")));
    for deployment in &mut all.deployments {
        if let Some(status) = &mut Arc::make_mut(deployment).status {
            (status.ready_replicas, status.available_replicas) = (Some(ready), Some(ready));
        }
    }
    let found = diagnosed("flagsmith", &all);
    if expected {
        assert_eq!(
            first(&found, Code::AllowedHostsRejected).remedy,
            "helm upgrade flagsmith flagsmith/flagsmith --namespace prod --version 0.81.0 --reuse-values --set-string 'api.extraEnv.DJANGO_ALLOWED_HOSTS=*'"
        );
    } else {
        lacks(&found, Code::AllowedHostsRejected);
    }
}

#[test]
fn no_remedy_speaks_of_a_resource_that_is_not_there() {
    let manifest =
        CHART_WITH_PROCESSOR.replace("replicas: 1", "replicas: 0").replace("value: '*'", "value: 'x'");
    let found = of("acme", &manifest);
    assert!(found.len() > 2, "{found:#?}");
    for diagnosis in &found {
        assert!(!diagnosis.remedy.contains("spec."), "{diagnosis:#?}");
    }
}
