//! The operator is killed after every single write, and a new one finishes the work: the same objects in the end,
//! and the invariants at every moment in between.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    HELD_BACK, Network, Operator, Recorder, SOON, Sandbox, Store, converged, difference, run,
};

/// Namespaces that are worked on at once: each waits most of the time.
const AT_ONCE: usize = 4;

/// Releases between which nothing is known that older pods cannot do.
const OLDER: &str = "2.259.0";
const NEWER: &str = "2.260.0";

/// A rollback has two Jobs and exchanges every pod, and several namespaces do so at once.
const WHOLE_WAY: Duration = Duration::from_mins(6);

/// How long a run may take to come to the write that kills its operator, before it is taken for one that has a write less.
const TO_ITS_END: Duration = Duration::from_mins(1);

/// How long after Ready the last counts may take to reach the status.
const SETTLES: Duration = Duration::from_mins(1);

/// What happens between the start and the crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    Install,
    Upgrade,
    /// An upgrade with a stop on the way.
    Stepwise,
    /// Back to a release whose pods serve on the newer schema.
    RollBack,
}

struct Scene {
    sandbox: Sandbox,
    recorder: Recorder,
    external: [Option<String>; 2],
}

impl Scene {
    /// A namespace with two objects of somebody else, and the state that the story starts from.
    async fn set(story: Story) -> Self {
        let sandbox = Sandbox::new("crash").await;
        let recorder = Recorder::start(&sandbox).await;
        let labels = json!({ "app": "other", "app.kubernetes.io/instance": "flagsmith" });
        let secret: Secret =
            sandbox.create(json!({ "metadata": { "name": "flagsmith-other", "labels": labels } })).await;
        let deployment: Deployment = sandbox
            .create(json!({
                "metadata": { "name": "flagsmith-other", "labels": labels },
                "spec": {
                    "replicas": 0,
                    "selector": { "matchLabels": labels },
                    "template": {
                        "metadata": { "labels": labels },
                        "spec": { "containers": [{ "name": "other", "image": "local/other:1" }] },
                    },
                },
            }))
            .await;
        // The Deployment's controller writes to it once.
        let deployment = sandbox
            .until_object(SOON, &deployment.metadata.name.unwrap(), "seen", |it: &Deployment| {
                it.status.as_ref().is_some_and(|status| status.observed_generation.is_some())
            })
            .await;
        let external = [secret.metadata.resource_version, deployment.metadata.resource_version];
        if story != Story::Install {
            let operator = Operator::start(&sandbox.namespace, Network::default()).await;
            let version = match story {
                Story::Stepwise => "2.250.0",
                Story::RollBack => OLDER,
                Story::Install | Story::Upgrade => "2.260.0",
            };
            sandbox.install(json!({ "version": version })).await;
            sandbox.ready().await;
            if story == Story::RollBack {
                sandbox.patch(json!({ "spec": { "version": NEWER } })).await;
                sandbox.ready().await;
            }
            operator.kill().await;
        }
        if story == Story::RollBack {
            sandbox.remembers_the_upgrade().await;
        }
        Self { sandbox, recorder, external }
    }

    async fn act(&self, story: Story) {
        match story {
            Story::Install => self.sandbox.install(json!({})).await,
            Story::Upgrade => self.sandbox.patch(json!({ "spec": { "version": "2.265.0" } })).await,
            Story::Stepwise => {
                let upgrade = json!({ "strategy": "Stepwise" });
                self.sandbox.patch(json!({ "spec": { "version": "2.265.0", "upgrade": upgrade } })).await
            }
            Story::RollBack => {
                let confirmed = json!({ "rollback": { "from": NEWER, "to": OLDER } });
                self.sandbox.patch(json!({ "spec": { "version": OLDER, "migrations": confirmed } })).await
            }
        };
    }

