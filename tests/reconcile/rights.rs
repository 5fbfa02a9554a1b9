//! The rights that the chart gives: none is missing, and none is there that nothing needs. The operator runs with a token
//! of the chart's ServiceAccount, its Role and its admission policy through every story that takes a right of its own;
//! the API server's audit log says what it asked for.

mod at_start;
mod parts;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::Duration,
};

use flagsmith_operator::{
    api::FlagsmithDeployment,
    controller::readiness::rights::{Purpose, Right, rights},
    runtime::lease::LeaseSettings,
};
use k8s_openapi::api::{
    core::v1::{Pod, Service, ServiceAccount},
    rbac::v1::{ClusterRole, PolicyRule, Role},
};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
    config::AuthInfo,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{
    Call, Cluster, Fate, NAME, Network, Operator, SOON, Sandbox, condition, install_crd, run,
};

const NAMESPACE: &str = "flagsmith-system";
const RELEASE: &str = "flagsmith-operator";

/// How long the last requests may take to stand in the audit log.
const LOGGED: Duration = Duration::from_secs(2);

/// What the operator has rights for without asking: the OwnerReferencesPermissionEnforcement plug-in asks the
/// authorizer, which is no request. `may_name_its_owner` shows that it is needed.
const ASKED_FOR_BY_ADMISSION: &str = "update flagsmithdeployments/finalizers.operator.flagsmith.com";

/// `VERB RESOURCE[/SUBRESOURCE][.GROUP]`
fn right(verb: &str, group: &str, resource: &str) -> String {
    let dot = if group.is_empty() { "" } else { "." };
    format!("{verb} {resource}{dot}{group}")
}

fn granted(rules: &[PolicyRule]) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| right(verb, group, resource)));
            }
        }
    }
    rights
}

/// What an account asked for, by whether it was allowed.
fn asked(audit: &[Value], account: &str) -> BTreeMap<bool, BTreeSet<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rights = BTreeMap::from([(true, BTreeSet::new()), (false, BTreeSet::new())]);
    for entry in audit.iter().filter(|it| it["user"]["username"] == account) {
        let object = &entry["objectRef"];
        // Asking what the cluster serves needs no right of the chart's.
        if object["resource"].is_null() {
            continue;
        }
        let (group, mut resource) = (text(&object["apiGroup"]), text(&object["resource"]));
        // Everybody may ask what they may do.
        if group == "authorization.k8s.io" {
            continue;
        }
        if let Some(part) = object["subresource"].as_str() {
            resource = format!("{resource}/{part}");
        }
        let allowed = entry["annotations"]["authorization.k8s.io/decision"] == "allow";
        let asked = rights.entry(allowed).or_default();
        let verb = text(&entry["verb"]);
        asked.insert(right(&verb, &group, &resource));
        // A server-side apply of what does not exist is a creation, and needs both rights.
        if verb == "patch" && entry["responseStatus"]["code"] == 201 {
            asked.insert(right("create", &group, &resource));
        }
    }
    rights
}

