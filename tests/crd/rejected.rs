//! What the API server refuses, with the whole sentence that the user reads.

use kube::{
    Api,
    api::{DeleteParams, PostParams},
    core::DynamicObject,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{client, edge_proxy, object, resources, sentence, source, spec};

fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

#[rstest]
#[case(json!({"version": "latest"}), r#"spec.version: Invalid value: must be an exact release such as "2.265.0": migrations belong to one release, so a moving tag cannot be upgraded safely"#)]
#[case(json!({"version": "2.265"}), r#"spec.version: Invalid value: must be an exact release such as "2.265.0": migrations belong to one release, so a moving tag cannot be upgraded safely"#)]
#[case(json!({"version": "v2.265.0"}), r#"spec.version: Invalid value: must be an exact release such as "2.265.0": migrations belong to one release, so a moving tag cannot be upgraded safely"#)]
#[case(json!({"version": "2.0265.0"}), r#"spec.version: Invalid value: must be an exact release such as "2.265.0": migrations belong to one release, so a moving tag cannot be upgraded safely"#)]
#[case(json!({"version": null}), r#"spec: Invalid value: version is needed, such as "2.265.0"; only with mode Observed it is read from what runs"#)]
#[case(json!({"requestTimeoutSeconds": 4}), "spec.requestTimeoutSeconds: Invalid value: must be from 5 to 3600 (seconds): below 5 ordinary requests are cut, above 3600 no proxy keeps a connection")]
#[case(json!({"requestTimeoutSeconds": 3601}), "spec.requestTimeoutSeconds: Invalid value: must be from 5 to 3600 (seconds): below 5 ordinary requests are cut, above 3600 no proxy keeps a connection")]
#[case(json!({"database": null}), "spec: Invalid value: database is needed: urlFrom names the Secret with DATABASE_URL, embedded: {} makes a small PostgreSQL for trying it out; only with mode Observed it is read from what runs")]
#[case(json!({"mode": "Observed"}), "spec: Invalid value: observe is needed with mode Observed: observe.release names a Helm release of the official chart, observe.components the Deployments of anything else")]
#[case(json!({"observe": {"release": "flagsmith"}}), "spec: Invalid value: observe goes with mode Observed: remove it to have the operator manage the installation")]
#[case(json!({"mode": "Observed", "observe": {}}), "spec.observe: Invalid value: one of release and components is needed: release is the name of a Helm release of the official chart, components name the Deployments of anything else")]
#[case(json!({"mode": "Observed", "observe": {"release": "a", "components": {"api": {"name": "b"}}}}), "spec.observe: Invalid value: release and components exclude each other: remove components if the official chart made the installation")]
#[case(json!({"mode": "Observed", "observe": {"components": {"api": {}}}}), "spec.observe.components.api: Invalid value: exactly one of name and selector is needed")]
#[case(json!({"mode": "Observed", "observe": {"release": "flagsmith"}, "database": {"embedded": {}}}), "spec: Invalid value: with mode Observed database can only name a urlFrom: nothing is made")]
#[case(json!({"mode": "Watched"}), r#"[spec.mode: Unsupported value: "Watched": supported values: "Managed", "Observed", <nil>: Invalid value: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]"#)]
#[case(json!({"database": {}}), "spec.database: Invalid value: one of urlFrom, host and embedded is needed: urlFrom names the Secret with DATABASE_URL, host with name, userFrom and passwordFrom says the same in parts, embedded: {} makes a small PostgreSQL for trying it out")]
#[case(json!({"database": {"urlFrom": source("db"), "embedded": {}}}), "spec.database: Invalid value: urlFrom and embedded exclude each other: remove embedded to use your own database")]
#[case(json!({"database": {"embedded": {}, "migrationUrlFrom": source("owner")}}), "spec.database: Invalid value: migrationUrlFrom, taskProcessorUrlFrom, analyticsUrlFrom and replicaUrlsFrom go with urlFrom; the embedded database has one role and one server")]
#[case(json!({"database": {"embedded": {}, "replicaUrlsFrom": [source("replica")]}}), "spec.database: Invalid value: migrationUrlFrom, taskProcessorUrlFrom, analyticsUrlFrom and replicaUrlsFrom go with urlFrom; the embedded database has one role and one server")]
#[case(json!({"database": {"embedded": {}, "caFrom": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}}}), "spec.database: Invalid value: caFrom goes with urlFrom; the embedded database does not encrypt")]
#[case(json!({"database": {"host": "h", "name": "n", "userFrom": source("a")}}), "spec.database: Invalid value: with host, name, userFrom and passwordFrom are needed: the name of the database, and the keys of the Secrets that hold the role and its password")]
#[case(json!({"database": {"urlFrom": source("db"), "sslMode": "require"}}), "spec.database: Invalid value: port, name, userFrom, passwordFrom, sslMode, migration, taskProcessor, analytics and replicas go with host; with urlFrom all of it is in the URL")]
#[case(json!({"database": {"urlFrom": source("db"), "host": "h", "name": "n", "userFrom": source("a"), "passwordFrom": source("a")}}), "spec.database: Invalid value: host goes without urlFrom and embedded: a database is given by its URL or in parts")]
#[case(json!({"database": {"host": "h", "name": "n", "userFrom": source("a"), "passwordFrom": source("a"), "migration": {}, "migrationUrlFrom": source("db")}}), "spec.database: Invalid value: migration, taskProcessor, analytics and replicas say in parts what migrationUrlFrom, taskProcessorUrlFrom, analyticsUrlFrom and replicaUrlsFrom say by URLs: keep one of the two")]
#[case(json!({"database": {"urlFrom": source("db"), "caFrom": {}}}), "spec.database.caFrom: Invalid value: exactly one of secretKeyRef and configMapKeyRef is needed")]
#[case(json!({"database": {"urlFrom": source("g-db?x=/../..#")}}), r"spec.database.urlFrom.secretKeyRef.name: Invalid value: spec.database.urlFrom.secretKeyRef.name in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'")]
#[case(json!({"django": {"secretKeyFrom": {"secretKeyRef": {"name": "a", "key": "b/c"}}}}), "spec.django.secretKeyFrom.secretKeyRef.key: Invalid value: spec.django.secretKeyFrom.secretKeyRef.key in body should match '^[-._a-zA-Z0-9]+$'")]
#[case(json!({"exposure": {"hosts": ["a.b"], "ingress": {"className": "../x"}}}), r"spec.exposure.ingress.className: Invalid value: spec.exposure.ingress.className in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'")]
#[case(json!({"api": {"envFrom": [{"configMapRef": {"name": ".."}}]}}), r"spec.api.envFrom[0].configMapRef.name: Invalid value: spec.api.envFrom[0].configMapRef.name in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'")]
#[case(json!({"database": {"embedded": {"storage": "much"}}}), r#"spec.database.embedded.storage: Invalid value: must be a quantity such as "10Gi""#)]
#[case(json!({"images": {"api": "flagsmith/flagsmith-api:a b"}}), r#"spec.images.api: Invalid value: must be a repository, such as "docker.flagsmith.com/flagsmith/flagsmith-api" (its tag is spec.version), or repository:TAG, repository@sha256:DIGEST, repository:TAG@sha256:DIGEST of the image of that version"#)]
#[case(json!({"images": {"frontend": "flagsmith/flagsmith-frontend@sha256:0123"}}), r#"spec.images.frontend: Invalid value: must be a repository, such as "docker.flagsmith.com/flagsmith/flagsmith-frontend" (its tag is spec.version), or repository:TAG, repository@sha256:DIGEST, repository:TAG@sha256:DIGEST of the image of that version"#)]
#[case(json!({"frontend": {"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}}}), "spec.frontend.podDisruptionBudget: Invalid value: minAvailable and maxUnavailable exclude each other: remove one of them")]
#[case(json!({"images": {"pullPolicy": "Sometimes"}}), "spec.images.pullPolicy: Invalid value: must be Always, IfNotPresent or Never")]
#[case(json!({"api": {"replicas": 2, "autoscaling": {"maxReplicas": 4}}}), "spec.api: Invalid value: replicas and autoscaling exclude each other: remove replicas, autoscaling.minReplicas takes its place")]
#[case(json!({"api": {"replicas": -1}}), "[spec.api.replicas: Invalid value: spec.api.replicas in body should be greater than or equal to 0, .spec.api.replicas: Invalid value: should be a non-negative integer]")]
#[case(json!({"api": {"autoscaling": {"minReplicas": 5, "maxReplicas": 4}}}), "spec.api.autoscaling: Invalid value: minReplicas must not be above maxReplicas")]
#[case(json!({"api": {"gunicorn": {"threads": 0}}}), "spec.api.gunicorn.threads: Invalid value: spec.api.gunicorn.threads in body should be greater than or equal to 1")]
#[case(json!({"frontend": {"replicas": 2, "autoscaling": {"maxReplicas": 4}}}), "spec.frontend: Invalid value: replicas and autoscaling exclude each other: remove replicas, autoscaling.minReplicas takes its place")]
#[case(json!({"monitoring": {}}), "spec.monitoring: Invalid value: exactly one of podMonitor and podAnnotations is needed: by both, Prometheus would read each pod twice")]
#[case(json!({"monitoring": {"podMonitor": {}, "podAnnotations": {}}}), "spec.monitoring: Invalid value: exactly one of podMonitor and podAnnotations is needed: by both, Prometheus would read each pod twice")]
#[case(json!({"monitoring": {"podMonitor": {"interval": "often"}}}), r#"spec.monitoring.podMonitor.interval: Invalid value: must be a duration such as "30s" or "1m""#)]
#[case(json!({"exposure": {"hosts": ["flags.example.com"]}}), "spec.exposure: Invalid value: one of ingress and httpRoute is needed; remove exposure to have Services only")]
#[case(json!({"exposure": {"hosts": ["flags.example.com"], "ingress": {}, "httpRoute": {"parentRefs": [{"name": "public"}]}}}), "spec.exposure: Invalid value: ingress and httpRoute exclude each other: two proxies with different timeouts cannot be aligned; keep one of them")]
#[case(json!({"exposure": {"ingress": {}}}), r#"spec.exposure: Invalid value: hosts is needed: name at least one host, such as "flags.example.com", or "*" for every host; or give API and dashboard hosts of their own in api and frontend"#)]
#[case(json!({"exposure": {"hosts": ["a.b"], "ingress": {}, "api": {"hosts": ["c.d"], "ingress": {}}}}), "spec.exposure: Invalid value: hosts, ingress, httpRoute and proxy are for everything in one: move them into api and frontend, or remove these")]
#[case(json!({"exposure": {"api": {"hosts": ["a.b"], "ingress": {}}, "frontend": {"hosts": ["c.d", "a.b"], "ingress": {}}}}), "spec.exposure: Invalid value: a host is in both api and frontend: the dashboard's hosts serve the API as well, so leave it out of api")]
#[case(json!({"exposure": {"api": {"hosts": ["a.b"]}}}), "spec.exposure.api: Invalid value: one of ingress and httpRoute is needed; remove it to have Services only")]
#[case(json!({"exposure": {"edgeProxy": {"hosts": ["a.b"], "ingress": {}}}}), "spec: Invalid value: exposure.edgeProxy exposes what edgeProxy describes: add edgeProxy, or remove it")]
#[case(json!({"edgeProxy": edge_proxy(), "exposure": {"hosts": ["a.b"], "ingress": {}, "edgeProxy": {"hosts": ["a.b"], "ingress": {}}}}), "spec.exposure: Invalid value: a host is in edgeProxy and elsewhere: the edge proxy needs hosts of its own, because its paths are those of the API")]
#[case(json!({"edgeProxy": edge_proxy(), "exposure": {"ingress": {}, "edgeProxy": {"hosts": ["a.b"], "ingress": {}}}}), r#"spec.exposure: Invalid value: hosts is needed: name at least one host, such as "flags.example.com", or "*" for every host; or give API and dashboard hosts of their own in api and frontend"#)]
#[case(json!({"integrations": {"email": {"sender": "flags@example.com"}}}), "spec.integrations.email: Invalid value: exactly one of smtp and sendGridKeyFrom is needed")]
#[case(json!({"integrations": {"email": {"sender": "flags", "smtp": {"host": "mail"}}}}), r#"spec.integrations.email.sender: Invalid value: must be an address, such as "flags@example.com""#)]
#[case(json!({"edgeProxy": {"environments": []}}), "spec.edgeProxy.environments: Invalid value: name at least one environment by its two keys")]
#[case(json!({"edgeProxy": {"environments": edge_proxy()["environments"], "image": "docker.flagsmith.com/flagsmith/edge-proxy"}}), r#"spec.edgeProxy.image: Invalid value: must be an image with a tag or a digest, such as "docker.flagsmith.com/flagsmith/edge-proxy:2.23.0": it has releases of its own, and without a tag another one would be pulled some day"#)]
#[case(json!({"exposure": {"hosts": [], "ingress": {}}}), r#"spec.exposure.hosts: Invalid value: name at least one host, such as "flags.example.com", or "*" for every host"#)]
#[case(json!({"exposure": {"hosts": ["https://flags.example.com/"], "ingress": {}}}), r#"spec.exposure.hosts: Invalid value: each host must be a DNS name in lower case without scheme, port or path, such as "flags.example.com""#)]
#[case(json!({"exposure": {"hosts": ["flags.example.com:443"], "ingress": {}}}), r#"spec.exposure.hosts: Invalid value: each host must be a DNS name in lower case without scheme, port or path, such as "flags.example.com""#)]
#[case(json!({"exposure": {"hosts": ["Flags.example.com"], "ingress": {}}}), r#"spec.exposure.hosts: Invalid value: each host must be a DNS name in lower case without scheme, port or path, such as "flags.example.com""#)]
#[case(json!({"exposure": {"hosts": ["flags.example.com"], "httpRoute": {"parentRefs": []}}}), "spec.exposure.httpRoute.parentRefs: Invalid value: name at least one Gateway, such as {name: public, namespace: gateways}")]
#[case(json!({"api": {"env": (0..257).map(|number| json!({"name": format!("V{number}")})).collect::<Value>()}}), "[spec.api.env: Too many: 257: must have at most 256 items, <nil>: Invalid value: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]")]
#[case(json!({"django": {"allowedHosts": []}}), "spec.django.allowedHosts: Invalid value: spec.django.allowedHosts in body should have at least 1 items")]
#[case(json!({"migrations": {"rollback": {"from": "2.266.0", "to": "2.264.0"}}}), "spec: Invalid value: migrations.rollback.to must be the version: the confirmation belongs to one downgrade; remove it before another upgrade")]
#[case(json!({"migrations": {"backup": {}}}), "spec.migrations.backup: Invalid value: exactly one of volumeClaim and podTemplate is needed")]
#[case(json!({"migrations": {"backup": {"volumeClaim": {"claimName": "a", "keep": {"count": 0}}}}}), "spec.migrations.backup.volumeClaim.keep.count: Invalid value: spec.migrations.backup.volumeClaim.keep.count in body should be greater than or equal to 1")]
#[case(json!({"migrations": {"restore": {"from": "A/b"}}}), "spec.migrations.restore.from: Invalid value: spec.migrations.restore.from in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'")]
#[case(json!({"migrations": {"activeDeadlineSeconds": 5}}), "spec.migrations.activeDeadlineSeconds: Invalid value: spec.migrations.activeDeadlineSeconds in body should be greater than or equal to 60")]
#[case(json!({"api": {"pod": {"extraContainers": [{"name": "api", "image": "a"}]}}}), "spec.api.pod: Invalid value: extraContainers: the names of the operator's own containers (api, task-processor, frontend, edge-proxy, migrate, plan, pg-dump, pg-restore, postgresql, pull-…) are taken; give the container another name")]
#[case(json!({"frontend": {"pod": {"initContainers": [{"name": "pull-0", "image": "a"}]}}}), "spec.frontend.pod: Invalid value: initContainers: the names of the operator's own containers (api, task-processor, frontend, edge-proxy, migrate, plan, pg-dump, pg-restore, postgresql, pull-…) are taken; give the container another name")]
#[case(json!({"taskProcessor": {"pod": {"extraContainers": [{"name": "a", "image": "a"}], "initContainers": [{"name": "a", "image": "a"}]}}}), "spec.taskProcessor.pod: Invalid value: a name is in both extraContainers and initContainers; the containers of a pod have different names")]
#[case(json!({"api": {"pod": {"extraContainers": [{"name": "a", "image": "a"}, {"name": "a", "image": "b"}]}}}), r#"spec.api.pod.extraContainers[1]: Duplicate value: {"name":"a"}"#)]
#[case(json!({"migrations": {"pod": {"extraContainers": [{"name": "proxy", "image": "a"}]}}}), "spec.migrations.pod.extraContainers: Invalid value: a Job ends only when all of its containers have ended, so these would keep it running: move them to initContainers with restartPolicy Always, which Kubernetes ends with the migration")]
#[tokio::test]
async fn is_refused(#[case] changes: Value, #[case] expected: &str) {
    let api = resources(&client().await);
    let refused = api.create(&dry_run(), &object("refused", &spec(&changes))).await;
    assert_eq!(sentence(refused.unwrap_err()), expected);
}

#[rstest]
#[case(
    "a2345678901234567890123456789012345678901",
    "<nil>: Invalid value: metadata.name must have at most 40 characters: the names of the Deployments, Services and migration Jobs are made from it"
)]
#[case("2flagsmith", r#"<nil>: Invalid value: metadata.name must be a DNS label that starts with a letter, such as "flagsmith": Services are named after it"#)]
#[case("flag.smith", r#"<nil>: Invalid value: metadata.name must be a DNS label that starts with a letter, such as "flagsmith": Services are named after it"#)]
#[tokio::test]
async fn a_name_is_refused(#[case] name: &str, #[case] expected: &str) {
    let api = resources(&client().await);
    let refused = api.create(&dry_run(), &object(name, &spec(&json!({})))).await;
    assert_eq!(sentence(refused.unwrap_err()), expected);
}

