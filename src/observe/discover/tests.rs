//! What is found among the objects that the official chart makes, and among others.

use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::{FlagsmithDeploymentStatus, ProxySpec},
    fixtures::{CHART_DEFAULT, CHART_WITH_PROCESSOR, objects, observed, subject},
    model::{Component, child::Kind},
    observe::{
        ConfigMaps, ContainerState, WorkloadState,
        index::{Index, Selector, Watched},
    },
    validate::{Database, ManagedBy, ObjectSelector, ObservedInstallation, SecretKey, Selection},
};

fn name(state: Option<&WorkloadState>) -> Option<&str> {
    state.map(|state| state.name.as_str())
}

#[test]
fn a_release_with_flagsmith_in_its_name() {
    let objects = objects(CHART_DEFAULT);
    let (found, observation) = observed("flagsmith", &objects);
    assert_eq!(name(found.api.as_ref()), Some("flagsmith-api"));
    assert_eq!(name(found.frontend.as_ref()), Some("flagsmith"), "the frontend has no suffix");
    assert_eq!(found.task_processor, None);
    assert_eq!(found.installation.release.to_string(), "2.265.0");
    let api = found.api.unwrap();
    assert!(api.init_containers.iter().any(ContainerState::migrates));
    assert!(api.container().unwrap().environment.lacks("TASK_RUN_METHOD"));
    assert_eq!(observation.exposure, Some(crate::observe::ExposureState::Waiting), "its Ingress is found");
    let Database::External { url, .. } = &found.installation.database else {
        panic!("{:?}", found.installation.database)
    };
    assert_eq!((url.name.as_str(), url.key.as_str()), ("flagsmith", "DATABASE_URL"));
    assert_eq!(found.installation.django_secret.name, "flagsmith-django-secret-key");
    assert_eq!(found.adoption.unsupported, Vec::<String>::new());
}

#[test]
fn its_owner_says_what_stands_in_front() {
    let objects = objects(CHART_DEFAULT);
    let stated = ProxySpec { idle_timeout_seconds: Some(1), ..ProxySpec::default() };
    let subject = ObservedInstallation {
        proxy: Some(stated.clone()),
        ..subject(Selection::Release("flagsmith".to_owned()))
    };
    let selected = Selected::new(&subject.selection, &objects);
    let found = find(&subject, &selected, &ConfigMaps::new());
    let exposure = found.installation.exposure.unwrap();
    assert_eq!(exposure.proxy, Some(stated));
}

#[test]
fn a_release_without_it_with_everything() {
    let objects = objects(CHART_WITH_PROCESSOR);
    let (found, observation) = observed("acme", &objects);
    assert_eq!(name(found.api.as_ref()), Some("acme-flagsmith-api"));
    assert_eq!(name(found.task_processor.as_ref()), Some("acme-flagsmith-task-processor"));
    assert_eq!(observation.jobs.len(), 1);
    assert!(observation.external_autoscalers.contains("acme-flagsmith-api"));
    assert!(found.task_processor.unwrap().containers.iter().any(ContainerState::migrates));
    assert_eq!(
        found.installation.managed_by,
        ManagedBy::Helm {
            release: "acme".to_owned(),
            chart: Some("0.81.0".to_owned()),
            namespace: "prod".to_owned(),
        }
    );
}

#[test]
fn several_releases_in_one_namespace_are_told_apart() {
    let mut both = objects(CHART_DEFAULT);
    both.deployments.extend(objects(CHART_WITH_PROCESSOR).deployments);
    let (found, observation) = observed("acme", &both);
    assert_eq!(name(found.frontend.as_ref()), Some("acme-flagsmith"));
    assert_eq!(observation.releases, ["acme", "flagsmith"]);
    let (found, _) = observed("other", &both);
    assert_eq!(found.api, None);
}

#[test]
fn objects_of_the_operator_itself_are_no_release() {
    let text = CHART_DEFAULT.replace("managed-by: Helm", "managed-by: flagsmith-operator");
    let (found, observation) = observed("flagsmith", &objects(&text));
    assert_eq!((found.api, observation.releases), (None, Vec::new()));
}

#[rstest]
#[case(ObjectSelector::Name("flagsmith-api".to_owned()))]
#[case(ObjectSelector::Labels([("app.kubernetes.io/component", "api")].into_iter().collect()))]
fn components_are_found_by_name_or_labels(#[case] api: ObjectSelector) {
    let objects = objects(CHART_DEFAULT);
    let subject = subject(Selection::Components {
        api,
        task_processor: None,
        frontend: Some(ObjectSelector::Name("elsewhere".to_owned())),
        migrations: None,
    });
    let found = find(&subject, &Selected::new(&subject.selection, &objects), &ConfigMaps::new());
    assert_eq!(name(found.api.as_ref()), Some("flagsmith-api"));
    assert_eq!(found.frontend, None);
    assert_eq!(
        found.installation.managed_by.change(&[crate::validate::Change::Replicas(Component::Api, 3)]),
        "kubectl -n prod scale deployment flagsmith-api --replicas=3"
    );
}

