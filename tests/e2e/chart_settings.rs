//! What users of the official chart set and asked for: a database in parts, sidecars, hosts of their own for API, dashboard
//! and edge proxy.

use std::time::Duration;

use serde_json::Value;

use crate::{
    kubectl::{kubectl_fails, pointer, wait_until},
    namespace::{NEW, Namespace, REACTION, START, database, step},
    nginx::Nginx,
    operator,
};

/// Every character that is neither letter nor digit in ASCII, and a blank in the midst.
const PASSWORD: &str = r##"pw !"#$%&'()*+,-./:;<=>?@[\]^_{|}~`"##;

const API: &str = "api.example.com";
const DASHBOARD: &str = "flags.internal";
const EDGE: &str = "edge.example.com";

/// An SDK's key.
const KEY: (&str, &str) = ("X-Environment-Key", "testbed");

/// The edge proxy asks every second, and its pods are looked at every five.
const UPDATED: Duration = Duration::from_secs(90);

#[test]
#[ignore = "four minutes: make trial-settings"]
fn settings_of_the_official_charts_users() {
    step("install the operator by its chart", operator::installed);
    let namespace = Namespace::new("settings");
    step("a database whose password has every character", || {
        namespace.apply(&database("at-first", 100));
        namespace.kubectl(&["rollout", "status", "deployment/database", "--timeout=120s"]);
        let role = format!("ALTER ROLE flagsmith PASSWORD $of${PASSWORD}$of$");
        namespace.kubectl(&["exec", "deployment/database", "--", "psql", "-U", "flagsmith", "-c", &role]);
        secret(&namespace, "rds", &[("username", "flagsmith"), ("password", PASSWORD)]);
        secret(&namespace, "sdk", &[("client", "testbed"), ("server", "ser.testbed")]);
    });
    step("a plain sidecar of a Job is refused", || {
        let plain =
            resource().replace("initContainers", "extraContainers").replace(", restartPolicy: Always", "");
        let refused = kubectl_fails(&["-n", namespace.name(), "apply", "-f", "-"], Some(&plain));
        assert!(refused.contains("move them to initContainers with restartPolicy Always"), "{refused}");
    });
    step("everything becomes Ready", || {
        namespace.apply(&resource());
        namespace.settled();
        println!("{}", namespace.kubectl(&["describe", "fsd", "flagsmith"]));
    });
    step("a sidecar ran beside the migration and ended with it", || sidecar_ended(&namespace));
    step("API, dashboard and edge proxy have hosts of their own", || hosts(&namespace));
    step("the edge proxy answers while the API is away", || without_api(&namespace));
    step("a key that the API refuses is named", || refused_key(&namespace));
    step("an edge proxy that is not wanted any more goes", || {
        namespace.kubectl(&["patch", "fsd", "flagsmith", "--type=json", "-p", WITHOUT]);
        wait_until(REACTION, "its objects are gone", || {
            let left = namespace.kubectl(&["get", "deployment,service,pdb,ingress", "-o", "name"]);
            (!left.contains("edge-proxy")).then_some(()).ok_or(left)
        });
        assert_eq!(namespace.condition("EdgeProxyAvailable"), "");
    });
    step("the password is shown nowhere", || {
        let shown = namespace.kubectl(&["get", "fsd,events,deployments,jobs,configmaps", "-o", "yaml"])
            + &operator::log();
        assert!(!shown.contains("()*+,-./:;<=>?") && !shown.contains("%23%24%25"), "the password is shown");
    });
    namespace.remove();
}

fn resource() -> String {
    format!(
        "
apiVersion: operator.flagsmith.com/v1alpha1
kind: FlagsmithDeployment
metadata: {{name: flagsmith}}
spec:
  version: \"{NEW}\"
  images: {{api: docker.io/local/flagsmith-api, frontend: docker.io/local/flagsmith-frontend, pullPolicy: Never}}
  commonLabels: {{example.com/team: flags}}
  database:
    host: database
    name: flagsmith
    userFrom: {{secretKeyRef: {{name: rds, key: username}}}}
    passwordFrom: {{secretKeyRef: {{name: rds, key: password}}}}
    sslMode: disable
  api:
    replicas: 1
    gunicorn: {{workers: 1, threads: 2}}
    resources: {{requests: {{cpu: 50m, memory: 128Mi}}}}
    pod: {{extraContainers: [{{name: beside, {BYSTANDER}}}]}}
  taskProcessor: {{resources: {{requests: {{cpu: 20m, memory: 128Mi}}}}}}
  frontend: {{resources: {{requests: {{cpu: 10m, memory: 16Mi}}}}}}
  migrations:
    resources: {{requests: {{cpu: 50m, memory: 128Mi}}}}
    pod: {{initContainers: [{{name: beside, {BYSTANDER}, restartPolicy: Always}}]}}
  edgeProxy:
    image: docker.io/local/edge-proxy:2.23.0
    pollIntervalSeconds: 1
    resources: {{requests: {{cpu: 10m, memory: 32Mi}}}}
    environments:
    - clientSideKeyFrom: {{secretKeyRef: {{name: sdk, key: client}}}}
      serverSideKeyFrom: {{secretKeyRef: {{name: sdk, key: server}}}}
  exposure:
    api: {{hosts: [{API}], ingress: {{className: public}}}}
    frontend: {{hosts: [{DASHBOARD}], ingress: {{className: internal}}}}
    edgeProxy: {{hosts: [{EDGE}], ingress: {{className: public}}}}
"
    )
}

