//! Races, seen in a log and in pods, and what only looks like one.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    causes::{
        diagnose,
        log::{failure::Stage, testing::code},
    },
    fixtures::{CHART_DEFAULT, objects, observed},
    model::{Code, Component, Diagnosis, Severity},
    observe::{LogFinding, LogReading, Observation, Run},
    validate::Installation,
};

#[rstest]
#[case(
    "psycopg2.errors.UniqueViolation",
    "duplicate key value violates unique constraint \"pg_type_typname_nsp_index\"\nDETAIL:  Key (typname, typnamespace)=(django_migrations_id_seq, 2200) already exists.",
    Code::MigrationConcurrent
)]
#[case(
    "psycopg2.errors.UniqueViolation",
    "duplicate key value violates unique constraint \"django_content_type_app_label_model_76bd3d3b_uniq\"",
    Code::MigrationConcurrent
)]
#[case("psycopg2.errors.InternalError_", "tuple concurrently updated", Code::MigrationConcurrent)]
#[case(
    "psycopg2.errors.DuplicateTable",
    "relation \"django_migrations\" already exists",
    Code::MigrationConcurrent
)]
#[case(
    "psycopg2.errors.UniqueViolation",
    "could not create unique index \"users_email_uniq\"\nDETAIL:  Key (email)=(a@b.c) is duplicated.",
    Code::MigrationDataConflict
)]
fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Code) {
    assert_eq!(code(Stage::Migrate, class, message), Some(expected));
}

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
    assert!(race.evidence.iter().any(|it| it.contains("flagsmith-api-1") && it.contains("status 1")));
}

/// What the log of a pod's init container says when its table is there already.
fn said(pod: &str) -> LogReading {
    let diagnosis = Diagnosis::from(crate::model::Draft {
        code: Code::MigrationSchemaConflict,
        severity: Severity::Critical,
        component: Component::Migrations,
        message: "Migration a.0001_x cannot be applied: relation \"t\" already exists".to_owned(),
        evidence: vec![format!("log of pod {pod}: relation \"t\" already exists")],
        remedy: String::new(),
    });
    LogReading {
        pod: pod.to_owned(),
        container: "migrate-db".to_owned(),
        component: Component::Migrations,
        run: Run::Unready,
        at: jiff::Timestamp::UNIX_EPOCH,
        found: vec![LogFinding {
            read: jiff::Timestamp::UNIX_EPOCH,
            happened: jiff::Timestamp::UNIX_EPOCH,
            of_connection: false,
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
    assert!(race.evidence.iter().any(|it| it.ends_with("already exists")), "{race:?}");
}

#[test]
fn what_was_not_raced_for_is_a_conflict() {
    let (installation, mut observation) = migrated(&[(4, 11, 1), (12, 19, 0)]);
    observation.pod_logs.logs.push(said("flagsmith-api-0"));
    first(&diagnose(&installation, &observation), Code::MigrationSchemaConflict);
}

#[rstest]
#[case::one_after_the_other(&[(4, 11, 1), (12, 19, 0)])]
#[case::the_database_was_away(&[(4, 11, 1), (5, 12, 1), (6, 13, 1)])]
#[case::all_went_well(&[(4, 11, 0), (5, 12, 0)])]
fn no_race(#[case] runs: &[(i64, i64, i32)]) {
    let (installation, observation) = migrated(runs);
    let found = diagnose(&installation, &observation);
    assert_eq!(first(&found, Code::MigrationConcurrent).severity, Severity::Info, "only the risk");
}
