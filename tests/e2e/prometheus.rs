//! A Prometheus on this machine, configured by what the chart makes for the Prometheus operator.
//!
//! Debian's Prometheus finds nothing in Kubernetes by itself, so what it would find, and by the names that it would give
//! it, is written to files that it reads. What is done with it is what the Prometheus operator makes of a `ServiceMonitor`
//! and a `PodMonitor`.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::{
    http,
    kubectl::{self, helm, pointer, wait_until},
    operator::SYSTEM,
};

/// It reads its configuration and listens.
const STARTS: Duration = Duration::from_secs(30);
/// What the Prometheus operator evaluates rules by, where nothing else is said.
const EVALUATION: &str = "30s";

const PODS: &str = "pods.json";
const ENDPOINTS: &str = "endpoints.json";
const META: &str = "__meta_kubernetes_";

pub struct Prometheus {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Prometheus {
    /// With the chart's monitors and rules.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let rules = pointer(&rendered("prometheusrule"), "/spec").clone();
        write(folder.path(), "rules.json", &rules);
        let config = json!({
            "global": { "evaluation_interval": EVALUATION },
            "rule_files": ["rules.json"],
            "scrape_configs": [
                job(&rendered("servicemonitor"), "/spec/endpoints/0", "service", ENDPOINTS, "endpoint_port_name"),
                job(&rendered("podmonitor"), "/spec/podMetricsEndpoints/0", "pod", PODS, "pod_container_port_name"),
            ],
        });
        write(folder.path(), "prometheus.json", &config);
        write(folder.path(), PODS, &json!([]));
        write(folder.path(), ENDPOINTS, &json!([]));
        let process = Command::new("prometheus")
            .current_dir(folder.path())
            .args(["--config.file=prometheus.json", "--storage.tsdb.path=data", "--log.level=warn"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus: {error}; make trial-monitoring has it in the PATH"));
        let it = Self { process, folder, port };
        wait_until(STARTS, "Prometheus is ready", || {
            let answer = http::get("127.0.0.1", port, "/-/ready", &[]);
            (answer.status == 200).then_some(()).ok_or(answer.body)
        });
        it
    }

    /// Tells it of the pods that there are now.
    pub fn discover(&self) {
        let pods = kubectl::json(&["get", "pods", "-A"]);
        let of_pods: Vec<Value> = items(&pods).iter().flat_map(pod).collect();
        let services = kubectl::json(&["get", "services", "-A"]);
        let slices = kubectl::json(&["get", "endpointslices", "-A"]);
        let of_services: Vec<Value> =
            items(&slices).iter().flat_map(|slice| endpoints(slice, items(&services))).collect();
        write(self.folder.path(), PODS, &json!(of_pods));
        write(self.folder.path(), ENDPOINTS, &json!(of_services));
    }

    /// What an expression gives now: a series and its value each.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let path = format!("/api/v1/query?query={}", utf8_percent_encode(expression, NON_ALPHANUMERIC));
        let answer = self.get(&path);
        pointer(&answer, "/data/result")
            .as_array()
            .unwrap_or_else(|| panic!("{expression}: {answer}"))
            .clone()
    }

    /// Alerts that are pending or firing.
    pub fn alerts(&self) -> Vec<Value> {
        pointer(&self.get("/api/v1/alerts"), "/data/alerts").as_array().unwrap().clone()
    }

    /// Where it scrapes, and how that went last.
    pub fn targets(&self) -> Vec<Value> {
        pointer(&self.get("/api/v1/targets?state=active"), "/data/activeTargets").as_array().unwrap().clone()
    }