const BYSTANDER: &str = "image: docker.io/local/postgres:15, imagePullPolicy: Never, command: [sleep, infinity], \
     securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}";

const WITHOUT: &str =
    r#"[{"op": "remove", "path": "/spec/edgeProxy"}, {"op": "remove", "path": "/spec/exposure/edgeProxy"}]"#;

fn secret(namespace: &Namespace, name: &str, values: &[(&str, &str)]) {
    let literals: Vec<String> =
        values.iter().map(|(key, value)| format!("--from-literal={key}={value}")).collect();
    let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
    namespace.kubectl(&[&["create", "secret", "generic", name], literals.as_slice()].concat());
}

fn sidecar_ended(namespace: &Namespace) {
    let jobs = namespace.json(&["get", "jobs", "-l", "app.kubernetes.io/component=migrations"]);
    let job = pointer(&jobs, "/items/0");
    assert_eq!(pointer(job, "/status/succeeded"), 1, "{job:#}");
    let pods = namespace.json(&["get", "pods", "-l", "app.kubernetes.io/component=migrations"]);
    let statuses = pointer(&pods, "/items/0/status/initContainerStatuses").as_array().unwrap();
    let beside = statuses.iter().find(|it| it["name"] == "beside").unwrap();
    assert!(!pointer(beside, "/state/terminated").is_null(), "{beside:#}");
    let api = namespace.json(&["get", "pods", "-l", "app.kubernetes.io/component=api"]);
    let containers = pointer(&api, "/items/0/status/containerStatuses").as_array().unwrap();
    assert!(containers.iter().any(|it| it["name"] == "beside" && it["ready"] == true), "{containers:#?}");
}

fn hosts(namespace: &Namespace) {
    let nginx = Nginx::serve(namespace.name());
    let status = |host, path| nginx.get(host, path, &[KEY]).status;
    assert_eq!(status(API, "/api/v1/flags/"), 200);
    assert_eq!(status(API, "/health"), 200);
    for absent in ["/", "/admin", "/admin/login/", "/static/admin/css/base.css", "/login"] {
        assert_eq!(status(API, absent), 404, "{absent} on the API's host");
    }
    let page = nginx.get(DASHBOARD, "/", &[]);
    assert!(page.status == 200 && page.body.contains("<!DOCTYPE html>"), "{} {}", page.status, page.body);
    assert_eq!(status(DASHBOARD, "/api/v1/flags/"), 200);
    let edge = nginx.get(EDGE, "/api/v1/flags/", &[KEY]);
    assert!(edge.status == 200 && edge.body.contains("\"testbed\""), "{} {}", edge.status, edge.body);
    assert_eq!(status(EDGE, "/proxy/health/readiness"), 200);
    assert_eq!(nginx.get(EDGE, "/api/v1/flags/", &[(KEY.0, "another")]).status, 401);
    for absent in ["/", "/admin/", "/health"] {
        assert_eq!(status(EDGE, absent), 404, "{absent} on the edge proxy's host");
    }
}

fn without_api(namespace: &Namespace) {
    let replicas = |count: u8| {
        let patch = format!(r#"{{"spec": {{"api": {{"replicas": {count}}}}}}}"#);
        namespace.kubectl(&["patch", "fsd", "flagsmith", "--type=merge", "-p", &patch]);
    };
    let edge = namespace.service("flagsmith-edge-proxy");
    replicas(0);
    wait_until(START, "no pod of the API is left", || {
        let pods = namespace.kubectl(&["get", "pods", "-l", "app.kubernetes.io/component=api", "-o", "name"]);
        pods.is_empty().then_some(()).ok_or(pods)
    });
    // Longer than the edge proxy's own patience.
    std::thread::sleep(Duration::from_secs(40));
    let answer = crate::http::get(&edge, 8000, "/api/v1/flags/", &[KEY]);
    assert!(answer.status == 200 && answer.body.contains("\"testbed\""), "{} {}", answer.status, answer.body);
    assert_eq!(namespace.condition("EdgeProxyAvailable"), "True");
    replicas(1);
    namespace.settled();
}

fn refused_key(namespace: &Namespace) {
    let server_side = |key: &str| {
        let patch = format!(r#"{{"stringData": {{"server": "{key}"}}}}"#);
        namespace.kubectl(&["patch", "secret", "sdk", "-p", &patch]);
        namespace.kubectl(&["rollout", "restart", "deployment/flagsmith-edge-proxy"]);
    };
    server_side("ser.of-nobody");
    let mut found = Value::Null;
    wait_until(UPDATED, "EdgeProxyCannotUpdate is named", || {
        let fsd = namespace.fsd();
        let all = pointer(&fsd, "/status/diagnoses").as_array().cloned().unwrap_or_default();
        found = all.iter().find(|it| it["code"] == "EdgeProxyCannotUpdate").cloned().unwrap_or_default();
        (!found.is_null()).then_some(()).ok_or_else(|| format!("{all:#?}"))
    });
    println!("{found:#}");
    assert!(found.to_string().contains("403"), "{found:#}");
    let edge = namespace.service("flagsmith-edge-proxy");
    assert_eq!(crate::http::get(&edge, 8000, "/api/v1/flags/", &[KEY]).status, 200, "the older pod serves");
    server_side("ser.testbed");
    namespace.settled();
    wait_until(UPDATED, "nothing is wrong", || {
        let codes = namespace.codes();
        (!codes.contains(&"EdgeProxyCannotUpdate".to_owned()))
            .then_some(())
            .ok_or_else(|| format!("{codes:?}"))
    });
}