/// The chart as Helm renders it, without pods.
fn chart(namespaces: &[&str]) -> String {
    let output = Command::new("helm")
        .args(["template", RELEASE, "charts/flagsmith-operator", "-n", NAMESPACE])
        .args(["--kube-version", "1.34.0", "--set", "replicas=0,image.repository=operator"])
        .args(["--set", &format!("watch.namespaces={{{}}}", namespaces.join(","))])
        .output()
        .expect("helm lies beside testbed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn with_token_of(mut config: Config, cluster: &Cluster, account: &str) -> Config {
    let token = cluster.kubectl(&["-n", NAMESPACE, "create", "token", account], None);
    config.auth_info = AuthInfo { token: Some(token.trim().to_owned().into()), ..AuthInfo::default() };
    config
}

#[test]
fn each_is_used_and_none_is_missing() {
    run(async {
        let cluster = Cluster::up("rights");
        flagsmith_operator::runtime::client::install_crypto();
        let administrator = Client::try_from(cluster.config().await).unwrap();
        install_crd(administrator.clone()).await;
        cluster.gateway_api();
        cluster.pod_monitors();
        let first = Sandbox::of(administrator.clone(), "first").await;
        let second = Sandbox::of(administrator.clone(), "second").await;
        cluster.kubectl(&["create", "namespace", NAMESPACE], None);
        let system = Sandbox { client: administrator.clone(), namespace: "kube-system".to_owned() };
        let namespaces = [&first, &second, &system].map(|it| it.namespace.as_str());
        cluster
            .kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], Some(&chart(&namespaces)));
        let config = with_token_of(cluster.config().await, &cluster, RELEASE);
        let network = Network::default();
        // Autoscalers of everybody are watched: somebody else's is asked about only while it has not been seen.
        let unseen = format!("/{}/horizontalpodautoscalers", second.namespace);
        network.rule(
            move |call| {
                if call.is_watch() && call.path.ends_with(&unseen) { Fate::Hang } else { Fate::Pass }
            },
        );
        let operator = Operator::start_with(
            config.clone(),
            namespaces.map(str::to_owned).to_vec(),
            network,
            Some(LeaseSettings::new(NAMESPACE, RELEASE, "pod")),
        );

        let settings = json!([{ "configMapRef": { "name": "settings" } }]);
        let database = parts::given(&first).await;
        first.install(json!({ "database": database, "api": { "envFrom": settings } })).await;
        let job = first.ready().await.status.unwrap().migration.unwrap().job.unwrap();
        names_of_somebody_else(&cluster, &second, &operator, &job).await;
        an_observed_one(&cluster, &first).await;
        drift(&second).await;
        a_pod_that_was_ended(&first, &operator).await;
        parts::changed(&first).await;
        what_is_not_wanted_any_more(&cluster, &second).await;
        may_name_its_owner(&cluster, &first, config.clone()).await;
        is_refused_where_nothing_may_be_made(&system).await;
        operator.stop().await;
        at_start::each_missing_one_is_named(&administrator, &first, config).await;
        sleep(LOGGED).await;

        let account = format!("system:serviceaccount:{NAMESPACE}:{RELEASE}");
        let asked = asked(&cluster.audit(), &account);
        let granted = rights_of(&administrator, &first.namespace).await;
        let denied: Vec<_> = asked[&false].iter().collect();
        assert!(denied.is_empty(), "asked for and not granted: {denied:#?}");
        let unused: Vec<_> =
            granted.difference(&asked[&true]).filter(|right| *right != ASKED_FOR_BY_ADMISSION).collect();
        assert!(unused.is_empty(), "granted and never asked for: {unused:#?}");
        assert!(granted.contains(ASKED_FOR_BY_ADMISSION));
        let checked: BTreeSet<String> = rights(Purpose::Manage).iter().map(Right::name).collect();
        let unknown: Vec<_> = checked.difference(&granted).collect();
        assert!(unknown.is_empty(), "asked for at the start and not granted: {unknown:#?}");
        let unchecked: Vec<_> = granted_in(&administrator, &first.namespace)
            .await
            .into_iter()
            .filter(|right| right != ASKED_FOR_BY_ADMISSION && !checked.contains(right))
            .collect();
        assert!(unchecked.is_empty(), "granted and not asked for at the start: {unchecked:#?}");
    });
}

/// Everything that the chart grants, in the cluster, in a watched namespace and in the operator's own.
async fn rights_of(client: &Client, watched: &str) -> BTreeSet<String> {
    let name = format!("{NAMESPACE}:{RELEASE}");
    let cluster: ClusterRole = Api::all(client.clone()).get(&name).await.unwrap();
    let role = async |namespace: &str, name: &str| {
        let role: Role = Api::namespaced(client.clone(), namespace).get(name).await.unwrap();
        role.rules.unwrap_or_default()
    };
    let mut rules = cluster.rules.unwrap_or_default();
    rules.extend(role(watched, &name).await);
    rules.extend(role(NAMESPACE, &format!("{RELEASE}-lease")).await);
    granted(&rules)
}

/// What the chart grants in a watched namespace.
async fn granted_in(client: &Client, namespace: &str) -> BTreeSet<String> {
    let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
    granted(&roles.get(&format!("{NAMESPACE}:{RELEASE}")).await.unwrap().rules.unwrap_or_default())
}

