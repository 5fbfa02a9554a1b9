//! Every problem with its field and message.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    fixtures::{installation, minimal, resource, spec},
    flagsmith::{OLDEST_SUPPORTED, Release},
    model::{Code, Diagnosis},
};

/// Field and message of every problem.
fn problems(spec: &Value) -> Vec<(String, String)> {
    let problems = validate(&resource(spec)).unwrap_err();
    for problem in &problems {
        assert!(problem.remedy.ends_with('.'), "{problem:?}");
        assert!(!problem.message.ends_with('.'), "{problem:?}");
    }
    problems.into_iter().map(|problem| (problem.field, problem.message)).collect()
}

const URL: &str = r#"{"secretKeyRef": {"name": "db", "key": "DATABASE_URL"}}"#;

fn source(name: &str, key: &str) -> Value {
    json!({ "secretKeyRef": { "name": name, "key": key } })
}

/// A database in parts, with these besides or instead.
fn in_parts(changes: Value) -> Value {
    let mut parts = json!({"host": "db.example.com", "name": "flags", "userFrom": source("rds", "username"), "passwordFrom": source("rds", "password")});
    if let (Some(parts), Value::Object(changes)) = (parts.as_object_mut(), changes) {
        parts.extend(changes);
    }
    parts
}

/// An edge proxy of one environment, with these settings besides or instead.
fn edge_proxy(changes: Value) -> Value {
    let keys =
        json!({ "clientSideKeyFrom": source("sdk", "client"), "serverSideKeyFrom": source("sdk", "server") });
    let mut edge_proxy = json!({ "environments": [keys] });
    if let (Some(edge_proxy), Value::Object(changes)) = (edge_proxy.as_object_mut(), changes) {
        edge_proxy.extend(changes);
    }
    edge_proxy
}

