//! Watches that cannot go on from where they were: the API server was away, or has forgotten what happened since. Each
//! test has a cluster of its own.

use std::{collections::BTreeMap, time::Duration};

use flagsmith_operator::{
    api::{FlagsmithDeployment, MigrationResult},
    controller::readiness::Gate,
};
use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{
    Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, WatchParams},
    core::WatchEvent,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    Cluster, Fate, HELD_BACK, NAME, Network, Operator, SOON, Sandbox, converged, install_crd, run,
};

/// Between two looks at something that comes by itself.
const AGAIN: Duration = Duration::from_millis(200);

/// An API server that remembers nothing but what etcd does, whose history it cuts each second. A watch cache would go on
/// serving what etcd has forgotten.
const FORGETFUL: &str = "--watch-cache=false --etcd-compaction-interval=1s";

/// The simulated Job runs until somebody takes this away.
fn hanging() -> Value {
    json!({ "pod": { "annotations": { "testbed/job-outcome": "hang" } } })
}

async fn start(cluster: &Cluster, sandboxes: &[&Sandbox]) -> Operator {
    let namespaces = sandboxes.iter().map(|it| it.namespace.clone()).collect();
    Operator::start_with(cluster.config().await, namespaces, Network::default(), None)
}

/// From now on nothing of the operator's arrives.
fn interrupt(operator: &Operator) {
    operator.network.rule(|_| Fate::Refuse(503, "ServiceUnavailable"));
}

#[test]
#[ignore = "a minute: make trial-interrupted"]
fn an_api_server_that_restarts_in_the_middle_of_migrations_costs_nothing() {
    run(async {
        Box::pin(restarted()).await;
    });
}

async fn restarted() {
    let cluster = Cluster::up("restarted");
    let client = Client::try_from(cluster.config().await).unwrap();
    install_crd(client.clone()).await;
    let sandbox = async |name: &str| {
        let sandbox = Sandbox::namespace(client.clone(), name).await;
        sandbox.database_secret_of(name).await;
        sandbox
    };
    let (settled, installing, upgrading) =
        (sandbox("settled").await, sandbox("installing").await, sandbox("upgrading").await);
    let operator = start(&cluster, &[&settled, &installing, &upgrading]).await;
    settled.install(json!({})).await;
    upgrading.install(json!({})).await;
    installing.install(json!({ "migrations": hanging() })).await;
    let settled_before = settled.ready().await;
    upgrading.ready().await;
    upgrading.patch(json!({ "spec": { "version": "2.265.0", "migrations": hanging() } })).await;
    // The Job that only pulls the images has the same annotation.
    let_go(&upgrading, "-pull-").await;
    let before = vec![migrates(&installing).await, migrates(&upgrading).await];
    let running = [jobs(&installing).await, jobs(&upgrading).await].map(|jobs| uids(&jobs));
    let made = |operator: &Operator| {
        operator.network.count(|call| call.method == Method::POST && call.path.ends_with("/jobs"))
    };
    let made_before = made(&operator);

    interrupt(&operator);
    cluster.testbed(&["kill", "kube-apiserver"]);
    // A part of its time away: watches and lists fail, and everybody tries again.
    sleep(Duration::from_secs(2)).await;
    cluster.testbed(&["start-apiserver"]);
    let client = Client::try_from(cluster.config().await).unwrap();
    let [settled, installing, upgrading] = [settled, installing, upgrading]
        .map(|it| Sandbox { client: client.clone(), namespace: it.namespace });
    // For the operator it is still away: what happens now it sees no event of.
    changed_at_last(&settled, json!({ "spec": { "requestTimeoutSeconds": 77 } })).await;
    settled.delete::<Deployment>("flagsmith-frontend").await;
    for sandbox in [&installing, &upgrading] {
        ends(sandbox).await;
    }
    let gates = operator.readiness.gates();
    // The definition is looked at each five minutes, which may be now.
    let closed = gates.iter().filter(|it| it.closed.is_some() && it.gate != Gate::Crd).count();
    assert_eq!(closed, 0, "an API server that is away leaves the operator ready: {gates:?}");
    let gone = operator.network.gone();
    operator.network.heal();

    let settled_after = settled.ready().await;
    assert_eq!(settled_after.status.as_ref().unwrap().timeouts.as_ref().unwrap().request, Some(77));
    assert_eq!(since(&settled_after, "MigrationsApplied"), since(&settled_before, "MigrationsApplied"));
    for ((sandbox, before), running) in [&installing, &upgrading].into_iter().zip(before).zip(running) {
        let after = sandbox.ready().await.status.unwrap();
        let migration = after.migration.unwrap();
        assert_eq!(migration.result, MigrationResult::Applied);
        let before = before.status.unwrap();
        assert_eq!(migration.started, before.migration.unwrap().started);
        // What was recorded before is recorded still.
        let (known, added) = (before.migration_history, after.migration_history.len());
        assert_eq!(added, known.len() + 1);
        assert!(known.iter().all(|it| after.migration_history.contains(it)), "{known:?}");
        // The Job of before is the one that has ended; an older release's may have been cleaned up.
        let jobs = uids(&jobs(sandbox).await);
        assert!(!jobs.is_empty() && jobs.iter().all(|uid| running.contains(uid)), "{jobs:?}, {running:?}");
    }
    assert_eq!(made(&operator), made_before, "every Job was made before");
    for (sandbox, migrations) in [(&settled, 1), (&installing, 1), (&upgrading, 2)] {
        said(sandbox, migrations).await;
    }
    ready(&operator).await;
    println!("{} watches were told that their past is gone", operator.network.gone() - gone);
    operator.stop().await;
}

