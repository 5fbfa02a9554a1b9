//! The databases, their Secrets, and their schema against the release.

use rstest::rstest;
use serde_json::json;

use super::super::diagnose;
use super::{codes, healthy, of, running};
use crate::fixtures::{database, empty_observation, installation, spec};
use crate::model::{Code, Severity};
use crate::observe::database::QueueProbe;
use crate::observe::{DatabaseProbe, Observation, ProbeFailure, ProbeFailureKind, SecretState};

#[rstest]
#[case(
    SecretState::Missing,
    Code::DatabaseSecretMissing,
    "kubectl -n prod create secret generic db"
)]
#[case(SecretState::KeyMissing { keys: vec!["URL".to_owned()] }, Code::DatabaseSecretKeyMissing, "spec.database.urlFrom")]
#[case(SecretState::Unusable("the value is empty".to_owned()), Code::DatabaseUrlInvalid, "postgresql://")]
#[case(SecretState::Unreadable("secrets \"db\" is forbidden".to_owned()), Code::Forbidden, "the verb get on Secrets")]
fn a_database_secret_that_cannot_be_used(
    #[case] state: SecretState<crate::postgres::DatabaseIdentity>,
    #[case] code: Code,
    #[case] remedy: &str,
) {
    let mut observation = empty_observation();
    observation.secrets.database = state.clone();
    observation.secrets.migration_database = state;
    let found = of(&observation);
    assert_eq!(codes(&found), [code]);
    let first = found.first().unwrap();
    assert!(first.message.contains("prod/db"), "{first:?}");
    assert!(first.remedy.contains(remedy), "{first:?}");
    assert_eq!(first.severity, Severity::Critical);
}

#[test]
fn a_generated_secret_is_expected_before_the_first_start_and_a_loss_after_it() {
    let mut observation = empty_observation();
    observation.secrets.django = SecretState::Missing;
    assert_eq!(of(&observation), []);
    let mut observation = running();
    observation.secrets.django = SecretState::Missing;
    let found = of(&observation);
    assert_eq!(codes(&found), [Code::DjangoSecretMissing]);
    assert!(
        found
            .first()
            .unwrap()
            .remedy
            .contains("printenv DJANGO_SECRET_KEY")
    );
}

#[rstest]
#[case::wrong_host(ProbeFailureKind::HostNotFound, Some(Code::DatabaseHostNotFound))]
#[case::wrong_name(ProbeFailureKind::NotFound, Some(Code::DatabaseNotFound))]
#[case::kept_out(ProbeFailureKind::TimedOut, None)]
#[case::no_right_to_read_tasks(ProbeFailureKind::Forbidden, None)]
fn a_separate_database_of_tasks_that_cannot_be_used(
    #[case] kind: ProbeFailureKind,
    #[case] expected: Option<Code>,
) {
    let mut observation = running();
    observation.secrets.task_processor_database = Some(SecretState::Present(database()));
    observation.queues.separate = Some(QueueProbe::Failed(ProbeFailure {
        kind,
        message: "no".to_owned(),
    }));
    let found = of(&observation);
    assert_eq!(codes(&found), expected.into_iter().collect::<Vec<_>>());
    assert!(
        found
            .iter()
            .all(|it| it.remedy.contains("TASK_PROCESSOR_DATABASE_URL")),
        "{found:?}"
    );
    // While the main one cannot be reached either, the operator may be the one who is kept out.
    observation.database = DatabaseProbe::NotProbed;
    assert_eq!(codes(&of(&observation)), []);
}