fn list(items: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

/// Version, kind, name and specification of an object of each kind that the operator makes, under the name that it needs.
fn same_names(job: &str) -> [(&'static str, &'static str, &str, Value); 10] {
    let labels = json!({ "app": "other" });
    let template = json!({
        "metadata": { "labels": labels },
        "spec": { "containers": [{ "name": "other", "image": "local/other:1" }] },
    });
    let mut once = template.clone();
    once["spec"]["restartPolicy"] = json!("Never");
    let selector = json!({ "matchLabels": labels });
    let backend = json!({ "service": { "name": "other", "port": { "number": 80 } } });
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "other" });
    [
        ("v1", "ServiceAccount", "flagsmith", Value::Null),
        ("v1", "Service", "flagsmith-frontend", json!({ "ports": [{ "port": 1 }] })),
        (
            "apps/v1",
            "StatefulSet",
            "trial-database",
            json!({ "replicas": 0, "serviceName": "other", "selector": selector, "template": template }),
        ),
        (
            "apps/v1",
            "Deployment",
            "flagsmith-frontend",
            json!({ "replicas": 0, "selector": selector, "template": template }),
        ),
        ("batch/v1", "Job", job, json!({ "suspend": true, "template": once })),
        (
            "policy/v1",
            "PodDisruptionBudget",
            "flagsmith-api",
            json!({ "minAvailable": 0, "selector": selector }),
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "flagsmith-api",
            json!({ "maxReplicas": 2, "scaleTargetRef": target }),
        ),
        ("networking.k8s.io/v1", "Ingress", "flagsmith", json!({ "defaultBackend": backend })),
        (
            "gateway.networking.k8s.io/v1",
            "HTTPRoute",
            "flagsmith-routed",
            json!({ "parentRefs": [{ "name": "other" }] }),
        ),
        (
            "monitoring.coreos.com/v1",
            "PodMonitor",
            NAME,
            json!({ "selector": {}, "podMetricsEndpoints": [] }),
        ),
    ]
}

/// An object of each kind that has the name of one which the operator needs: it asks whose each of them is. Each is
/// deleted when it has, so that the next one is come to.
async fn names_of_somebody_else(cluster: &Cluster, sandbox: &Sandbox, operator: &Operator, job: &str) {
    let others = same_names(job);
    let objects: Vec<Value> = others
        .iter()
        .map(|(version, kind, name, spec)| {
            let mut object = json!({
                "apiVersion": version, "kind": kind,
                "metadata": { "name": name, "namespace": sandbox.namespace },
            });
            if !spec.is_null() {
                object["spec"] = spec.clone();
            }
            object
        })
        .collect();
    cluster.kubectl(&["create", "-f", "-"], Some(&list(&objects)));
    let class = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": { "name": "front" }, "spec": { "controller": "k8s.io/ingress-nginx" } });
    cluster.kubectl(&["create", "-f", "-"], Some(&class.to_string()));

    let route = json!({ "hosts": ["r.example.com"], "httpRoute": { "parentRefs": [{ "name": "public" }] } });
    let trial: FlagsmithDeployment = sandbox
        .create(json!({ "metadata": { "name": "trial" }, "spec": {
            "version": "2.260.0", "database": { "embedded": {} },
        } }))
        .await;
    drop(trial);
    sandbox.database_secret_as("routed").await;
    let routed: FlagsmithDeployment = sandbox
        .create(json!({ "metadata": { "name": "flagsmith-routed" }, "spec": {
            "version": "2.260.0", "exposure": route,
            "database": { "urlFrom": { "secretKeyRef": { "name": "routed", "key": "DATABASE_URL" } } },
        } }))
        .await;
    drop(routed);
    sandbox
        .install(json!({
            "api": { "autoscaling": { "maxReplicas": 3 } },
            "exposure": { "hosts": ["flags.example.com"], "ingress": { "className": "front" } },
            "monitoring": { "podMonitor": {} },
        }))
        .await;

    let mut left: BTreeSet<(&str, &str)> = others.iter().map(|(_, kind, name, _)| (*kind, *name)).collect();
    let end = Instant::now() + 2 * SOON;
    while !left.is_empty() {
        assert!(Instant::now() < end, "never asked whose these are: {left:?}");
        let calls = operator.network.calls();
        left.retain(|(kind, name)| {
            let what = format!("{}s/{name}", kind.to_lowercase().replace("ingress", "ingresse"));
            if !calls.iter().any(|call| call.is_read() && call.about(&what)) {
                return true;
            }
            cluster.kubectl(&["-n", &sandbox.namespace, "delete", kind, name, "--wait=false"], None);
            false
        });
        sleep(Duration::from_millis(500)).await;
    }
    sandbox.until(2 * SOON, "available", |it| condition(it, "ApiAvailable").0 == "True").await;
}

