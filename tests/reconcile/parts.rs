//! A database that is given in parts.

use std::time::Duration;

use flagsmith_operator::{observe::FRESH_WHILE_FAILING, postgres::DatabaseUrl};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::{Network, Operator, SOON, Sandbox, run};

/// The Secret that the operator keeps URLs in.
const URLS: &str = "flagsmith-database-url";

/// Every character that a URL could be broken by.
const PASSWORD: &str = r##"!"#$%&'()*+,-./:;<=>?@[\]^_{|}~ x"##;

fn database() -> Value {
    let key = |key: &str| json!({ "secretKeyRef": { "name": "rds", "key": key } });
    // An address of documentation: nobody connects to it.
    json!({ "host": "192.0.2.1", "name": "flags", "userFrom": key("username"), "passwordFrom": key("password") })
}

fn text(secret: &Secret) -> String {
    let data = secret.data.as_ref().unwrap();
    String::from_utf8(data["DATABASE_URL"].0.clone()).unwrap()
}

fn hash(deployment: &Deployment) -> Option<String> {
    let template = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    template.annotations.as_ref()?.get("operator.flagsmith.com/secret-hash").cloned()
}

#[test]
fn its_url_is_put_together_and_follows_the_parts() {
    run(async {
        let sandbox = Sandbox::empty("parts").await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({ "database": database() })).await;
        sandbox
            .until(SOON, "what is missing is named", |it| {
                let status = it.status.as_ref();
                let mut found = status.into_iter().flat_map(|status| &status.diagnoses);
                found.any(|it| it.code == "DatabaseSecretMissing" && it.message.contains("rds"))
            })
            .await;
        sandbox
            .create::<Secret>(json!({
                "metadata": { "name": "rds" }, "stringData": { "username": "app@x", "password": PASSWORD },
            }))
            .await;
        sandbox.ready().await;
        let kept: Secret = sandbox.api().get(URLS).await.unwrap();
        let url = DatabaseUrl::parse(&text(&kept)).unwrap();
        assert_eq!(url.user, "app@x");
        assert_eq!(url.password.unwrap().expose_secret(), PASSWORD);
        let owner = &kept.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!((owner.kind.as_str(), owner.controller), ("FlagsmithDeployment", Some(true)));
        let before = hash(&sandbox.deployment("api").await);

        // A part in the specification counts at once, one in a Secret when it is read again.
        sandbox.patch(json!({ "spec": { "database": { "sslMode": "require" } } })).await;
        sandbox
            .until_object(SOON, URLS, "encrypted", |it: &Secret| text(it).ends_with("?sslmode=require"))
            .await;
        sandbox.merge::<Secret>("rds", json!({ "stringData": { "password": "another" } })).await;
        sandbox.patch(json!({ "spec": { "database": { "sslMode": "prefer" } } })).await;
        sandbox.until_object(SOON, URLS, "followed", |it: &Secret| text(it).contains(":another@")).await;
        let soon = SOON + FRESH_WHILE_FAILING + Duration::from_secs(5);
        sandbox.until_object(soon, "flagsmith-api", "new pods", |it: &Deployment| hash(it) != before).await;
        operator.stop().await;
        sandbox.end().await;
    });
}

#[test]
fn a_secret_of_somebody_else_is_left_alone() {
    run(async {
        let sandbox = Sandbox::empty("parts-foreign").await;
        sandbox
            .create::<Secret>(json!({
                "metadata": { "name": "rds" }, "stringData": { "username": "app", "password": "a" },
            }))
            .await;
        sandbox
            .create::<Secret>(
                json!({ "metadata": { "name": URLS }, "stringData": { "DATABASE_URL": "theirs" } }),
            )
            .await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({ "database": database() })).await;
        sandbox
            .until(SOON, "it is said", |it| {
                let status = it.status.as_ref();
                let mut found = status.into_iter().flat_map(|status| &status.diagnoses);
                found.any(|it| it.code == "ChildNotOwned" && it.message.contains(URLS))
            })
            .await;
        let kept: Secret = sandbox.api().get(URLS).await.unwrap();
        assert_eq!(text(&kept), "theirs");
        assert!(sandbox.api::<Deployment>().get_opt("flagsmith-api").await.unwrap().is_none());
        operator.stop().await;
        sandbox.end().await;
    });
}