#[tokio::test]
async fn a_misspelt_field_is_refused_when_the_client_is_strict_as_kubectl_is() {
    let client = client().await;
    let path = "/apis/operator.flagsmith.com/v1alpha1/namespaces/default/flagsmithdeployments?dryRun=All&fieldValidation=Strict";
    let body = serde_json::to_vec(&object("refused", &spec(&json!({"api": {"replica": 2}})))).unwrap();
    let request = http::Request::post(path).header("Content-Type", "application/json").body(body).unwrap();
    let error = client.request::<DynamicObject>(request).await.unwrap_err();
    let kube::Error::Api(status) = error else { panic!("{error}") };
    assert!(
        status.message.ends_with("strict decoding error: unknown field \"spec.api.replica\""),
        "{}",
        status.message
    );
}

#[rstest]
#[case(json!({}))]
#[case(json!({"version": "2.170.0", "suspend": true}))]
#[case(json!({"version": "0.0.1"}))]
#[case(json!({"requestTimeoutSeconds": 5}))]
#[case(json!({"requestTimeoutSeconds": 3600}))]
#[case(json!({"database": {"embedded": {}}}))]
#[case(json!({"database": {"embedded": {"storage": 1_073_741_824, "storageClassName": "fast"}}}))]
#[case(json!({"database": {"urlFrom": source("db"), "migrationUrlFrom": source("owner"), "analyticsUrlFrom": source("a"), "replicaUrlsFrom": [source("r")]}}))]
#[case(json!({"images": {"api": "localhost:5000/team/flagsmith-api"}}))]
#[case(json!({"images": {"api": "localhost:5000/team/flagsmith-api:2.265.0-ours"}, "commonLabels": {"team": "flags"}}))]
#[case(json!({"api": {"service": {"type": "LoadBalancer", "annotations": {"a": "b"}}, "podDisruptionBudget": {"maxUnavailable": "25%"}}}))]
#[case(json!({"database": {"host": "db", "port": 6432, "name": "flags", "userFrom": source("a"), "passwordFrom": source("a"), "sslMode": "verify-full", "caFrom": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}, "migration": {"userFrom": source("owner")}, "replicas": [{"host": "replica"}]}}))]
#[case(json!({"images": {"api": "r.io/api@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}))]
#[case(json!({"images": {"api": "flagsmith", "pullSecrets": [{"name": "registry"}]}}))]
#[case(json!({"api": {"autoscaling": {"minReplicas": 4, "maxReplicas": 4}}}))]
#[case(json!({"api": {"replicas": 0}, "taskProcessor": {"replicas": 0}, "frontend": {"enabled": false}}))]
#[case(json!({"exposure": {"hosts": ["*"], "ingress": {}}}))]
#[case(json!({"exposure": {"hosts": ["flags.apps.example.com"], "ingress": {"className": "openshift-default", "tls": [{}]}}}))]
#[case(json!({"edgeProxy": edge_proxy()}))]
#[case(json!({"integrations": {"redis": {"urlFrom": source("redis")}, "email": {"sender": "flags@example.com", "smtp": {"host": "mail"}}}}))]
#[case(json!({"edgeProxy": edge_proxy(), "exposure": {"edgeProxy": {"hosts": ["edge.example.com"], "ingress": {}}}}))]
#[case(json!({"edgeProxy": edge_proxy(), "exposure": {"hosts": ["flags.example.com"], "ingress": {}, "edgeProxy": {"hosts": ["edge.example.com"], "httpRoute": {"parentRefs": [{"name": "public"}]}}}}))]
#[case(json!({"edgeProxy": {"environments": edge_proxy()["environments"], "image": "registry:5000/edge-proxy@sha256:0000000000000000000000000000000000000000000000000000000000000000"}}))]
#[case(json!({"migrations": {"restore": {"from": "flagsmith-backup-3f9a1c0b7e", "confirm": "db:5432/flags 2026-11-30T10:00:00Z", "withoutBackup": true}}}))]
#[case(json!({"monitoring": {"podMonitor": {}}}))]
#[case(json!({"monitoring": {"podMonitor": {"interval": "1m", "labels": {"release": "prometheus"}}}}))]
#[case(json!({"monitoring": {"podAnnotations": {}}}))]
#[case(json!({"exposure": {"api": {"hosts": ["api.example.com"], "ingress": {"className": "public"}}, "frontend": {"hosts": ["flags.internal"], "httpRoute": {"parentRefs": [{"name": "internal"}]}}}}))]
#[case(json!({"migrations": {"pod": {"initContainers": [{"name": "proxy", "image": "a", "restartPolicy": "Always", "args": ["--port", "5432"]}]}}}))]
#[case(json!({"exposure": {"hosts": ["*.example.com", "localhost"], "httpRoute": {"parentRefs": [{"name": "public", "namespace": "gateways", "port": 443}]}}}))]
#[tokio::test]
async fn is_accepted(#[case] changes: Value) {
    let api = resources(&client().await);
    api.create(&dry_run(), &object("accepted", &spec(&changes))).await.unwrap();
}

