//! What the operator sees of databases and their Secrets, over all causes of the family.

use rstest::rstest;
use serde_json::json;

use crate::causes::diagnose;
use crate::fixtures::{database, empty_observation, installation, minimal, rolled_out, spec};
use crate::model::{Code, Component, Diagnosis, PodPhase, Severity};
use crate::observe::database::QueueProbe;
use crate::observe::{
    DatabaseProbe, Observation, PodSummary, ProbeFailure, ProbeFailureKind, ReadOnly, SecretState,
    WorkloadState,
};

fn codes(found: &[Diagnosis]) -> Vec<Code> {
    found.iter().map(|diagnosis| diagnosis.code).collect()
}

fn of(observation: &Observation) -> Vec<Diagnosis> {
    diagnose(&installation(&minimal()), observation)
}

fn healthy(name: &str, pods: i32) -> WorkloadState {
    WorkloadState {
        release: "2.265.0".parse().ok(),
        migrated: "2.265.0".parse().ok(),
        ..rolled_out(name.to_owned(), pods)
    }
}

/// An installation of which every pod is ready.
fn running() -> Observation {
    let pod = |component: &str| PodSummary {
        name: format!("flagsmith-{component}-abc"),
        component: Component::named(component),
        version: Some("2.265.0".to_owned()),
        phase: PodPhase::Running,
        ready: true,
        ..PodSummary::default()
    };
    Observation {
        api: Some(healthy("flagsmith-api", 2)),
        task_processor: Some(healthy("flagsmith-task-processor", 1)),
        frontend: Some(healthy("flagsmith-frontend", 1)),
        pods: ["api", "task-processor", "frontend"].map(pod).to_vec(),
        database: DatabaseProbe::Reachable { version: 150_018, read_only: None },
        ..empty_observation()
    }
}

#[rstest]
#[case(SecretState::Missing, Code::DatabaseSecretMissing, "kubectl -n prod create secret generic db")]
#[case(SecretState::KeyMissing, Code::DatabaseSecretKeyMissing, "spec.database.urlFrom")]
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
    observation.queues.separate = Some(QueueProbe::Failed(ProbeFailure { kind, message: "no".to_owned() }));
    let found = of(&observation);
    assert_eq!(codes(&found), expected.into_iter().collect::<Vec<_>>());
    assert!(found.iter().all(|it| it.remedy.contains("spec.database.taskProcessorUrlFrom")), "{found:?}");
    // While the main one cannot be reached either, the operator may be the one who is kept out.
    observation.database = DatabaseProbe::NotProbed;
    assert_eq!(codes(&of(&observation)), []);
}

/// Whoever names somebody else's database for migrations, without its password, starts no Job there.
#[rstest]
#[case::wrong_password(ProbeFailureKind::Authentication, Some(Code::DatabaseAuthenticationFailed))]
#[case::kept_out(ProbeFailureKind::TimedOut, None)]
fn a_role_for_migrations_that_cannot_connect(#[case] kind: ProbeFailureKind, #[case] expected: Option<Code>) {
    let source = |name: &str| json!({ "secretKeyRef": { "name": name, "key": "DATABASE_URL" } });
    let database = json!({ "urlFrom": source("db"), "migrationUrlFrom": source("owner") });
    let mut observation = running();
    observation.preflight =
        Some(Err(ProbeFailure { kind, message: "password authentication failed for user \"x\"".to_owned() }));
    let found = diagnose(&installation(&spec(json!({ "database": database }))), &observation);
    assert_eq!(codes(&found), expected.into_iter().collect::<Vec<_>>());
    assert!(found.iter().all(|it| it.remedy.contains("the key DATABASE_URL of Secret owner")), "{found:?}");
    // The role of the pods has a probe of its own.
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
#[case(ProbeFailureKind::TooManyConnections, Some(Code::DatabaseConnectionsExhausted))]
#[case(ProbeFailureKind::Tls, Some(Code::DatabaseTlsMismatch))]
#[case(ProbeFailureKind::PoolerRejectsOptions, Some(Code::DatabasePoolerRejectsOptions))]
#[case(ProbeFailureKind::Other, Some(Code::DatabaseUnreachable))]
#[case(ProbeFailureKind::NotPostgres, Some(Code::DatabaseUnreachable))]
#[case(ProbeFailureKind::Unverified, None)]
#[case(ProbeFailureKind::PasswordWithheld, None)]
#[case(ProbeFailureKind::AddressRefused, None)]
#[case(ProbeFailureKind::LimitExceeded, None)]
fn a_database_that_does_not_answer_the_operator(#[case] kind: ProbeFailureKind, #[case] code: Option<Code>) {
    let failure = ProbeFailure { kind, message: "in its own words".to_owned() };
    let mut observation = empty_observation();
    observation.database = DatabaseProbe::Failed(failure.clone());
    let found = of(&observation);
    assert_eq!(codes(&found), Vec::from_iter(code));
    assert!(
        found.iter().all(|it| it.evidence.iter().any(|line| line.contains("in its own words"))),
        "{found:?}"
    );
    assert!(
        found.iter().all(|it| it.code.cause().blocks_migration == (it.severity == Severity::Critical)),
        "what a Job would fail of too holds it back"
    );

    // What the pods' own readiness check has just written to is not down: only the operator may be kept out, and what is
    // so for everybody has not reached them yet.
    let mut observation = running();
    observation.database = DatabaseProbe::Failed(failure);
    let of_everybody = code.filter(|code| {
        matches!(
            code,
            Code::DatabaseAuthenticationFailed
                | Code::DatabaseNotFound
                | Code::DatabaseStarting
                | Code::DatabaseConnectionsExhausted
        )
    });
    let found = of(&observation);
    assert_eq!(codes(&found), Vec::from_iter(of_everybody));
    assert!(found.iter().all(|it| it.severity == Severity::Warning), "{found:?}");
}

#[rstest]
#[case(130_014, None, &[Code::DatabaseVersionUnsupported])]
#[case(140_000, None, &[])]
#[case(150_018, Some(ReadOnly::Standby), &[Code::DatabaseReadOnly])]
fn a_database_that_answers(
    #[case] version: i32,
    #[case] read_only: Option<ReadOnly>,
    #[case] expected: &[Code],
) {
    let observation =
        Observation { database: DatabaseProbe::Reachable { version, read_only }, ..empty_observation() };
    assert_eq!(codes(&of(&observation)), expected);
}

#[test]
fn an_embedded_database_is_named_and_its_start_is_no_alarm() {
    let installation = installation(&json!({ "version": "2.265.0", "database": { "embedded": {} } }));
    let found = diagnose(&installation, &empty_observation());
    assert_eq!(codes(&found), [Code::DatabaseStarting, Code::EmbeddedDatabaseInUse]);
    assert!(found.iter().all(|it| it.severity == Severity::Info));
    let up = Observation { embedded_database: Some(healthy("flagsmith-database", 1)), ..running() };
    assert_eq!(codes(&diagnose(&installation, &up)), [Code::EmbeddedDatabaseInUse]);
}