/// One that is only looked at: its variables come from a ConfigMap.
async fn an_observed_one(cluster: &Cluster, sandbox: &Sandbox) {
    let labels = json!({ "app": "observed" });
    let variable = json!({ "name": "DATABASE_URL", "valueFrom": { "secretKeyRef": { "name": "db", "key": "DATABASE_URL" } } });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "observed", "namespace": sandbox.namespace },
        "spec": { "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{
                "name": "api", "image": "docker.flagsmith.com/flagsmith/flagsmith-api:2.265.0", "env": [variable],
                "envFrom": [{ "configMapRef": { "name": "settings" } }],
            }] },
        } },
    });
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "settings", "namespace": sandbox.namespace }, "data": { "LOG_LEVEL": "INFO" },
    });
    cluster.kubectl(&["create", "-f", "-"], Some(&list(&[settings, deployment])));
    let observed: FlagsmithDeployment = sandbox
        .create(json!({ "metadata": { "name": "seen" }, "spec": {
            "mode": "Observed", "observe": { "components": { "api": { "name": "observed" } } },
        } }))
        .await;
    drop(observed);
    let looked = timeout(SOON, async {
        let api = sandbox.api::<FlagsmithDeployment>();
        while api.get("seen").await.unwrap().status.is_none_or(|status| status.observed_generation.is_none())
        {
            sleep(Duration::from_millis(200)).await;
        }
    });
    looked.await.expect("an observed installation has a status soon");
}

/// The same change twice is one Event, which is written again.
async fn drift(sandbox: &Sandbox) {
    const LABEL: &str = "app.kubernetes.io/component";
    for _ in 0..2 {
        sandbox
            .merge::<Service>("flagsmith-api", json!({ "metadata": { "labels": { LABEL: "other" } } }))
            .await;
        sandbox
            .until_object(SOON, "flagsmith-api", "repaired", |it: &Service| {
                it.labels().get(LABEL).is_some_and(|label| label != "other")
            })
            .await;
    }
}

