//! Which objects of a namespace belong to an installation. Pure.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{Pod, Service},
    networking::v1::Ingress,
};
use kube::{
    ResourceExt,
    core::{Selector, SelectorExt as _},
};

use super::objects::Objects;
use crate::{
    model::{Component, child::marks},
    observe::{FrontSeen, PodSummary},
    validate::{ObjectSelector, Selection},
};

/// The label that Helm's charts put on every object: name and version of the chart, for example `flagsmith-0.81.0`.
const CHART: &str = "helm.sh/chart";

/// The name of the official chart, and the value of its label `app.kubernetes.io/name`.
const OFFICIAL: &str = "flagsmith";

/// The component label of the official chart's migration Jobs (`templates/jobs-migrate-db.yaml`).
pub(crate) const MIGRATE_JOB: &str = "job-migrate-db";

/// The label of a Job's pods.
pub(super) const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// The objects of one installation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selected<'a> {
    /// The API.
    pub api: Option<&'a Deployment>,
    /// The task processor.
    pub task_processor: Option<&'a Deployment>,
    /// The frontend.
    pub frontend: Option<&'a Deployment>,
    /// Jobs that migrate.
    pub jobs: Vec<&'a Job>,
    /// Every Deployment of the release that is none of Flagsmith's three.
    pub others: Vec<&'a Deployment>,
    /// Autoscalers of its Deployments.
    pub autoscalers: Vec<&'a HorizontalPodAutoscaler>,
    /// Ingresses that lead to its API or frontend.
    pub ingresses: Vec<&'a Ingress>,
    /// `HTTPRoutes` that do.
    pub routes: Vec<serde_json::Value>,
    /// The version of the chart.
    pub chart: Option<String>,
    /// Releases of the official chart in the namespace.
    pub releases: Vec<String>,
}

impl<'a> Selected<'a> {
    /// Selects the objects of an installation.
    pub(crate) fn new(selection: &Selection, objects: &'a Objects) -> Self {
        let mut selected = match selection {
            Selection::Release(release) => Self::of_release(release, objects),
            Selection::Components { api, task_processor, frontend, migrations } => Self {
                api: pick(&objects.deployments, Some(api)).next(),
                task_processor: pick(&objects.deployments, task_processor.as_ref()).next(),
                frontend: pick(&objects.deployments, frontend.as_ref()).next(),
                jobs: pick(&objects.jobs, migrations.as_ref()).collect(),
                ..Self::default()
            },
        };
        let names: Vec<String> = selected.deployments().map(|(_, it)| it.name_any()).collect();
        selected.autoscalers = objects
            .autoscalers
            .iter()
            .map(AsRef::as_ref)
            .filter(|autoscaler| targets(autoscaler).is_some_and(|target| names.contains(&target)))
            .collect();
        let services = selected.services(&objects.services);
        // Those that lead to the API come first: they are what stands in front of it.
        let of_api = selected.without_frontend().services(&objects.services);
        selected.ingresses = objects
            .ingresses
            .iter()
            .map(AsRef::as_ref)
            .filter(|ingress| backends(ingress).any(|backend| services.contains(&backend)))
            .collect();
        selected.ingresses.sort_by_key(|ingress| !backends(ingress).any(|backend| of_api.contains(&backend)));
        selected.routes = objects
            .routes
            .iter()
            .flatten()
            .filter_map(|route| serde_json::to_value(route.as_ref()).ok())
            .filter(|route| route_backends(route).any(|backend| services.iter().any(|it| it == backend)))
            .collect();
        selected
            .routes
            .sort_by_key(|route| !route_backends(route).any(|backend| of_api.iter().any(|it| it == backend)));
        selected.releases = releases(objects);
        selected
    }