/// Waits until the Job of the newest migration runs, and the status says so.
async fn migrates(sandbox: &Sandbox) -> FlagsmithDeployment {
    sandbox
        .until(SOON, "migrating", |it| {
            let migration = it.status.as_ref().and_then(|status| status.migration.as_ref());
            migration.is_some_and(|it| it.result == MigrationResult::Running && it.started.is_some())
        })
        .await
}

/// A change as soon as the API server takes it.
async fn changed_at_last(sandbox: &Sandbox, change: Value) {
    let end = Instant::now() + SOON;
    let api = sandbox.api::<FlagsmithDeployment>();
    while let Err(error) = api.patch(NAME, &PatchParams::default(), &Patch::Merge(&change)).await {
        assert!(Instant::now() < end, "{error}");
        sleep(AGAIN).await;
    }
}

/// Has the Job of the newest migration end well.
async fn ends(sandbox: &Sandbox) {
    let_go(sandbox, "-migrate-").await;
    for job in jobs(sandbox).await {
        sandbox
            .until_object(SOON, &job.name_any(), "complete", |job: &Job| {
                let conditions = job.status.iter().flat_map(|it| it.conditions.iter().flatten());
                conditions.into_iter().any(|it| it.type_ == "Complete" && it.status == "True")
            })
            .await;
    }
}

/// Waits for the pod of a Job that hangs, and has it end well.
async fn let_go(sandbox: &Sandbox, job: &str) {
    let hangs = |pod: &Pod| pod.annotations().get("testbed/job-outcome").is_some_and(|it| it == "hang");
    let end = Instant::now() + SOON;
    loop {
        let pods = sandbox.api::<Pod>().list(&ListParams::default()).await.unwrap();
        if let Some(pod) = pods.into_iter().find(|pod| pod.name_any().contains(job) && hangs(pod)) {
            let change = json!({ "metadata": { "annotations": { "testbed/job-outcome": null } } });
            sandbox.merge::<Pod>(&pod.name_any(), change).await;
            return;
        }
        assert!(Instant::now() < end, "{}: no pod of {job} hangs", sandbox.namespace);
        sleep(AGAIN).await;
    }
}

/// The Jobs that migrate.
async fn jobs(sandbox: &Sandbox) -> Vec<Job> {
    let jobs = sandbox.api::<Job>().list(&ListParams::default()).await.unwrap();
    jobs.into_iter().filter(|job| job.name_any().contains("-migrate-")).collect()
}

fn uids(jobs: &[Job]) -> Vec<Option<String>> {
    jobs.iter().map(|job| job.uid()).collect()
}

/// Since when a condition is what it is.
fn since(object: &FlagsmithDeployment, kind: &str) -> Option<String> {
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().find(|it| it.type_ == kind).map(|it| it.last_transition_time.0.to_string())
}

/// Nothing was told but that migrations began and ended, each once, what was repaired, and that all is well.
async fn said(sandbox: &Sandbox, migrations: usize) {
    let events = sandbox.api::<Event>().list(&ListParams::default()).await.unwrap();
    let mut told = BTreeMap::<String, i32>::new();
    for event in
        events.into_iter().filter(|it| it.involved_object.kind.as_deref() == Some("FlagsmithDeployment"))
    {
        assert_eq!(event.type_.as_deref(), Some("Normal"), "{:?}: {:?}", event.reason, event.message);
        let count = event.series.and_then(|series| series.count).unwrap_or(1);
        *told.entry(event.reason.unwrap_or_default()).or_default() += count;
    }
    println!("{}: {told:?}", sandbox.namespace);
    let migrations = i32::try_from(migrations).unwrap();
    assert_eq!(told.remove("MigrationStarted"), Some(migrations), "{told:?}");
    assert_eq!(told.remove("MigrationSucceeded"), Some(migrations), "{told:?}");
}

