//! The command line where the API server is reached through a proxy, and what it says of several installations.

use std::{
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use kube::config::Kubeconfig;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::support::{self, NAME, Sandbox, run};

/// A name that only the proxy knows, so whoever reaches it went through the proxy; the API server's certificate has it.
const HIDDEN: &str = "kubernetes.default.svc";

/// A proxy on loopback that takes every CONNECT to the API server, and keeps what it was asked.
struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, kept) = (server.clone(), kept.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(client.read_u8().await?);
                    }
                    kept.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                    let mut server = TcpStream::connect(server).await?;
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { address, asked }
    }

    /// What it was asked since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// Runs a command with these variables and no others of proxies; its output.
async fn called(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flagsmith-operator"));
    for name in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_command_line_goes_through_a_proxy_and_lists_what_there_is() {
    run(async {
        let sandbox = Sandbox::new("proxied").await;
        sandbox.install(json!({})).await;

        let server = support::config().await.cluster_url;
        let own = format!("{}:{}", server.host().unwrap(), server.port_u16().unwrap());
        let proxy = Proxy::start(own).await;
        let mut kubeconfig = Kubeconfig::read().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |kubeconfig: &Kubeconfig, name: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, serde_json::to_string(kubeconfig).unwrap()).unwrap();
            file.to_str().unwrap().to_owned()
        };
        let direct = write(&kubeconfig, "direct");
        for cluster in &mut kubeconfig.clusters {
            cluster.cluster.as_mut().unwrap().server = Some(format!("https://{HIDDEN}:6443"));
        }
        let hidden = write(&kubeconfig, "hidden");
        for cluster in &mut kubeconfig.clusters {
            cluster.cluster.as_mut().unwrap().proxy_url = Some(format!("http://{}", proxy.address));
        }
        let named = write(&kubeconfig, "named");
        let list = |kubeconfig: &str| ["list", "-A", "--kubeconfig", kubeconfig].map(str::to_owned).to_vec();
        let through = format!("http://user:pa%40ss@{}", proxy.address);
        let row = [sandbox.namespace.as_str(), NAME];

        let case = async |kubeconfig: &str, variables: &[(&str, &str)], asked: bool| {
            let arguments = list(kubeconfig);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = called(&arguments, variables).await;
            let heads = proxy.asked();
            let listed = said(&output);
            let is_row = |line: &str| line.split_whitespace().take(2).eq(row);
            assert!(listed.lines().any(is_row), "{variables:?}: {listed}");
            assert_eq!(!heads.is_empty(), asked, "{variables:?}: {heads:?}");
            heads
        };
        let heads = case(&hidden, &[("HTTPS_PROXY", &through)], true).await;
        assert!(heads[0].starts_with(&format!("CONNECT {HIDDEN}:6443 ")), "{heads:?}");
        // user:pa@ss
        assert!(heads[0].to_lowercase().contains("proxy-authorization: basic dxnlcjpwyubzcw=="), "{heads:?}");
        // kubeconfig's own is used whatever NO_PROXY says, and NO_PROXY does not mean the proxy.
        case(&named, &[("NO_PROXY", "*")], true).await;
        case(&hidden, &[("HTTPS_PROXY", &through), ("NO_PROXY", "127.0.0.1,localhost")], true).await;
        // The cluster of this machine is reached without.
        case(&direct, &[("HTTPS_PROXY", &through)], false).await;

        // And what is offered after `kubectl flagsmith status`.
        let words = ["__complete", "--kubeconfig", &direct, "-n", &sandbox.namespace, "status", ""];
        let offered = said(&called(&words, &[]).await);
        assert!(offered.lines().any(|line| line.split('\t').next() == Some(NAME)), "{offered}");
        sandbox.end().await;
    });
}
