//! Somebody with a namespace, and what the operator says about his installations.

use std::{fmt::Write as _, time::Duration};

use flagsmith_operator::api::FlagsmithDeployment;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{Sandbox, condition, merge};

/// A tenant with any number of installations.
pub struct Tenant {
    pub sandbox: Sandbox,
}

impl Tenant {
    pub async fn new(name: &str) -> Self {
        Self { sandbox: Sandbox::empty(name).await }
    }

    /// An installation with this database.
    pub async fn install(&self, name: &str, url: &str, changes: Value) {
        let secret = format!("{name}-db");
        self.sandbox
            .create::<Secret>(
                json!({ "metadata": { "name": secret }, "stringData": { "DATABASE_URL": url } }),
            )
            .await;
        let mut spec = json!({
            "version": "2.265.0",
            "database": { "urlFrom": { "secretKeyRef": { "name": secret, "key": "DATABASE_URL" } } },
        });
        merge(&mut spec, changes);
        self.sandbox
            .create::<FlagsmithDeployment>(json!({ "metadata": { "name": name }, "spec": spec }))
            .await;
    }

    /// Waits until the installation is as `holds` says; fails with what it says of itself.
    pub async fn until(
        &self,
        name: &str,
        limit: Duration,
        what: &str,
        holds: impl Fn(&FlagsmithDeployment) -> bool,
    ) -> FlagsmithDeployment {
        let end = Instant::now() + limit;
        loop {
            let now: FlagsmithDeployment = self.sandbox.api().get(name).await.unwrap();
            if holds(&now) {
                return now;
            }
            assert!(
                Instant::now() < end,
                "{}/{name}: not {what} within {limit:?}: {}",
                self.sandbox.namespace,
                shown(&now)
            );
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Waits until a condition has this status and says these words.
    pub async fn until_said(&self, name: &str, limit: Duration, kind: &str, status: &str, words: &str) {
        self.until(name, limit, words, |it| {
            condition(it, kind).0 == status && message(it, kind).contains(words)
        })
        .await;
    }

    pub async fn end(self) {
        self.sandbox.end().await;
    }
}

/// The message of a condition.
pub fn message(object: &FlagsmithDeployment, kind: &str) -> String {
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    conditions.filter(|it| it.type_ == kind).map(|it| it.message.clone()).collect()
}

/// The codes of all diagnoses.
pub fn codes(object: &FlagsmithDeployment) -> Vec<String> {
    let diagnoses = object.status.iter().flat_map(|status| &status.diagnoses);
    diagnoses.map(|it| it.code.clone()).collect()
}

fn shown(object: &FlagsmithDeployment) -> String {
    let mut text = format!("diagnoses {:?}\n", codes(object));
    for it in object.status.iter().flat_map(|status| &status.conditions) {
        writeln!(text, "{} {} {}: {}", it.type_, it.status, it.reason, it.message).unwrap();
    }
    text
}
