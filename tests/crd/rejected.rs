//! What the API server refuses, with the whole sentence that the user reads.

use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{MANAGER, client, object, resources, sentence, source, spec};

fn dry_run() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

#[rstest]
#[case(json!({"version": "latest"}), "?")]
#[case(json!({"version": "2.265"}), "?")]
#[case(json!({"version": "v2.265.0"}), "?")]
#[case(json!({"version": "2.0265.0"}), "?")]
#[case(json!({"version": null}), "?")]
#[case(json!({"requestTimeoutSeconds": 4}), "?")]
#[case(json!({"requestTimeoutSeconds": 3601}), "?")]
#[case(json!({"database": null}), "?")]
#[case(json!({"database": {}}), "?")]
#[case(json!({"database": {"urlFrom": source("db"), "embedded": {}}}), "?")]
#[case(json!({"database": {"embedded": {}, "migrationUrlFrom": source("owner")}}), "?")]
#[case(json!({"database": {"embedded": {}, "replicaUrlsFrom": [source("replica")]}}), "?")]
#[case(json!({"database": {"embedded": {"storage": "much"}}}), "?")]
#[case(json!({"images": {"api": "flagsmith/flagsmith-api:2.265.0"}}), "?")]
#[case(json!({"images": {"frontend": "flagsmith/flagsmith-frontend@sha256:0123"}}), "?")]
#[case(json!({"images": {"pullPolicy": "Sometimes"}}), "?")]
#[case(json!({"api": {"replicas": 2, "autoscaling": {"maxReplicas": 4}}}), "?")]
#[case(json!({"api": {"replicas": -1}}), "?")]
#[case(json!({"api": {"autoscaling": {"minReplicas": 5, "maxReplicas": 4}}}), "?")]
#[case(json!({"api": {"gunicorn": {"threads": 0}}}), "?")]
#[case(json!({"frontend": {"replicas": 2, "autoscaling": {"maxReplicas": 4}}}), "?")]
#[case(json!({"exposure": {"hosts": ["flags.example.com"]}}), "?")]
#[case(json!({"exposure": {"hosts": ["flags.example.com"], "ingress": {}, "httpRoute": {"parentRefs": [{"name": "public"}]}}}), "?")]
#[case(json!({"exposure": {"ingress": {}}}), "?")]
#[case(json!({"exposure": {"hosts": [], "ingress": {}}}), "?")]
#[case(json!({"exposure": {"hosts": ["https://flags.example.com/"], "ingress": {}}}), "?")]
#[case(json!({"exposure": {"hosts": ["flags.example.com:443"], "ingress": {}}}), "?")]
#[case(json!({"exposure": {"hosts": ["Flags.example.com"], "ingress": {}}}), "?")]
#[case(json!({"exposure": {"hosts": ["flags.example.com"], "httpRoute": {"parentRefs": []}}}), "?")]
#[case(json!({"django": {"allowedHosts": []}}), "?")]
#[case(json!({"migrations": {"activeDeadlineSeconds": 5}}), "?")]
#[tokio::test]
async fn is_refused(#[case] changes: Value, #[case] expected: &str) {
    let api = resources(&client().await);
    let refused = api.create(&dry_run(), &object("refused", &spec(changes))).await;
    assert_eq!(sentence(refused.unwrap_err()), expected);
}

#[rstest]
#[case("a2345678901234567890123456789012345678901", "?")]
#[case("2flagsmith", "?")]
#[case("flag.smith", "?")]
#[tokio::test]
async fn a_name_is_refused(#[case] name: &str, #[case] expected: &str) {
    let api = resources(&client().await);
    let refused = api.create(&dry_run(), &object(name, &spec(json!({})))).await;
    assert_eq!(sentence(refused.unwrap_err()), expected);
}

#[tokio::test]
async fn a_misspelt_field_is_refused_when_the_client_asks_for_it_as_kubectl_does() {
    let api = resources(&client().await);
    let params = PatchParams::apply(MANAGER).dry_run().validation_strict();
    let object = object("refused", &spec(json!({"api": {"replica": 2}})));
    let error = api
        .patch("refused", &params, &Patch::Apply(&object))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("unknown field \"spec.api.replica\""),
        "{error}"
    );
}

#[rstest]
#[case(json!({}))]
#[case(json!({"version": "2.170.0", "suspend": true}))]
#[case(json!({"version": "0.0.1"}))]
#[case(json!({"requestTimeoutSeconds": 5}))]
#[case(json!({"requestTimeoutSeconds": 3600}))]
#[case(json!({"database": {"embedded": {}}}))]
#[case(json!({"database": {"embedded": {"storage": 1_073_741_824, "storageClassName": "fast"}}}))]
#[case(json!({"database": {"urlFrom": source("db"), "migrationUrlFrom": source("owner"), "analyticsUrlFrom": source("a"), "replicaUrlsFrom": [source("r")]}}))]
#[case(json!({"images": {"api": "localhost:5000/team/flagsmith-api"}}))]
#[case(json!({"images": {"api": "flagsmith", "pullSecrets": [{"name": "registry"}]}}))]
#[case(json!({"api": {"autoscaling": {"minReplicas": 4, "maxReplicas": 4}}}))]
#[case(json!({"api": {"replicas": 0}, "taskProcessor": {"replicas": 0}, "frontend": {"enabled": false}}))]
#[case(json!({"exposure": {"hosts": ["*"], "ingress": {}}}))]
#[case(json!({"exposure": {"hosts": ["*.example.com", "localhost"], "httpRoute": {"parentRefs": [{"name": "public", "namespace": "gateways", "port": 443}]}}}))]
#[tokio::test]
async fn is_accepted(#[case] changes: Value) {
    let api = resources(&client().await);
    api.create(&dry_run(), &object("accepted", &spec(changes)))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_name_of_40_characters_is_accepted() {
    let api = resources(&client().await);
    let name = "a234567890123456789012345678901234567890";
    api.create(&dry_run(), &object(name, &spec(json!({}))))
        .await
        .unwrap();
}

#[rstest]
#[case("external", json!({"urlFrom": source("db")}), json!({"embedded": {}}), "?")]
#[case("embedded", json!({"embedded": {}}), json!({"urlFrom": source("db")}), "?")]
#[case("grows", json!({"embedded": {}}), json!({"embedded": {"storage": "20Gi"}}), "?")]
#[case("moves", json!({"embedded": {}}), json!({"embedded": {"storageClassName": "fast"}}), "?")]
#[tokio::test]
async fn a_database_is_not_exchanged(
    #[case] name: &str,
    #[case] before: Value,
    #[case] after: Value,
    #[case] expected: &str,
) {
    let api = resources(&client().await);
    let stored = create(&api, &format!("exchange-{name}"), &before).await;
    let update = |database: &Value| {
        let mut changed = stored.clone();
        changed.data["spec"]["database"] = database.clone();
        changed
    };
    let name = stored.metadata.name.clone().unwrap();
    let refused = api.replace(&name, &dry_run(), &update(&after)).await;
    let kept = api.replace(&name, &dry_run(), &update(&before)).await;
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    assert_eq!(sentence(refused.unwrap_err()), expected);
    kept.unwrap();
}

async fn create(api: &Api<DynamicObject>, name: &str, database: &Value) -> DynamicObject {
    let object = object(name, &spec(json!({ "database": database })));
    api.create(&PostParams::default(), &object).await.unwrap()
}