/// What is not given of another database is as in the main one; each has a key of the operator's own Secret.
#[test]
fn parts_are_put_together_with_those_of_the_main_database() {
    let database = in_parts(json!({
        "port": 6432, "sslMode": "require",
        "migration": {"userFrom": source("owner", "user"), "passwordFrom": source("owner", "password")},
        "replicas": [{"host": "replica", "port": 5432, "sslMode": "disable"}],
        "taskProcessor": {"name": "tasks"},
        "analytics": {"host": "usage", "userFrom": source("usage", "user")},
    }));
    let installation = installation(&spec(json!({ "database": database })));
    let parts = installation.database.parts();
    let told: Vec<_> = parts
        .iter()
        .map(|it| {
            format!(
                "{} {} {}:{}/{} {} {} {:?}",
                it.key.name,
                it.key.key,
                it.host,
                it.port,
                it.name,
                it.user.name,
                it.password.key,
                it.ssl_mode.map(crate::api::SslMode::as_str)
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"flagsmith-database-url DATABASE_URL db.example.com:6432/flags rds password Some("require")"#,
            r#"flagsmith-database-url MIGRATION_DATABASE_URL db.example.com:6432/flags owner password Some("require")"#,
            r#"flagsmith-database-url TASK_PROCESSOR_DATABASE_URL db.example.com:6432/tasks rds password Some("require")"#,
            r#"flagsmith-database-url ANALYTICS_DATABASE_URL usage:6432/flags usage password Some("require")"#,
            r#"flagsmith-database-url REPLICA_DATABASE_URL_0 replica:5432/flags rds password Some("disable")"#,
        ]
    );
    assert_eq!(installation.database.migration_url().key, "MIGRATION_DATABASE_URL");
    let Database::External { analytics_url, replica_urls, .. } = &installation.database else { panic!() };
    assert_eq!(analytics_url.as_ref().unwrap().key, "ANALYTICS_DATABASE_URL");
    assert_eq!(replica_urls.len(), 1);
}

fn url() -> Value {
    serde_json::from_str(URL).unwrap()
}

#[rstest]
#[case(json!({"version": "latest"}), "spec.version", r#""latest" is not an exact release such as "2.265.0""#)]
#[case(json!({"version": "2.265"}), "spec.version", r#""2.265" is not an exact release such as "2.265.0""#)]
#[case(json!({"version": "2.169.9"}), "spec.version", "Flagsmith 2.169.9 is older than 2.170.0, the first release that can be started without migrating; nothing was started or changed")]
#[case(json!({"requestTimeoutSeconds": 4}), "spec.requestTimeoutSeconds", "4 is not from 5 to 3600 (seconds)")]
#[case(json!({"requestTimeoutSeconds": 3601}), "spec.requestTimeoutSeconds", "3601 is not from 5 to 3600 (seconds)")]
#[case(json!({"database": {}}), "spec.database", "none of urlFrom, host and embedded is set")]
#[case(json!({"database": {"embedded": {}, "caFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}}), "spec.database", "caFrom goes with urlFrom only")]
#[case(json!({"database": {"urlFrom": url(), "caFrom": {}}}), "spec.database", "caFrom must have exactly one of secretKeyRef and configMapKeyRef")]
#[case(json!({"database": {"urlFrom": url(), "embedded": {}}}), "spec.database", "urlFrom and embedded exclude each other")]
#[case(json!({"database": {"embedded": {}, "migrationUrlFrom": url()}}), "spec.database", "migrationUrlFrom, taskProcessorUrlFrom, analyticsUrlFrom and replicaUrlsFrom go with urlFrom only")]
#[case(json!({"database": {"embedded": {}, "replicaUrlsFrom": [url()]}}), "spec.database", "migrationUrlFrom, taskProcessorUrlFrom, analyticsUrlFrom and replicaUrlsFrom go with urlFrom only")]
#[case(json!({"database": {"host": "h", "name": "n", "userFrom": source("a", "b")}}), "spec.database", "with host, name, userFrom and passwordFrom are needed")]
#[case(json!({"database": {"urlFrom": url(), "sslMode": "require"}}), "spec.database", "there are parts of a database, but no host")]
#[case(json!({"database": in_parts(json!({"urlFrom": url()}))}), "spec.database.host", "it goes without urlFrom and embedded")]
#[case(json!({"database": in_parts(json!({"migration": {}, "migrationUrlFrom": url()}))}), "spec.database.migration", "its URL is given, too")]
#[case(json!({"database": in_parts(json!({"host": "https://h"}))}), "spec.database.host", r#""https://h" is neither a DNS name nor an address"#)]
#[case(json!({"database": in_parts(json!({"replicas": [{"host": "a b"}]}))}), "spec.database.replicas[0].host", r#""a b" is neither a DNS name nor an address"#)]
#[case(json!({"database": in_parts(json!({"analytics": {"userFrom": source("../x", "k")}}))}), "spec.database.analytics.userFrom.secretKeyRef.name", r#""../x" cannot be the name of a Secret"#)]
#[case(json!({"images": {"frontend": "r.io/f@sha256:ab"}}), "spec.images.frontend", r#""r.io/f@sha256:ab" is no repository, with or without a tag and a digest"#)]
#[case(json!({"images": {"api": ""}}), "spec.images.api", r#""" is no repository, with or without a tag and a digest"#)]
#[case(json!({"api": {"replicas": 2, "autoscaling": {"maxReplicas": 3}}}), "spec.api", "replicas and autoscaling exclude each other")]
#[case(json!({"frontend": {"autoscaling": {"minReplicas": 4, "maxReplicas": 3}}}), "spec.frontend.autoscaling", "minReplicas 4 is above maxReplicas 3")]
#[case(json!({"monitoring": {}}), "spec.monitoring", "exactly one of podMonitor and podAnnotations is needed")]
#[case(json!({"monitoring": {"podMonitor": {}, "podAnnotations": {}}}), "spec.monitoring", "exactly one of podMonitor and podAnnotations is needed")]
#[case(json!({"monitoring": {"podMonitor": {"interval": "often"}}}), "spec.monitoring.podMonitor.interval", r#""often" is not a duration"#)]
#[case(json!({"monitoring": {"podMonitor": {"labels": {"app.kubernetes.io/instance": "a"}}}}), "spec.monitoring.podMonitor.labels", r#"the label "app.kubernetes.io/instance" belongs to the operator"#)]
#[case(json!({"exposure": {"hosts": ["a.b"]}}), "spec.exposure", "neither ingress nor httpRoute is set")]
#[case(json!({"exposure": {"hosts": ["a.b"], "ingress": {}, "httpRoute": {"parentRefs": [{"name": "g"}]}}}), "spec.exposure", "ingress and httpRoute exclude each other")]
#[case(json!({"exposure": {"hosts": [], "ingress": {}}}), "spec.exposure.hosts", "no host is named")]
#[case(json!({"exposure": {"hosts": ["a.b"], "httpRoute": {"parentRefs": []}}}), "spec.exposure.httpRoute.parentRefs", "no Gateway is named")]
#[case(json!({"exposure": {"hosts": ["a.b", "https://a.b"], "ingress": {}}}), "spec.exposure.hosts[1]", r#""https://a.b" is not a DNS name in lower case"#)]
#[case(json!({"exposure": {"hosts": ["A.b"], "ingress": {}}}), "spec.exposure.hosts[0]", r#""A.b" is not a DNS name in lower case"#)]
#[case(json!({"exposure": {"hosts": ["a.b"], "ingress": {"tls": [{"hosts": ["c.b"], "secretName": "t"}]}}}), "spec.exposure.ingress.tls", r#"host "c.b" is not one of spec.exposure.hosts, so its certificate would never be used"#)]
#[case(json!({"exposure": {"hosts": ["a.b"], "ingress": {}, "api": {"hosts": ["c.d"], "ingress": {}}}}), "spec.exposure", "hosts, ingress, httpRoute and proxy are for everything in one, api and frontend for each apart")]
#[case(json!({"exposure": {"api": {"hosts": ["a.b"], "ingress": {}}, "frontend": {"hosts": ["a.b"], "ingress": {}}}}), "spec.exposure.api.hosts", r#""a.b" is a host of the dashboard, too"#)]
#[case(json!({"exposure": {"api": {"hosts": ["a.b"]}}}), "spec.exposure.api", "neither ingress nor httpRoute is set")]
#[case(json!({"exposure": {"frontend": {"hosts": ["A"], "ingress": {}}}}), "spec.exposure.frontend.hosts[0]", r#""A" is not a DNS name in lower case"#)]
#[case(json!({"exposure": {"hosts": ["a.b"], "ingress": {}, "proxy": {"name": "nginx"}}}), "spec.exposure.proxy.name", r#""nginx" is not a proxy that the operator knows"#)]
#[case(json!({"exposure": {"edgeProxy": {"hosts": ["a.b"], "ingress": {}}}}), "spec.exposure.edgeProxy", "there is no edge proxy")]
#[case(json!({"edgeProxy": edge_proxy(json!({})), "exposure": {"edgeProxy": {"hosts": ["a.b"]}}}), "spec.exposure.edgeProxy", "neither ingress nor httpRoute is set")]
#[case(json!({"edgeProxy": edge_proxy(json!({})), "exposure": {"ingress": {}, "edgeProxy": {"hosts": ["a.b"], "ingress": {}}}}), "spec.exposure.hosts", "no host is named")]
#[case(json!({"edgeProxy": edge_proxy(json!({})), "exposure": {"hosts": ["a.b"], "ingress": {}, "edgeProxy": {"hosts": ["a.b"], "ingress": {}}}}), "spec.exposure.edgeProxy.hosts", r#""a.b" is a host of API or dashboard, too"#)]
#[case(json!({"integrations": {"email": {"sender": "a@b"}}}), "spec.integrations.email", "exactly one of smtp and sendGridKeyFrom is needed")]
#[case(json!({"integrations": {"redis": {"urlFrom": source("r", "URL")}}, "env": [{"name": "CACHE_ENVIRONMENT_DOCUMENT_MODE"}]}), "spec.env[0].name", "CACHE_ENVIRONMENT_DOCUMENT_MODE is computed by the operator")]
#[case(json!({"integrations": {"redis": {"urlFrom": source("R", "URL")}}}), "spec.integrations.redis.urlFrom.secretKeyRef.name", r#""R" cannot be the name of a Secret"#)]
#[case(json!({"edgeProxy": edge_proxy(json!({"image": "r.io/edge-proxy"}))}), "spec.edgeProxy.image", r#""r.io/edge-proxy" has neither tag nor digest"#)]
#[case(json!({"edgeProxy": edge_proxy(json!({"environments": []}))}), "spec.edgeProxy.environments", "no environment is named")]
#[case(json!({"edgeProxy": edge_proxy(json!({"replicas": 2, "autoscaling": {"maxReplicas": 3}}))}), "spec.edgeProxy", "replicas and autoscaling exclude each other")]
#[case(json!({"edgeProxy": edge_proxy(json!({"env": [{"name": "api_url", "value": "x"}]}))}), "spec.edgeProxy.env[0].name", "api_url is computed by the operator")]
#[case(json!({"edgeProxy": edge_proxy(json!({"service": {"labels": {"app.kubernetes.io/name": "x"}}}))}), "spec.edgeProxy.service.labels", r#"the label "app.kubernetes.io/name" belongs to the operator"#)]
#[case(json!({"edgeProxy": edge_proxy(json!({"environments": [{"clientSideKeyFrom": source("a", "b"), "serverSideKeyFrom": source("../x", "k")}]}))}), "spec.edgeProxy.environments[0].serverSideKeyFrom.secretKeyRef.name", r#""../x" cannot be the name of a Secret"#)]
#[case(json!({"mode": "Observed", "observe": {"release": "r", "proxy": {"name": "nginx"}}}), "spec.observe.proxy.name", r#""nginx" is not a proxy that the operator knows"#)]
#[case(json!({"env": [{"name": "DATABASE_URL", "value": "x"}]}), "spec.env[0].name", "DATABASE_URL is computed by the operator")]
#[case(json!({"env": [{"name": "A"}, {"name": "REPLICA_DATABASE_URL_3"}]}), "spec.env[1].name", "REPLICA_DATABASE_URL_3 is computed by the operator")]
#[case(json!({"api": {"env": [{"name": "A"}, {"name": "A"}]}}), "spec.api.env[1].name", "A is set twice in this list")]
#[case(json!({"taskProcessor": {"env": [{"name": "TASK_RUN_METHOD"}]}}), "spec.taskProcessor.env[0].name", "TASK_RUN_METHOD is computed by the operator")]
#[case(json!({"migrations": {"env": [{"name": "A=B"}]}}), "spec.migrations.env[0].name", r#""A=B" is no name of an environment variable"#)]
#[case(json!({"frontend": {"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}}), "spec.frontend.env[0]", "A has both value and valueFrom")]
#[case(json!({"api": {"pod": {"labels": {"app.kubernetes.io/name": "x"}}}}), "spec.api.pod.labels", r#"the label "app.kubernetes.io/name" belongs to the operator"#)]
#[case(json!({"migrations": {"pod": {"annotations": {"operator.flagsmith.com/migration-key": "x"}}}}), "spec.migrations.pod.annotations", r#"the annotation "operator.flagsmith.com/migration-key" belongs to the operator"#)]
#[case(json!({"commonLabels": {"app.kubernetes.io/instance": "x"}}), "spec.commonLabels", r#"the label "app.kubernetes.io/instance" belongs to the operator"#)]
#[case(json!({"commonAnnotations": {"operator.flagsmith.com/applied-hash": "x"}}), "spec.commonAnnotations", r#"the annotation "operator.flagsmith.com/applied-hash" belongs to the operator"#)]
#[case(json!({"commonLabels": {"cost centre": "x"}}), "spec.commonLabels", r#""cost centre" cannot be the name of a label"#)]
#[case(json!({"frontend": {"service": {"labels": {"team": "a b"}}}}), "spec.frontend.service.labels", r#""a b" cannot be the value of a label"#)]
#[case(json!({"api": {"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": "50%"}}}), "spec.api.podDisruptionBudget", "minAvailable and maxUnavailable exclude each other")]
#[case(json!({"images": {"api": "r.io/api:latest"}}), "spec.images.api", r#"the tag "latest" means another image from one day to the next"#)]
#[case(json!({"images": {"api": "r.io/api:2.260.0"}}), "spec.images.api", "the tag 2.260.0 is another release than spec.version")]
#[case(json!({"api": {"pod": {"extraContainers": [{"name": "api"}]}}}), "spec.api.pod.extraContainers[0].name", r#"the name "api" is taken"#)]
#[case(json!({"frontend": {"pod": {"extraContainers": [{"name": "a"}], "initContainers": [{"name": "a"}]}}}), "spec.frontend.pod.initContainers[0].name", r#"the name "a" is taken"#)]
#[case(json!({"migrations": {"pod": {"initContainers": [{"name": "pull-7"}]}}}), "spec.migrations.pod.initContainers[0].name", r#"the name "pull-7" is taken"#)]
#[case(json!({"migrations": {"pod": {"extraContainers": [{"name": "proxy"}]}}}), "spec.migrations.pod.extraContainers", "a Job ends only when all of its containers have ended, so these would keep it running")]
#[case(json!({"taskProcessor": {"pod": {"extraContainers": [{"name": "a", "ports": "x"}]}}}), "spec.taskProcessor.pod.extraContainers[0]", r#"it is no container: invalid type: string "x", expected a sequence"#)]
#[case(json!({"api": {"pod": {"volumes": [{"name": "tmp", "emptyDir": {}}]}}}), "spec.api.pod.volumes", r#"the name "tmp" is taken"#)]
#[case(json!({"api": {"pod": {"volumes": [{"name": "a", "secret": "b"}]}}}), "spec.api.pod.volumes[0]", "it is no volume: invalid type: string \"b\", expected SecretVolumeSource")]
#[case(json!({"taskProcessor": {"pod": {"volumes": [{"name": "ca"}, {"name": "ca"}]}}}), "spec.taskProcessor.pod.volumes", r#"the name "ca" is taken"#)]
#[case(json!({"frontend": {"volumeMounts": [{"name": "ca", "mountPath": "/ca"}]}}), "spec.frontend.volumeMounts", r#"there is no volume "ca" in spec.frontend.pod.volumes"#)]
#[case(json!({"migrations": {"volumeMounts": [{"name": "ca", "mountPath": "/ca"}]}}), "spec.migrations.volumeMounts", r#"there is no volume "ca" in spec.migrations.pod.volumes"#)]
#[case(json!({"api": {"volumeMounts": [{"name": "ca", "mountPath": "/tmp/"}], "pod": {"volumes": [{"name": "ca"}]}}}), "spec.api.volumeMounts", r#"something else is mounted at "/tmp/" already"#)]
#[case(json!({"database": {"urlFrom": source("g-db?x=/../..#", "URL")}}), "spec.database.urlFrom.secretKeyRef.name", r#""g-db?x=/../..#" cannot be the name of a Secret"#)]
#[case(json!({"database": {"urlFrom": url(), "migrationUrlFrom": source("db", "a/b")}}), "spec.database.migrationUrlFrom.secretKeyRef.key", r#""a/b" cannot be a key of a Secret"#)]
#[case(json!({"database": {"urlFrom": url(), "replicaUrlsFrom": [url(), source("../x", "URL")]}}), "spec.database.replicaUrlsFrom[1].secretKeyRef.name", r#""../x" cannot be the name of a Secret"#)]
#[case(json!({"database": {"urlFrom": url(), "caFrom": {"configMapKeyRef": {"name": "A", "key": "b"}}}}), "spec.database.caFrom.configMapKeyRef.name", r#""A" cannot be the name of a ConfigMap"#)]
#[case(json!({"mode": "Observed", "observe": {"release": "r"}, "database": {"urlFrom": source("a b", "URL")}}), "spec.database.urlFrom.secretKeyRef.name", r#""a b" cannot be the name of a Secret"#)]
#[case(json!({"django": {"secretKeyFrom": source("", "KEY")}}), "spec.django.secretKeyFrom.secretKeyRef.name", r#""" cannot be the name of a Secret"#)]
#[case(json!({"exposure": {"hosts": ["a.b"], "ingress": {"className": "../x"}}}), "spec.exposure.ingress.className", r#""../x" cannot be the name of an IngressClass"#)]
#[case(json!({"env": [{"name": "A", "valueFrom": source("x/y", "URL")}]}), "spec.env[0].valueFrom.secretKeyRef.name", r#""x/y" cannot be the name of a Secret"#)]
#[case(json!({"api": {"envFrom": [{"configMapRef": {"name": "x?y"}}]}}), "spec.api.envFrom[0].configMapRef.name", r#""x?y" cannot be the name of a ConfigMap"#)]
fn refuses(#[case] changes: Value, #[case] field: &str, #[case] message: &str) {
    assert_eq!(problems(&spec(changes)), [(field.to_owned(), message.to_owned())]);
}

#[test]
fn only_a_release_that_is_too_old_is_unsupported() {
    let codes = |changes: Value| -> Vec<Code> {
        let problems = validate(&resource(&spec(changes))).unwrap_err();
        problems.iter().map(|problem| problem.code).collect()
    };
    assert_eq!(codes(json!({"version": "2.169.9"})), [Code::UnsupportedVersion]);
    assert_eq!(codes(json!({"version": "2.169"})), [Code::InvalidSpec]);
    assert_eq!(installation(&spec(json!({"version": "2.170.0"}))).release, OLDEST_SUPPORTED);
}

#[test]
fn says_everything_at_once() {
    let changes = json!({"version": "x", "database": {}, "requestTimeoutSeconds": 1, "env": [{"name": "GUNICORN_TIMEOUT"}]});
    let fields: Vec<_> = problems(&spec(changes)).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["spec.database", "spec.requestTimeoutSeconds", "spec.env[0].name", "spec.version"]);
}

