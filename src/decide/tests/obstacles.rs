//! What holds a migration back that would begin, and what does not.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;
use serde_json::json;

use super::scene::{NEW, OLD, pulled, recorded, runs, wanted};
use crate::{
    api::{BackupStatus, MigrationResult, MigrationStatus},
    decide::{Gate, decide},
    fixtures::{database, empty_observation},
    migration::Step,
    model::{Code, Component, Diagnosis, Draft, Severity},
    observe::{DatabaseProbe, History, Observation, Preflight, ProbeFailure, ProbeFailureKind},
    validate::Installation,
};

fn diagnosed(code: Code, severity: Severity, component: Component) -> Vec<Diagnosis> {
    vec![Diagnosis::from(Draft {
        code,
        severity,
        component,
        message: String::new(),
        evidence: Vec::new(),
        remedy: String::new(),
    })]
}

fn refused() -> DatabaseProbe {
    DatabaseProbe::Failed(ProbeFailure {
        kind: ProbeFailureKind::TimedOut,
        message: "no answer in time".to_owned(),
    })
}

/// Pods that work tell of a database that works, unless the operator itself does not reach it.
#[rstest]
#[case::critical(Severity::Critical, Component::Migrations, DatabaseProbe::NotProbed, true)]
#[case::the_pods_still_work(Severity::Warning, Component::Database, DatabaseProbe::NotProbed, false)]
#[case::nobody_gets_in(Severity::Warning, Component::Database, refused(), true)]
#[case::of_something_else(Severity::Warning, Component::Migrations, refused(), false)]
#[case::worth_knowing(Severity::Info, Component::Database, refused(), false)]
fn what_is_wrong_holds_a_migration_back_where_its_job_would_meet_it(
    #[case] severity: Severity,
    #[case] component: Component,
    #[case] database: DatabaseProbe,
    #[case] held: bool,
) {
    let observation = Observation { database, ..empty_observation() };
    let diagnoses = diagnosed(Code::MigrationPermissionDenied, severity, component);
    let gate = decide(&wanted(json!({})), &observation, &diagnoses).gate;
    assert_eq!(gate, if held { Gate::Blocked(Code::MigrationPermissionDenied) } else { Gate::Pending });
}

/// An installation that asks for a backup to be brought back, and what is seen of it.
fn restoring() -> (Installation, Observation) {
    let made = "2026-11-30T10:00:00Z";
    let installation = wanted(json!({ "migrations": {
        "backup": { "volumeClaim": { "claimName": "backups" } },
        "restore": { "from": "flagsmith-backup-1", "confirm": format!("{} {made}", database()), "withoutBackup": true },
    } }));
    let mut observation = runs(&installation, NEW);
    observation.previous.observed_generation = Some(1);
    observation.previous.backups = vec![BackupStatus {
        name: "flagsmith-backup-1".to_owned(),
        finished: Some(Time(made.parse().unwrap())),
        version: Some(OLD.to_owned()),
        volume_claim: Some("backups".to_owned()),
        bytes: None,
    }];
    pulled(&installation, &mut observation);
    (installation, observation)
}

/// What is wrong in a database is no reason not to replace it; that nobody gets into it is one.
#[rstest]
#[case::in_it(Component::Migrations, Gate::Pending)]
#[case::of_it(Component::Database, Gate::Blocked(Code::MigrationPermissionDenied))]
fn a_restore_is_held_back_by_the_server_and_not_by_what_is_replaced(
    #[case] component: Component,
    #[case] expected: Gate,
) {
    let (installation, observation) = restoring();
    let step = Step::of(&installation, &observation).unwrap();
    assert!(step.action.restore().is_some());
    let diagnoses = diagnosed(Code::MigrationPermissionDenied, Severity::Critical, component);
    assert_eq!(decide(&installation, &observation, &diagnoses).gate, expected);
}

/// A history in the database, as whoever migrates sees it.
fn history(count: i64) -> Preflight {
    Preflight {
        complete: true,
        takes_options: true,
        history: History { count, ..History::default() },
        ..Preflight::default()
    }
}

/// Whoever knows of data is believed: a database that an earlier installation has left is known by its history only.
#[rstest]
#[case::nobody_knows_of_any(|_: &mut Observation| {}, false)]
#[case::the_history_is_empty(|seen: &mut Observation| seen.preflight = Some(Ok(history(0))), false)]
#[case::the_database_has_a_history(|seen: &mut Observation| seen.preflight = Some(Ok(history(1))), true)]
#[case::a_migration_was_applied(
    |seen: &mut Observation| seen.previous.migration_history = vec![recorded(&wanted(json!({})), OLD)],
    true
)]
#[case::one_has_failed(
    |seen: &mut Observation| {
        let result = MigrationResult::Failed;
        seen.previous.migration_history = vec![MigrationStatus { result, ..recorded(&wanted(json!({})), OLD) }];
    },
    false
)]
fn a_backup_is_made_of_data_whoever_knows_of_it(#[case] change: fn(&mut Observation), #[case] is_made: bool) {
    let backup = json!({ "migrations": { "backup": { "volumeClaim": { "claimName": "backups" } } } });
    let mut observation = empty_observation();
    change(&mut observation);
    let plan = decide(&wanted(backup), &observation, &[]);
    assert_eq!(plan.backup.is_some(), is_made);
    assert_eq!(plan.gate, if is_made { Gate::Blocked(Code::BackupPending) } else { Gate::Pending });
}