async fn ready(operator: &Operator) {
    let ready = timeout(SOON, async {
        while !operator.readiness.is_ready() {
            sleep(AGAIN).await;
        }
    });
    ready.await.expect("the operator is ready again");
}

/// A watch that goes on after etcd has forgotten what came since is told so by the real server (410 Gone): the operator
/// lists anew, and knows what was changed, deleted, and made anew under the same name.
#[test]
#[ignore = "a minute: make trial-interrupted"]
fn what_happened_while_the_history_was_lost_is_known() {
    run(async {
        Box::pin(compacted()).await;
    });
}

async fn compacted() {
    const CHANGED: &str = NAME;
    const DELETED: &str = "deleted";
    const AGAIN: &str = "again";
    const NEW: &str = "new";
    let cluster = Cluster::up_with("compacted", FORGETFUL);
    let client = Client::try_from(cluster.config().await).unwrap();
    install_crd(client.clone()).await;
    let sandbox = Sandbox::of(client, "compacted").await;
    let operator = start(&cluster, &[&sandbox]).await;
    sandbox.install(json!({})).await;
    for name in [DELETED, AGAIN] {
        sandbox.database_secret_as(name).await;
        install(&sandbox, name).await;
    }
    for name in [CHANGED, DELETED, AGAIN] {
        settles(&sandbox, name).await;
    }
    let resources = sandbox.api::<FlagsmithDeployment>();
    let past = resources.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();

    assert_eq!(operator.network.gone(), 0);
    interrupt(&operator);
    operator.network.cut();
    let changed = sandbox.patch(json!({ "spec": { "requestTimeoutSeconds": 77 } })).await;
    sandbox.delete::<Deployment>("flagsmith-frontend").await;
    sandbox.merge::<Deployment>("flagsmith-api", json!({ "spec": { "minReadySeconds": 7 } })).await;
    sandbox.delete::<FlagsmithDeployment>(DELETED).await;
    let before = resources.get(AGAIN).await.unwrap();
    sandbox.delete::<FlagsmithDeployment>(AGAIN).await;
    let again = install(&sandbox, AGAIN).await;
    assert_ne!(again.uid(), before.uid());
    sandbox.database_secret_as(NEW).await;
    install(&sandbox, NEW).await;
    forgotten(&sandbox, &past).await;
    operator.network.heal();

    for name in [CHANGED, AGAIN, NEW] {
        settles(&sandbox, name).await;
    }
    let gone = operator.network.gone();
    println!("{gone} watches were told that their past is gone");
    assert!(gone > 0, "the API server said to no watch that its past is gone: nothing was tested");
    let seen = resources.get(CHANGED).await.unwrap();
    assert!(seen.metadata.generation >= changed.metadata.generation);
    assert_eq!(seen.status.unwrap().timeouts.unwrap().request, Some(77));
    let owner = |deployment: Deployment| deployment.owner_references()[0].uid.clone();
    assert_eq!(Some(owner(sandbox.api().get("again-api").await.unwrap())), again.uid());
    let exported = operator.metrics.render().unwrap();
    let of = |name: &str| exported.contains(&format!("name=\"{name}\""));
    assert_eq!([CHANGED, DELETED, AGAIN, NEW].map(of), [true, false, true, true]);
    for line in exported.lines().filter(|it| it.starts_with("flagsmith_operator_remembered_installations{")) {
        let count: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(count <= 3, "what is deleted is remembered: {line}");
    }
    // Everything that was changed by others is as it was again, once, and stays so.
    let mut writes = 0;
    while operator.network.writes().len() > writes {
        writes = operator.network.writes().len();
        sleep(HELD_BACK).await;
    }
    operator.stop().await;
}

async fn install(sandbox: &Sandbox, name: &str) -> FlagsmithDeployment {
    let url = json!({ "secretKeyRef": { "name": name, "key": "DATABASE_URL" } });
    let spec = json!({ "version": "2.260.0", "database": { "urlFrom": url } });
    sandbox.create(json!({ "metadata": { "name": name }, "spec": spec })).await
}

async fn settles(sandbox: &Sandbox, name: &str) {
    sandbox.until_object(SOON, name, "Ready", converged).await;
}

/// Waits until the API server cannot say any more what came after a version.
async fn forgotten(sandbox: &Sandbox, version: &str) {
    let waited = timeout(SOON, async {
        let api = sandbox.api::<FlagsmithDeployment>();
        loop {
            let told = match api.watch(&WatchParams::default().timeout(1), version).await {
                Ok(events) => events.boxed().try_next().await,
                Err(error) => Err(error),
            };
            match told {
                Ok(Some(WatchEvent::Error(status))) if status.code == 410 => return,
                Err(kube::Error::Api(status)) if status.code == 410 => return,
                _ => sleep(AGAIN).await,
            }
        }
    });
    waited.await.expect("etcd's history is cut each second");
}
