//! What `plan --adopt` prints, and that nothing of an installation is left unsaid.

use std::collections::BTreeSet;

use serde_json::json;

use super::{live::Live, *};
use crate::{
    fixtures::{CHART_DEFAULT, CHART_WITH_PROCESSOR, chart_0_82, objects, observed, resource},
    model::child::Kind,
};

/// The documents of a manifest, as a server lists them.
fn documents(manifest: &str) -> Vec<Value> {
    let bodies = manifest.split("\n---").filter_map(|it| Some(it.split_once('\n')?.1));
    bodies.filter_map(|it| serde_saphyr::from_str::<Value>(it).ok()).filter(|it| !it.is_null()).collect()
}

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
      - {path: /, pathType: Prefix, backend: {service: {name: acme-flagsmith-frontend, port: {number: 8080}}}}
---
# budget
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: acme-flagsmith-api-pdb}
spec:
  minAvailable: 50%
  selector: {matchLabels: {app.kubernetes.io/name: flagsmith, app.kubernetes.io/instance: acme, app.kubernetes.io/component: api}}
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

/// Pointers to every scalar of a value.
fn scalars(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                scalars(value, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                scalars(value, &format!("{pointer}/{index}"), found);
            }
        }
        Value::Null => {}
        _ => found.push(pointer.to_owned()),
    }
}

/// By what an object is found at all: changed, it is another one, or nobody's.
fn is_identity(document: &Value, pointer: &str) -> bool {
    let kind = document["kind"].as_str().unwrap_or_default();
    let is_own = |it: &Value| it.as_str().is_some_and(|name| name.starts_with("flagsmith-"));
    let of_all = [
        "/metadata/name",
        "/kind",
        "/apiVersion",
        "/spec/selector/",
        "/metadata/labels/app.kubernetes.io",
        "/metadata/labels/helm.sh",
    ];
    of_all.iter().any(|prefix| pointer.starts_with(prefix))
        || pointer.starts_with("/spec/template/metadata/labels/app.kubernetes.io")
        || (kind == "HorizontalPodAutoscaler" && pointer.starts_with("/spec/scaleTargetRef"))
        // Which release runs, and which container is Flagsmith's.
        || (kind == "Deployment" && pointer.ends_with("/image"))
        || (pointer.ends_with("/name") && document.pointer(pointer).is_some_and(is_own))
}

/// Everything that is said of an object, in the words of a comparison.
fn said(object: &Live, objects: &[Live]) -> BTreeSet<(String, String)> {
    let mut said: BTreeSet<(String, String)> = if matches!(object.kind, Kind::Ingress | Kind::HttpRoute) {
        routes::facts(object).into_iter().map(|(path, value)| (path, value.to_string())).collect()
    } else {
        facts::of(&object.body).into_iter().map(|(path, value)| (path, value.to_string())).collect()
    };
    let leads = |service: &str| live::leads_to(objects, service);
    let ways = routes::ways(object, &leads);
    said.extend(ways.into_iter().map(|way| (format!("{}{}", way.host, way.path), format!("{:?}", way.to))));
    said
}

/// Whatever one field of the chart's objects is changed to, the page names it; and what it calls kept is in the
/// specification.
#[test]
fn no_change_is_left_unsaid() {
    let manifest = rich();
    let base = documents(&manifest);
    let (found, _) = observed("acme", &objects(&manifest));
    let base_live = live::of(&base, &found);
    let base_spec = foresee(&found, "acme", "prod", &base).resource.spec;
    let (mut checked, mut wrong) = (0, Vec::new());
    for (index, document) in base.iter().enumerate() {
        let kind = document["kind"].as_str().unwrap();
        let name = document["metadata"]["name"].as_str().unwrap().to_owned();
        if !base_live.iter().any(|it| it.kind.as_str() == kind && it.name == name) {
            continue;
        }
        let mut pointers = Vec::new();
        scalars(document, "", &mut pointers);
        for pointer in pointers.iter().filter(|pointer| !is_identity(document, pointer)) {
            let mut all = base.clone();
            let field = all[index].pointer_mut(pointer).unwrap();
            *field = match &*field {
                Value::String(text) => json!(format!("{text}x")),
                Value::Number(number) => json!(number.as_i64().unwrap() + 7),
                Value::Bool(value) => json!(!value),
                other => other.clone(),
            };
            let text: Vec<String> =
                all.iter().map(|it| format!("# of\n{}", serde_saphyr::to_string(it).unwrap())).collect();
            let text = text.join("\n---\n");
            let (found, _) = observed("acme", &objects(&text));
            let moved = foresee(&found, "acme", "prod", &all);
            let changed = live::of(&all, &found);
            let Some(object) = changed.iter().find(|it| it.kind.as_str() == kind && it.name == name) else {
                continue;
            };
            let before = base_live.iter().find(|it| it.kind.as_str() == kind && it.name == name).unwrap();
            let before = said(before, &base_live);
            let new: Vec<_> = said(object, &changed).into_iter().filter(|it| !before.contains(it)).collect();
            if new.is_empty() && moved.unsaid.is_empty() {
                wrong.push(format!("{kind} {name}{pointer} is not looked at"));
            }
            for (path, _) in new {
                let this = format!("{kind} {name}");
                let difference =
                    moved.differences.iter().find(|it| it.object == this && it.path.starts_with(&path));
                checked += 1;
                // A path below one that the operator serves needs no words.
                let needs_words = !pointer.contains("/paths/") && moved.resource.spec == base_spec;
                match difference.map(|it| &it.fate) {
                    None if moved.unsaid.is_empty() => wrong.push(format!("{this}: {path} is not named")),
                    Some(Fate::Kept) if needs_words => wrong.push(format!("{this}: {path} is kept nowhere")),
                    _ => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > 150, "only {checked} settings were changed");
}
