//! `run`: the operator itself.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use tokio_util::sync::CancellationToken;

use super::docs::DocsArgs;
use crate::{
    controller::{
        admin::{Addresses, Admin, Certificate, Protection, Readers, Sources, certificate},
        readiness::{
            Readiness,
            rights::{self, Purpose},
        },
        run::{Settings, run},
    },
    observe::Scope,
    runtime::{
        client,
        executor::on_one_thread,
        heartbeat::Heartbeat,
        lease::LeaseSettings,
        lock_key::{LockKey, LockKeySource},
        metrics::Metrics,
        telemetry::{self, Level, LogFormat},
    },
};

/// Settings of the operator.
#[derive(Debug, clap::Args)]
// The chart's extraArgs come after its own arguments, and count.
#[command(args_override_self = true)]
pub(super) struct Args {
    /// Namespaces to look after, separated by commas; the whole cluster when not given.
    #[arg(long, env = "FLAGSMITH_OPERATOR_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE,…")]
    namespaces: Vec<String>,

    /// Where `/livez` and `/readyz` are served.
    #[arg(
        long,
        env = "FLAGSMITH_OPERATOR_PROBE_ADDRESS",
        default_value = "0.0.0.0:8081",
        value_name = "ADDRESS:PORT"
    )]
    probe_address: SocketAddr,

    #[command(flatten)]
    metrics: MetricsArgs,

    /// Whether to compete for a lease, so that several replicas can stand by for each other.
    #[arg(long, env = "FLAGSMITH_OPERATOR_LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set, value_name = "true|false")]
    leader_election: bool,

    /// The name of the lease.
    #[arg(
        long,
        env = "FLAGSMITH_OPERATOR_LEASE_NAME",
        default_value = "flagsmith-operator",
        value_name = "NAME"
    )]
    lease_name: String,

    /// The Secret in the operator's own namespace that keeps the key of migration locks, by which migrations of one
    /// database find each other; made when it is not there. Without it a new process does not see migrations that the
    /// one before has started in other namespaces.
    #[arg(long, env = "FLAGSMITH_OPERATOR_LOCK_KEY_SECRET", value_name = "NAME")]
    lock_key_secret: Option<String>,

    /// How many installations are worked on at once.
    #[arg(long, env = "FLAGSMITH_OPERATOR_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64), value_name = "1-64")]
    concurrency: u16,

    /// Whether the operator connects to databases itself; switch it off where a `NetworkPolicy` keeps it out.
    #[arg(long, env = "FLAGSMITH_OPERATOR_DATABASE_PROBE", default_value_t = true, action = clap::ArgAction::Set, value_name = "true|false")]
    database_probe: bool,

    /// Seconds between two looks into a database.
    #[arg(long, env = "FLAGSMITH_OPERATOR_DATABASE_PROBE_INTERVAL", default_value_t = 60, value_parser = clap::value_parser!(u16).range(5..=3600), value_name = "5-3600")]
    database_probe_interval: u16,

    /// Whether databases on the operator's own machine are looked into. For tests and development: whoever writes a
    /// Secret with a `DATABASE_URL` could otherwise have the operator connect to what listens beside it.
    #[arg(long, env = "FLAGSMITH_OPERATOR_ALLOW_LOOPBACK_DATABASES", hide = true)]
    allow_loopback_databases: bool,

    #[command(flatten)]
    docs: DocsArgs,

    /// How log lines are written.
    #[arg(long, env = "FLAGSMITH_OPERATOR_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// Which log lines are written, as in `RUST_LOG`: `info`, or `warn,flagsmith_operator=debug`.
    #[arg(long, env = "FLAGSMITH_OPERATOR_LOG_LEVEL", value_name = "FILTER")]
    log_level: Option<String>,

    /// A file that says which log lines are written, instead of that; it is read again every ten seconds, so the level can
    /// be changed while the operator runs.
    #[arg(long, env = "FLAGSMITH_OPERATOR_LOG_LEVEL_FILE", value_name = "FILE")]
    log_level_file: Option<PathBuf>,

    /// The pod's name, by the downward API.
    #[arg(long, env = "POD_NAME", hide = true, default_value = "local")]
    pod_name: String,

    /// The pod's namespace, by the downward API.
    #[arg(long, env = "POD_NAMESPACE", hide = true, default_value = "default")]
    pod_namespace: String,
}

/// How metrics are served.
#[derive(Debug, clap::Args)]
struct MetricsArgs {
    /// Where `/metrics` is served.
    #[arg(
        long = "metrics-address",
        env = "FLAGSMITH_OPERATOR_METRICS_ADDRESS",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS:PORT"
    )]
    address: SocketAddr,

    /// A directory with `tls.crt` and `tls.key`, as a mounted Secret has them: `/metrics` is served over TLS. Changed files
    /// are read again.
    #[arg(long = "metrics-cert-dir", env = "FLAGSMITH_OPERATOR_METRICS_CERT_DIR", value_name = "DIRECTORY")]
    certificate: Option<PathBuf>,

    /// Whether `/metrics` is answered only to tokens whose owner the API server lets get that path. Needs a certificate:
    /// a token is not sent in plain text.
    #[arg(long = "metrics-authentication", env = "FLAGSMITH_OPERATOR_METRICS_AUTHENTICATION", default_value_t = false, action = clap::ArgAction::Set, value_name = "true|false", requires_if("true", "certificate"))]
    authentication: bool,
}