#[tokio::test]
async fn a_name_of_40_characters_is_accepted() {
    let api = resources(&client().await);
    let name = "a234567890123456789012345678901234567890";
    api.create(&dry_run(), &object(name, &spec(&json!({})))).await.unwrap();
}

#[rstest]
#[case("external", json!({"urlFrom": source("db")}), json!({"embedded": {}}), "spec.database: Invalid value: a database cannot be exchanged under a running installation: dump and restore the data, then create a new FlagsmithDeployment")]
#[case("embedded", json!({"embedded": {}}), json!({"urlFrom": source("db")}), "spec.database: Invalid value: a database cannot be exchanged under a running installation: dump and restore the data, then create a new FlagsmithDeployment")]
#[case("grows", json!({"embedded": {}}), json!({"embedded": {"storage": "20Gi"}}), "spec.database: Invalid value: embedded.storage and embedded.storageClassName cannot change: Kubernetes does not change the volume of a StatefulSet; dump the data, then create a new FlagsmithDeployment")]
#[case("moves", json!({"embedded": {}}), json!({"embedded": {"storageClassName": "fast"}}), "spec.database: Invalid value: embedded.storage and embedded.storageClassName cannot change: Kubernetes does not change the volume of a StatefulSet; dump the data, then create a new FlagsmithDeployment")]
#[tokio::test]
async fn a_database_is_not_exchanged(
    #[case] name: &str,
    #[case] before: Value,
    #[case] after: Value,
    #[case] expected: &str,
) {
    let api = resources(&client().await);
    let stored = create(&api, &format!("exchange-{name}"), &before).await;
    let update = |database: &Value| {
        let mut changed = stored.clone();
        changed.data["spec"]["database"] = database.clone();
        changed
    };
    let name = stored.metadata.name.clone().unwrap();
    let refused = api.replace(&name, &dry_run(), &update(&after)).await;
    let kept = api.replace(&name, &dry_run(), &update(&before)).await;
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    assert_eq!(sentence(refused.unwrap_err()), expected);
    kept.unwrap();
}