    fn of_release(release: &str, objects: &'a Objects) -> Self {
        let deployments: Vec<&Deployment> = objects
            .deployments
            .iter()
            .map(AsRef::as_ref)
            .filter(|deployment| of_release(*deployment, release))
            .collect();
        let component = |name: &str| {
            deployments.iter().copied().find(|deployment| label(*deployment, marks::COMPONENT) == Some(name))
        };
        let of_flagsmith = |deployment: &&Deployment| {
            matches!(label(*deployment, marks::COMPONENT), Some("api" | "task-processor" | "frontend"))
        };
        Self {
            api: component("api"),
            task_processor: component("task-processor"),
            frontend: component("frontend"),
            jobs: objects
                .jobs
                .iter()
                .map(AsRef::as_ref)
                .filter(|job| of_release(*job, release) && label(*job, marks::COMPONENT) == Some(MIGRATE_JOB))
                .collect(),
            others: deployments.iter().copied().filter(|it| !of_flagsmith(it)).collect(),
            chart: deployments
                .first()
                .and_then(|deployment| label(*deployment, CHART)?.strip_prefix("flagsmith-"))
                .map(str::to_owned),
            ..Self::default()
        }
    }

    /// The Deployments of Flagsmith's components.
    pub(crate) fn deployments(&self) -> impl Iterator<Item = (Component, &'a Deployment)> {
        [
            (Component::Api, self.api),
            (Component::TaskProcessor, self.task_processor),
            (Component::Frontend, self.frontend),
        ]
        .into_iter()
        .filter_map(|(component, deployment)| deployment.map(|it| (component, it)))
    }

    /// The pods of the components and of the migration Jobs, each labelled with its component.
    pub(crate) fn pods(&self, objects: &Objects) -> Vec<PodSummary> {
        self.pods_of(objects)
            .map(|(component, pod)| PodSummary { component: Some(component), ..PodSummary::from(pod) })
            .collect()
    }

    /// The pods with their component.
    pub(in crate::observe) fn pods_of<'o>(
        &self,
        objects: &'o Objects,
    ) -> impl Iterator<Item = (Component, &'o Pod)> {
        let selectors: Vec<(Component, Selector)> = self
            .deployments()
            .filter_map(|(component, deployment)| {
                let selector = deployment.spec.as_ref()?.selector.clone();
                Some((component, Selector::try_from(selector).ok()?))
            })
            .collect();
        let jobs: Vec<String> = self.jobs.iter().map(|job| job.name_any()).collect();
        let component = move |pod: &Pod| {
            let labels = pod.labels();
            let job = labels.get(JOB_NAME).is_some_and(|name| jobs.contains(name));
            if job {
                return Some(Component::Migrations);
            }
            selectors.iter().find(|(_, selector)| selector.matches(labels)).map(|(component, _)| *component)
        };
        objects.pods.iter().filter_map(move |pod| Some((component(pod)?, pod.as_ref())))
    }

    /// What stands in front of the API's pods.
    pub(crate) fn front(&self, objects: &Objects) -> FrontSeen {
        let mut front = FrontSeen::default();
        let services = self.without_frontend().services(&objects.services);
        if let Some(service) = objects.services.iter().find(|it| services.contains(&it.name_any())) {
            front.see_service(&service.metadata);
        }
        if let Some(ingress) = self.ingresses.first() {
            front.see_ingress(ingress);
            front.by_chart = is_official(ingress.labels());
            front.through_frontend = !backends(ingress).any(|backend| services.contains(&backend));
        } else if let Some(route) = self.routes.first() {
            front.see_route(route);
            front.through_frontend =
                !route_backends(route).any(|backend| services.iter().any(|it| it == backend));
        }
        front
    }

    fn without_frontend(&self) -> Self {
        Self { frontend: None, ..self.clone() }
    }

    /// The Services whose pods are the API's or the frontend's.
    fn services(&self, services: &[Arc<Service>]) -> Vec<String> {
        let templates: Vec<BTreeMap<String, String>> = [self.api, self.frontend]
            .into_iter()
            .flatten()
            .filter_map(|it| it.spec.as_ref()?.template.metadata.as_ref()?.labels.clone())
            .collect();
        services
            .iter()
            .filter(|service| {
                let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone());
                selector.filter(|it| !it.is_empty()).is_some_and(|selector| {
                    let selector: Selector = selector.into_iter().collect();
                    templates.iter().any(|labels| selector.matches(labels))
                })
            })
            .map(|service| service.name_any())
            .collect()
    }
}

