//! A cluster of a test's own.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;

/// A cluster with `testbed` from the PATH, which is taken down when the test ends, however it ends. Its API server
/// writes an audit log.
pub struct Cluster {
    dir: PathBuf,
}

impl Cluster {
    pub fn up(test: &str) -> Self {
        Self::up_with(test, "")
    }

    /// With further flags of the API server, separated by spaces.
    pub fn up_with(test: &str, apiserver: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("flagsmith-operator-{test}-{:08x}", rand::random::<u32>()));
        let cluster = Self { dir };
        cluster.testbed(&[
            "up",
            "--level",
            "control-plane",
            "--kwok",
            "1",
            "--audit",
            "--apiserver",
            apiserver,
        ]);
        cluster
    }

    pub fn testbed(&self, arguments: &[&str]) {
        let output = Command::new("testbed")
            .args(arguments)
            .arg("--dir")
            .arg(&self.dir)
            .output()
            .expect("testbed is in the PATH, see tests/cluster/README.md");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub async fn config(&self) -> Config {
        let kubeconfig = Kubeconfig::read_from(self.dir.join("kubeconfig")).unwrap();
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
    }

    /// What kubectl prints, as the cluster's administrator.
    pub fn kubectl(&self, arguments: &[&str], input: Option<&str>) -> String {
        let stdin = input.map_or_else(Stdio::null, |text| {
            let file = self.dir.join("input");
            std::fs::write(&file, text).unwrap();
            std::fs::File::open(file).unwrap().into()
        });
        let output = Command::new("kubectl")
            .args(arguments)
            .env("KUBECONFIG", self.dir.join("kubeconfig"))
            .stdin(stdin)
            .output()
            .expect("kubectl lies beside testbed");
        assert!(
            output.status.success(),
            "kubectl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Installs the definitions of the Gateway API that lie beside `testbed`.
    pub fn gateway_api(&self) {
        let path = std::env::var("PATH").unwrap();
        let file = std::env::split_paths(&path)
            .map(|directory| directory.join("gateway-api.yaml"))
            .find(|file| file.exists())
            .expect("gateway-api.yaml lies beside testbed");
        self.kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()], None);
    }

    /// Defines the Prometheus operator's `PodMonitor`.
    pub fn pod_monitors(&self) {
        self.kubectl(&["apply", "--server-side", "-f", "tests/fixtures/podmonitors.yaml"], None);
    }

    /// Every request so far that is complete.
    pub fn audit(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.dir.join("audit.log")).unwrap();
        // The last line may be half written.
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let down = Command::new("testbed").arg("down").arg("--dir").arg(&self.dir).output();
        if !down.is_ok_and(|output| output.status.success()) {
            eprintln!("the cluster in {} could not be taken down", self.dir.display());
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
