//! What the operator's own connections to the databases show.

use super::connection::ConnectionFailure;
use crate::{
    causes::{
        context::Context,
        log::{
            failure::{Endpoint, Failure, FailureDetails, Stage},
            rule::Rule,
        },
    },
    flagsmith::env,
    model::{Code, Component, Draft, Severity},
    observe::{
        DatabaseProbe, Observation, Preflight, ProbeFailure, ProbeFailureKind, ReadOnly, SecretState,
        database::QueueProbe,
    },
    postgres::DatabaseIdentity,
    validate::Database,
};

/// The cause that a failure of the operator's connection is a sign of: the only place that knows them all.
const fn cause_of(kind: ProbeFailureKind) -> Option<Code> {
    use ProbeFailureKind as Kind;
    match kind {
        Kind::HostNotFound => Some(Code::DatabaseHostNotFound),
        Kind::Refused | Kind::NotPostgres | Kind::Other => Some(Code::DatabaseUnreachable),
        Kind::Authentication => Some(Code::DatabaseAuthenticationFailed),
        Kind::AccessRejected => Some(Code::DatabaseAccessRejected),
        Kind::NotFound => Some(Code::DatabaseNotFound),
        Kind::Starting => Some(Code::DatabaseStarting),
        Kind::TooManyConnections => Some(Code::DatabaseConnectionsExhausted),
        Kind::Tls => Some(Code::DatabaseTlsMismatch),
        Kind::PoolerRejectsOptions => Some(Code::DatabasePoolerRejectsOptions),
        // A NetworkPolicy may keep only the operator out; the Job of a first install is allowed to find out. Forbidden,
        // Undefined and TooSlow are about what the operator asked: the server has let it in. In the rest the operator
        // did not go on: the pods may, and the DatabaseReachable condition says what it needs.
        Kind::TimedOut
        | Kind::Forbidden
        | Kind::Undefined
        | Kind::TooSlow
        | Kind::Unverified
        | Kind::PasswordWithheld
        | Kind::AddressRefused
        | Kind::LimitExceeded => None,
    }
}

/// What the operator could not connect to for this cause. The server's words are read by the same rule as in a log;
/// `variant` decides from the kind of the failure and what the rule read.
pub(crate) fn probed<V: Copy + PartialEq + Sync>(
    context: &Context<'_>,
    code: Code,
    rule: &Rule<V>,
    variant: fn(ProbeFailureKind, Option<V>) -> V,
    words: fn(&ConnectionFailure<'_, V>) -> (String, String),
) -> Vec<Draft> {
    failures(context)
        .into_iter()
        .filter(|probe| cause_of(probe.failure.kind) == Some(code))
        .map(|probe| {
            let Probe { failure, identity, variable, in_use } = probe;
            let (read, details) = read(rule, identity, failure);
            let failed = ConnectionFailure {
                variant: variant(failure.kind, read),
                who: "The operator",
                stage: Stage::Boot,
                details,
                attempts: String::new(),
                variable,
                namespace: Some(&context.installation.identity.namespace),
            };
            let (message, remedy) = words(&failed);
            let database = &context.installation.database;
            let (url, remedy) = if variable == OF_MIGRATIONS {
                (database.migration_url(), remedy.replace(OF_MIGRATIONS, env::DATABASE_URL))
            } else {
                (database.url(), remedy)
            };
            // Nobody is without a database whose pods write to it; what is so for everybody reaches them soon.
            let severity = if in_use { Severity::Warning } else { Severity::Critical };
            let found = Draft {
                code,
                severity: code.cause().severity.max(severity),
                component: Component::Database,
                message,
                evidence: vec![format!("connecting to {identity} from the operator: {}", failure.message)],
                remedy,
            };
            context.owned_of(found, url)
        })
        .collect()
}

/// Reads what the server said to the operator as libpq would have logged it.
fn read<V: Copy + PartialEq + Sync>(
    rule: &Rule<V>,
    identity: &DatabaseIdentity,
    failure: &ProbeFailure,
) -> (Option<V>, FailureDetails) {
    let DatabaseIdentity { host, port, name } = identity;
    let message =
        format!("connection to server at \"{host}\", port {port} failed: FATAL:  {}", failure.message);
    let logged = Failure::new("postgres_protocol", &message, Component::Operator, Stage::Boot);
    let (variant, details) = rule.read(&logged).unzip();
    let details = details.unwrap_or_default();
    let details = FailureDetails {
        endpoint: Endpoint { host: Some(host.clone()), port: Some(*port) },
        database: Some(name.clone()),
        detail: details.detail.or_else(|| Some(failure.message.clone())),
        ..details
    };
    (variant, details)
}

/// A connection of the operator that failed.
struct Probe<'a> {
    failure: &'a ProbeFailure,
    identity: &'a DatabaseIdentity,
    variable: &'static str,
    /// Pods that are ready use this database.
    in_use: bool,
}

