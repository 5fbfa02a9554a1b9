//! Tenants who mean something else by the same name.

use k8s_openapi::api::batch::v1::Job;
use kube::{ResourceExt as _, api::ListParams};
use serde_json::json;

use crate::{
    siege::{database, survives},
    support::{NAME, SOON, condition, converged},
    tenant::Tenant,
};

/// The label by which migrations of one database find each other.
const LABEL: &str = "operator.flagsmith.com/database";

/// Each of two tenants has a Service of his own that is called `postgres`. The migration of the one does not end; a third
/// has put its label on a Job that never runs.
#[test]
fn of_databases() {
    survives("one short host name", |target| async move {
        let tenants = [Tenant::new("names-a").await, Tenant::new("names-b").await];
        for tenant in &tenants {
            target.hosts.add(&format!("postgres.{}.svc", tenant.sandbox.namespace));
        }
        let [first, second] = &tenants;
        let url = database("others").replace(&target.hosts.address.to_string(), "postgres");
        let stuck = json!({ "migrations": { "pod": { "nodeSelector": { "nobody": "has-this" } } } });
        first.install(NAME, &url, stuck).await;
        first.until(NAME, SOON, "migrating", |it| condition(it, "MigrationsApplied").1 == "Running").await;
        let jobs = first.sandbox.api::<Job>().list(&ListParams::default()).await.unwrap();
        let job = jobs.items.iter().find(|job| job.labels().contains_key(LABEL)).unwrap();
        let forger = Tenant::new("names-c").await;
        forger
            .sandbox
            .create::<Job>(json!({
                "metadata": {
                    "name": "forged",
                    "labels": { LABEL: job.labels()[LABEL], "app.kubernetes.io/managed-by": "flagsmith-operator" },
                },
                "spec": { "suspend": true, "template": { "spec": {
                    "restartPolicy": "Never",
                    "containers": [{ "name": "main", "image": "x" }],
                } } },
            }))
            .await;

        second.install(NAME, &url, json!({})).await;
        let ready = second.until(NAME, SOON, "Ready", converged).await;
        let told = serde_json::to_string(&ready.status).unwrap();
        assert!(told.contains("PostgreSQL 15."), "its database was not asked: {told}");
        assert!(!told.contains(&first.sandbox.namespace) && !told.contains(&job.name_any()), "{told}");

        // The first one waits for its own Job only.
        first.sandbox.patch(json!({ "spec": { "migrations": { "pod": { "nodeSelector": null } } } })).await;
        first.sandbox.delete::<Job>(&job.name_any()).await;
        first.until(NAME, SOON, "Ready", converged).await;
        for tenant in tenants.into_iter().chain([forger]) {
            tenant.end().await;
        }
    });
}