#[rstest]
#[case("flagsmith", true)]
#[case("a", true)]
#[case("a234567890123456789012345678901234567890", true)]
#[case("a2345678901234567890123456789012345678901", false)]
#[case("1flagsmith", false)]
#[case("flag.smith", false)]
#[case("flagsmith-", false)]
#[case("Flagsmith", false)]
fn judges_the_name(#[case] name: &str, #[case] good: bool) {
    let mut resource = resource(&minimal());
    resource.metadata.name = Some(name.to_owned());
    let problems = validate(&resource).err().unwrap_or_default();
    assert_eq!(problems.is_empty(), good, "{problems:?}");
    assert!(problems.iter().all(|problem| problem.field == "metadata.name"));
}

#[rstest]
#[case("localhost:5000/team/flagsmith-api")]
#[case("flagsmith")]
#[case("registry.example.com/a_b/c.d")]
fn accepts_repositories(#[case] repository: &str) {
    let installation = installation(&spec(json!({"images": {"api": repository}})));
    assert_eq!(installation.api_image(installation.release), format!("{repository}:2.265.0"));
}

#[rstest]
#[case("r.io:5000/api:2.265.0-ours.3", "r.io:5000/api:2.265.0-ours.3")]
#[case("r.io/api:2.265.0", "r.io/api:2.265.0")]
#[case(
    "r.io/api:a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "r.io/api:a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)]
