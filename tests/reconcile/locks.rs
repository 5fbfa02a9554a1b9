//! Migrations of one database find each other across namespaces, and nobody else stops them.

use k8s_openapi::api::{batch::v1::Job, core::v1::ServiceAccount};
use kube::{ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

use crate::support::{Network, Operator, SOON, Sandbox, condition, config, converged, run};

const LABEL: &str = "operator.flagsmith.com/database";

/// A migration whose pod no node takes: it runs until the test lets it go.
fn stuck() -> Value {
    json!({ "migrations": { "pod": { "nodeSelector": { "nobody": "has-this" } } } })
}

/// One operator that looks after all of these namespaces.
async fn operator(sandboxes: &[&Sandbox]) -> Operator {
    let namespaces = sandboxes.iter().map(|it| it.namespace.clone()).collect();
    Operator::start_with(config().await, namespaces, Network::default(), None)
}

/// The installation's active migration Job.
async fn migrating(sandbox: &Sandbox) -> Job {
    sandbox
        .until(SOON, "migrating", |it| {
            condition(it, "MigrationsApplied") == ("False".to_owned(), "Running".to_owned())
        })
        .await;
    let jobs = sandbox.api::<Job>().list(&ListParams::default()).await.unwrap();
    jobs.items.into_iter().next().unwrap()
}

fn waits(object: &flagsmith_operator::api::FlagsmithDeployment) -> bool {
    condition(object, "MigrationsApplied") == ("False".to_owned(), "MigrationConcurrent".to_owned())
}

#[test]
fn the_same_short_host_is_two_servers_and_the_same_server_is_one() {
    run(async {
        let (first, second) = (Sandbox::empty("lock-a").await, Sandbox::empty("lock-b").await);
        let third = Sandbox::empty("lock-c").await;
        first.database_secret_at("postgres", "flagsmith").await;
        second.database_secret_at("postgres", "flagsmith").await;
        let full = format!("postgres.{}.svc.cluster.local", first.namespace);
        third.database_secret_at(&full, "flagsmith").await;
        let operator = operator(&[&first, &second, &third]).await;
        first.install(stuck()).await;
        let job = migrating(&first).await;

        // The neighbour with a server of its own goes on.
        second.install(json!({})).await;
        second.ready().await;

        // The one on the same server waits, and is told for what and since when, not where.
        third.install(json!({})).await;
        let waiting = third.until(SOON, "waiting", waits).await;
        let told = serde_json::to_string(&waiting.status).unwrap();
        assert!(told.contains("in another namespace, since 20"), "{told}");
        let own = format!("postgres.{}", first.namespace);
        let told = told.replace(&own, "");
        assert!(!told.contains(&first.namespace) && !told.contains(&job.name_any()), "{told}");

        first.patch(json!({ "spec": { "migrations": { "pod": { "nodeSelector": null } } } })).await;
        first.delete::<Job>(&job.name_any()).await;
        first.ready().await;
        third.ready().await;
        operator.stop().await;
        for sandbox in [first, second, third] {
            sandbox.end().await;
        }
    });
}

#[test]
fn a_forged_job_blocks_nobody() {
    run(async {
        let (victim, forger) = (Sandbox::new("lock-victim").await, Sandbox::empty("lock-forger").await);
        let operator = operator(&[&victim, &forger]).await;
        // Even with the label, which nobody but the operator can compute.
        victim.install(stuck()).await;
        let job = migrating(&victim).await;
        let label = job.labels()[LABEL].clone();
        assert_eq!(label.len(), 20, "{label}");
        for (name, label) in [("copied", label.as_str()), ("guessed", "dd8df58dcc")] {
            forger
                .create::<Job>(json!({
                    "metadata": {
                        "name": name,
                        "labels": { LABEL: label, "app.kubernetes.io/managed-by": "flagsmith-operator" },
                    },
                    "spec": { "suspend": true, "template": { "spec": {
                        "restartPolicy": "Never",
                        "containers": [{ "name": "other", "image": "local/other:1" }],
                    } } },
                }))
                .await;
        }
        victim
            .patch(json!({ "spec": { "version": "2.265.0", "migrations": { "pod": { "nodeSelector": null } } } }))
            .await;
        victim.delete::<Job>(&job.name_any()).await;
        victim.until(SOON, "Ready", converged).await;
        operator.stop().await;
        victim.end().await;
        forger.end().await;
    });
}

#[test]
fn no_pod_runs_with_an_account_of_somebody_else() {
    run(async {
        let sandbox = Sandbox::new("foreign-account").await;
        sandbox.create::<ServiceAccount>(json!({ "metadata": { "name": "flagsmith" } })).await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({})).await;
        let refused = sandbox
            .until(SOON, "refused", |it| {
                condition(it, "Ready") == ("False".to_owned(), "ChildNotOwned".to_owned())
            })
            .await;
        let remedy = &refused.status.unwrap().diagnoses[0].remedy;
        assert!(remedy.contains("spec.serviceAccountName: flagsmith"), "{remedy}");
        let jobs = sandbox.api::<Job>().list(&ListParams::default()).await.unwrap();
        assert_eq!(jobs.items.len(), 0);
        sandbox.delete::<ServiceAccount>("flagsmith").await;
        sandbox.ready().await;
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn a_planted_secret_key_is_not_used_and_a_kept_one_is() {
    run(async {
        use k8s_openapi::api::core::v1::Secret;
        let sandbox = Sandbox::new("secret-key").await;
        let planted = json!({
            "metadata": { "name": "flagsmith-django" },
            "stringData": { "DJANGO_SECRET_KEY": "known-to-somebody" },
        });
        sandbox.create::<Secret>(planted).await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({})).await;
        sandbox
            .until(SOON, "refused", |it| {
                condition(it, "Ready") == ("False".to_owned(), "ChildNotOwned".to_owned())
            })
            .await;
        let jobs = sandbox.api::<Job>().list(&ListParams::default()).await.unwrap();
        assert_eq!(jobs.items.len(), 0);
        sandbox.delete::<Secret>("flagsmith-django").await;
        sandbox.ready().await;

        // What was generated outlives the resource, and the next one of its name has it.
        let made: Secret = sandbox.api().get("flagsmith-django").await.unwrap();
        sandbox.delete::<flagsmith_operator::api::FlagsmithDeployment>("flagsmith").await;
        // Its children go first.
        let gone = async {
            while sandbox
                .api::<k8s_openapi::api::apps::v1::Deployment>()
                .get_opt("flagsmith-api")
                .await
                .is_ok_and(|found| found.is_some())
            {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(SOON, gone).await.expect("children are collected");
        sandbox.install(json!({})).await;
        sandbox.ready().await;
        let kept: Secret = sandbox.api().get("flagsmith-django").await.unwrap();
        assert_eq!((kept.uid(), kept.data), (made.uid(), made.data));
        operator.stop().await;
        sandbox.end().await;
    });
}
