//! What the look at the database before a migration means: what blocks, what warns, and what is no alarm.

use rstest::rstest;
use serde_json::json;

use crate::{
    causes::{
        diagnose,
        migrations::shared::testing::{good, with_preflight},
    },
    fixtures::{installation, spec},
    model::{Code, Severity},
    observe::{History, JobOutcome, JobState, Observation, OtherSession, Owner, Preflight},
};

fn found(version: &str, observation: &Observation) -> Vec<(Code, Severity)> {
    diagnose(&installation(&spec(json!({ "version": version }))), observation)
        .iter()
        .map(|it| (it.code, it.severity))
        .collect()
}

fn session(application: &str) -> OtherSession {
    OtherSession {
        pid: 4711,
        application: application.to_owned(),
        role: "app".to_owned(),
        state: "idle in transaction".to_owned(),
        since: Some(0),
        relation: "users_ffadminuser".to_owned(),
    }
}

use Severity::{Critical, Warning};

#[rstest]
#[case("2.265.0", good(), None)]
#[case("2.265.0", Preflight { creates_tables: false, ..good() }, Some((Code::MigrationPermissionDenied, Critical)))]
#[case("2.265.0", Preflight { schema: None, creates_tables: false, ..good() }, Some((Code::MigrationPermissionDenied, Critical)))]
#[case("2.265.0", Preflight { history_unreadable: true, ..good() }, Some((Code::MigrationPermissionDenied, Critical)))]
#[case("2.265.0", Preflight { owners: vec![Owner { name: "postgres".to_owned(), tables: 44, example: "users_ffadminuser".to_owned() }], ..good() }, Some((Code::MigrationPermissionDenied, Critical)))]
#[case("2.265.0", Preflight { connections_used: 96, ..good() }, Some((Code::DatabaseConnectionsExhausted, Critical)))]
#[case("2.265.0", Preflight { holders: vec![session("psql")], ..good() }, Some((Code::LongTransactionOpen, Critical)))]
#[case("2.265.0", Preflight { invalid_indexes: vec!["i".to_owned()], ..good() }, Some((Code::InvalidIndexLeft, Warning)))]
#[case("2.265.0", Preflight { takes_options: false, ..good() }, Some((Code::DatabasePoolerRejectsOptions, Warning)))]
#[case("2.234.1", good(), Some((Code::ReleaseHasKnownDefect, Warning)))]
#[case("2.231.0", good(), Some((Code::DowngradeBlocked, Critical)))]
#[case("2.232.0", good(), None)]
// The extension is created by a few releases only, and only where it is not there.
#[case("2.200.0", Preflight { history: History::default(), ..good() }, Some((Code::MigrationExtensionUnavailable, Critical)))]
#[case("2.200.0", Preflight { history: History::default(), hstore: true, ..good() }, None)]
#[case("2.200.0", Preflight { history: History::default(), creates_extensions: true, ..good() }, None)]
// Nothing is due: what only a migration needs is not asked for.
#[case("2.265.0", Preflight { complete: false, creates_tables: false, ..good() }, None)]
#[case("2.265.0", Preflight { complete: false, invalid_indexes: vec!["i".to_owned()], ..good() }, Some((Code::InvalidIndexLeft, Warning)))]
fn each_obstacle_is_its_own_cause(
    #[case] version: &str,
    #[case] preflight: Preflight,
    #[case] expected: Option<(Code, Severity)>,
) {
    assert_eq!(found(version, &with_preflight(preflight)), Vec::from_iter(expected));
}

#[test]
fn only_critical_obstacles_hold_the_gate() {
    let blocking: Vec<Code> = [
        Code::MigrationPermissionDenied,
        Code::DatabaseConnectionsExhausted,
        Code::LongTransactionOpen,
        Code::MigrationExtensionUnavailable,
        Code::DowngradeBlocked,
    ]
    .into_iter()
    .filter(|code| !code.cause().blocks_migration)
    .collect();
    assert_eq!(blocking, []);
}

#[test]
fn a_running_migration_is_not_in_its_own_way() {
    let mut observation = with_preflight(Preflight {
        holders: vec![session("flagsmith-migrate-2674c1d9fb")],
        invalid_indexes: vec!["being_built".to_owned()],
        ..good()
    });
    observation.jobs = vec![JobState { outcome: JobOutcome::Active, ..JobState::default() }];
    assert_eq!(found("2.265.0", &observation), []);
}
