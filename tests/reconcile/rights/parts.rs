//! A database in parts: the Secret with its URL is made, and follows.

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::support::{SOON, Sandbox};

/// A database in parts, and the Secret of its role.
pub(super) async fn given(sandbox: &Sandbox) -> Value {
    let parts = json!({ "user": "flagsmith", "password": "secret" });
    sandbox.create::<Secret>(json!({ "metadata": { "name": "parts" }, "stringData": parts })).await;
    let key = |key: &str| json!({ "secretKeyRef": { "name": "parts", "key": key } });
    json!({ "host": "192.0.2.1", "name": "flagsmith", "userFrom": key("user"), "passwordFrom": key("password") })
}

/// Another part.
pub(super) async fn changed(sandbox: &Sandbox) {
    sandbox.patch(json!({ "spec": { "database": { "sslMode": "require" } } })).await;
    sandbox
        .until_object(SOON, "flagsmith-database-url", "written again", |it: &Secret| {
            let url = it.data.as_ref().and_then(|data| data.get("DATABASE_URL"));
            url.is_some_and(|url| url.0.ends_with(b"?sslmode=require"))
        })
        .await;
}
