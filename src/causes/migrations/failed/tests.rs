//! Migrations that failed, or that were tried before.

use rstest::rstest;

use crate::{
    api::{MigrationOperation, MigrationResult, MigrationStatus},
    causes::{
        diagnose,
        log::{failure::Stage, testing::code},
    },
    fixtures::{
        self, CHART_WITH_PROCESSOR, database, empty_observation, installation, minimal, objects, observed,
    },
    model::{Code, Component, Diagnosis, PodPhase, Severity},
    observe::{
        JobOutcome, JobState, LogFinding, LogReading, Observation, OtherSession, PodProblem, PodSummary,
        Preflight, Run, WorkloadState,
    },
    validate::MigrationKey,
};

#[rstest]
#[case("ValueError", "bad data", Some(Code::MigrationFailed))]
#[case(
    "psycopg2.errors.InFailedSqlTransaction",
    "current transaction is aborted, commands ignored until end of transaction block",
    None
)]
#[case("CommandError", "Failed to connect to DB within 5 seconds.", Some(Code::DatabaseUnreachable))]
fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Option<Code>) {
    assert_eq!(code(Stage::Migrate, class, message), expected);
}

fn codes(found: &[Diagnosis]) -> Vec<Code> {
    found.iter().map(|diagnosis| diagnosis.code).collect()
}

fn of(observation: &Observation) -> Vec<Diagnosis> {
    diagnose(&installation(&minimal()), observation)
}

fn pod(component: &str, problems: Vec<PodProblem>) -> PodSummary {
    PodSummary {
        name: format!("flagsmith-{component}-abc"),
        component: Component::named(component),
        version: Some("2.265.0".to_owned()),
        phase: PodPhase::Running,
        ready: problems.is_empty(),
        problems,
        ..PodSummary::default()
    }
}

fn failed_job(name: &str, reason: &str) -> JobState {
    JobState {
        name: name.to_owned(),
        key: None,
        release: "2.265.0".parse().ok(),
        outcome: JobOutcome::Failed { reason: reason.to_owned(), message: "Job has reached it".to_owned() },
        ..JobState::default()
    }
}

fn attempt() -> String {
    let installation = installation(&minimal());
    MigrationKey::migrate(&installation, installation.release, &database())
        .job_name(&installation, MigrationOperation::Migrate)
}

const TRACEBACK: &str = "Applying users.0041_add_onboarding_field...Traceback (most recent call last):
  File \"/x/django/db/backends/utils.py\", line 105, in _execute
psycopg2.errors.InsufficientPrivilege: must be owner of table users_ffadminuser

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
django.db.utils.ProgrammingError: must be owner of table users_ffadminuser
";

#[rstest]
#[case("BackoffLimitExceeded", None, Code::MigrationFailed)]
#[case("BackoffLimitExceeded", Some(TRACEBACK), Code::MigrationPermissionDenied)]
#[case("DeadlineExceeded", None, Code::MigrationDeadlineExceeded)]
fn a_failed_migration(#[case] reason: &str, #[case] message: Option<&str>, #[case] code: Code) {
    let problem = PodProblem::Failed {
        exit_code: 1,
        reason: Some("Error".to_owned()),
        message: message.map(str::to_owned),
    };
    let observation = Observation {
        jobs: vec![failed_job(&attempt(), reason)],
        pods: vec![pod("migrations", vec![problem])],
        ..empty_observation()
    };
    let found = of(&observation);
    assert_eq!(codes(&found), [code]);
    let first = found.first().unwrap();
    assert!(
        first
            .remedy
            .contains("kubectl -n prod annotate fsd flagsmith operator.flagsmith.com/retry-migration="),
        "{first:?}"
    );
    assert!(first.message.contains("Nothing was started"), "{first:?}");
}

/// The old release runs on what all attempts have applied, the last one alone or not.
#[test]
fn a_failure_says_what_all_attempts_have_applied() {
    let record = |job: &str, applied, total| MigrationStatus {
        version: "2.265.0".to_owned(),
        result: MigrationResult::Failed,
        job: Some(job.to_owned()),
        applied: Some(applied),
        total: Some(total),
        ..MigrationStatus::default()
    };
    let (first, latest) = (record("before", 20, 23), record(&attempt(), 0, 3));
    let before = MigrationStatus { result: MigrationResult::Applied, ..record("long-ago", 7, 7) };
    let mut observation = Observation {
        api: Some(WorkloadState {
            release: "2.260.0".parse().ok(),
            ..fixtures::rolled_out("flagsmith-api".to_owned(), 1)
        }),
        jobs: vec![failed_job(&attempt(), "BackoffLimitExceeded")],
        ..empty_observation()
    };
    observation.previous.migration = Some(latest.clone());
    observation.previous.migration_history = vec![latest, first, before];
    let message = of(&observation).remove(0).message.to_string();
    assert!(message.contains("20 of the 23 migrations to 2.265.0 are applied, and stay so"), "{message}");
    assert!(message.contains("2.260.0 cannot store new identities"), "{message}");
    assert!(message.ends_with("Version 2.260.0 keeps serving."), "{message}");
}

/// What was wrong is put right where the operator sees it: no annotation is needed.
#[rstest]
#[case("must be owner of table x", true)]
#[case(
    "psycopg2.OperationalError: connection to server at \"db\", port 5432 failed: FATAL:  password authentication failed for user \"app\"",
    false
)]
fn a_remedy_asks_for_another_attempt_only_where_none_comes_by_itself(#[case] said: &str, #[case] asks: bool) {
    let problem = PodProblem::Failed { exit_code: 1, reason: None, message: Some(said.to_owned()) };
    let observation = Observation {
        jobs: vec![failed_job(&attempt(), "PodFailurePolicy")],
        pods: vec![pod("migrations", vec![problem])],
        ..empty_observation()
    };
    let found = of(&observation);
    let remedy = found.first().unwrap().remedy.to_string();
    assert_eq!(remedy.contains("retry-migration"), asks, "{remedy}");
    assert_eq!(remedy.ends_with("tried again by itself."), !asks, "{remedy}");
}