impl MetricsArgs {
    async fn protection(&self, client: &kube::Client) -> Result<Protection, certificate::Error> {
        Ok(Protection {
            certificate: match &self.certificate {
                Some(directory) => Some(Certificate::load(directory).await?),
                None => None,
            },
            readers: self.authentication.then(|| Readers::new(client.clone())),
        })
    }
}

/// A failure to start, for a person.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the asynchronous runtime could not be started")]
    Runtime(#[source] std::io::Error),
    #[error("neither a service account nor a kubeconfig was found; set KUBECONFIG, or run in a cluster")]
    Config(#[source] Box<kube::config::InferConfigError>),
    #[error("the client of the API server could not be made")]
    Client(#[from] client::Error),
    #[error(transparent)]
    Admin(#[from] crate::controller::admin::Error),
    #[error("metrics cannot be served with the certificate of --metrics-cert-dir")]
    Certificate(#[from] certificate::Error),
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    #[error("signals could not be listened to")]
    Signals(#[source] std::io::Error),
}

pub(super) fn main(args: Args) -> ExitCode {
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                anstream::eprintln!("  because: {error}");
                source = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<(), Error> {
    let level = telemetry::init(args.log_format, args.log_level.as_deref())?;
    on_one_thread().map_err(Error::Runtime)?.block_on(serve(args, level))
}

async fn serve(args: Args, level: Level) -> Result<(), Error> {
    let metrics = Metrics::new();
    let config = kube::Config::infer().await.map_err(|error| Error::Config(Box::new(error)))?;
    let client = client::connect(config, metrics.clone())?;
    let (heartbeat, readiness) = (Heartbeat::new(), Readiness::new());
    let sources =
        Sources { heartbeat: heartbeat.clone(), readiness: readiness.clone(), metrics: metrics.clone() };
    let addresses = Addresses { probes: args.probe_address, metrics: args.metrics.address };
    let admin = Admin::bind(addresses, sources, args.metrics.protection(&client).await?)?;
    let listening = admin.addresses();
    let shutdown = CancellationToken::new();
    let stopping = stop_on_signal(shutdown.clone())?;
    let settings = settings(&args);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        scope = ?settings.scope,
        probes = %listening.probes,
        metrics = %listening.metrics,
        leader_election = args.leader_election,
        "starting"
    );
    // Probes are answered until everything else has ended.
    let ended = CancellationToken::new();
    let purpose = match &settings.lock_key {
        LockKeySource::Kept { .. } => Purpose::Manage,
        LockKeySource::Given(_) => Purpose::Observe { databases: args.database_probe },
    };
    let (asking, scope, answered) = (client.clone(), settings.scope.clone(), readiness.clone());
    let work = async {
        let rights = shutdown.run_until_cancelled(rights::check(asking, &scope, purpose, &answered));
        let running = Box::pin(run(client, settings, readiness, metrics, shutdown.clone()));
        futures::join!(running, rights);
        ended.cancel();
        shutdown.cancel();
    };
    let following = async {
        if let Some(file) = &args.log_level_file {
            telemetry::follow(file, level, ended.clone()).await;
        }
    };
    futures::join!(work, admin.run(ended.clone()), heartbeat.run(ended.clone()), stopping, following);
    tracing::info!("stopped");
    Ok(())
}

fn settings(args: &Args) -> Settings {
    let namespaces: Vec<String> = args.namespaces.iter().filter(|name| !name.is_empty()).cloned().collect();
    let lease = LeaseSettings::new(&args.pod_namespace, &args.lease_name, &args.pod_name)
        .watching(namespaces.clone());
    Settings {
        scope: if namespaces.is_empty() { Scope::Cluster } else { Scope::Namespaces(namespaces) },
        concurrency: args.concurrency,
        lease: args.leader_election.then_some(lease),
        database_interval: args
            .database_probe
            .then(|| Duration::from_secs(args.database_probe_interval.into())),
        lock_key: match &args.lock_key_secret {
            Some(name) => LockKeySource::Kept { namespace: args.pod_namespace.clone(), name: name.clone() },
            None => LockKeySource::Given(LockKey::random()),
        },
        loopback_databases: args.allow_loopback_databases,
        docs: args.docs.docs_url.clone(),
        instance: Some(args.pod_name.clone()),
    }
}

#[cfg(unix)]
fn stop_on_signal(shutdown: CancellationToken) -> Result<impl Future<Output = ()>, Error> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: ending what is under way"),
            _ = interrupt.recv() => tracing::info!("SIGINT: ending what is under way"),
            () = shutdown.cancelled() => {}
        }
        shutdown.cancel();
    })
}

/// Where there are no other signals: the operator itself runs in Linux containers, the command line anywhere.
#[cfg(not(unix))]
fn stop_on_signal(shutdown: CancellationToken) -> Result<impl Future<Output = ()>, Error> {
    Ok(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => tracing::info!("interrupted: ending what is under way"),
            () = shutdown.cancelled() => {}
        }
        shutdown.cancel();
    })
}
