//! The operator: watches, leadership, passes, probes, and their orderly end.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, CustomResourceExt as _, Resource as _,
    runtime::{
        Controller, WatchStreamExt as _, controller,
        reflector::{self, ObjectRef},
        watcher,
    },
};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    context::Context,
    guarded_resource::GuardedResource,
    readiness::{Gate, Readiness, crd_freshness},
    reconcile::{error_policy, reconcile_guarded},
    resource_stream::resource_stream,
    triggers::coalesce,
};
use crate::runtime::{
    backoff::Failures,
    fence::fenced,
    lease::{Leadership, Lease, LeaseSettings},
    lock_key::{LockKey, LockKeySource},
    metrics::Metrics,
};
use crate::{
    api::{self, FlagsmithDeployment},
    apply::Applier,
    causes::diagnose_pod_log,
    model::DocsUrl,
    observe::{
        DatabaseLooks, Observer, PodLogReader, ReadDepth, Scope, Trigger, Watches,
        database::Databases,
        watch::{self as watches, Namespaces},
    },
    report::Reporter,
};

/// How often the CRD is looked at, until it is there and as fresh as this operator, and afterwards: an upgrade of
/// the chart may bring it later.
const CRD_RETRY: Duration = Duration::from_secs(5);
const CRD_INTERVAL: Duration = Duration::from_mins(5);

/// How often the key of migration locks is looked for while it can be neither read nor made.
const LOCK_KEY_RETRY: Duration = Duration::from_secs(5);

/// How often the state of the caches is passed on to `/readyz`.
const CACHE_CHECK: Duration = Duration::from_millis(100);

/// How long passes that are under way at a shutdown may take to end: one hanging request and a bit, and less than
/// the lease waits for them.
const DRAIN: Duration = Duration::from_secs(12);

/// Events that wait for the controller: above a burst of one thousand installations, below what fills memory.
const TRIGGERS: usize = 4096;

/// What the operator is told to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which namespaces it looks after.
    pub scope: Scope,
    /// Passes at once, over different objects.
    pub concurrency: u16,
    /// The lease that it competes for; `None` leads at once.
    pub lease: Option<LeaseSettings>,
    /// How often it looks into the databases; `None`: never.
    pub database_interval: Option<Duration>,
    /// Whether databases on its own machine are looked into.
    pub loopback_databases: bool,
    /// Where the key of migration locks is.
    pub lock_key: LockKeySource,
    /// Where the documentation is.
    pub docs: DocsUrl,
    /// The name that it shows in Events.
    pub instance: Option<String>,
}

/// Runs until `shutdown`, then ends what is under way and releases the lease.
pub async fn run(
    client: Client,
    settings: Settings,
    readiness: Readiness,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let (leading_sender, leading) = watch::channel(Leadership::default());
    let drained = CancellationToken::new();
    let election = {
        let (client, metrics, shutdown, drained) =
            (client.clone(), metrics.clone(), shutdown.clone(), drained.clone());
        let lease = settings.lease.clone();
        async move {
            if let Some(lease) = lease {
                Lease::new(client, lease, metrics)
                    .run(leading_sender, shutdown, drained.cancelled_owned())
                    .await;
            } else {
                leading_sender.send_replace(Leadership::forever());
                drained.cancelled().await;
            }
        }
    };
    let work = async {
        let key = lock_key(&client, &settings.lock_key, &readiness);
        if let Some(key) = shutdown.run_until_cancelled(key).await {
            passes(client.clone(), settings, key, &readiness, metrics, leading, &shutdown).await;
        }
        drained.cancel();
    };
    let crd = shutdown.run_until_cancelled(check_crd(client.clone(), &readiness));
    futures::join!(election, work, crd);
}

/// The key of migration locks, once there is one. Nothing begins without: a migration whose label the next process
/// cannot compute would not be seen by it.
async fn lock_key(client: &Client, source: &LockKeySource, readiness: &Readiness) -> LockKey {
    loop {
        match source.load(client).await {
            Ok(key) => {
                readiness.open(Gate::LockKey);
                return key;
            }
            Err(error) => {
                tracing::warn!(%error, "the operator is not ready");
                readiness.close(Gate::LockKey, error.to_string());
                tokio::time::sleep(LOCK_KEY_RETRY).await;
            }
        }
    }
}

async fn passes(
    client: Client,
    settings: Settings,
    lock_key: LockKey,
    readiness: &Readiness,
    metrics: Metrics,
    leading: watch::Receiver<Leadership>,
    shutdown: &CancellationToken,
) {
    let watched = Arc::new(Watches::default());
    let (trigger, triggers) = mpsc::channel(TRIGGERS);
    let pod_logs =
        PodLogReader::new(client.clone(), ReadDepth::Sampled, diagnose_pod_log, Some(trigger.clone()));
    let databases = settings.database_interval.map(|interval| {
        let databases = Databases::new(metrics.clone());
        let databases = if settings.loopback_databases { databases.allowing_loopback() } else { databases };
        DatabaseLooks::new(databases, interval, Some(trigger.clone()))
    });
    let watching = watches::run(
        client.clone(),
        settings.scope.clone(),
        Arc::clone(&watched),
        metrics.clone(),
        trigger.clone(),
    );
    let (resources, stored) = reflector::store();
    let writer = fenced(client.clone(), leading.clone());
    let context = Arc::new(Context {
        resources,
        observer: Observer::new(client.clone(), Arc::clone(&watched), databases, pod_logs)
            .with_thread_usage()
            .with_lock_key(lock_key),
        namespaces: Namespaces::new(client.clone(), trigger),
        applier: Applier::new(writer.clone(), Arc::clone(&watched), settings.scope.clone()),
        reporter: Reporter::new(writer, metrics.clone(), settings.docs.clone(), settings.instance.clone()),
        leading: leading.clone(),
        shutdown: shutdown.clone(),
        passes: TaskTracker::new(),
        failures: Failures::new(),
        metrics,
    });
    let controlling = async {
        if shutdown.run_until_cancelled(synced(&watched, readiness)).await.is_none() {
            return;
        }
        let ended = ended(Arc::clone(&context));
        tokio::select! {
            biased;
            () = control(client, &settings, context, stored, &watched, triggers) => {}
            () = ended => {}
        }
    };
    // In this order, so that a test can have a run again.
    tokio::select! {
        biased;
        () = controlling => {}
        () = watching => tracing::error!("the watches have ended; the operator stops"),
    }
}