    async fn check(&self, what: &str) {
        self.recorder.verify(what);
        let secret: Secret = self.sandbox.api().get("flagsmith-other").await.unwrap();
        let deployment: Deployment = self.sandbox.api().get("flagsmith-other").await.unwrap();
        assert_eq!(
            self.external,
            [secret.metadata.resource_version, deployment.metadata.resource_version],
            "{what}: an object of somebody else was changed"
        );
    }
}

/// The store that a run without any fault ends in, and how many writes it takes.
async fn undisturbed(story: Story) -> (Store, usize) {
    let scene = Scene::set(story).await;
    let operator = Operator::start(&scene.sandbox.namespace, Network::default()).await;
    scene.act(story).await;
    scene.sandbox.until(WHOLE_WAY, "Ready", converged).await;
    // Nothing is written for longer than any status is held back.
    let mut writes = 0;
    while operator.network.writes().len() > writes {
        writes = operator.network.writes().len();
        sleep(HELD_BACK).await;
    }
    scene.check("undisturbed").await;
    let calls = operator.network.calls();
    println!(
        "{story:?}: {writes} writes, {} requests without watches and their first lists:\n  {}",
        calls.iter().filter(|call| call.is_write() || (call.is_read() && !call.is_list())).count(),
        calls
            .iter()
            .filter(|call| call.is_write() || (call.is_read() && !call.is_list()))
            .map(|call| format!("{} {}?{}", call.method, call.path, call.query))
            .collect::<Vec<_>>()
            .join("\n  ")
    );
    let store = scene.sandbox.store().await;
    operator.stop().await;
    scene.sandbox.end().await;
    (store, writes)
}

/// Kills the operator after `writes` writes, lets another one finish, and compares.
async fn crashed(story: Story, writes: usize, expected: &Store) {
    let what = format!("{story:?}, killed after write {writes}");
    let scene = Scene::set(story).await;
    let network = Network::dying_after(writes);
    let operator = Operator::start(&scene.sandbox.namespace, network.clone()).await;
    scene.act(story).await;
    // One write more or less is possible: counts of pods are written when they are seen.
    if timeout(TO_ITS_END, network.died()).await.is_err() {
        scene.sandbox.ready().await;
    }
    let last = network.writes().pop();
    operator.kill().await;
    // In every other run the world has gone on when the next operator comes.
    if writes.is_multiple_of(2) {
        sleep(Duration::from_secs(2)).await;
    }
    let operator = Operator::start(&scene.sandbox.namespace, Network::default()).await;
    scene.sandbox.until(WHOLE_WAY, "Ready", converged).await;
    let end = Instant::now() + SETTLES;
    loop {
        let differences = difference(expected, &scene.sandbox.store().await);
        if differences.is_empty() {
            break;
        }
        assert!(
            Instant::now() < end,
            "{what} ({last:?}): the store is not what a run without a crash gives:\n{}",
            differences.join("\n")
        );
        sleep(Duration::from_millis(500)).await;
    }
    scene.check(&what).await;
    operator.kill().await;
    scene.sandbox.end().await;
}

async fn every_crash(story: Story) {
    let (expected, writes) = undisturbed(story).await;
    assert!(writes > 10, "{writes} writes cannot be all");
    stream::iter(1..=writes).for_each_concurrent(AT_ONCE, |writes| crashed(story, writes, &expected)).await;
}

#[test]
fn an_install_survives_a_crash_after_every_write() {
    run(async {
        every_crash(Story::Install).await;
    });
}

#[test]
fn a_stepwise_upgrade_survives_a_crash_after_every_write() {
    run(async {
        every_crash(Story::Stepwise).await;
    });
}

/// At every moment: nothing is undone while a pod of the newer API is left, and none that needs it comes afterwards.
#[test]
fn a_rollback_survives_a_crash_after_every_write() {
    run(async {
        every_crash(Story::RollBack).await;
    });
}

#[test]
fn an_upgrade_survives_a_crash_after_every_write() {
    run(async {
        every_crash(Story::Upgrade).await;
    });
}
