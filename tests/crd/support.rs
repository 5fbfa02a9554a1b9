//! A client, the installed definition, and resources to post.

use std::time::Duration;

use flagsmith_operator::api::crd;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind, Status},
};
use regex_lite::Regex;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// How long a server may take to serve a definition that it has accepted.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);

/// The field manager of these tests.
pub(crate) const MANAGER: &str = "crd-test";

static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// A client of a cluster in which the definition is installed.
pub(crate) async fn client() -> Client {
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "KUBECONFIG is not set: this test needs a Kubernetes API server (`make test` starts one)"
    );
    let client = Client::try_default().await.expect("KUBECONFIG names a usable file");
    INSTALLED.get_or_init(|| install(client.clone(), serde_json::to_value(crd()).unwrap())).await;
    client
}

/// Installs a definition and waits until it is served.
pub(crate) async fn install(client: Client, definition: Value) {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&definition)).await.unwrap();
    let established =
        kube::runtime::wait::await_condition(api, &name, kube::runtime::conditions::is_crd_established());
    tokio::time::timeout(ESTABLISHED_WITHIN, established).await.unwrap().unwrap();
}

/// `FlagsmithDeployments` of the namespace `default`, as plain objects, so that anything can be posted.
pub(crate) fn resources(client: &Client) -> Api<DynamicObject> {
    Api::default_namespaced_with(client.clone(), &resource())
}

pub(crate) fn resource() -> ApiResource {
    let gvk = GroupVersionKind::gvk("operator.flagsmith.com", "v1alpha1", "FlagsmithDeployment");
    ApiResource::from_gvk_with_plural(&gvk, "flagsmithdeployments")
}

/// An edge proxy of one environment.
pub(crate) fn edge_proxy() -> Value {
    json!({ "environments": [{
        "clientSideKeyFrom": source("sdk-client"),
        "serverSideKeyFrom": source("sdk-server"),
    }] })
}

pub(crate) fn source(name: &str) -> Value {
    json!({ "secretKeyRef": { "name": name, "key": "DATABASE_URL" } })
}

/// The smallest specification with the fields of `changes`; null removes one.
pub(crate) fn spec(changes: &Value) -> Value {
    let mut spec = json!({ "version": "2.265.0", "database": { "urlFrom": source("db") } });
    for (field, value) in changes.as_object().unwrap() {
        spec[field] = value.clone();
    }
    spec.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    spec
}

pub(crate) fn object(name: &str, spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1",
        "kind": "FlagsmithDeployment",
        "metadata": { "name": name },
        "spec": spec,
    }))
    .unwrap()
}

/// What the API server says, without the name of the resource in front, and without the values that it refuses: releases
/// of Kubernetes write those differently (`"string"`, the value itself, or nothing).
pub(crate) fn sentence(error: kube::Error) -> String {
    let kube::Error::Api(status) = error else { panic!("not an answer of the API server: {error}") };
    let Status { message, code, .. } = *status;
    assert_eq!(code, 422, "{message}");
    let refused = Regex::new(r#"Invalid value: ("[^"]*"|-?\d+|null): "#).unwrap();
    refused.replace_all(message.split_once(" is invalid: ").unwrap().1, "Invalid value: ").into_owned()
}
