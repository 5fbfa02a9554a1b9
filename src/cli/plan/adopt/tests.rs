//! What `plan --adopt` prints.

mod command;
mod staying;
mod unsaid;

use super::*;
use crate::fixtures::{
    CHART_DEFAULT, CHART_WITH_PROCESSOR, chart_0_82, documents, objects, observed, resource,
};

fn adopted(release: &str, manifest: &str) -> (FlagsmithDeployment, String, bool) {
    let (found, _) = observed(release, &objects(manifest));
    let moved = foresee(&found, release, "prod", &documents(manifest));
    let page = page(&found, &moved, release, "prod", &DocsUrl::default()).unwrap();
    (serde_saphyr::from_str(&page).unwrap(), page, moved.loses())
}

#[rstest::rstest]
#[case("flagsmith", CHART_DEFAULT)]
#[case("acme", CHART_WITH_PROCESSOR)]
#[case("acme", &chart_0_82())]
fn what_it_prints_is_valid(#[case] release: &str, #[case] manifest: &str) {
    let (printed, page, loses) = adopted(release, manifest);
    assert!(!loses, "{page}");
    let stored = resource(&serde_json::to_value(&printed.spec).unwrap());
    let installation = validate(&stored).unwrap().managed().unwrap();
    assert_eq!(installation.release.to_string(), "2.265.0");
    assert_eq!(printed.metadata.name, Some(format!("{release}-op")));
    assert!(page.contains("/adopt.html says why"));
}

#[test]
fn secrets_are_referred_to_and_settings_kept() {
    let (printed, ..) = adopted("acme", CHART_WITH_PROCESSOR);
    let spec = printed.spec;
    let url = spec.database.unwrap().url_from.unwrap().secret_key_ref;
    assert_eq!((url.name.as_str(), url.key.as_str()), ("acme-flagsmith", "DATABASE_URL"));
    let django = spec.django.secret_key_from.unwrap().secret_key_ref;
    assert_eq!(django.name, "acme-flagsmith-django-secret-key");
    assert_eq!(spec.images.api, "docker.io/local/flagsmith-api");
    let names: Vec<_> = spec.env.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["DISABLE_ANALYTICS_FEATURES", "ENABLE_ADMIN_ACCESS_USER_PASS", "LOG_FORMAT"]);
    let autoscaling = spec.api.autoscaling.unwrap();
    assert_eq!((autoscaling.min_replicas, autoscaling.max_replicas), (2, 10));
    assert_eq!(autoscaling.target_cpu_utilization_percentage, 50);
}

#[test]
fn a_literal_that_looks_like_a_credential_is_not_printed() {
    let manifest = CHART_DEFAULT
        .replace("name: ENABLE_ADMIN_ACCESS_USER_PASS", "name: EMAIL_HOST_PASSWORD")
        .replace("\"true\"", "\"s3cr3t\"");
    let (printed, page, _) = adopted("flagsmith", &manifest);
    assert!(!page.contains("s3cr3t"), "{page}");
    assert!(page.contains("Move EMAIL_HOST_PASSWORD into a Secret"), "{page}");
    assert!(printed.spec.env.iter().any(|it| it.name == "EMAIL_HOST_PASSWORD" && it.value_from.is_some()));
}