fn failures<'a>(context: &Context<'a>) -> Vec<Probe<'a>> {
    let observation = context.observation;
    let SecretState::Present(identity) = &observation.secrets.database else {
        return Vec::new();
    };
    if embedded_starting(context).is_some() {
        return Vec::new();
    }
    let main = match &observation.database {
        // The pods' own readiness check writes to the database: what works for them is not down. Only the operator
        // may be kept out, which the DatabaseReachable condition says.
        DatabaseProbe::Failed(failure) if used_by_pods(observation) && failure.kind.may_be_local() => None,
        DatabaseProbe::Failed(failure) => {
            Some(Probe { failure, identity, variable: env::DATABASE_URL, in_use: used_by_pods(observation) })
        }
        DatabaseProbe::NotProbed | DatabaseProbe::Reachable { .. } => None,
    };
    main.into_iter().chain(separate(observation)).chain(migrating(context)).collect()
}

/// The role of its own that migrates, asked while a migration is due: a Job with these credentials would fail.
fn migrating<'a>(context: &Context<'a>) -> Option<Probe<'a>> {
    let (installation, observation) = (context.installation, context.observation);
    let database = &installation.database;
    if database.migration_url() == database.url() {
        return None;
    }
    match (&observation.preflight, &observation.secrets.migration_database) {
        (Some(Err(failure)), SecretState::Present(identity)) => Some(Probe {
            failure,
            identity,
            variable: OF_MIGRATIONS,
            // The pods have another role.
            in_use: false,
        }),
        _ => None,
    }
}

/// What the URL of `spec.database.migrationUrlFrom` is called, where it becomes the Job's.
const OF_MIGRATIONS: &str = "the migration Job's DATABASE_URL";

/// The separate database of tasks, of which no readiness check speaks. That the operator reaches the main one shows
/// that it is not kept out altogether.
fn separate(observation: &Observation) -> Option<Probe<'_>> {
    let DatabaseProbe::Reachable { .. } = observation.database else {
        return None;
    };
    match (&observation.queues.separate, &observation.secrets.task_processor_database) {
        (Some(QueueProbe::Failed(failure)), Some(SecretState::Present(identity))) => {
            Some(Probe { failure, identity, variable: env::TASK_PROCESSOR_DATABASE_URL, in_use: false })
        }
        _ => None,
    }
}

/// The database that the operator reached, its version, and why it takes no writes, where it does not.
pub(crate) fn reachable<'a>(
    context: &Context<'a>,
) -> Option<(&'a DatabaseIdentity, i32, Option<&'a ReadOnly>)> {
    let observation = context.observation;
    match (&observation.secrets.database, &observation.database) {
        (SecretState::Present(identity), DatabaseProbe::Reachable { version, read_only })
            if embedded_starting(context).is_none() =>
        {
            Some((identity, *version, read_only.as_ref()))
        }
        _ => None,
    }
}

/// Why an embedded database counts as one that is only starting.
pub(crate) fn embedded_starting<'a>(context: &Context<'a>) -> Option<&'a str> {
    let observation = context.observation;
    if !matches!(context.installation.database, Database::Embedded { .. }) {
        return None;
    }
    match (&observation.embedded_database, &observation.database) {
        (None, _) => Some("it is being made"),
        (Some(database), _) if database.ready <= 0 => Some("its pod is not ready yet"),
        // The name of a Service without pods is remembered as unknown for a few seconds.
        (
            Some(_),
            DatabaseProbe::Failed(ProbeFailure {
                kind: ProbeFailureKind::HostNotFound | ProbeFailureKind::Refused | ProbeFailureKind::Starting,
                message,
            }),
        ) if !used_by_pods(observation) => Some(message),
        _ => None,
    }
}

/// What was seen in the database of a migration that is due. While one runs, its own locks and connections are no
/// obstacles.
pub(crate) fn before_a_migration<'a>(context: &Context<'a>) -> Option<&'a Preflight> {
    let observation = context.observation;
    let preflight = observation.preflight.as_ref()?.as_ref().ok()?;
    let migrating = observation.is_migrating();
    (preflight.complete && !migrating).then_some(preflight)
}

/// Whether pods of the API or the task processor are ready: their own check has just written to the database.
pub(crate) fn used_by_pods(observation: &Observation) -> bool {
    observation
        .pods
        .iter()
        .any(|pod| pod.ready && matches!(pod.component, Some(Component::Api | Component::TaskProcessor)))
}
