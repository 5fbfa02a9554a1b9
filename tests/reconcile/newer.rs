//! The definition of a next release is in the cluster before its operator, as it is in every upgrade of the chart, and
//! after a way back. The test has a cluster of its own.

use flagsmith_operator::{
    api::{self, FlagsmithDeployment},
    controller::readiness::Gate,
};
use k8s_openapi::{
    api::apps::v1::Deployment,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
    },
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::support::{
    Cluster, HELD_BACK, NAME, Network, Operator, SOON, Sandbox, converged, install_crd, run,
};

/// What the next release has besides.
const NEXT: &str = "nextRelease";
const NEXT_VERSION: &str = "v1alpha2";
const TODAY: &str = "v1alpha1";

/// How long an API server may take to use a new schema.
const TAKEN: Duration = SOON;

fn next_field() -> JSONSchemaProps {
    serde_json::from_value(json!({
        "type": "object",
        "properties": { "mode": { "type": "string" }, "list": { "type": "array", "items": { "type": "string" } } },
    }))
    .unwrap()
}

/// One further optional field in the specification, in a part of it, and in the status.
fn extended(mut version: CustomResourceDefinitionVersion) -> CustomResourceDefinitionVersion {
    let schema = version.schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap();
    let parts = schema.properties.as_mut().unwrap();
    for part in ["spec", "status"] {
        parts.get_mut(part).unwrap().properties.as_mut().unwrap().insert(NEXT.to_owned(), next_field());
    }
    let api = parts.get_mut("spec").unwrap().properties.as_mut().unwrap().get_mut("api").unwrap();
    api.properties.as_mut().unwrap().insert(NEXT.to_owned(), next_field());
    version
}

/// The definition of a release that has a further version too, and stores this one.
fn next_release(stored: &str) -> CustomResourceDefinition {
    let mut definition = api::crd();
    let today = extended(definition.spec.versions.remove(0));
    let mut further = today.clone();
    NEXT_VERSION.clone_into(&mut further.name);
    definition.spec.versions = vec![today, further];
    for version in &mut definition.spec.versions {
        version.storage = version.name == stored;
    }
    definition
}

fn resources(sandbox: &Sandbox, version: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("operator.flagsmith.com", version, "FlagsmithDeployment");
    Api::namespaced_with(sandbox.client.clone(), &sandbox.namespace, &ApiResource::from_gvk(&kind))
}

async fn define(client: &Client, definition: &CustomResourceDefinition) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let parameters = PatchParams::apply("tests").force();
    definitions.patch(&definition.name_any(), &parameters, &Patch::Apply(definition)).await.unwrap();
}

/// What only the next release knows, as a user and its operator may have written it.
fn known_to_the_next() -> Value {
    json!({ "mode": "kept", "list": ["a", "b"] })
}

fn foreign_parts(object: &DynamicObject) -> [&Value; 3] {
    [&object.data["spec"][NEXT], &object.data["spec"]["api"][NEXT], &object.data["status"][NEXT]]
}

/// Nothing that the next release knows is lost, and nothing besides has been added to it.
async fn keeps(sandbox: &Sandbox, version: &str) {
    let object = resources(sandbox, version).get(NAME).await.unwrap();
    let known = known_to_the_next();
    assert_eq!(foreign_parts(&object), [&known, &known, &known], "as {version}");
    let status = &object.data["status"];
    assert_eq!(status["observedGeneration"], object.metadata.generation.unwrap(), "{status}");
}

#[test]
fn a_definition_of_the_next_release_is_no_trouble() {
    run(async {
        Box::pin(newer()).await;
    });
}

