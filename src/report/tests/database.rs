//! `DatabaseReachable`.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use super::scene::{Said, Scene, ready_pod, said, workload};
use crate::{
    model::{Code, Component, Severity},
    observe::{DatabaseProbe, Look, Observation, ProbeFailure, ProbeFailureKind, SecretState},
    report::ConditionType,
};

fn managed() -> Scene {
    Scene::managed(json!({}))
}

fn embedded() -> Scene {
    Scene::managed(json!({ "database": { "embedded": {} } }))
}

fn reachable(observation: &mut Observation) {
    observation.database = DatabaseProbe::Reachable { version: 160_004, read_only: None };
}

fn unreachable(observation: &mut Observation) {
    observation.database = DatabaseProbe::Failed(ProbeFailure {
        kind: ProbeFailureKind::TimedOut,
        message: "no route".to_owned(),
    });
}

/// The operator itself did not go on.
fn refused(observation: &mut Observation, kind: ProbeFailureKind) {
    observation.database =
        DatabaseProbe::Failed(ProbeFailure { kind, message: "not to a stranger".to_owned() });
}

#[rstest]
#[case::critical(
    managed().seeing(reachable).diagnosed(Code::DatabaseReadOnly, Severity::Critical, Component::Database),
    said("False", "DatabaseReadOnly", "DatabaseReadOnly is the case")
)]
#[case::embedded_starts(
    embedded().seeing(reachable),
    said("False", "DatabaseStarting", "the embedded PostgreSQL is not ready yet")
)]
#[case::embedded(
    embedded().seeing(|observation| {
        observation.embedded_database = Some(workload("database", 1));
        reachable(observation);
    }),
    said("True", "Reachable", "PostgreSQL 16.4 answers at db.prod:5432/flags")
)]
#[case::answers(managed().seeing(reachable), said("True", "Reachable", "PostgreSQL 16.4 answers at db.prod:5432/flags"))]
#[case::secret_pending(
    managed().seeing(|observation| observation.secrets.database = SecretState::Missing),
    said("Unknown", "SecretPending", "the Secret with DATABASE_URL is being made")
)]
#[case::only_pods_reach_it(
    managed().seeing(|observation| {
        unreachable(observation);
        observation.pods = vec![ready_pod()];
    }),
    said(
        "Unknown",
        "ProbeBlocked",
        "the operator cannot reach db.prod:5432/flags (no route), but the pods' own readiness says that it works. A NetworkPolicy may keep the operator out. Details of queue and migrations are not available until it can connect from its namespace"
    )
)]
#[case::only_pods_are_let_in(
    managed().seeing(|observation| {
        refused(observation, ProbeFailureKind::AccessRejected);
        observation.pods = vec![ready_pod()];
    }),
    said(
        "Unknown",
        "ProbeBlocked",
        "the operator cannot reach db.prod:5432/flags (not to a stranger), but the pods' own readiness says that it works. pg_hba.conf may let in the pods' addresses and not the operator's. Details of queue and migrations are not available until it can connect from its namespace"
    )
)]
#[case::full_and_pods_use_it(
    managed().seeing(|observation| {
        refused(observation, ProbeFailureKind::TooManyConnections);
        observation.pods = vec![ready_pod()];
    }),
    said(
        "Unknown",
        "ProbeBlocked",
        "the operator cannot reach db.prod:5432/flags (not to a stranger), but the pods' own readiness says that it works. Details of queue and migrations are not available until it can connect from its namespace"
    )
)]
#[case::refuses_to_look(
    managed().seeing(|observation| refused(observation, ProbeFailureKind::PasswordWithheld)),
    said("Unknown", "ProbeRefused", "the operator does not look into db.prod:5432/flags: not to a stranger")
)]
#[case::refuses_to_look_and_pods_use_it(
    managed().seeing(|observation| {
        refused(observation, ProbeFailureKind::LimitExceeded);
        observation.pods = vec![ready_pod()];
    }),
    said("Unknown", "ProbeRefused", "the operator does not look into db.prod:5432/flags: not to a stranger")
)]
#[case::not_reached(
    managed().seeing(unreachable),
    said(
        "Unknown",
        "ProbeBlocked",
        "the operator cannot reach db.prod:5432/flags (no route); a NetworkPolicy may keep it out, pods will show"
    )
)]
#[case::not_probed_and_pods_use_it(
    managed().seeing(|observation| observation.pods = vec![ready_pod()]),
    said("True", "ReportedByPods", "ready pods write to db.prod:5432/flags")
)]
#[case::not_probed(
    managed(),
    said("Unknown", "NotProbed", "database probes are switched off; ready pods will show")
)]
#[case::not_looked_at_yet(
    managed().seeing(|observation| observation.look = Look::Pending(Duration::from_mins(1))),
    said(
        "Unknown",
        "ProbePending",
        "the operator has not looked into db.prod:5432/flags yet; it looks at a few databases of a namespace at a time"
    )
)]
#[case::observed_not_read(
    Scene::observed().seeing(|observation| {
        observation.secrets.database = SecretState::Unread;
        observation.pods.clear();
    }),
    said("Unknown", "NotProbed", "the operator does not look into this database; ready pods will show")
)]
#[case::observed_not_read_and_pods_use_it(
    Scene::observed().seeing(|observation| {
        observation.secrets.database = SecretState::Unread;
        observation.pods = vec![ready_pod()];
    }),
    said("True", "ReportedByPods", "ready pods write to it; the operator has not looked itself")
)]
fn database_reachable(#[case] scene: Scene, #[case] expected: Said) {
    assert_eq!(scene.says(ConditionType::DatabaseReachable), Some(expected));
}
