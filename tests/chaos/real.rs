//! The server in memory is held to the real one: the same requests, and the same answers as far as the operator sees them.
//!
//! Needs an API server in KUBECONFIG (`testbed run --level control-plane`).

use flagsmith_operator::runtime::{client::connect_with, metrics::Metrics};
use http::{Method, Request};
use kube::{Client, Config, client::Body};
use serde_json::{Value, json};

use crate::{network::Line, server::Server};

const NAMESPACE: &str = "held-to-the-real-one";
const APPLY: &str = "application/apply-patch+yaml";
/// Objects that no controller writes to.
const TEMPLATES: &str = "/api/v1/namespaces/held-to-the-real-one/podtemplates";
const SECRETS: &str = "/api/v1/namespaces/held-to-the-real-one/secrets";
const RESOURCES: &str =
    "/apis/operator.flagsmith.com/v1alpha1/namespaces/held-to-the-real-one/flagsmithdeployments";

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/held-to-the-real-one/leases";

/// A server, and what was seen of an object last.
struct Side {
    client: Client,
    last: Value,
}

/// What an answer shows of itself.
type Seen = Vec<String>;

impl Side {
    async fn send(&self, method: Method, path: &str, content: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content)
            .body(Body::from(body))
            .unwrap();
        let answer = self.client.send(request).await.unwrap();
        let code = answer.status().as_u16();
        let bytes = answer.into_body().collect_bytes().await.unwrap();
        // What no kind is served at is answered in plain words.
        (code, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Applies as a manager; what `known` names of the object seen last is demanded of it.
    async fn apply(
        &mut self,
        path: &str,
        manager: &str,
        force: bool,
        known: &[&str],
        mut body: Value,
    ) -> Seen {
        let before = self.last.clone();
        for field in known {
            body["metadata"][*field] = before["metadata"][*field].clone();
        }
        let path = format!("{path}?fieldManager={manager}&force={force}");
        let (code, answer) = self.send(Method::PATCH, &path, APPLY, &body).await;
        self.seen(code, answer, &before)
    }

    async fn merge(&mut self, path: &str, known: &[&str], mut body: Value) -> Seen {
        let before = self.last.clone();
        for field in known {
            body["metadata"][*field] = before["metadata"][*field].clone();
        }
        let (code, answer) = self.send(Method::PATCH, path, "application/merge-patch+json", &body).await;
        self.seen(code, answer, &before)
    }

    async fn simple(&mut self, method: Method, path: &str, body: Value) -> Seen {
        let before = self.last.clone();
        // Some kinds answer a deletion with what was deleted.
        let deletes = method == Method::DELETE;
        let (code, answer) = self.send(method, path, "application/json", &body).await;
        if deletes && code < 400 {
            return vec![code.to_string()];
        }
        self.seen(code, answer, &before)
    }

    /// Puts what was seen last in its place, as somebody else's who holds it.
    async fn renew(&mut self, path: &str, holder: &str, without: &[&str]) -> Seen {
        let mut body = self.last.clone();
        body["spec"]["holderIdentity"] = json!(holder);
        for field in without {
            body["metadata"].as_object_mut().unwrap().remove(*field);
        }
        self.simple(Method::PUT, path, body).await
    }

    /// How many objects a list has.
    async fn count(&self, path: &str) -> Seen {
        let (_, list) = self.send(Method::GET, path, "application/json", &Value::Null).await;
        vec![list["items"].as_array().unwrap().len().to_string()]
    }

    fn seen(&mut self, code: u16, answer: Value, before: &Value) -> Seen {
        if code >= 400 || answer["kind"] == "Status" {
            return vec![code.to_string(), answer["reason"].as_str().unwrap_or_default().to_owned()];
        }
        let changed =
            |field: &str| format!("{field} {}", answer["metadata"][field] != before["metadata"][field]);
        let shown = [
            "/metadata/labels",
            "/metadata/annotations",
            "/template/spec/terminationGracePeriodSeconds",
            "/spec/version",
            "/template/spec/containers/0/image",
            "/status/observedGeneration",
            "/spec/holderIdentity",
            "/spec/renewTime",
            "/data",
        ];
        let containers = answer.pointer("/template/spec/containers").and_then(Value::as_array);
        let variables = containers.into_iter().flatten().map(|it| {
            let variables = it["env"].as_array().into_iter().flatten();
            format!("{} {:?}", it["name"], variables.map(|it| it["name"].to_string()).collect::<Vec<_>>())
        });
        let mut seen =
            vec![code.to_string(), changed("resourceVersion"), changed("uid"), changed("generation")];
        seen.extend(shown.iter().map(|it| format!("{it}: {}", answer.pointer(it).unwrap_or(&Value::Null))));
        seen.extend(variables);
        self.last = answer;
        seen
    }
}

fn template(grace: Option<i32>, labels: Value, variables: &[&str]) -> Value {
    let variables: Vec<Value> = variables.iter().map(|it| json!({ "name": it, "value": "1" })).collect();
    let mut body = json!({
        "apiVersion": "v1", "kind": "PodTemplate",
        "metadata": { "name": "api", "labels": labels },
        "template": {
            "metadata": { "labels": { "app": "api" } },
            "spec": { "containers": [{ "name": "api", "image": "api:1", "env": variables }] },
        },
    });
    if let Some(grace) = grace {
        body["template"]["spec"]["terminationGracePeriodSeconds"] = json!(grace);
    }
    body
}

/// Everything that the operator asks an API server, in an order in which each answer depends on those before.
async fn sequence(client: Client) -> Vec<(&'static str, Seen)> {
    let mut side = Side { client, last: Value::Null };
    let api = format!("{TEMPLATES}/api");
    let nothing = || Value::Null;
    let mut seen = Vec::new();
    let absent = |mut body: Value| {
        body["metadata"]["resourceVersion"] = json!("1");
        body
    };
    let two = || template(Some(2), json!({ "a": "1", "b": "1" }), &["A", "B"]);
    seen.push(("a read of what is absent", side.simple(Method::GET, &api, nothing()).await));
    seen.push(("made where nothing is", side.apply(&api, "operator", true, &[], absent(two())).await));
    seen.push(("made where something is", side.apply(&api, "operator", true, &[], absent(two())).await));
    seen.push(("the same again", side.apply(&api, "operator", true, &["uid"], two()).await));
    let other = json!({
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": { "name": "api" },
        "template": { "spec": { "terminationGracePeriodSeconds": 2 } },
    });
    seen.push(("a field of two", side.apply(&api, "keeper", false, &["uid"], other.clone()).await));
    let mut conflicting = other;
    conflicting["template"]["spec"]["terminationGracePeriodSeconds"] = json!(5);
    seen.push(("a field of somebody else", side.apply(&api, "third", false, &["uid"], conflicting).await));
    let fewer = template(None, json!({ "b": "1" }), &["B"]);
    seen.push(("fields given up", side.apply(&api, "operator", true, &["uid"], fewer).await));
    let three = template(Some(3), json!({ "b": "2" }), &["B"]);
    seen.push(("a field taken over by force", side.apply(&api, "operator", true, &["uid"], three).await));
    let foreign = template(None, json!({}), &["C"]);
    seen.push(("an item of somebody else's", side.apply(&api, "sidecar", true, &[], foreign).await));
    let last = template(Some(3), json!({ "b": "2" }), &["B"]);
    seen.push(("items of two", side.apply(&api, "operator", true, &["uid"], last).await));
    let mut wrong = two();
    wrong["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    seen.push(("of another uid", side.apply(&api, "operator", true, &[], wrong).await));
    seen.push(("a list by label", side.count(&format!("{TEMPLATES}?labelSelector=b%3D2")).await));
    seen.push(("a list by a label of before", side.count(&format!("{TEMPLATES}?labelSelector=b%3D1")).await));
    let condition =
        |uid: &Value| json!({ "preconditions": { "uid": uid }, "propagationPolicy": "Background" });
    let wrong = condition(&json!("00000000-0000-0000-0000-000000000000"));
    seen.push(("the deletion of another", side.simple(Method::DELETE, &api, wrong).await));
    let right = condition(&side.last["metadata"]["uid"]);
    seen.push(("a deletion", side.simple(Method::DELETE, &api, right.clone()).await));
    seen.push(("a deletion again", side.simple(Method::DELETE, &api, right).await));
    let mut gone = two();
    gone["metadata"]["uid"] = side.last["metadata"]["uid"].clone();
    seen.push(("applied to what is gone", side.apply(&api, "operator", true, &[], gone).await));

    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "key" }, "stringData": { "key": "a" },
    });
    side.last = Value::Null;
    seen.push(("a Secret", side.simple(Method::POST, SECRETS, secret.clone()).await));
    seen.push(("a Secret again", side.simple(Method::POST, SECRETS, secret).await));

    let resource = format!("{RESOURCES}/flagsmith");
    let url = json!({ "secretKeyRef": { "name": "db", "key": "url" } });
    let asked = json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment",
        "metadata": { "name": "flagsmith" },
        "spec": { "version": "2.265.0", "database": { "urlFrom": url } },
    });
    let status = json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment",
        "metadata": { "name": "flagsmith" }, "status": { "observedGeneration": 1 },
    });
    let written = format!("{resource}/status");
    side.last = Value::Null;
    seen.push(("a resource", side.simple(Method::POST, RESOURCES, asked).await));
    seen.push(("its status", side.apply(&written, "operator", true, &["uid"], status.clone()).await));
    seen.push(("its status again", side.apply(&written, "operator", true, &["uid"], status.clone()).await));
    let mut wrong = status.clone();
    wrong["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    wrong["status"]["observedGeneration"] = json!(7);
    seen.push(("another's status", side.apply(&written, "operator", true, &[], wrong).await));
    let version = side.last["metadata"]["resourceVersion"].clone();
    let edit = json!({ "spec": { "version": "2.264.0" } });
    seen.push(("an edit", side.merge(&resource, &[], edit).await));
    let mut old = status;
    old["metadata"]["resourceVersion"] = version;
    old["status"]["observedGeneration"] = json!(8);
    seen.push(("a status of before", side.apply(&written, "operator", true, &["uid"], old).await));
    seen.extend(lease(&mut side).await);
    seen.push(("its deletion", side.simple(Method::DELETE, &resource, json!({})).await));
    seen
}