    fn get(&self, path: &str) -> Value {
        let answer = http::get("127.0.0.1", self.port, path, &[]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// An object of the chart, as it is for the Prometheus operator.
fn rendered(template: &str) -> Value {
    let file = format!("templates/{template}.yaml");
    let switches =
        ["serviceMonitor", "podMonitor", "prometheusRule"].map(|it| format!("metrics.{it}.enabled=true"));
    let switches = switches.join(",");
    let text = helm(&[
        "template",
        "flagsmith-operator",
        "charts/flagsmith-operator",
        "--namespace",
        SYSTEM,
        "--kube-version",
        "1.34.0",
        "--set",
        "image.repository=none",
        "--set",
        &switches,
        "--show-only",
        &file,
    ]);
    serde_saphyr::from_str(&text).unwrap()
}

/// The scrape configuration of a monitor; the meta labels of its port, and of what its selector means.
fn job(monitor: &Value, endpoint: &str, selected: &str, file: &str, port: &str) -> Value {
    let endpoint = pointer(monitor, endpoint);
    let keep = |label: String, values: String| json!({ "action": "keep", "source_labels": [label], "regex": values });
    let label = |name: &str| format!("{META}{selected}_label_{}", label_name(name));
    let mut relabel = Vec::new();
    for (name, value) in pointer(monitor, "/spec/selector/matchLabels").as_object().into_iter().flatten() {
        relabel.push(keep(label(name), value.as_str().unwrap().to_owned()));
    }
    for expression in pointer(monitor, "/spec/selector/matchExpressions").as_array().into_iter().flatten() {
        assert_eq!(expression["operator"], "In");
        relabel.push(keep(label(expression["key"].as_str().unwrap()), any(&expression["values"])));
    }
    let namespaces = pointer(monitor, "/spec/namespaceSelector/matchNames");
    if namespaces.is_array() {
        relabel.push(keep(format!("{META}namespace"), any(namespaces)));
    }
    relabel.push(keep(format!("{META}{port}"), endpoint["port"].as_str().unwrap().to_owned()));
    for (from, to) in [("namespace", "namespace"), ("pod_name", "pod"), ("pod_container_name", "container")] {
        relabel.push(json!({ "source_labels": [format!("{META}{from}")], "target_label": to }));
    }
    for own in endpoint["relabelings"].as_array().into_iter().flatten() {
        relabel.push(json!({ "source_labels": own["sourceLabels"], "target_label": own["targetLabel"] }));
    }
    json!({
        "job_name": format!("{SYSTEM}/{}", pointer(monitor, "/metadata/name").as_str().unwrap()),
        "honor_labels": endpoint["honorLabels"] == true,
        "scrape_interval": endpoint["interval"],
        "metrics_path": endpoint["path"],
        "file_sd_configs": [{ "files": [file], "refresh_interval": "5s" }],
        "relabel_configs": relabel,
    })
}

fn any(values: &Value) -> String {
    values.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect::<Vec<_>>().join("|")
}

fn label_name(name: &str) -> String {
    name.replace(|it: char| !it.is_ascii_alphanumeric(), "_")
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().unwrap()
}

/// Each port of a pod that has an address and has not ended.
fn pod(pod: &Value) -> Vec<Value> {
    let ended = ["Succeeded", "Failed"].iter().any(|it| pointer(pod, "/status/phase") == it);
    let Some(address) = pointer(pod, "/status/podIP").as_str().filter(|_| !ended) else { return Vec::new() };
    let mut targets = Vec::new();
    for container in pointer(pod, "/spec/containers").as_array().unwrap() {
        for port in container["ports"].as_array().into_iter().flatten() {
            let mut labels = meta(pod, "pod");
            labels.insert(format!("{META}pod_name"), pointer(pod, "/metadata/name").clone());
            labels.insert(format!("{META}pod_container_name"), container["name"].clone());
            labels.insert(format!("{META}pod_container_port_name"), port["name"].clone());
            targets.push(target(address, &port["containerPort"], labels));
        }
    }
    targets
}

/// Each port of each address of a Service.
fn endpoints(slice: &Value, services: &[Value]) -> Vec<Value> {
    let name = pointer(slice, "/metadata/labels/kubernetes.io~1service-name");
    let namespace = pointer(slice, "/metadata/namespace");
    let of = |service: &&Value| {
        pointer(service, "/metadata/name") == name && pointer(service, "/metadata/namespace") == namespace
    };
    let Some(service) = services.iter().find(of) else { return Vec::new() };
    let mut targets = Vec::new();
    for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
        for port in slice["ports"].as_array().into_iter().flatten() {
            let mut labels = meta(service, "service");
            labels.insert(format!("{META}pod_name"), pointer(endpoint, "/targetRef/name").clone());
            labels.insert(format!("{META}endpoint_port_name"), port["name"].clone());
            targets.push(target(endpoint["addresses"][0].as_str().unwrap(), &port["port"], labels));
        }
    }
    targets
}

/// The meta labels of an object's namespace and labels.
fn meta(object: &Value, kind: &str) -> Map<String, Value> {
    let mut meta = Map::new();
    meta.insert(format!("{META}namespace"), pointer(object, "/metadata/namespace").clone());
    for (name, value) in pointer(object, "/metadata/labels").as_object().into_iter().flatten() {
        meta.insert(format!("{META}{kind}_label_{}", label_name(name)), value.clone());
    }
    meta
}

fn target(address: &str, port: &Value, mut labels: Map<String, Value>) -> Value {
    // A port without a name, or an endpoint without a pod.
    labels.retain(|_, value| value.is_string());
    json!({ "targets": [format!("{address}:{port}")], "labels": labels })
}

/// Written beside and renamed, so that nothing half-written is read.
fn write(folder: &Path, name: &str, value: &Value) {
    let new = folder.join(format!(".{name}"));
    fs::write(&new, value.to_string()).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}
