//! Objects of somebody else that have a name which the operator needs.

use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Service};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::support::{Network, Operator, SOON, Sandbox, condition, run};

/// How a Deployment or Job of somebody else looks; nothing ever changes it.
fn pods(labels: &Value) -> Value {
    json!({
        "metadata": { "labels": labels },
        "spec": { "restartPolicy": "Always", "containers": [{ "name": "other", "image": "local/other:1" }] },
    })
}

#[test]
fn a_deployment_and_a_service_of_somebody_else_are_left_alone() {
    run(async {
        let sandbox = Sandbox::new("foreign").await;
        let labels = json!({ "app": "other" });
        sandbox
            .create::<Deployment>(json!({
                "metadata": { "name": "flagsmith-api" },
                "spec": { "replicas": 0, "selector": { "matchLabels": labels }, "template": pods(&labels) },
            }))
            .await;
        let deployment: Deployment = sandbox
            .until_object(SOON, "flagsmith-api", "seen by its controller", |it: &Deployment| {
                it.status.as_ref().is_some_and(|status| status.observed_generation.is_some())
            })
            .await;
        let service: Service = sandbox
            .create(json!({
                "metadata": { "name": "flagsmith-frontend" },
                "spec": { "selector": labels, "ports": [{ "port": 1 }] },
            }))
            .await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({})).await;
        let refused = sandbox
            .until(SOON, "refused", |it| {
                let both = it.status.as_ref().is_some_and(|status| {
                    status.diagnoses.iter().filter(|it| it.code == "ChildNotOwned").count() == 2
                });
                both && condition(it, "Ready") == ("False".to_owned(), "ChildNotOwned".to_owned())
                    && condition(it, "Stalled").0 == "True"
                    && condition(it, "TaskProcessorAvailable").0 == "True"
            })
            .await;
        assert!(refused.status.unwrap().diagnoses[0].remedy.contains("kubectl"));
        let now: Deployment = sandbox.deployment("api").await;
        assert_eq!(now.resource_version(), deployment.resource_version());
        let now: Service = sandbox.api().get("flagsmith-frontend").await.unwrap();
        assert_eq!(now.resource_version(), service.resource_version());
        sandbox.delete::<Deployment>("flagsmith-api").await;
        sandbox.delete::<Service>("flagsmith-frontend").await;
        sandbox.ready().await;
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn a_job_of_somebody_else_is_left_alone() {
    run(async {
        // The name of a migration depends on version and database, which are the same in both namespaces.
        let other = Sandbox::new("name").await;
        let operator = Operator::start(&other.namespace, Network::default()).await;
        other.install(json!({})).await;
        let name = other.ready().await.status.unwrap().migration.unwrap().job.unwrap();
        operator.stop().await;
        other.end().await;

        let sandbox = Sandbox::new("foreign-job").await;
        let mut template = pods(&json!({ "app": "other" }));
        template["spec"]["restartPolicy"] = json!("Never");
        sandbox
            .create::<Job>(
                json!({ "metadata": { "name": name }, "spec": { "suspend": true, "template": template } }),
            )
            .await;
        let job: Job = sandbox
            .until_object(SOON, &name, "suspended", |it: &Job| {
                it.status.as_ref().is_some_and(|status| status.conditions.is_some())
            })
            .await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({})).await;
        sandbox
            .until(SOON, "refused", |it| {
                condition(it, "Ready") == ("False".to_owned(), "MigrationJobNotOwned".to_owned())
            })
            .await;
        let now: Job = sandbox.api().get(&name).await.unwrap();
        assert_eq!(now.resource_version(), job.resource_version());
        sandbox.delete::<Job>(&name).await;
        sandbox.ready().await;
        operator.stop().await;
        sandbox.end().await;
    });
}
