//! What users and others do to a running installation.

use std::time::Duration;

use flagsmith_operator::{api::FlagsmithDeployment, model::child::marks, observe::FRESH_WHILE_FAILING};
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{Secret, Service},
};
use kube::ResourceExt as _;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{NAME, Network, Operator, Recorder, SOON, Sandbox, condition, run};

/// How soon a repair is seen on a machine that is busy with other tests. Alone it takes 20 ms.
const REPAIRED: Duration = Duration::from_secs(10);

fn image(deployment: &Deployment) -> String {
    let pod = deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    pod.containers[0].image.clone().unwrap()
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().unwrap().replicas.unwrap()
}

async fn running(test: &str, changes: serde_json::Value) -> (Sandbox, Operator) {
    let sandbox = Sandbox::new(test).await;
    let operator = Operator::start(&sandbox.namespace, Network::default()).await;
    sandbox.install(changes).await;
    sandbox.ready().await;
    (sandbox, operator)
}

#[test]
fn what_others_change_is_repaired() {
    run(async {
        let (sandbox, operator) = running("drift", json!({})).await;
        let before = sandbox.deployment("api").await;
        let edit = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "local/evil:1" }]);
        let patch: kube::api::Patch<()> = kube::api::Patch::Json(serde_json::from_value(edit).unwrap());
        let edited = sandbox
            .api::<Deployment>()
            .patch("flagsmith-api", &kube::api::PatchParams::default(), &patch)
            .await
            .unwrap();
        assert_eq!(image(&edited), "local/evil:1");
        sandbox
            .until_object(REPAIRED, "flagsmith-api", "repaired", |it: &Deployment| {
                image(it) == image(&before)
            })
            .await;

        let service: Service = sandbox.api().get("flagsmith-api").await.unwrap();
        let start = Instant::now();
        sandbox.delete::<Service>("flagsmith-api").await;
        sandbox
            .until_object(REPAIRED, "flagsmith-api", "back", |it: &Service| it.uid() != service.uid())
            .await;
        println!("a deleted child was back after {:?}", start.elapsed());

        sandbox
            .merge::<Service>(
                "flagsmith-frontend",
                json!({ "metadata": { "labels": { marks::MANAGED_BY: null } } }),
            )
            .await;
        sandbox
            .until_object(REPAIRED, "flagsmith-frontend", "labelled again", |it: &Service| {
                it.labels().contains_key(marks::MANAGED_BY)
            })
            .await;
        sandbox.ready().await;
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn an_autoscaler_of_its_own_counts_the_pods() {
    run(async {
        let (sandbox, operator) = running(
            "autoscaled",
            json!({ "api": { "autoscaling": { "minReplicas": 2, "maxReplicas": 5 } } }),
        )
        .await;
        let autoscaler: HorizontalPodAutoscaler = sandbox.api().get("flagsmith-api").await.unwrap();
        assert_eq!(autoscaler.spec.unwrap().max_replicas, 5);
        sandbox.merge::<Deployment>("flagsmith-api", json!({ "spec": { "replicas": 4 } })).await;
        sandbox.ready().await;
        sleep(Duration::from_secs(3)).await;
        assert_eq!(replicas(&sandbox.deployment("api").await), 4);
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn an_autoscaler_of_somebody_else_counts_the_pods() {
    run(async {
        let (sandbox, operator) = running("scaled", json!({ "api": { "replicas": 1 } })).await;
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "flagsmith-api" });
        sandbox
            .create::<HorizontalPodAutoscaler>(json!({
                "metadata": { "name": "theirs" },
                "spec": { "scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 3 },
            }))
            .await;
        sandbox
            .until_object(SOON, "flagsmith-api", "scaled by the autoscaler", |it: &Deployment| {
                replicas(it) == 3
            })
            .await;
        // A pass that has something to write leaves the number alone as well.
        sandbox.patch(json!({ "spec": { "requestTimeoutSeconds": 45 } })).await;
        sandbox.ready().await;
        sleep(Duration::from_secs(2)).await;
        assert_eq!(replicas(&sandbox.deployment("api").await), 3);
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn nothing_is_changed_while_suspended() {
    run(async {
        let (sandbox, operator) = running("suspend", json!({})).await;
        sandbox.patch(json!({ "spec": { "suspend": true } })).await;
        sandbox.until(SOON, "suspended", |it| condition(it, "Ready").1 == "Suspended").await;
        operator.network.clear();
        sandbox.delete::<Service>("flagsmith-api").await;
        sandbox.patch(json!({ "spec": { "version": "2.265.0" } })).await;
        sleep(Duration::from_secs(5)).await;
        let writes: Vec<_> = operator
            .network
            .writes()
            .into_iter()
            .filter(|write| !write.ends_with("/status") && !write.contains("/events"))
            .collect();
        assert_eq!(writes, Vec::<String>::new());
        assert!(sandbox.api::<Service>().get_opt("flagsmith-api").await.unwrap().is_none());
        sandbox.patch(json!({ "spec": { "suspend": false } })).await;
        let ready = sandbox.ready().await;
        assert_eq!(ready.status.unwrap().version.as_deref(), Some("2.265.0"));
        sandbox.api::<Service>().get("flagsmith-api").await.unwrap();
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn deleting_the_resource_leaves_only_what_cannot_be_made_again() {
    run(async {
        let (sandbox, operator) =
            running("deletion", json!({ "exposure": { "hosts": ["flags.example.com"], "ingress": {} } }))
                .await;
        let owned = |store: &crate::support::Store| -> Vec<String> {
            store
                .iter()
                .filter(|(_, object)| object["metadata"]["labels"][marks::MANAGED_BY] == marks::OPERATOR)
                .map(|(name, _)| name.clone())
                .collect()
        };
        let before = owned(&sandbox.store().await);
        assert!(before.contains(&"Ingress flagsmith".to_owned()) && before.len() >= 11, "{before:?}");
        sandbox.delete::<FlagsmithDeployment>(NAME).await;
        let end = Instant::now() + SOON;
        loop {
            let left = owned(&sandbox.store().await);
            if left == ["Secret flagsmith-django"] {
                break;
            }
            assert!(Instant::now() < end, "left behind: {left:?}");
            sleep(Duration::from_secs(1)).await;
        }
        sandbox.api::<Secret>().get("db").await.expect("the user's own Secret stays");
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn a_missing_secret_heals_by_itself() {
    run(async {
        let sandbox = Sandbox::empty("secret").await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({})).await;
        let missing = sandbox
            .until(SOON, "missing its Secret", |it| {
                condition(it, "Ready") == ("False".to_owned(), "DatabaseSecretMissing".to_owned())
            })
            .await;
        let diagnosis = &missing.status.unwrap().diagnoses[0];
        let said = format!("{} {}", diagnosis.message, diagnosis.remedy);
        assert!(
            said.contains(&sandbox.namespace) && said.contains("db") && said.contains("DATABASE_URL"),
            "{said}"
        );
        sandbox.database_secret().await;
        let start = Instant::now();
        // The next look, a migration and a rollout.
        sandbox.until(SOON, "healed", crate::support::converged).await;
        println!(
            "healed {:?} after the Secret was there; looks are {FRESH_WHILE_FAILING:?} apart",
            start.elapsed()
        );
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn a_downgrade_is_blocked_and_the_newer_release_runs_on() {
    run(async {
        let (sandbox, operator) = running("downgrade", json!({ "version": "2.265.0" })).await;
        let recorder = Recorder::start(&sandbox).await;
        let before = sandbox.deployment("api").await;
        sandbox.patch(json!({ "spec": { "version": "2.260.0" } })).await;
        sandbox
            .until(SOON, "blocked", |it| {
                condition(it, "Ready") == ("False".to_owned(), "DowngradeBlocked".to_owned())
                    && condition(it, "Stalled").0 == "True"
            })
            .await;
        sleep(Duration::from_secs(2)).await;
        for component in ["api", "task-processor", "frontend"] {
            let deployment = sandbox.deployment(component).await;
            assert!(image(&deployment).ends_with(":2.265.0") && replicas(&deployment) > 0, "{component}");
        }
        assert_eq!(image(&sandbox.deployment("api").await), image(&before));
        assert_eq!(recorder.jobs(), 0);
        sandbox.patch(json!({ "spec": { "version": "2.265.0" } })).await;
        sandbox.ready().await;
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn a_failed_migration_keeps_the_old_release_and_is_not_repeated() {
    run(async {
        let (sandbox, operator) = running("failed", json!({})).await;
        let recorder = Recorder::start(&sandbox).await;
        sandbox
            .patch(json!({ "spec": {
                "version": "2.265.0",
                "migrations": { "backoffLimit": 0, "pod": { "annotations": { "testbed/job-outcome": "fail" } } },
            } }))
            .await;
        let stalled = sandbox
            .until(SOON, "stalled with the old release running", |it| {
                condition(it, "Stalled").0 == "True"
                    && condition(it, "MigrationsApplied").0 == "False"
                    && condition(it, "ApiAvailable").0 == "True"
                    && condition(it, "TaskProcessorAvailable").0 == "True"
            })
            .await;
        assert_eq!(condition(&stalled, "Ready").0, "False");
        for component in ["api", "task-processor", "frontend"] {
            let deployment = sandbox.deployment(component).await;
            assert!(image(&deployment).ends_with(":2.260.0") && replicas(&deployment) > 0, "{component}");
        }
        // Neither a pass nor a restart repeats it.
        sandbox.patch(json!({ "metadata": { "annotations": { "example.com/touched": "1" } } })).await;
        sleep(Duration::from_secs(3)).await;
        operator.stop().await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sleep(Duration::from_secs(4)).await;
        assert_eq!(recorder.jobs(), 1);

        sandbox
            .patch(json!({
                "metadata": { "annotations": { "operator.flagsmith.com/retry-migration": "1" } },
                "spec": { "migrations": { "pod": { "annotations": { "testbed/job-outcome": null } } } },
            }))
            .await;
        let ready = sandbox.ready().await;
        assert_eq!(ready.status.unwrap().version.as_deref(), Some("2.265.0"));
        assert_eq!(recorder.jobs(), 2, "the annotation starts exactly one Job");
        operator.stop().await;
        sandbox.end().await;
    });
}

/// What the migration's image waits for is known before anything is stopped, and correcting it is enough.
#[test]
fn nothing_is_stopped_for_a_migration_that_no_node_takes() {
    run(async {
        let (sandbox, operator) = running("not-pulled", json!({})).await;
        let recorder = Recorder::start(&sandbox).await;
        let with = |disk| json!({ "version": "2.265.0", "migrations": { "pod": { "nodeSelector": { "disk": disk } } } });
        sandbox.patch(json!({ "spec": with(Some("none")) })).await;
        let held =
            |it: &FlagsmithDeployment| condition(it, "MigrationsApplied").1 == "MigrationPodUnschedulable";
        let held = sandbox.until(SOON, "held back by its image's pod", held).await;
        assert_eq!(condition(&held, "TaskProcessorAvailable").0, "True");
        assert_eq!(replicas(&sandbox.deployment("task-processor").await), 1);
        assert_eq!(recorder.jobs(), 0, "no migration's Job");
        sandbox.patch(json!({ "spec": with(None) })).await;
        let ready = sandbox.ready().await;
        assert_eq!(ready.status.unwrap().version.as_deref(), Some("2.265.0"));
        assert_eq!(recorder.jobs(), 1);
        operator.stop().await;
        sandbox.end().await;
    });
}

/// Whether the cluster has these is asked of the cluster.
const OPTIONAL: [&str; 2] = ["/gateway.networking.k8s.io/v1", "/monitoring.coreos.com/v1"];

#[test]
fn nothing_outside_of_the_scope_is_seen() {
    run(async {
        let (inside, outside) = (Sandbox::new("inside").await, Sandbox::new("outside").await);
        let operator = Operator::start(&inside.namespace, Network::default()).await;
        outside.install(json!({})).await;
        inside.install(json!({})).await;
        inside.ready().await;
        let seen = outside.installation().await.status.and_then(|status| status.observed_generation);
        assert_eq!(seen, None);
        let strangers: Vec<_> = operator
            .network
            .calls()
            .into_iter()
            .filter(|call| {
                !call.path.contains(&format!("/namespaces/{}/", inside.namespace))
                    && !call.path.contains("customresourcedefinitions")
                    && !OPTIONAL.iter().any(|group| call.path.ends_with(group))
            })
            .collect();
        assert!(strangers.is_empty(), "{strangers:?}");
        operator.stop().await;
        inside.end().await;
        outside.end().await;
    });
}
