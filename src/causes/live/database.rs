//! What a connection to the database showed.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    flagsmith::{self, env},
    observe::{
        DatabaseProbe, Observation, ProbeFailure, ProbeFailureKind, SecretState, database::QueueProbe,
    },
    postgres::DatabaseIdentity,
    validate::{Database, Installation},
};

/// `server_version_num` is major × 10000 + minor since PostgreSQL 10.
const VERSION_DIVISOR: i32 = 10_000;

pub(super) fn check(installation: &Installation, observation: &Observation) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    if matches!(installation.database, Database::Embedded { .. }) {
        found.push(embedded(installation));
        if observation
            .embedded_database
            .as_ref()
            .is_none_or(|database| database.ready <= 0)
        {
            let why = if observation.embedded_database.is_some() {
                "its pod is not ready yet"
            } else {
                "it is being made"
            };
            found.push(embedded_starting(installation, why));
            return found;
        }
        // The name of a Service without pods is remembered as unknown for a few seconds.
        if let DatabaseProbe::Failed(ProbeFailure {
            kind: ProbeFailureKind::HostNotFound | ProbeFailureKind::Refused | ProbeFailureKind::Starting,
            message,
        }) = &observation.database
            && !used_by_pods(observation)
        {
            found.push(embedded_starting(installation, message));
            return found;
        }
    }
    let SecretState::Present(identity) = &observation.secrets.database else {
        return found;
    };
    match &observation.database {
        DatabaseProbe::NotProbed => {}
        DatabaseProbe::Reachable { version, read_only } => {
            found.extend(version_too_old(installation, identity, *version));
            if *read_only {
                found.push(read_only_server(identity));
            }
        }
        // The pods' own readiness check writes to the database: what works for them is not down. Only the operator
        // may be kept out, which the DatabaseReachable condition says.
        DatabaseProbe::Failed(failure) if used_by_pods(observation) && failure.kind.may_be_local() => {}
        DatabaseProbe::Failed(failure) => {
            found.extend(failed(installation, identity, failure, env::DATABASE_URL));
        }
    }
    found.extend(separate(installation, observation));
    found
}

/// The separate database of tasks, of which no readiness check speaks. That the operator reaches the main one shows
/// that it is not kept out altogether.
fn separate(installation: &Installation, observation: &Observation) -> Option<Diagnosis> {
    let DatabaseProbe::Reachable { .. } = observation.database else {
        return None;
    };
    match (
        &observation.queues.separate,
        &observation.secrets.task_processor_database,
    ) {
        (Some(QueueProbe::Failed(failure)), Some(SecretState::Present(identity))) => {
            failed(installation, identity, failure, env::TASK_PROCESSOR_DATABASE_URL)
        }
        _ => None,
    }
}

/// Whether pods of the API or the task processor are ready: their own check has just written to the database.
pub(crate) fn used_by_pods(observation: &Observation) -> bool {
    observation
        .pods
        .iter()
        .any(|pod| pod.ready && matches!(pod.component.as_str(), "api" | "task-processor"))
}

