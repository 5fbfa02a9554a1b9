//! The official chart's objects, healthy and with one trouble at a time.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use crate::causes::diagnose;
use crate::{
    fixtures::{CHART_DEFAULT, CHART_WITH_PROCESSOR, objects, observed},
    model::{Code, Diagnosis, Severity},
    observe::{LogFinding, LogReading, Observation, Run},
    validate::Installation,
};

/// What is wrong with a manifest of the official chart.
fn of(release: &str, manifest: &str) -> Vec<Diagnosis> {
    let (found, observation) = observed(release, &objects(manifest));
    diagnose(&found.installation, &observation)
}

fn first(found: &[Diagnosis], code: Code) -> &Diagnosis {
    found
        .iter()
        .find(|it| it.code == code)
        .unwrap_or_else(|| panic!("no {code} in {found:#?}"))
}

fn lacks(found: &[Diagnosis], code: Code) {
    assert!(found.iter().all(|it| it.code != code), "{found:#?}");
}

/// The API's pods as they have migrated: for each the seconds of start and end, and the exit status.
fn migrated(runs: &[(i64, i64, i32)]) -> (Installation, Observation) {
    let mut objects = objects(&CHART_DEFAULT.replace("replicas: 1", "replicas: 3"));
    for (index, (start, end, code)) in runs.iter().enumerate() {
        let at = |second: &i64| format!("2026-11-22T03:11:{second:02}Z");
        let pod: Value = json!({
            "metadata": {
                "name": format!("flagsmith-api-{index}"),
                "labels": { "app.kubernetes.io/name": "flagsmith", "app.kubernetes.io/instance": "flagsmith", "app.kubernetes.io/component": "api" },
            },
            "status": { "initContainerStatuses": [{
                "name": "migrate-db", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": { "terminated": { "startedAt": at(start), "finishedAt": at(end), "exitCode": code } },
            }] },
        });
        objects.pods.push(Arc::new(serde_json::from_value(pod).unwrap()));
    }
    let (found, observation) = observed("flagsmith", &objects);
    (found.installation, observation)
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
    assert!(
        missing.evidence.iter().any(|it| it.ends_with(": flagsmith")),
        "{missing:?}"
    );
}

#[test]
fn several_pods_that_migrate_are_a_risk_and_a_single_one_is_none() {
    let found = of("flagsmith", &CHART_DEFAULT.replace("replicas: 1", "replicas: 3"));
    let risk = first(&found, Code::MigrationConcurrent);
    assert_eq!(risk.severity, Severity::Info);
    assert_eq!(
        risk.remedy,
        "Let one Job migrate: helm upgrade flagsmith flagsmith/flagsmith --namespace prod --version 0.81.0 --reuse-values --set api.enableMigrateDbInitContainer=false --set jobs.migrateDb.enabled=true"
    );
    lacks(&of("flagsmith", CHART_DEFAULT), Code::MigrationConcurrent);
}

#[test]
fn a_race_has_a_loser_and_a_winner_at_the_same_time() {
    let (installation, observation) = migrated(&[(4, 19, 0), (4, 11, 1), (30, 41, 0)]);
    let found = diagnose(&installation, &observation);
    let race = first(&found, Code::MigrationConcurrent);
    assert_eq!(race.severity, Severity::Warning);
    assert!(race.message.contains("1 failed while 1 succeeded"), "{race:?}");
    assert!(
        race.evidence
            .iter()
            .any(|it| it.contains("flagsmith-api-1") && it.contains("status 1"))
    );
}

/// What the log of a pod's init container says when its table is there already.
fn said(pod: &str) -> LogReading {
    let diagnosis = Diagnosis {
        code: Code::MigrationSchemaConflict,
        severity: Severity::Critical,
        component: crate::model::Component::Migrations,
        message: String::new(),
        evidence: vec![format!("log of pod {pod}: relation \"t\" already exists")],
        remedy: String::new(),
    };
    LogReading {
        pod: pod.to_owned(),
        container: "migrate-db".to_owned(),
        component: crate::model::Component::Migrations,
        run: Run::Unready,
        at: jiff::Timestamp::UNIX_EPOCH,
        found: vec![LogFinding {
            read: jiff::Timestamp::UNIX_EPOCH,
            happened: jiff::Timestamp::UNIX_EPOCH,
            diagnosis,
        }],
    }
}

