//! What users see of the definition: defaults, names, columns, scaling, and that `kubectl apply` can install it.

use flagsmith_operator::api::crd;
use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::APIResourceList,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{client, object, resources, spec};

#[tokio::test]
async fn defaults_are_visible() {
    let api = resources(&client().await);
    let changes =
        json!({"exposure": {"hosts": ["*"], "ingress": {}}, "api": {"autoscaling": {"maxReplicas": 4}}});
    let stored = api.create(&PostParams::default(), &object("defaults", &spec(&changes))).await.unwrap();
    let embedded = spec(&json!({"database": {"embedded": {}}, "images": {"pullPolicy": "Always"}}));
    let small = api.create(&PostParams::default(), &object("defaults-embedded", &embedded)).await.unwrap();
    for name in ["defaults", "defaults-embedded"] {
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_yaml_snapshot!("defaults", stored.data["spec"]);
        insta::assert_yaml_snapshot!("defaults-embedded", small.data["spec"]);
    });
}

#[tokio::test]
async fn it_has_its_short_names() {
    let client = client().await;
    let list: APIResourceList =
        client.list_api_group_resources("operator.flagsmith.com/v1alpha1").await.unwrap();
    let names: Vec<_> = list.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["flagsmithdeployments", "flagsmithdeployments/status", "flagsmithdeployments/scale"]);
    let resource = &list.resources[0];
    assert!(resource.namespaced);
    assert_eq!(resource.short_names.as_deref(), Some(["fsd".to_owned()].as_slice()));
    assert_eq!(resource.categories.as_deref(), Some(["flagsmith".to_owned()].as_slice()));
    assert_eq!(resource.singular_name, "flagsmithdeployment");
}

#[tokio::test]
async fn the_list_shows_what_matters() {
    let client = client().await;
    let api = resources(&client);
    api.create(&PostParams::default(), &object("columns", &spec(&json!({})))).await.unwrap();
    let status = json!({"status": {
        "observedGeneration": 1,
        "version": "2.265.0",
        "migration": {"version": "2.265.0", "result": "Applied"},
        "components": {
            "api": {"desired": 2, "replicas": 2, "ready": 1, "summary": "1/2", "selector": "a=b"},
            "taskProcessor": {"desired": 1, "replicas": 1, "ready": 1, "summary": "1/1", "selector": "a=c"},
        },
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "ProbeFailing", "message": "1 of 2 pods",
            "lastTransitionTime": "2026-11-23T00:00:00Z",
        }],
    }});
    api.patch_status("columns", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    let request = http::Request::get(
        "/apis/operator.flagsmith.com/v1alpha1/namespaces/default/flagsmithdeployments/columns",
    )
    .header("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1")
    .body(Vec::new())
    .unwrap();
    let table: Value = client.request(request).await.unwrap();
    api.delete("columns", &DeleteParams::default()).await.unwrap();
    let columns: Vec<_> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .zip(table["rows"][0]["cells"].as_array().unwrap())
        .map(|(column, cell)| {
            (column["name"].as_str().unwrap(), column["priority"].as_i64().unwrap(), cell.clone())
        })
        .filter(|(name, _, _)| *name != "Age")
        .collect();
    assert_eq!(
        columns,
        [
            ("Name", 0, json!("columns")),
            ("Ready", 0, json!("False")),
            ("Status", 0, json!("ProbeFailing")),
            ("Version", 0, json!("2.265.0")),
            ("Migrations", 0, json!("Applied")),
            ("API", 1, json!("1/2")),
            ("Processor", 1, json!("1/1")),
            ("Generation", 1, json!(1)),
            ("Observed", 1, json!(1)),
            ("Message", 1, json!("1 of 2 pods")),
        ]
    );
}

/// `kubectl scale fsd/NAME --replicas 3`: a merge patch of the scale subresource.
#[tokio::test]
async fn it_scales() {
    let api = resources(&client().await);
    api.create(&PostParams::default(), &object("scales", &spec(&json!({})))).await.unwrap();
    let status = json!({"status": {"components": {"api": {"desired": 2, "replicas": 2, "ready": 2, "summary": "2/2", "selector": "app=x"}}}});
    api.patch_status("scales", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    let three = json!({"spec": {"replicas": 3}});
    let first = api.patch_scale("scales", &PatchParams::default(), &Patch::Merge(&three)).await;
    let observation = api.get_scale("scales").await;
    let stored = api.get("scales").await.unwrap();
    api.delete("scales", &DeleteParams::default()).await.unwrap();
    first.unwrap();
    let observation = observation.unwrap();
    assert_eq!(stored.data["spec"]["api"]["replicas"], 3);
    assert_eq!(observation.spec.unwrap().replicas, Some(3));
    let status = observation.status.unwrap();
    assert_eq!((status.replicas, status.selector.as_deref()), (2, Some("app=x")));
}

/// `kubectl apply` keeps the whole object in an annotation, and annotations have a limit of 256 KiB.
#[tokio::test]
async fn kubectl_apply_can_install_it() {
    let client = client().await;
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let text = serde_json::to_string(&crd()).unwrap();
    let annotation =
        json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": text}}});
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    api.patch("flagsmithdeployments.operator.flagsmith.com", &params, &Patch::Merge(&annotation))
        .await
        .unwrap();
}