fn failed(
    installation: &Installation,
    identity: &DatabaseIdentity,
    failure: &ProbeFailure,
    variable: &str,
) -> Option<Diagnosis> {
    use ProbeFailureKind as Kind;
    let DatabaseIdentity { host, port, name } = identity;
    let evidence = vec![format!(
        "connecting to {identity} from the operator: {}",
        failure.message
    )];
    let namespace = &installation.identity.namespace;
    let (code, message, remedy) = match failure.kind {
        Kind::HostNotFound => (
            Code::DatabaseHostNotFound,
            format!("The database's host name {host} has no address."),
            format!("Correct the host in {variable}; a Service in another namespace is SERVICE.NAMESPACE.svc. To look it up: kubectl -n {namespace} run lookup --rm -it --image=busybox --restart=Never -- nslookup {host}"),
        ),
        Kind::Refused => (
            Code::DatabaseUnreachable,
            format!("Nothing accepts connections at {host}:{port}, where the database should be."),
            format!("Start PostgreSQL, or correct host and port in {variable}. To try it: kubectl -n {namespace} run psql --rm -it --image=postgres:17 --restart=Never -- pg_isready -h {host} -p {port}"),
        ),
        // A NetworkPolicy may keep only the operator out; the Job of a first install is allowed to find out. The last
        // three are about what the operator asked: the server has let it in.
        Kind::TimedOut | Kind::NotTried | Kind::Forbidden | Kind::Undefined | Kind::TooSlow
        // The operator did not go on: the pods may, and the DatabaseReachable condition says what it needs.
        | Kind::Unverified | Kind::PasswordWithheld | Kind::AddressRefused | Kind::LimitExceeded => return None,
        Kind::Authentication => (
            Code::DatabaseAuthenticationFailed,
            format!("PostgreSQL at {host}:{port} does not accept the role or the password in {variable}."),
            "Correct the role or the password in the Secret; characters such as # / @ must be percent-encoded. The operator tries again every few seconds.".to_owned(),
        ),
        Kind::AccessRejected => (
            Code::DatabaseAccessRejected,
            format!("PostgreSQL at {host}:{port} does not let this role connect to {name} from here."),
            format!("Add a line for the role, database {name} and the cluster's pod addresses to pg_hba.conf (and GRANT CONNECT ON DATABASE \"{name}\"), or use sslmode=require if only encrypted connections are allowed."),
        ),
        Kind::NotFound => (
            Code::DatabaseNotFound,
            format!("PostgreSQL at {host}:{port} has no database {name}."),
            format!("Create it: CREATE DATABASE \"{name}\" OWNER <the role in {variable}>; or correct the name after the last / of {variable}."),
        ),
        Kind::Starting => (
            Code::DatabaseStarting,
            format!("PostgreSQL at {host}:{port} is starting or stopping."),
            "Nothing to do if it was just restarted; the operator tries again every few seconds.".to_owned(),
        ),
        Kind::TooManyConnections => (
            Code::DatabaseConnectionsExhausted,
            format!("PostgreSQL at {host}:{port} has no connection left."),
            "See who holds them: SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC; then raise max_connections, or lower replicas, workers or threads.".to_owned(),
        ),
        Kind::Tls => (
            Code::DatabaseTlsMismatch,
            format!("The operator and PostgreSQL at {host}:{port} do not agree on encryption."),
            format!("If the server has no TLS, write ?sslmode=disable (or prefer) at the end of {variable}; if it requires TLS, sslmode=require."),
        ),
        Kind::NotPostgres => (
            Code::DatabaseUnreachable,
            format!("What listens at {host}:{port} does not answer as PostgreSQL does."),
            format!("Correct host and port in {variable}; PostgreSQL's own port is 5432."),
        ),
        Kind::PoolerRejectsOptions => (
            Code::DatabasePoolerRejectsOptions,
            format!("A connection pooler at {host}:{port} refuses start-up parameters."),
            format!("Set ignore_startup_parameters in PgBouncer, or let {variable} point to PostgreSQL itself."),
        ),
        Kind::Other => (
            Code::DatabaseUnreachable,
            format!("The database at {host}:{port} cannot be used."),
            "The evidence has the server's own words.".to_owned(),
        ),
    };
    // A pooler that refuses the operator's parameters may well take those of the pods.
    let severity = if failure.kind == Kind::PoolerRejectsOptions {
        Severity::Warning
    } else {
        Severity::Critical
    };
    Some(diagnosis(
        code,
        severity,
        Component::Database,
        message,
        evidence,
        remedy,
    ))
}

fn version_too_old(
    installation: &Installation,
    identity: &DatabaseIdentity,
    version: i32,
) -> Option<Diagnosis> {
    let needed = flagsmith::postgres_minimum(installation.release);
    let (major, minor) = (version / VERSION_DIVISOR, version % VERSION_DIVISOR);
    (u32::try_from(major).unwrap_or_default() < needed).then(|| {
        diagnosis(
            Code::DatabaseVersionUnsupported,
            Severity::Critical,
            Component::Database,
            format!("Flagsmith {} needs PostgreSQL {needed} or later, but {identity} is PostgreSQL {major}.{minor}.", installation.release),
            vec![format!("server_version_num: {version}; the release brings a Django that refuses older servers")],
            format!("Upgrade PostgreSQL to {needed} or later first, or stay below Flagsmith {}.", flagsmith::POSTGRES_14_SINCE),
        )
    })
}

fn read_only_server(identity: &DatabaseIdentity) -> Diagnosis {
    diagnosis(
        Code::DatabaseReadOnly,
        Severity::Critical,
        Component::Database,
        format!(
            "The database {identity} takes no writes: it is a standby, or transactions are read-only by default."
        ),
        vec!["SQL: pg_is_in_recovery() or default_transaction_read_only is on".to_owned()],
        "Let DATABASE_URL point to the primary; after a failover, to the new one.".to_owned(),
    )
}

fn embedded(installation: &Installation) -> Diagnosis {
    diagnosis(
        Code::EmbeddedDatabaseInUse,
        Severity::Info,
        Component::Database,
        "The embedded PostgreSQL is for trying Flagsmith out: a single pod, no backup, and its volume is deleted with this resource.".to_owned(),
        vec![format!("spec.database.embedded is set; StatefulSet {}-database", installation.identity.name)],
        "For production run PostgreSQL yourself and name its URL in spec.database.urlFrom of a new FlagsmithDeployment.".to_owned(),
    )
}

/// Only until it is up, and no alarm: what keeps its pod from running is told by the pod's own problems.
fn embedded_starting(installation: &Installation, why: &str) -> Diagnosis {
    let name = &installation.identity.name;
    diagnosis(
        Code::DatabaseStarting,
        Severity::Info,
        Component::Database,
        format!("The embedded PostgreSQL is starting: {why}."),
        vec![format!("StatefulSet {name}-database")],
        format!(
            "Nothing to do for a minute or two; then see kubectl -n {} describe pod {name}-database-0",
            installation.identity.namespace
        ),
    )
}