#[test]
fn what_the_loser_of_a_race_has_logged_belongs_to_the_race() {
    let (installation, mut observation) = migrated(&[(4, 19, 0), (4, 11, 1)]);
    observation.pod_logs.logs.push(said("flagsmith-api-1"));
    let found = diagnose(&installation, &observation);
    lacks(&found, Code::MigrationSchemaConflict);
    let race = first(&found, Code::MigrationConcurrent);
    assert_eq!(race.severity, Severity::Warning);
    assert!(
        race.evidence.iter().any(|it| it.ends_with("already exists")),
        "{race:?}"
    );
}

#[test]
fn what_nobody_has_raced_for_is_a_conflict() {
    let (installation, mut observation) = migrated(&[(4, 11, 1), (12, 19, 0)]);
    observation.pod_logs.logs.push(said("flagsmith-api-0"));
    first(
        &diagnose(&installation, &observation),
        Code::MigrationSchemaConflict,
    );
}

#[test]
fn a_release_that_nothing_names_is_said_to_be_assumed() {
    let manifest = CHART_DEFAULT.replace("flagsmith-api:2.265.0", "flagsmith-api:latest");
    let found = of("flagsmith", &manifest);
    let unknown = first(&found, Code::ReleaseUnknown);
    assert_eq!(unknown.severity, Severity::Info);
    assert!(unknown.message.contains("2.170.0"), "{unknown:?}");
    assert!(
        unknown.evidence[0].ends_with("flagsmith-api:latest is no release"),
        "{unknown:?}"
    );
    assert!(unknown.remedy.contains("patch fsd watched"), "{unknown:?}");
    lacks(&of("flagsmith", CHART_DEFAULT), Code::ReleaseUnknown);
}

#[rstest]
#[case::one_after_the_other(&[(4, 11, 1), (12, 19, 0)])]
#[case::the_database_was_away(&[(4, 11, 1), (5, 12, 1), (6, 13, 1)])]
#[case::all_went_well(&[(4, 11, 0), (5, 12, 0)])]
fn no_race(#[case] runs: &[(i64, i64, i32)]) {
    let (installation, observation) = migrated(runs);
    let found = diagnose(&installation, &observation);
    assert_eq!(
        first(&found, Code::MigrationConcurrent).severity,
        Severity::Info,
        "only the risk"
    );
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
    assert!(
        contested.evidence.iter().any(|it| it.ends_with("is set by helm")),
        "{contested:?}"
    );
    assert!(
        contested.remedy.ends_with("--set api.replicacount=null"),
        "{contested:?}"
    );
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
    assert!(
        first(&found, Code::ScaledToZero)
            .remedy
            .contains("annotate deployment acme-flagsmith")
    );
    let intended = sleeping.replace(
        "  labels:\n    helm.sh/chart",
        "  annotations: {operator.flagsmith.com/scaled-to-zero: intended}\n  labels:\n    helm.sh/chart",
    );
    let found = of("acme", &intended);
    lacks(&found, Code::ScaledToZero);
}

#[test]
fn a_secret_key_that_nobody_sets() {
    let found = of(
        "flagsmith",
        &CHART_DEFAULT.replace("name: DJANGO_SECRET_KEY", "name: SOMETHING_ELSE"),
    );
    let ephemeral = first(&found, Code::SecretKeyEphemeral);
    assert!(
        ephemeral
            .remedy
            .contains("set env deployment/flagsmith-api --from=secret"),
        "{ephemeral:?}"
    );
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
    let manifest = CHART_WITH_PROCESSOR
        .replace("replicas: 1", "replicas: 0")
        .replace("value: '*'", "value: 'x'");
    let found = of("acme", &manifest);
    assert!(found.len() > 2, "{found:#?}");
    for diagnosis in &found {
        assert!(!diagnosis.remedy.contains("spec."), "{diagnosis:#?}");
    }
}