#[rstest]
#[case(ProbeFailureKind::HostNotFound, Some(Code::DatabaseHostNotFound))]
#[case(ProbeFailureKind::Refused, Some(Code::DatabaseUnreachable))]
#[case(ProbeFailureKind::TimedOut, None)]
#[case(ProbeFailureKind::Authentication, Some(Code::DatabaseAuthenticationFailed))]
#[case(ProbeFailureKind::AccessRejected, Some(Code::DatabaseAccessRejected))]
#[case(ProbeFailureKind::NotFound, Some(Code::DatabaseNotFound))]
#[case(ProbeFailureKind::Starting, Some(Code::DatabaseStarting))]
#[case(
    ProbeFailureKind::TooManyConnections,
    Some(Code::DatabaseConnectionsExhausted)
)]
#[case(ProbeFailureKind::Tls, Some(Code::DatabaseTlsMismatch))]
#[case(
    ProbeFailureKind::PoolerRejectsOptions,
    Some(Code::DatabasePoolerRejectsOptions)
)]
#[case(ProbeFailureKind::Other, Some(Code::DatabaseUnreachable))]
#[case(ProbeFailureKind::NotPostgres, Some(Code::DatabaseUnreachable))]
#[case(ProbeFailureKind::Unverified, None)]
#[case(ProbeFailureKind::PasswordWithheld, None)]
#[case(ProbeFailureKind::AddressRefused, None)]
#[case(ProbeFailureKind::LimitExceeded, None)]
fn a_database_that_does_not_answer_the_operator(#[case] kind: ProbeFailureKind, #[case] code: Option<Code>) {
    let failure = ProbeFailure {
        kind,
        message: "in its own words".to_owned(),
    };
    let mut observation = empty_observation();
    observation.database = DatabaseProbe::Failed(failure.clone());
    let found = of(&observation);
    assert_eq!(codes(&found), Vec::from_iter(code));
    assert!(
        found
            .iter()
            .all(|it| it.evidence.iter().any(|line| line.contains("in its own words"))),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .all(|it| it.code.blocks_migration() == (it.severity == Severity::Critical)),
        "what a Job would fail of too holds it back"
    );

    // What the pods' own readiness check has just written to is not down: only the operator is kept out.
    let mut observation = running();
    observation.database = DatabaseProbe::Failed(failure);
    let expected = code.filter(|code| {
        !matches!(
            code,
            Code::DatabaseHostNotFound | Code::DatabaseUnreachable | Code::DatabaseTlsMismatch
        )
    });
    assert_eq!(codes(&of(&observation)), Vec::from_iter(expected));
}

#[rstest]
#[case(130_014, false, &[Code::DatabaseVersionUnsupported])]
#[case(140_000, false, &[])]
#[case(150_018, true, &[Code::DatabaseReadOnly])]
fn a_database_that_answers(#[case] version: i32, #[case] read_only: bool, #[case] expected: &[Code]) {
    let observation = Observation {
        database: DatabaseProbe::Reachable { version, read_only },
        ..empty_observation()
    };
    assert_eq!(codes(&of(&observation)), expected);
}

#[test]
fn an_embedded_database_is_named_and_its_start_is_no_alarm() {
    let installation = installation(&json!({ "version": "2.265.0", "database": { "embedded": {} } }));
    let found = diagnose(&installation, &empty_observation());
    assert_eq!(
        codes(&found),
        [Code::EmbeddedDatabaseInUse, Code::DatabaseStarting]
    );
    assert!(found.iter().all(|it| it.severity == Severity::Info));
    let up = Observation {
        embedded_database: Some(healthy("flagsmith-database", 1)),
        ..running()
    };
    assert_eq!(
        codes(&diagnose(&installation, &up)),
        [Code::EmbeddedDatabaseInUse]
    );
}

#[rstest]
#[case("2.265.0", &[])]
#[case("2.266.0", &[])]
#[case("2.264.1", &[Code::DowngradeBlocked])]
fn a_release_older_than_the_database(#[case] version: &str, #[case] expected: &[Code]) {
    let installation = installation(&spec(json!({ "version": version })));
    assert_eq!(codes(&diagnose(&installation, &running())), expected);
}

#[test]
fn a_downgrade_is_warned_of_before_it_happens() {
    let spec = |rollback| spec(json!({ "version": "2.260.0", "migrations": { "rollback": rollback } }));
    let unknown = json!({ "from": "2.265.0", "to": "2.260.0" });
    let blocked = diagnose(&installation(&spec(unknown)), &running());
    assert_eq!(codes(&blocked), [Code::DowngradeBlocked]);
    let remedy = &blocked.first().unwrap().remedy;
    assert!(
        remedy.contains("\"rollback\":{\"from\":\"2.265.0\",\"to\":\"2.260.0\",\"appliedAfter\":\"TIME\"}"),
        "{remedy}"
    );
    let known = json!({ "from": "2.265.0", "to": "2.260.0", "appliedAfter": "2026-11-24T03:00:00Z" });
    let warned = diagnose(&installation(&spec(known)), &running());
    assert_eq!(codes(&warned), [Code::RollbackLosesData]);
    assert_eq!(warned.first().unwrap().severity, Severity::Warning);
}