#[test]
fn neither_is_one_of_a_sidecar() {
    let sidecar = "      containers:\n      - name: proxy\n        image: proxy:1\n        env: [{name: API_TOKEN, value: s3cr3t}]\n      - name: flagsmith-api\n";
    let manifest = CHART_DEFAULT.replace("      containers:\n      - name: flagsmith-api\n", sidecar);
    let (_, page, loses) = adopted("flagsmith", &manifest);
    assert!(!loses && !page.contains("s3cr3t"), "{page}");
    assert!(page.contains(r#"containers[?(@.name=="proxy")].env[?(@.name=="API_TOKEN")]"#), "{page}");
}

#[test]
fn a_sidecar_is_kept() {
    let manifest = CHART_DEFAULT.replace(
        "      containers:\n      - name: flagsmith-api\n",
        "      containers:\n      - name: cloud-sql-proxy\n        image: proxy:1\n      - name: flagsmith-api\n",
    );
    let (printed, page, loses) = adopted("flagsmith", &manifest);
    assert!(!loses, "{page}");
    assert_eq!(printed.spec.api.container.pod.extra_containers.first().unwrap().name, "cloud-sql-proxy");
}

/// API and dashboard behind Ingresses of their own, and what users of the chart set besides.
const MORE: &str = r#"
---
# two Ingresses
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: acme-flagsmith-api
  annotations: {example.com/rate: "10"}
spec:
  ingressClassName: public
  tls: [{hosts: [api.example.com], secretName: api-tls}]
  rules:
  - host: api.example.com
    http:
      paths:
      - {path: /api/, pathType: Prefix, backend: {service: {name: acme-flagsmith-api, port: {number: 8000}}}}
      - {path: /admin/, pathType: Prefix, backend: {service: {name: acme-flagsmith-api, port: {number: 8000}}}}
---
# of the dashboard
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: acme-flagsmith-frontend
  annotations: {nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/8}
spec:
  ingressClassName: internal
  rules:
  - host: flags.internal
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: acme-flagsmith-frontend, port: {name: http}}}}
---
# budget
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: acme-flagsmith-api-pdb}
spec:
  minAvailable: 50%
  selector: {matchLabels: {app.kubernetes.io/name: flagsmith, app.kubernetes.io/instance: acme, app.kubernetes.io/component: api}}
"#;

/// One `HTTPRoute` in front of both, with everything written out.
const ROUTE: &str = r#"
---
# of Gateway API
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: acme-flagsmith-frontend
  labels: {app.kubernetes.io/name: flagsmith, app.kubernetes.io/instance: acme, team: flags}
  annotations: {example.com/owner: flags}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: public, namespace: gateways, sectionName: https}]
  hostnames: [flags.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /api/}}]
    backendRefs: [{group: "", kind: Service, name: acme-flagsmith-api, port: 8000, weight: 1}]
    timeouts: {request: 40s}
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{name: acme-flagsmith-frontend, port: 8080}]
"#;

/// The chart with task processor, and [`MORE`], and settings of pods and Services that users ask for.
fn rich() -> String {
    let pods = "    spec:\n      securityContext: {runAsUser: 1000, fsGroup: 1000}\n      nodeSelector: {disk: ssd}\n      \
                tolerations: [{key: a, operator: Exists}]\n      hostAliases: [{ip: 10.0.0.1, hostnames: [db]}]\n      \
                dnsConfig: {searches: [corp]}\n      priorityClassName: high\n      volumes: [{name: ca, secret: {secretName: ca}}]\n      \
                initContainers: [{name: wait, image: 'busybox:1', command: [sleep, '1']}]\n      containers:\n      - name: statsd\n        \
                image: statsd:1\n        volumeMounts: [{name: ca, mountPath: /ca}]\n      - name: flagsmith-api\n        \
                securityContext: {readOnlyRootFilesystem: false}\n";
    let annotated =
        "metadata:\n  name: acme-flagsmith-api\n  annotations: {cloud.google.com/neg: ingress}\n  labels:";
    CHART_WITH_PROCESSOR
        .replacen("metadata:\n  name: acme-flagsmith-api\n  labels:", annotated, 1)
        .replace("    spec:\n      containers:\n      - name: flagsmith-api\n", pods)
        .replace(
            "  template:\n    metadata:\n      annotations:\n",
            "  template:\n    metadata:\n      annotations:\n        example.com/scrape: 'true'\n",
        )
        + MORE
}

