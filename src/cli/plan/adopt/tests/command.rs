//! The command's exit status, by an API server in memory.

use std::{convert::Infallible, process::ExitCode};

use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::super::adopt;
use crate::{
    cli::cluster::Cluster,
    fixtures::{CHART_DEFAULT, documents},
    model::{DocsUrl, child::Kind},
};

/// A cluster that has the documents of a manifest, and of the kinds that a cluster may be without only those that are in
/// it.
fn cluster(manifest: &str) -> Cluster {
    let mut documents = documents(manifest);
    for (number, document) in documents.iter_mut().enumerate() {
        for (field, value) in [("namespace", "prod"), ("uid", &number.to_string()), ("resourceVersion", "1")]
        {
            document["metadata"][field] = json!(value);
        }
    }
    let service = tower::service_fn(move |request: Request<Body>| {
        let (status, answer) = answer(&documents, request.uri().path());
        let body = Body::from(serde_json::to_vec(&answer).unwrap());
        async move { Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap()) }
    });
    Cluster { client: Client::new(service, "prod"), namespace: "prod".to_owned() }
}

fn answer(documents: &[Value], path: &str) -> (u16, Value) {
    let groups = documents.iter().filter_map(|it| it["apiVersion"].as_str()?.split_once('/'));
    if path == "/apis" {
        let group = |(group, version): (&str, &str)| {
            let version = json!({ "groupVersion": format!("{group}/{version}"), "version": version });
            json!({ "name": group, "versions": [version], "preferredVersion": version })
        };
        let groups: Vec<Value> = groups.map(group).collect();
        return (200, json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }));
    }
    let listed = path.split_once("/namespaces/prod/").filter(|(_, rest)| !rest.contains('/'));
    let kind = listed.and_then(|(_, plural)| Kind::ALL.into_iter().find(|it| it.plural() == plural));
    let has = |kind: &str| documents.iter().filter(|it| it["kind"] == kind).cloned().collect::<Vec<Value>>();
    match (listed, kind) {
        (_, Some(kind)) if kind.is_optional() && has(kind.as_str()).is_empty() => {
            (403, failure(403, "Forbidden"))
        }
        (_, Some(kind)) => (200, list(&has(kind.as_str()))),
        (Some((_, "routes")), _) if has("Route").is_empty() => (403, failure(403, "Forbidden")),
        (Some((_, "routes")), _) => (200, list(&has("Route"))),
        (Some(_), None) => (200, list(&[])),
        _ => (404, failure(404, "NotFound")),
    }
}

fn list(items: &[Value]) -> Value {
    json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": items })
}

fn failure(code: u16, reason: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": reason })
}

async fn run(release: &str, manifest: &str) -> (String, ExitCode) {
    Box::pin(adopt(&cluster(manifest), release, &DocsUrl::default())).await.unwrap()
}

#[tokio::test]
async fn the_exit_status_is_1_while_something_is_lost() {
    let (page, code) = run("flagsmith", CHART_DEFAULT).await;
    assert_eq!(code, ExitCode::SUCCESS, "{page}");
    assert!(page.contains("kind: FlagsmithDeployment") && !page.contains("would be lost"), "{page}");

    let lost = CHART_DEFAULT.replacen(
        "    spec:\n      containers:",
        "    spec:\n      hostIPC: true\n      containers:",
        1,
    );
    let (page, code) = run("flagsmith", &lost).await;
    assert_eq!(code, ExitCode::from(1), "{page}");
    assert!(page.contains("template.spec.hostIPC"), "{page}");

    let (page, code) = run("another", CHART_DEFAULT).await;
    assert_eq!(code, ExitCode::from(1), "{page}");
    assert!(page.starts_with("There is no Helm release another"), "{page}");
}

/// A role that reads the kinds of a cluster is refused those that the cluster does not have.
#[tokio::test]
async fn routes_are_looked_for_where_the_cluster_serves_them() {
    let route = "\n---\n# of OpenShift\napiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {name: dashboard}\nspec: {host: flags.apps.example.com, to: {kind: Service, name: flagsmith-frontend}}\n";
    let (page, code) = run("flagsmith", &(CHART_DEFAULT.to_owned() + route)).await;
    assert_eq!(code, ExitCode::from(1), "{page}");
    assert!(page.contains("Route dashboard (flags.apps.example.com): "), "{page}");
}