fn a_tag_is_that_of_the_wanted_release(#[case] source: &str, #[case] expected: &str) {
    let installation = installation(&spec(json!({"images": {"api": source}})));
    assert_eq!(installation.api_image(installation.release), expected);
    let older = Release::new(2, 260, 0);
    let repository = &source[..source.rfind("/api").unwrap() + 4];
    assert_eq!(installation.api_image(older), format!("{repository}:2.260.0"));
}

/// A digest is pulled for the release that it belongs to, and for no other.
#[test]
fn a_digest_is_that_of_the_wanted_release() {
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let source = format!("r.io:5000/api@{digest}");
    let images = json!({"images": {"api": source, "frontend": format!("front@{digest}")}});
    let installation = installation(&spec(images));
    let (wanted, other) = (installation.release, Release::new(2, 260, 0));
    assert_eq!(installation.api_image(wanted), format!("r.io:5000/api:2.265.0@{digest}"));
    assert_eq!(installation.frontend_image(wanted), format!("front:2.265.0@{digest}"));
    assert_eq!(installation.api_image(other), "r.io:5000/api:2.260.0");
    assert_eq!(Release::of_image(&installation.api_image(wanted)), Some(wanted));
}

#[rstest]
#[case(json!(["flags.example.com"]), json!(["*.example.com"]))]
#[case(json!(["*.example.com"]), json!(["flags.example.com"]))]
#[case(json!(["*"]), json!(["flags.example.com"]))]
fn accepts_certificates_that_cover(#[case] hosts: Value, #[case] certificate: Value) {
    let ingress = json!({"tls": [{"hosts": certificate, "secretName": "t"}]});
    installation(&spec(json!({"exposure": {"hosts": hosts, "ingress": ingress}})));
}