async fn newer() {
    let cluster = Cluster::up("newer");
    let client = Client::try_from(cluster.config().await).unwrap();
    install_crd(client.clone()).await;
    // There before this operator, with an object of a user who has read the next release's documentation.
    define(&client, &next_release(TODAY)).await;
    let sandbox = Sandbox::of(client.clone(), "newer").await;
    let known = known_to_the_next();
    let url = json!({ "secretKeyRef": { "name": "db", "key": "DATABASE_URL" } });
    let body = json!({
        "apiVersion": format!("operator.flagsmith.com/{NEXT_VERSION}"), "kind": "FlagsmithDeployment",
        "metadata": { "name": NAME },
        "spec": { "version": "2.260.0", "database": { "urlFrom": url }, "api": { NEXT: known }, NEXT: known },
    });
    let body: DynamicObject = serde_json::from_value(body).unwrap();
    let end = Instant::now() + TAKEN;
    let created = loop {
        match resources(&sandbox, NEXT_VERSION).create(&PostParams::default(), &body).await {
            Ok(created) => break created,
            // The version is not served for a moment.
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(foreign_parts(&created)[..2], [&known, &known]);
    let status = Patch::Merge(json!({ "status": { NEXT: known } }));
    let as_another = PatchParams { field_manager: Some("next-release".to_owned()), ..PatchParams::default() };
    resources(&sandbox, NEXT_VERSION).patch_status(NAME, &as_another, &status).await.unwrap();

    let operator = Operator::start_with(
        cluster.config().await,
        vec![sandbox.namespace.clone()],
        Network::default(),
        None,
    );
    sandbox.ready().await;
    keeps(&sandbox, TODAY).await;
    keeps(&sandbox, NEXT_VERSION).await;
    change(&sandbox, TODAY, 41).await;
    change(&sandbox, NEXT_VERSION, 42).await;

    // While it runs the next release's version becomes the one that is stored.
    define(&client, &next_release(NEXT_VERSION)).await;
    stores(&client, NEXT_VERSION).await;
    change(&sandbox, TODAY, 43).await;
    change(&sandbox, NEXT_VERSION, 44).await;
    // What it repairs then is found by the same watches.
    sandbox.delete::<Deployment>("flagsmith-frontend").await;
    sandbox.until_object(SOON, "flagsmith-frontend", "back", |_: &Deployment| true).await;
    sandbox.ready().await;
    keeps(&sandbox, NEXT_VERSION).await;
    let crd = operator.readiness.gates().into_iter().find(|it| it.gate == Gate::Crd).unwrap();
    assert_eq!(crd.closed, None, "a newer definition is no reason to be not ready");
    assert!(operator.readiness.is_ready());

    // A pass over it writes nothing, whatever it does not know.
    let mut writes = 0;
    while operator.network.writes().len() > writes {
        writes = operator.network.writes().len();
        sleep(HELD_BACK).await;
    }
    let touch = json!({ "metadata": { "annotations": { "example.com/touched": "1" } } });
    sandbox.patch(touch).await;
    sleep(Duration::from_secs(4)).await;
    assert_eq!(operator.network.writes().len(), writes, "{:?}", operator.network.writes());

    // Its children still belong to it.
    resources(&sandbox, NEXT_VERSION).delete(NAME, &DeleteParams::background()).await.unwrap();
    let gone = timeout(SOON, async {
        while !sandbox.api::<Deployment>().list(&ListParams::default()).await.unwrap().items.is_empty() {
            sleep(Duration::from_millis(200)).await;
        }
    });
    gone.await.expect("Kubernetes collects what belonged to it");
    operator.stop().await;
}

/// A change that comes by one of the versions is made, and told in both.
async fn change(sandbox: &Sandbox, version: &str, seconds: i32) {
    let change = Patch::Merge(json!({ "spec": { "requestTimeoutSeconds": seconds } }));
    let changed = resources(sandbox, version).patch(NAME, &PatchParams::default(), &change).await.unwrap();
    let settled = sandbox
        .until(SOON, "as changed", |it: &FlagsmithDeployment| {
            converged(it) && it.metadata.generation >= changed.metadata.generation
        })
        .await;
    assert_eq!(settled.status.unwrap().timeouts.unwrap().request, Some(seconds));
    keeps(sandbox, version).await;
}

/// Waits until the API server stores this version.
async fn stores(client: &Client, version: &str) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = api::crd().name_any();
    let stores = |it: Option<&CustomResourceDefinition>| {
        let status = it.and_then(|it| it.status.as_ref());
        let stored = status.and_then(|it| it.stored_versions.as_ref());
        stored.is_some_and(|stored| stored.iter().any(|it| it == version))
    };
    timeout(SOON, await_condition(definitions, &name, stores))
        .await
        .expect("the API server takes the definition")
        .unwrap();
}