/// What the election asks.
async fn lease(side: &mut Side) -> Vec<(&'static str, Seen)> {
    let path = format!("{LEASES}/operator");
    let body = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "operator" },
        "spec": { "holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 0, "renewTime": "2026-12-01T12:00:00.000001Z" },
    });
    let before = std::mem::take(&mut side.last);
    let mut seen = vec![("a read of no lease", side.simple(Method::GET, &path, Value::Null).await)];
    side.last = body.clone();
    side.last["metadata"]["resourceVersion"] = json!("7");
    seen.push(("a renewal of no lease", side.renew(&path, "a", &[]).await));
    seen.push(("its deletion", side.simple(Method::DELETE, &path, json!({})).await));
    seen.push(("a renewal of a lease that is gone", side.renew(&path, "a", &[]).await));
    seen.push(("its deletion", side.simple(Method::DELETE, &path, json!({})).await));
    side.last = Value::Null;
    seen.push(("a lease", side.simple(Method::POST, LEASES, body.clone()).await));
    seen.push(("a lease again", side.simple(Method::POST, LEASES, body).await));
    let first = side.last.clone();
    seen.push(("the same renewal", side.renew(&path, "a", &[]).await));
    seen.push(("a takeover", side.renew(&path, "b", &[]).await));
    let second = std::mem::replace(&mut side.last, first);
    seen.push(("a renewal of before", side.renew(&path, "a", &[]).await));
    side.last = second;
    seen.push(("a renewal of any version", side.renew(&path, "c", &["resourceVersion"]).await));
    let mut another = side.last.clone();
    another["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    seen.push(("a renewal of another", side.simple(Method::PUT, &path, another).await));
    seen.push(("a renewal", side.renew(&path, "b", &["uid", "managedFields", "creationTimestamp"]).await));
    side.last["spec"]["holderIdentity"] = Value::Null;
    let released = side.last.clone();
    seen.push(("a release", side.simple(Method::PUT, &path, released).await));
    seen.push(("its deletion", side.simple(Method::DELETE, &path, json!({})).await));
    side.last = before;
    seen
}