/// The name of the Deployment that an autoscaler targets.
pub(super) fn targets(autoscaler: &HorizontalPodAutoscaler) -> Option<String> {
    let target = &autoscaler.spec.as_ref()?.scale_target_ref;
    (target.kind == "Deployment").then(|| target.name.clone())
}

/// Whether a Deployment may be one of an installation's, or of a release in its namespace.
pub(super) fn may_be_deployment(
    selection: &Selection,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    let picked = match selection {
        Selection::Release(_) => false,
        Selection::Components { api, task_processor, frontend, .. } => {
            [Some(api), task_processor.as_ref(), frontend.as_ref()]
                .into_iter()
                .flatten()
                .any(|selector| selector_matches(selector, name, labels))
        }
    };
    picked || is_official(labels)
}

/// Whether a Job may be one of an installation's.
pub(super) fn may_be_job(selection: &Selection, name: &str, labels: &BTreeMap<String, String>) -> bool {
    match selection {
        Selection::Release(_) => is_official(labels),
        Selection::Components { migrations, .. } => {
            migrations.as_ref().is_some_and(|selector| selector_matches(selector, name, labels))
        }
    }
}

fn selector_matches(selector: &ObjectSelector, name: &str, labels: &BTreeMap<String, String>) -> bool {
    match selector {
        ObjectSelector::Name(wanted) => name == wanted,
        ObjectSelector::Labels(selector) => selector.matches(labels),
    }
}

fn label<'a>(object: &'a impl ResourceExt, key: &str) -> Option<&'a str> {
    object.labels().get(key).map(String::as_str)
}

/// Whether the official chart made an object: as a chart of its own or as part of another.
fn is_official(labels: &BTreeMap<String, String>) -> bool {
    let label = |key: &str| labels.get(key).map(String::as_str);
    let chart = label(CHART).and_then(|chart| chart.strip_prefix("flagsmith-"));
    let of_chart = chart.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()));
    label(marks::MANAGED_BY) != Some(marks::OPERATOR)
        && (of_chart || (chart.is_none() && label(marks::NAME) == Some(OFFICIAL)))
}

fn of_release(object: &impl ResourceExt, release: &str) -> bool {
    is_official(object.labels()) && label(object, marks::INSTANCE) == Some(release)
}

fn releases(objects: &Objects) -> Vec<String> {
    let mut names: Vec<String> = objects
        .deployments
        .iter()
        .filter(|deployment| is_official(deployment.labels()))
        .filter_map(|deployment| label(deployment.as_ref(), marks::INSTANCE).map(str::to_owned))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn pick<'a, T: ResourceExt>(
    objects: &'a [Arc<T>],
    pick: Option<&ObjectSelector>,
) -> impl Iterator<Item = &'a T> {
    objects.iter().map(AsRef::as_ref).filter(move |object| {
        pick.is_some_and(|selector| selector_matches(selector, &object.name_any(), object.labels()))
    })
}

/// The Services that an Ingress leads to.
fn backends(ingress: &Ingress) -> impl Iterator<Item = String> {
    let spec = ingress.spec.as_ref();
    let default = spec.and_then(|spec| spec.default_backend.clone());
    let rules = spec.into_iter().flat_map(|spec| spec.rules.iter().flatten());
    let paths = rules.flat_map(|rule| rule.http.iter().flat_map(|http| &http.paths));
    paths.map(|path| path.backend.clone()).chain(default).filter_map(|backend| Some(backend.service?.name))
}

fn route_backends(route: &serde_json::Value) -> impl Iterator<Item = &str> {
    let rules = route.pointer("/spec/rules").and_then(serde_json::Value::as_array);
    rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["backendRefs"].as_array())
        .flatten()
        .filter_map(|backend| backend["name"].as_str())
}