#[test]
fn a_resource_without_namespace_is_refused() {
    let mut resource = resource(&minimal());
    resource.metadata.namespace = None;
    let problems = validate(&resource).unwrap_err();
    assert_eq!(problems[0].field, "metadata");
}

#[test]
fn a_problem_becomes_a_diagnosis_that_names_the_field() {
    let problem = validate(&resource(&spec(json!({"requestTimeoutSeconds": 4})))).unwrap_err().remove(0);
    let diagnosis = Diagnosis::from(problem);
    assert_eq!(diagnosis.message, "spec.requestTimeoutSeconds: 4 is not from 5 to 3600 (seconds)");
    assert_eq!(diagnosis.remedy, "Set it to the longest time that a request may take, for example 30.");
}

#[test]
fn annotations_are_read() {
    let mut resource = resource(&minimal());
    let annotate = |value: &str| Some([(RETRY_MIGRATION_ANNOTATION.to_owned(), value.to_owned())].into());
    resource.metadata.annotations = annotate("2");
    let installation = validate(&resource).unwrap().managed().unwrap();
    assert_eq!(installation.retry.as_deref(), Some("2"));
    resource.metadata.annotations = annotate("");
    assert_eq!(validate(&resource).unwrap().managed().unwrap().retry, None);
}

#[rstest]
#[case("2.265.0", json!({"from": "2.265.0", "to": "2.260.0"}), Some("spec.migrations.rollback.to"))]
#[case("2.260.0", json!({"from": "2.265.0", "to": "2.260.0"}), None)]
#[case("2.260.0", json!({"from": "2.260.0", "to": "2.260.0"}), Some("spec.migrations.rollback.from"))]
#[case("2.260.0", json!({"from": "latest", "to": "2.260.0"}), Some("spec.migrations.rollback.from"))]
fn a_rollback_is_confirmed_for_exactly_two_releases(
    #[case] version: &str,
    #[case] rollback: Value,
    #[case] refused: Option<&str>,
) {
    let spec = spec(json!({ "version": version, "migrations": { "rollback": rollback } }));
    match (validate(&resource(&spec)), refused) {
        (Ok(installation), None) => {
            let confirmed = installation.managed().unwrap().rollback.unwrap();
            assert_eq!(confirmed.from, Release::new(2, 265, 0));
            assert_eq!(confirmed.to, Release::new(2, 260, 0));
        }
        (Err(problems), Some(field)) => assert_eq!(problems.first().unwrap().field, field),
        (result, _) => panic!("{result:?}"),
    }
}

#[test]
fn a_backup_is_made_in_one_way() {
    let with = |backup: Value| {
        let spec = spec(json!({ "migrations": { "backup": backup } }));
        validate(&resource(&spec)).is_ok()
    };
    let dump = json!({ "claimName": "backups" });
    let pod = json!({ "spec": { "containers": [] } });
    assert!(with(json!({ "volumeClaim": dump })));
    assert!(with(json!({ "podTemplate": pod })));
    assert!(!with(json!({})));
    assert!(!with(json!({ "volumeClaim": dump, "podTemplate": pod })));
}