#[tokio::test]
#[ignore = "needs an API server in KUBECONFIG: `make test-cluster` runs it"]
async fn the_server_in_memory_answers_as_the_real_one() {
    let real = Client::try_from(Config::infer().await.unwrap()).unwrap();
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    let setup = Side { client: real.clone(), last: Value::Null };
    let crd = serde_json::to_value(flagsmith_operator::api::crd()).unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    setup.send(Method::POST, path, "application/json", &crd).await;
    setup.send(Method::POST, "/api/v1/namespaces", "application/json", &namespace).await;
    // The definition is served a moment later.
    while setup.send(Method::GET, RESOURCES, "application/json", &Value::Null).await.0 == 404 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let server = Line { server: Server::new(1), place: 0, from: "real".to_owned() };
    let config = Config::new("http://192.0.2.2".parse().unwrap());
    let memory = connect_with(config, Metrics::new(), &server).unwrap();
    let (expected, found) = (sequence(real.clone()).await, sequence(memory).await);
    let path = format!("/api/v1/namespaces/{NAMESPACE}");
    setup.send(Method::DELETE, &path, "application/json", &json!({})).await;
    let differ: Vec<_> = expected.iter().zip(&found).filter(|(real, memory)| real != memory).collect();
    assert!(differ.is_empty(), "the real one, and the one in memory: {differ:#?}");
}
