//! What the chart gives the operator: rights, arguments, memory.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// Where the chart is installed.
pub const NAMESPACE: &str = "flagsmith-system";

/// The release, and so the names of account and lease.
pub const RELEASE: &str = "flagsmith-operator";

/// The chart's objects without the pods: those are the process that the suite starts.
const APPLIED: &[&str] = &[
    "CustomResourceDefinition",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// The chart as it is rendered with its default values.
pub struct Chart {
    /// For its ServiceAccount.
    pub kubeconfig: PathBuf,
    /// The container.
    container: Value,
}

impl Chart {
    /// Applies it once.
    pub fn installed() -> &'static Self {
        static CHART: OnceLock<Chart> = OnceLock::new();
        CHART.get_or_init(Self::install)
    }

    fn install() -> Self {
        let directory = std::env::var("TESTBED_DIR").expect(
            "TESTBED_DIR is not set: these tests run in `testbed run --level control-plane --kwok 2 -- …`, see tests/cluster/README.md",
        );
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/flagsmith-operator");
        let rendered = output(Command::new("helm").args(["template", RELEASE]).arg(chart).args([
            "--namespace",
            NAMESPACE,
            "--kube-version",
            "1.34.0",
            // The tests start the binary themselves.
            "--set",
            "image.repository=operator",
        ]));
        let documents: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
        let kind = |document: &Value| document["kind"].as_str().unwrap_or_default().to_owned();
        let mut objects: Vec<&Value> =
            documents.iter().filter(|it| APPLIED.contains(&kind(it).as_str())).collect();
        let namespace =
            serde_json::json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        objects.insert(0, &namespace);
        apply(&objects);
        let deployment = documents.iter().find(|it| kind(it) == "Deployment").unwrap();
        let kubeconfig = Path::new(&directory).join("hostile.kubeconfig");
        let account = format!("{NAMESPACE}/{RELEASE}");
        let config = output(Command::new("testbed").args([
            "kubeconfig",
            "--dir",
            &directory,
            "--service-account",
            &account,
        ]));
        fs::write(&kubeconfig, config).unwrap();
        Self { kubeconfig, container: deployment["spec"]["template"]["spec"]["containers"][0].clone() }
    }

    /// The arguments, with addresses of this machine in place of the pod's: `address` is handed each port.
    pub fn arguments(&self, mut address: impl FnMut(u16) -> String) -> Vec<String> {
        let arguments =
            self.container["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned());
        arguments
            .map(|argument| match argument.split_once("=0.0.0.0:") {
                Some((option, port)) => format!("{option}={}", address(port.parse().unwrap())),
                None => argument,
            })
            .collect()
    }

    /// The container's port that the kubelet asks whether the operator lives.
    pub fn liveness_port(&self) -> u16 {
        let probe = &self.container["livenessProbe"]["httpGet"];
        assert_eq!(probe["path"], "/livez");
        let ports = self.container["ports"].as_array().unwrap();
        let port = match &probe["port"] {
            Value::String(name) => {
                &ports.iter().find(|it| it["name"] == name.as_str()).unwrap()["containerPort"]
            }
            number => number,
        };
        u16::try_from(port.as_u64().unwrap()).unwrap()
    }

    /// The container's memory limit in bytes.
    pub fn memory(&self) -> u64 {
        let limit = self.container["resources"]["limits"]["memory"].as_str().unwrap();
        let mebibytes: u64 = limit.strip_suffix("Mi").unwrap().parse().unwrap();
        mebibytes << 20
    }
}

fn apply(objects: &[&Value]) {
    let mut kubectl = Command::new("kubectl")
        .args(["apply", "--server-side", "--force-conflicts", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("kubectl is in the PATH, see tests/cluster/README.md");
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    kubectl.stdin.take().unwrap().write_all(list.to_string().as_bytes()).unwrap();
    assert!(kubectl.wait().unwrap().success(), "the chart's objects are not accepted");
}

fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; see tests/cluster/README.md"));
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}
