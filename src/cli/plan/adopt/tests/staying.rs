//! What the commands of a move leave alone, and that the page says so.

use super::{MORE, ROUTE, adopted, commands, section};
use crate::fixtures::CHART_WITH_PROCESSOR;

const STAYS: &str = "What stays as it is";

/// Labels of the official chart.
fn labels(component: &str) -> String {
    format!(
        "{{helm.sh/chart: flagsmith-0.81.0, app.kubernetes.io/name: flagsmith, app.kubernetes.io/instance: acme, app.kubernetes.io/component: {component}}}"
    )
}

/// What the chart makes of its SSE service, whose Ingress, autoscaler and budget have the release's labels or none.
fn sse() -> String {
    let (labels, pods) =
        (labels("sse"), "{app.kubernetes.io/instance: acme, app.kubernetes.io/component: sse}");
    format!(
        "
---
# its pods
apiVersion: apps/v1
kind: Deployment
metadata: {{name: acme-flagsmith-sse, labels: {labels}}}
spec:
  selector: {{matchLabels: {pods}}}
  template:
    metadata: {{labels: {pods}}}
    spec: {{containers: [{{name: sse, image: 'flagsmith/sse:3.6.0'}}]}}
---
# where they are found
apiVersion: v1
kind: Service
metadata: {{name: acme-flagsmith-sse, labels: {labels}}}
spec: {{selector: {pods}, ports: [{{port: 8000}}]}}
---
# and from where
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: acme-flagsmith-sse, labels: {labels}}}
spec:
  rules:
  - host: sse.example.com
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: acme-flagsmith-sse, port: {{number: 8000}}}}}}}}]}}
---
# the same in the words of Gateway API
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: acme-flagsmith-sse-route, labels: {labels}}}
spec:
  parentRefs: [{{name: public}}]
  rules: [{{backendRefs: [{{name: acme-flagsmith-sse, port: 8000}}]}}]
---
# how many, as the chart makes it: without labels
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: acme-flagsmith-sse-hpa}}
spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: acme-flagsmith-sse}}, maxReplicas: 4}}
---
# how many at once
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: acme-flagsmith-sse-pdb, labels: {labels}}}
spec: {{maxUnavailable: 1, selector: {{matchLabels: {pods}}}}}
---
# a hook of Helm
apiVersion: batch/v1
kind: Job
metadata: {{name: acme-flagsmith-sse-secret-init, labels: {labels}}}
spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: a, image: 'a:1'}}]}}}}}}
"
    )
}

/// What `kubectl delete ingress -l app.kubernetes.io/instance=acme` took with it.
#[test]
fn what_is_beside_the_move_is_named_and_in_no_command() {
    let (_, page, loses) = adopted("acme", &(CHART_WITH_PROCESSOR.to_owned() + MORE + &sse()));
    assert!(!loses, "{page}");
    let commands = commands(&page);
    assert!(!commands.contains("sse"), "{commands}");
    // By a label goes Helm's own record, and nothing else.
    let by_label = commands.match_indices(" -l ").map(|(at, _)| &commands[at..]);
    assert!(by_label.clone().all(|it| it.starts_with(" -l owner=helm,name=acme")), "{commands}");
    assert_eq!(by_label.count(), 1, "{commands}");
    let stays = section(&page, STAYS).join("\n");
    for named in [
        "Deployment acme-flagsmith-sse:",
        "Ingress acme-flagsmith-sse:",
        "HTTPRoute acme-flagsmith-sse-route:",
        "HorizontalPodAutoscaler acme-flagsmith-sse-hpa:",
        "PodDisruptionBudget acme-flagsmith-sse-pdb:",
        "Job acme-flagsmith-sse-secret-init:",
    ] {
        assert!(stays.contains(named), "{named} {stays}");
    }
}

/// What is compared is deleted by its name.
#[test]
fn what_the_specification_replaces_is_deleted_by_name() {
    let (_, page, _) = adopted("acme", &(CHART_WITH_PROCESSOR.to_owned() + MORE + &sse()));
    let commands = commands(&page);
    for deleted in [
        "deployment/acme-flagsmith-api",
        "deployment/acme-flagsmith-task-processor",
        "deployment/acme-flagsmith ",
        "hpa/acme-flagsmith-api-hpa",
        "pdb/acme-flagsmith-api-pdb",
        "job/acme-flagsmith-migrate-db-1-1mrn4",
        "ingress/acme-flagsmith-api",
        "ingress/acme-flagsmith-frontend",
    ] {
        assert!(commands.contains(deleted), "{deleted} {commands}");
    }
    assert!(
        commands.contains("for s in acme-flagsmith-api; do kubectl -n prod patch service $s"),
        "{commands}"
    );
}

