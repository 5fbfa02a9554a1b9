//! `plan --adopt`: the `FlagsmithDeployment` that would manage an installation of the official Helm chart as it is,
//! and the steps of the move. Nothing is done.

use std::{fmt::Write as _, process::ExitCode};

use kube::core::ObjectMeta;

use super::super::{
    cluster::Cluster,
    diagnose::release,
    failure::{Failure, HEALTHY, UNHEALTHY},
    look::{LookArgs, look_at},
};
use crate::{
    api::FlagsmithDeployment,
    model::{Component, DocsUrl, Page, child::marks},
    observe::{WorkloadState, discover::Found},
};

/// The resource and the steps: exit status 0, or 1 where there is no such installation.
pub(super) async fn adopt(
    cluster: &Cluster,
    release: &str,
    docs: &DocsUrl,
) -> Result<(String, ExitCode), Failure> {
    let (found, _) =
        Box::pin(look_at(cluster, &release::subject(cluster, release), LookArgs::default())).await;
    if found.api.is_none() {
        let text = format!(
            "There is no Helm release {release} of the official chart in namespace {}; helm list -n {0} shows what there is.\n",
            cluster.namespace
        );
        return Ok((text, ExitCode::from(UNHEALTHY)));
    }
    let text = page(&found, release, &cluster.namespace, docs).map_err(|error| Failure::internal(&error))?;
    Ok((text, ExitCode::from(HEALTHY)))
}

/// The name of the new resource: its objects must not have the names of those that are there.
fn name(release: &str) -> String {
    const SUFFIX: &str = "-op";
    /// Of a resource's name, which its longest child's name leaves room for.
    const LENGTH: usize = 40;
    let mut name = release.to_ascii_lowercase().replace('.', "-");
    name.truncate(LENGTH - SUFFIX.len());
    name.trim_end_matches('-').to_owned() + SUFFIX
}

fn page(
    found: &Found,
    release: &str,
    namespace: &str,
    docs: &DocsUrl,
) -> Result<String, serde_saphyr::ser::Error> {
    let adoption = &found.adoption;
    let name = name(release);
    let resource = FlagsmithDeployment {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec: adoption.spec.clone(),
        status: None,
    };
    let mut page = format!(
        "# The FlagsmithDeployment that would manage Helm release {release} as it is. Secrets are kept and referred to.\n{}",
        serde_saphyr::to_string(&resource)?
    );
    if !adoption.unsupported.is_empty() {
        page.push_str("\n# What it cannot say:\n");
        for line in &adoption.unsupported {
            let _ = writeln!(page, "#  - {line}");
        }
    }
    let _ = writeln!(page, "\n# The move ({} says why):", docs.page(Page::Adopt));
    for (index, step) in steps(found, &name, release, namespace).iter().enumerate() {
        let _ = writeln!(page, "#  {}. {step}", index + 1);
    }
    Ok(page)
}