/// A container that was ended and does not become ready: its log and the kubelet's Events say why.
async fn a_pod_that_was_ended(sandbox: &Sandbox, operator: &Operator) {
    let pods = sandbox.api::<Pod>();
    let selector = ListParams::default().labels("app.kubernetes.io/component=api");
    let pod = pods.list(&selector).await.unwrap().items.remove(0);
    let status = pod.status.unwrap().container_statuses.unwrap().remove(0);
    let at = jiff::Timestamp::now();
    let ended = json!({
        "name": status.name, "image": status.image, "imageID": status.image_id, "ready": false, "started": true,
        "restartCount": 1, "state": { "running": { "startedAt": at } },
        "lastState": { "terminated": { "exitCode": 137, "reason": "Error", "startedAt": at, "finishedAt": at } },
    });
    let patch = json!({ "status": {
        "containerStatuses": [ended],
        "conditions": [{ "type": "Ready", "status": "False" }, { "type": "ContainersReady", "status": "False" }],
    } });
    pods.patch_status(&pod.metadata.name.unwrap(), &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    let asked = timeout(2 * SOON, async {
        let seen = |part: &str| operator.network.count(|call| call.path.ends_with(part)) > 0;
        while !(seen("/log") && operator.network.count(core_events) > 0) {
            sleep(Duration::from_millis(200)).await;
        }
    });
    asked.await.expect("its log and its Events are read");
}

fn core_events(call: &Call) -> bool {
    call.is_read() && call.path.starts_with("/api/v1/") && call.path.ends_with("/events")
}

/// Everything that a specification can stop asking for, and the Job of a release that was superseded.
async fn what_is_not_wanted_any_more(cluster: &Cluster, sandbox: &Sandbox) {
    sandbox.create::<ServiceAccount>(json!({ "metadata": { "name": "own" } })).await;
    let old = sandbox.installation().await.status.unwrap().migration.unwrap().job.unwrap();
    sandbox
        .patch(json!({ "spec": {
            "version": "2.265.0", "serviceAccountName": "own", "frontend": { "enabled": false }, "exposure": null,
            "monitoring": null,
            "api": { "autoscaling": null, "replicas": 1 },
        } }))
        .await;
    sandbox.merge::<FlagsmithDeployment>("flagsmith-routed", json!({ "spec": { "exposure": null } })).await;
    let gone = [
        ("serviceaccount", NAME.to_owned()),
        ("service", format!("{NAME}-frontend")),
        ("deployment", format!("{NAME}-frontend")),
        ("poddisruptionbudget", format!("{NAME}-frontend")),
        ("horizontalpodautoscaler", format!("{NAME}-api")),
        ("ingress", NAME.to_owned()),
        ("httproute", "flagsmith-routed".to_owned()),
        ("podmonitor", NAME.to_owned()),
        ("job", old),
    ];
    let end = Instant::now() + 2 * SOON;
    let mut left: Vec<_> = gone.iter().collect();
    while !left.is_empty() {
        assert!(Instant::now() < end, "never deleted: {left:?}");
        left.retain(|(kind, name)| {
            let found = ["-n", &sandbox.namespace, "get", kind, name, "--ignore-not-found", "-o", "name"];
            !cluster.kubectl(&found, None).is_empty()
        });
        sleep(Duration::from_millis(500)).await;
    }
}

/// Where the API server enforces it, an object with `blockOwnerDeletion` takes the right to its owner's finalizers.
async fn may_name_its_owner(cluster: &Cluster, sandbox: &Sandbox, config: Config) {
    let owner = sandbox.installation().await;
    let service = json!({
        "metadata": { "name": "owned", "ownerReferences": [{
            "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment", "name": NAME,
            "uid": owner.metadata.uid, "controller": true, "blockOwnerDeletion": true,
        }] },
        "spec": { "ports": [{ "port": 1 }] },
    });
    let service: Service = serde_json::from_value(service).unwrap();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let create = async |config: Config| {
        let api: Api<Service> = Api::namespaced(Client::try_from(config).unwrap(), &sandbox.namespace);
        api.create(&dry_run, &service).await
    };
    create(config.clone()).await.unwrap();

    let namespace = sandbox.namespace.as_str();
    cluster.kubectl(&["-n", NAMESPACE, "create", "serviceaccount", "without"], None);
    cluster.kubectl(
        &["-n", namespace, "create", "role", "without", "--verb=create", "--resource=services"],
        None,
    );
    let subject = format!("--serviceaccount={NAMESPACE}:without");
    cluster.kubectl(&["-n", namespace, "create", "rolebinding", "without", "--role=without", &subject], None);
    let without = with_token_of(config, cluster, "without");
    let refused = timeout(SOON, async {
        loop {
            let refused = create(without.clone()).await.unwrap_err().to_string();
            // Roles take effect in the background.
            if !refused.contains("cannot create resource") {
                break refused;
            }
            sleep(Duration::from_millis(200)).await;
        }
    });
    let refused = refused.await.expect("the role takes effect");
    assert!(refused.contains("cannot set blockOwnerDeletion"), "{refused}");
}

/// What the chart's admission policy refuses, the status says, with the policy's advice.
async fn is_refused_where_nothing_may_be_made(system: &Sandbox) {
    system.database_secret().await;
    system.install(json!({})).await;
    let refused = system
        .until(SOON, "refused", |it| {
            condition(it, "Ready") == ("False".to_owned(), "AdmissionDenied".to_owned())
        })
        .await;
    let diagnoses = refused.status.unwrap().diagnoses;
    let diagnosis = diagnoses.iter().find(|it| it.code == "AdmissionDenied").unwrap();
    assert!(diagnosis.message.contains("Secret kube-system/flagsmith-django"), "{diagnosis:?}");
    assert!(
        diagnosis.evidence[0].contains("Move the FlagsmithDeployment to another namespace"),
        "{diagnosis:?}"
    );
    system.delete::<FlagsmithDeployment>(NAME).await;
}