/// While it waits, the session that it waits for is named.
#[test]
fn a_running_migration_names_whom_it_waits_for() {
    let holder = OtherSession {
        pid: 4711,
        application: "psql".to_owned(),
        role: "dba".to_owned(),
        state: "idle in transaction".to_owned(),
        since: Some(1_764_000_000_000_000),
        relation: "users_ffadminuser".to_owned(),
    };
    let mut observation = Observation {
        jobs: vec![JobState::default()],
        preflight: Some(Ok(Preflight {
            blockers: vec![holder],
            ..crate::causes::migrations::shared::testing::good()
        })),
        ..empty_observation()
    };
    let found = of(&observation);
    assert_eq!(codes(&found), [Code::MigrationLockTimeout], "{found:#?}");
    let evidence = found[0].evidence[0].to_string();
    for part in ["pid 4711", "\"psql\"", "since 2025-11-24T16:00:00Z", "users_ffadminuser"] {
        assert!(evidence.contains(part), "{evidence}");
    }
    observation.jobs.clear();
    assert_eq!(of(&observation), [], "it is of the migration that it holds up");
}

#[rstest]
#[case(75, &[Code::MigrationPermissionDenied])]
#[case(1, &[])]
fn only_what_is_tried_again_is_called_so(#[case] exit_code: i32, #[case] expected: &[Code]) {
    let problem = PodProblem::Failed { exit_code, reason: None, message: Some(TRACEBACK.to_owned()) };
    let observation = Observation {
        jobs: vec![JobState::default()],
        pods: vec![pod("migrations", vec![problem])],
        ..empty_observation()
    };
    assert_eq!(codes(&of(&observation)), expected);
}

#[test]
fn an_earlier_attempt_does_not_hold_back_the_next() {
    let observation = Observation {
        jobs: vec![failed_job("flagsmith-migrate-before", "BackoffLimitExceeded")],
        ..empty_observation()
    };
    assert_eq!(of(&observation), []);
}

/// The user has gone back to the release that serves, or has asked for another attempt.
#[rstest]
#[case::of_another_attempt("flagsmith-migrate-before", "2.260.0", &[])]
#[case::of_what_is_served(&attempt(), "2.265.0", &[])]
#[case::of_this_attempt(&attempt(), "2.260.0", &[Code::MigrationOutOfMemory])]
fn the_pods_of_an_earlier_attempt_are_history(
    #[case] job: &str,
    #[case] migrated: &str,
    #[case] expected: &[Code],
) {
    let problem = PodProblem::OutOfMemory { container: "migrate".to_owned(), restarts: 0, limit: None };
    let failed = PodSummary { job: Some(job.to_owned()), ..pod("migrations", vec![problem]) };
    let api = WorkloadState {
        release: "2.265.0".parse().ok(),
        migrated: Some(migrated.parse().unwrap()),
        ..fixtures::rolled_out("flagsmith-api".to_owned(), 1)
    };
    let observation = Observation {
        api: Some(api),
        jobs: vec![failed_job(job, "BackoffLimitExceeded")],
        pods: vec![failed],
        ..empty_observation()
    };
    let found = of(&observation);
    assert_eq!(codes(&found).first(), expected.first(), "{found:#?}");
}

#[test]
fn a_recorded_failure_outlives_its_job() {
    let mut observation = empty_observation();
    observation.previous.migration = Some(MigrationStatus {
        version: "2.265.0".to_owned(),
        result: MigrationResult::Failed,
        job: Some(attempt()),
        ..MigrationStatus::default()
    });
    assert_eq!(codes(&of(&observation)), [Code::MigrationFailed]);
}

/// A migration Job of the official chart, with what its log shows.
#[rstest]
#[case::explained(Some(Code::MigrationPermissionDenied), Code::MigrationPermissionDenied)]
#[case::unexplained(None, Code::MigrationFailed)]
fn a_failed_job_of_the_chart(#[case] shown: Option<Code>, #[case] expected: Code) {
    let (found, mut observation) = observed("acme", &objects(CHART_WITH_PROCESSOR));
    let job = failed_job("acme-migrate", "BackoffLimitExceeded");
    observation.jobs = vec![job];
    let pod = pod("migrations", vec![]);
    observation.pod_logs.logs.push(LogReading {
        pod: pod.name.clone(),
        container: "migrate-db".to_owned(),
        component: Component::Migrations,
        run: Run::Failed { restarts: 0 },
        at: observation.now,
        found: shown
            .map(|code| LogFinding {
                read: observation.now,
                happened: observation.now,
                of_connection: false,
                diagnosis: Diagnosis::from(crate::model::Draft {
                    code,
                    severity: Severity::Critical,
                    component: Component::Migrations,
                    message: "The log says so.".to_owned(),
                    evidence: vec![],
                    remedy: "Change it.".to_owned(),
                }),
            })
            .into_iter()
            .collect(),
    });
    observation.pods.push(pod);
    let found = diagnose(&found.installation, &observation);
    let first = found
        .iter()
        .find(|it| it.component == Component::Migrations && it.severity == Severity::Warning)
        .unwrap();
    assert_eq!(first.code, expected, "{found:#?}");
    assert!(first.remedy.contains("kubectl -n prod get job acme-migrate -o json | jq"), "{first:?}");
}