#[test]
fn a_moving_tag_says_no_release_and_the_owner_can() {
    let objects = objects(&CHART_DEFAULT.replace(":2.265.0", ":latest"));
    let (found, _) = observed("flagsmith", &objects);
    assert_eq!(found.api.unwrap().release, None, "the chart's version label proves nothing");
    let mut subject = subject(Selection::Release("flagsmith".to_owned()));
    subject.release = "2.260.0".parse().ok();
    subject.database = Some(SecretKey { name: "mine".to_owned(), key: "URL".to_owned() });
    let selected = Selected::new(&subject.selection, &objects);
    let found = find(&subject, &selected, &ConfigMaps::new());
    assert_eq!(found.installation.release.to_string(), "2.260.0");
    assert_eq!(found.installation.database.url().name, "mine");
}

#[test]
fn pods_are_given_their_component_by_the_selectors() {
    let mut objects = objects(CHART_WITH_PROCESSOR);
    let job = objects.jobs.first().unwrap().metadata.name.clone().unwrap();
    for (pod, labels) in [
        (
            "a",
            json!({ "app.kubernetes.io/name": "flagsmith", "app.kubernetes.io/instance": "acme", "app.kubernetes.io/component": "api" }),
        ),
        ("b", json!({ "batch.kubernetes.io/job-name": job })),
        ("c", json!({ "app": "somebody" })),
    ] {
        let pod = json!({ "metadata": { "name": pod, "labels": labels } });
        objects.pods.push(std::sync::Arc::new(serde_json::from_value(pod).unwrap()));
    }
    let (_, observation) = observed("acme", &objects);
    let pods: Vec<_> = observation.pods.iter().map(|pod| (pod.name.as_str(), pod.component)).collect();
    assert_eq!(pods, [("a", Some(Component::Api)), ("b", Some(Component::Migrations))]);
}

fn values<T: serde::Serialize>(objects: &[std::sync::Arc<T>]) -> Vec<Value> {
    let value = |object: &std::sync::Arc<T>| serde_json::to_value(object.as_ref()).unwrap();
    objects.iter().map(value).collect()
}

/// The objects as a watch brings them, among many others.
fn index(objects: &Objects) -> Index {
    let index = Index::new(Selector::Any, usize::MAX);
    let record = |kind: Watched, mut object: Value| {
        object["metadata"]["uid"] = object["metadata"]["name"].clone();
        object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!("{}");
        let object = serde_json::from_str(&object.to_string()).unwrap();
        index.record(kind, &object).unwrap();
    };
    let all = |kind: Kind, objects: Vec<Value>| {
        for object in objects {
            record(Watched::Child(kind), object);
        }
    };
    all(Kind::Deployment, values(&objects.deployments));
    all(Kind::Job, values(&objects.jobs));
    all(Kind::Service, values(&objects.services));
    all(Kind::Ingress, values(&objects.ingresses));
    all(Kind::HorizontalPodAutoscaler, values(&objects.autoscalers));
    for pod in values(&objects.pods) {
        record(Watched::Pod, pod);
    }
    let other = json!({
        "metadata": { "name": "other", "namespace": "prod", "labels": { "app": "other" } },
        "spec": { "selector": { "matchLabels": { "app": "other" } }, "template": { "spec": { "containers": [] } } },
    });
    let pod = json!({
        "metadata": { "name": "other", "namespace": "prod", "labels": { "app": "other" } },
        "spec": { "containers": [] },
    });
    record(Watched::Child(Kind::Deployment), other.clone());
    record(Watched::Child(Kind::Job), other);
    record(Watched::Pod, pod);
    index
}

#[rstest]
#[case::release(Selection::Release("acme".to_owned()))]
#[case::components(Selection::Components {
    api: ObjectSelector::Name("acme-flagsmith-api".to_owned()),
    task_processor: None,
    frontend: Some(ObjectSelector::Labels([("app.kubernetes.io/component", "frontend")].into_iter().collect())),
    migrations: Some(ObjectSelector::Labels([("app.kubernetes.io/component", "job-migrate-db")].into_iter().collect())),
})]
fn what_an_index_keeps_shows_the_same(#[case] selection: Selection) {
    let mut objects = objects(CHART_WITH_PROCESSOR);
    let job = objects.jobs.first().unwrap().metadata.name.clone().unwrap();
    let labels = json!({ "batch.kubernetes.io/job-name": job });
    let pod = json!({ "metadata": { "name": "b", "namespace": "prod", "labels": labels }, "spec": { "containers": [] } });
    objects.pods.push(std::sync::Arc::new(serde_json::from_value(pod).unwrap()));
    objects.services.sort_by_key(|it| it.metadata.name.clone());
    let loaded = load::objects(&index(&objects), "prod", &selection, false);
    let counts = |objects: &Objects| [objects.deployments.len(), objects.jobs.len(), objects.pods.len()];
    assert_eq!(counts(&loaded), counts(&objects), "others are decoded too");
    let subject = subject(selection);
    let shown = |objects: &Objects| {
        let selected = Selected::new(&subject.selection, objects);
        let found = find(&subject, &selected, &ConfigMaps::new());
        let observation =
            assemble(&found, &selected, objects, FlagsmithDeploymentStatus::default(), Timestamp::UNIX_EPOCH);
        (found, observation)
    };
    let (expected, shown) = (shown(&objects), shown(&loaded));
    assert_eq!(format!("{:#?}", shown.0), format!("{:#?}", expected.0));
    assert_eq!(format!("{:#?}", shown.1), format!("{:#?}", expected.1));
}