/// Waits for the first list of every kind: a decision on half of the world would be a wrong one.
async fn synced(watches: &Watches, readiness: &Readiness) {
    while !watches.synced() {
        readiness.close(Gate::Caches, "waiting for the first list of every watched kind");
        tokio::time::sleep(CACHE_CHECK).await;
    }
    readiness.open(Gate::Caches);
}

/// Ends when a shutdown was asked for and no pass is under way; none begins after that. The queue has an end of its
/// own, but waits with it for its first list, which never comes where the CRD is missing.
async fn ended(context: Arc<Context>) {
    context.shutdown.cancelled().await;
    context.passes.close();
    if tokio::time::timeout(DRAIN, context.passes.wait()).await.is_err() {
        tracing::warn!("a pass did not end in time; it is given up");
    }
}

async fn control(
    client: Client,
    settings: &Settings,
    context: Arc<Context>,
    stored: reflector::store::Writer<GuardedResource>,
    watched: &Watches,
    triggers: mpsc::Receiver<Trigger>,
) {
    let (gone, echoed) = (Arc::clone(&context), Arc::clone(&context));
    let primaries = resource_stream(&client, &settings.scope)
        .reflect(stored)
        .inspect(move |event| {
            if let Ok(watcher::Event::Delete(object)) = event {
                gone.forget(object);
            }
        })
        .applied_objects()
        .try_filter(move |object| {
            let echo = echoed.reporter.is_echo(object.meta());
            futures::future::ready(!echo)
        });
    let won = leadership_won(context.leading.clone());
    let controller = Controller::for_stream(primaries, context.resources.clone())
        .with_config(controller::Config::default().concurrency(settings.concurrency))
        .reconcile_on(coalesce(triggers).map(|reference| {
            ObjectRef::new(&reference.name).within(reference.namespace.as_deref().unwrap_or_default())
        }))
        .reconcile_all_on(won)
        .reconcile_all_on(watched.kind_appears());
    controller
        .run(reconcile_guarded, error_policy, context)
        .map_err(|error| {
            // A trigger for an object that is gone is the normal end of one.
            if !matches!(
                error,
                controller::Error::ObjectNotFound(_) | controller::Error::ReconcilerFailed(..)
            ) {
                tracing::warn!(%error, "the queue reported a failure");
            }
        })
        .for_each(|_| futures::future::ready(()))
        .await;
}

/// One item each time that leadership is won.
fn leadership_won(leading: watch::Receiver<Leadership>) -> impl futures::Stream<Item = ()> + Send + 'static {
    futures::stream::unfold((leading, false), |(mut leading, mut led)| async move {
        loop {
            let leads = leading.borrow_and_update().leads();
            let won = leads && !led;
            led = leads;
            if won {
                return Some(((), (leading, led)));
            }
            leading.changed().await.ok()?;
        }
    })
}

/// Keeps the `crd` gate as the cluster has it.
async fn check_crd(client: Client, readiness: &Readiness) {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    // What was found to be fresh, so that it is not decoded and compared again: it takes megabytes.
    let mut fresh = None;
    loop {
        let problem = if fresh.is_some() && stored_crd(&api).await == fresh {
            None
        } else {
            let found = compare_crd(&api).await;
            fresh = found.as_ref().ok().cloned();
            found.err()
        };
        let wait = match problem {
            None => {
                readiness.open(Gate::Crd);
                CRD_INTERVAL
            }
            Some(problem) => {
                tracing::warn!(problem, "the operator is not ready");
                readiness.close(Gate::Crd, problem);
                CRD_RETRY
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Which CRD is stored, as its uid and the generation of its specification; `None` where there is none, or no answer.
async fn stored_crd(api: &Api<CustomResourceDefinition>) -> Option<(String, i64)> {
    let stored = api.get_metadata_opt(FlagsmithDeployment::crd_name()).await.ok()??;
    Some((stored.metadata.uid?, stored.metadata.generation?))
}

/// The same of a CRD that is fresh; otherwise why it is not.
async fn compare_crd(api: &Api<CustomResourceDefinition>) -> Result<(String, i64), String> {
    let stored = api
        .get_opt(FlagsmithDeployment::crd_name())
        .await
        .map_err(|error| format!("the CRD could not be read: {error}"))?;
    crd_freshness(stored.as_ref(), &api::crd()).map_err(|problem| problem.to_string())?;
    let metadata = stored.map(|stored| stored.metadata).unwrap_or_default();
    Ok((metadata.uid.unwrap_or_default(), metadata.generation.unwrap_or_default()))
}