#[test]
fn so_is_an_http_route() {
    let (printed, page, loses) =
        adopted("acme", &(CHART_WITH_PROCESSOR.to_owned() + &ROUTE.replace(", team: flags", "")));
    assert!(!loses, "{page}");
    assert!(printed.spec.exposure.unwrap().http_route.is_some());
    let commands = commands(&page);
    assert!(commands.contains("httproutes.gateway.networking.k8s.io/acme-flagsmith-frontend"), "{commands}");
}

/// What also leads elsewhere, or has no place, is nobody's to delete.
#[test]
fn a_route_that_is_not_replaced_stays() {
    let mixed = MORE.replace(
        "      - {path: /admin/",
        "      - {path: /sse/, pathType: Prefix, backend: {service: {name: acme-flagsmith-sse, port: {number: 8000}}}}\n      - {path: /admin/",
    );
    let third = MORE.replace("acme-flagsmith-frontend\n  annotations", "third\n  annotations");
    let third = third.replace("flags.internal", "other.internal");
    let third = third.split("\n---\n").nth(2).unwrap();
    let (_, page, loses) =
        adopted("acme", &(CHART_WITH_PROCESSOR.to_owned() + &mixed + &sse() + "\n---\n" + third));
    assert!(loses, "{page}");
    let commands = commands(&page);
    assert!(!commands.contains("ingress/acme-flagsmith-api") && !commands.contains("third"), "{commands}");
    let stays = section(&page, STAYS).join("\n");
    assert!(
        stays.contains("Ingress acme-flagsmith-api: it also leads to Service acme-flagsmith-sse"),
        "{stays}"
    );
    assert!(stays.contains("Ingress third: "), "{stays}");
}

/// One budget of all pods of a release protects those that stay, too.
#[test]
fn a_budget_of_what_stays_is_not_deleted() {
    let all = "\n---\n# of everything\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: everything}\nspec: {maxUnavailable: 1, selector: {matchLabels: {app.kubernetes.io/instance: acme}}}\n";
    let (_, page, _) = adopted("acme", &(CHART_WITH_PROCESSOR.to_owned() + &sse() + all));
    assert!(!commands(&page).contains("everything"), "{page}");
    let stays = section(&page, STAYS).join("\n");
    assert!(
        stays
            .contains("PodDisruptionBudget everything: it also counts pods of Deployment acme-flagsmith-sse"),
        "{stays}"
    );
}

/// Routes of `OpenShift` are told as the Ingress that takes their place; those that it has made of an Ingress are that
/// Ingress's.
#[test]
fn routes_of_openshift_are_lost_and_told_as_an_ingress() {
    let route = |name: &str, service: &str, owner: &str| {
        format!(
            "\n---\n# of OpenShift\napiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {{name: {name}, labels: {}{owner}}}\nspec: {{host: flags.apps.example.com, to: {{kind: Service, name: {service}}}, tls: {{termination: edge}}}}\n",
            labels("api")
        )
    };
    let made = ", ownerReferences: [{apiVersion: networking.k8s.io/v1, kind: Ingress, name: a, uid: b}]";
    let manifest = CHART_WITH_PROCESSOR.to_owned()
        + &sse()
        + &route("acme-flagsmith-frontend", "acme-flagsmith-frontend", "")
        + &route("made-of-an-ingress", "acme-flagsmith-frontend", made)
        + &route("events", "acme-flagsmith-sse", "");
    let (_, page, loses) = adopted("acme", &manifest);
    assert!(loses, "{page}");
    let lost = section(&page, "What it cannot say, and would be lost").join("\n");
    assert!(lost.contains("Route acme-flagsmith-frontend (flags.apps.example.com): "), "{lost}");
    assert!(lost.contains("spec.exposure.hosts: [flags.apps.example.com]"), "{lost}");
    assert!(lost.contains("route.openshift.io/termination: edge"), "{lost}");
    assert!(!page.contains("made-of-an-ingress"), "{page}");
    assert!(
        section(&page, STAYS).join("\n").contains("Route events: it leads to Service acme-flagsmith-sse")
    );
}