fn steps(found: &Found, name: &str, release: &str, namespace: &str) -> Vec<String> {
    let mut steps = Vec::new();
    for (variable, deployment) in &found.adoption.literals {
        steps.push(format!(
            "Move {variable} into a Secret: kubectl -n {namespace} create secret generic flagsmith-adopted --from-literal={variable}=\"$(kubectl -n {namespace} get deployment {deployment} -o jsonpath='{{.spec.template.spec.containers[0].env[?(@.name==\"{variable}\")].value}}')\" (one Secret with all such keys)"
        ));
    }
    steps.push(format!(
        "Save this page as {name}.yaml and create it beside what runs: kubectl apply -f {name}.yaml && kubectl -n {namespace} wait fsd/{name} --for=condition=Ready --timeout=15m. Its migration finds nothing to do."
    ));
    for (component, state) in [(Component::Api, &found.api), (Component::Frontend, &found.frontend)] {
        let Some(state) = state else { continue };
        steps.push(format!(
            "Let the old Service of the {} lead to the new pods: for s in $(kubectl -n {namespace} get services -l {} -o name); do kubectl -n {namespace} patch $s --type=json -p '[{{\"op\":\"replace\",\"path\":\"/spec/selector\",\"value\":{{\"{}\":\"flagsmith-{}\",\"{}\":\"{name}\"}}}}]'; done",
            component.as_str(),
            state.selector,
            marks::NAME,
            component.as_str(),
            marks::INSTANCE,
        ));
    }
    let deployments: Vec<&str> = [&found.api, &found.task_processor, &found.frontend]
        .into_iter()
        .flatten()
        .map(|state: &WorkloadState| state.name.as_str())
        .collect();
    steps.push(format!(
        "Wait a minute, so that connections to the old pods end, then let Helm forget the release without deleting anything: kubectl -n {namespace} delete secret -l owner=helm,name={release}"
    ));
    steps.push(format!(
        "Delete the old workloads: kubectl -n {namespace} delete deployment {}; and what belongs to them: kubectl -n {namespace} delete hpa,pdb,job -l {}={release}; kubectl -n {namespace} delete hpa --field-selector metadata.name={}-hpa --ignore-not-found",
        deployments.join(" "),
        marks::INSTANCE,
        found.api.as_ref().map_or("", |state| &state.name),
    ));
    if found.adoption.spec.exposure.is_some() {
        steps.push(format!(
            "Delete the old Ingress or HTTPRoute when the new one serves: kubectl -n {namespace} delete ingress -l {}={release}. Until then both lead to the new pods.",
            marks::INSTANCE
        ));
    }
    steps.push(
        "Keep the Secrets and the old Services: clients inside of the cluster use their names.".to_owned(),
    );
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{CHART_DEFAULT, CHART_WITH_PROCESSOR, objects, observed, resource},
        validate::validate,
    };

    fn adopted(release: &str, manifest: &str) -> (FlagsmithDeployment, String) {
        let (found, _) = observed(release, &objects(manifest));
        let page = page(&found, release, "prod", &DocsUrl::default()).unwrap();
        (serde_saphyr::from_str(&page).unwrap(), page)
    }

    #[rstest::rstest]
    #[case("flagsmith", CHART_DEFAULT)]
    #[case("acme", CHART_WITH_PROCESSOR)]
    fn what_it_prints_is_valid(#[case] release: &str, #[case] manifest: &str) {
        let (printed, page) = adopted(release, manifest);
        let stored = resource(&serde_json::to_value(&printed.spec).unwrap());
        let installation = validate(&stored).unwrap().managed().unwrap();
        assert_eq!(installation.release.to_string(), "2.265.0");
        assert_eq!(printed.metadata.name, Some(format!("{release}-op")));
        assert!(page.contains("/adopt.html says why"));
    }

    #[test]
    fn secrets_are_referred_to_and_settings_kept() {
        let (printed, _) = adopted("acme", CHART_WITH_PROCESSOR);
        let spec = printed.spec;
        let url = spec.database.unwrap().url_from.unwrap().secret_key_ref;
        assert_eq!((url.name.as_str(), url.key.as_str()), ("acme-flagsmith", "DATABASE_URL"));
        let django = spec.django.secret_key_from.unwrap().secret_key_ref;
        assert_eq!(django.name, "acme-flagsmith-django-secret-key");
        assert_eq!(spec.images.api, "docker.io/local/flagsmith-api");
        let names: Vec<_> = spec.env.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["DISABLE_ANALYTICS_FEATURES", "ENABLE_ADMIN_ACCESS_USER_PASS"]);
        let autoscaling = spec.api.autoscaling.unwrap();
        assert_eq!((autoscaling.min_replicas, autoscaling.max_replicas), (2, 10));
        assert_eq!(autoscaling.target_cpu_utilization_percentage, 50);
    }

    #[test]
    fn a_literal_that_looks_like_a_credential_is_not_printed() {
        let manifest = CHART_DEFAULT
            .replace("name: ENABLE_ADMIN_ACCESS_USER_PASS", "name: EMAIL_HOST_PASSWORD")
            .replace("\"true\"", "\"s3cr3t\"");
        let (printed, page) = adopted("flagsmith", &manifest);
        assert!(!page.contains("s3cr3t"), "{page}");
        assert!(page.contains("Move EMAIL_HOST_PASSWORD into a Secret"), "{page}");
        assert!(
            printed.spec.env.iter().any(|it| it.name == "EMAIL_HOST_PASSWORD" && it.value_from.is_some())
        );
    }

    #[test]
    fn what_cannot_be_said_is_listed() {
        let manifest = CHART_DEFAULT.replace(
            "      containers:\n      - name: flagsmith-api\n",
            "      containers:\n      - name: cloud-sql-proxy\n        image: proxy:1\n      - name: flagsmith-api\n",
        );
        let (_, page) = adopted("flagsmith", &manifest);
        assert!(page.contains("container cloud-sql-proxy beside the api"), "{page}");
    }
}