async fn create(api: &Api<DynamicObject>, name: &str, database: &Value) -> DynamicObject {
    let object = object(name, &spec(&json!({ "database": database })));
    api.create(&PostParams::default(), &object).await.unwrap()
}

/// The old digest under a new version would run the old image and call its migrations the new release's.
#[tokio::test]
async fn a_version_does_not_change_under_a_digest() {
    let api = resources(&client().await);
    let image = |digit: &str| format!("r.io/api@sha256:{}", digit.repeat(64));
    let before = spec(&json!({ "version": "2.264.0", "images": { "api": image("a") } }));
    let stored = api.create(&PostParams::default(), &object("digest", &before)).await.unwrap();
    let changed = |image: &str| {
        let mut changed = stored.clone();
        changed.data["spec"]["version"] = json!("2.265.0");
        changed.data["spec"]["images"]["api"] = json!(image);
        changed
    };
    let refused = api.replace("digest", &dry_run(), &changed(&image("a"))).await;
    let both = api.replace("digest", &dry_run(), &changed(&image("b"))).await;
    let removed = api.replace("digest", &dry_run(), &changed("r.io/api")).await;
    api.delete("digest", &DeleteParams::default()).await.unwrap();
    assert_eq!(
        sentence(refused.unwrap_err()),
        "spec.images.api: Invalid value: tag and digest are those of the version before: change them together with version, or remove them"
    );
    both.unwrap();
    removed.unwrap();
}