/// Hosts of two Ingresses stay apart, and with them classes, annotations, and what they lead to.
#[test]
fn two_ingresses_are_never_one() {
    let (printed, page, loses) = adopted("acme", &rich());
    assert!(!loses, "{page}");
    let exposure = printed.spec.exposure.unwrap();
    let (api, frontend) = (exposure.api.unwrap(), exposure.frontend.unwrap());
    assert_eq!(
        (api.hosts, frontend.hosts),
        (vec!["api.example.com".to_owned()], vec!["flags.internal".to_owned()])
    );
    let (api, frontend) = (api.ingress.unwrap(), frontend.ingress.unwrap());
    assert_eq!(
        (api.class_name.as_deref(), frontend.class_name.as_deref()),
        (Some("public"), Some("internal"))
    );
    assert!(frontend.annotations.contains_key("nginx.ingress.kubernetes.io/whitelist-source-range"));
    assert!(!api.annotations.contains_key("nginx.ingress.kubernetes.io/whitelist-source-range"));
    assert!(page.contains("it exists on the dashboard's hosts only: api.example.com/admin"), "{page}");
    assert!(page.contains("#  - host flags.internal: /.well-known, /admin, /api"), "{page}");
}

#[test]
fn what_has_no_place_is_lost() {
    let third = MORE
        .replace("acme-flagsmith-frontend\n  annotations", "third\n  annotations")
        .replace("flags.internal", "other.internal");
    let (_, page, loses) = adopted("acme", &(rich() + &third));
    assert!(loses);
    let lost = page.split("# Computed").next().unwrap();
    assert!(
        lost.contains("Ingress third: annotations[nginx.ingress.kubernetes.io/whitelist-source-range]"),
        "{page}"
    );
    assert!(lost.contains("other.internal/"), "{page}");
}

/// What the operator adds is said in a few lines, and is no reason for an exit status.
#[test]
fn what_is_new_is_said_in_a_few_lines() {
    let (_, page, loses) = adopted("acme", CHART_WITH_PROCESSOR);
    assert!(!loses, "{page}");
    let new: Vec<&str> = section(&page, "New, made by the operator");
    let said = |words: &[&str]| new.iter().any(|line| words.iter().all(|word| line.contains(word)));
    for words in [
        &["api, task-processor, frontend: securityContext of the container", "readOnlyRootFilesystem true"][..],
        &["api, task-processor, frontend: securityContext of pods", "runAsNonRoot true"],
        &["api: container", "startupProbe", "lifecycle"],
        &["api: resources", "requests.memory"],
        &["PodDisruptionBudget acme-op-api", "ServiceAccount acme-op"],
        &["api: variables", "PGCONNECT_TIMEOUT=10"],
    ] {
        assert!(said(words), "{words:?} in {new:#?}");
    }
    assert!((5..=20).contains(&new.len()), "{new:#?}");
    insta::assert_snapshot!(new.join("\n"));
}

/// What stands in its place is no database that the operator would make.
#[test]
fn a_database_that_nothing_names_is_none_of_the_operators() {
    let manifest = CHART_WITH_PROCESSOR.replace("- name: DATABASE_URL", "- name: OTHER_URL");
    let (_, page, loses) = adopted("acme", &manifest);
    assert!(loses, "{page}");
    let new = section(&page, "New, made by the operator").join("\n");
    assert!(
        !new.contains("StatefulSet") && !new.contains("DATABASE_URL") && !new.contains("database"),
        "{new}"
    );
}

/// The lines of one section of a page.
fn section<'a>(page: &'a str, title: &str) -> Vec<&'a str> {
    let mut lines = page.lines().skip_while(|line| *line != format!("# {title}:"));
    assert!(lines.next().is_some(), "{title} in {page}");
    lines.map_while(|line| line.strip_prefix("#  ")).collect()
}

/// The commands of the move.
fn commands(page: &str) -> String {
    let lines = page.lines().skip_while(|line| !line.starts_with("# The move"));
    lines.collect::<Vec<_>>().join("\n")
}
