//! A node whose kubelet is the test: the API server asks it for the logs of the pods there.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use flagsmith_operator::api::FlagsmithDeployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    certificates::certificate,
    support::{SOON, Sandbox},
};

/// Where the node of a suite that was killed may still be: each has a name of its own.
const NAME: &str = "hostile";

/// A client that says nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The log of each pod, by a part of its name.
type Logs = Arc<Mutex<HashMap<String, (Arc<Vec<u8>>, usize)>>>;

/// A simulated node with this test as its kubelet.
pub struct Kubelet {
    node: String,
    nodes: Api<Node>,
    logs: Logs,
}

impl Kubelet {
    pub async fn start(client: Client) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let logs = Logs::default();
        let config = certificate("localhost").0;
        let shared = Arc::clone(&logs);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (config, logs) = (Arc::clone(&config), Arc::clone(&shared));
                // That the API server hangs up is no failure.
                thread::spawn(move || {
                    let session = ServerConnection::new(config).map_err(io::Error::other)?;
                    answer(StreamOwned::new(session, socket), &logs)
                });
            }
        });
        let (nodes, node) = (Api::<Node>::all(client), format!("{NAME}-{:08x}", rand::random::<u32>()));
        let body = json!({
            "metadata": {
                "name": node,
                "annotations": { "kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0" },
                "labels": { "hostile": node, "kubernetes.io/os": "linux" },
            },
            // Nothing of others' lands here.
            "spec": { "taints": [{ "key": "hostile", "effect": "NoSchedule" }] },
        });
        nodes.create(&PostParams::default(), &serde_json::from_value(body).unwrap()).await.unwrap();
        let kubelet = Self { node, nodes, logs };
        kubelet.until_ready().await;
        let endpoint = json!({ "status": { "daemonEndpoints": { "kubeletEndpoint": { "Port": port } } } });
        kubelet
            .nodes
            .patch_status(&kubelet.node, &PatchParams::default(), &Patch::Merge(endpoint))
            .await
            .unwrap();
        kubelet
    }

    /// The fields of a specification that bring an installation's pods here.
    pub fn placed(&self) -> Value {
        let pod = json!({
            "nodeSelector": { "hostile": self.node },
            "tolerations": [{ "key": "hostile", "operator": "Exists" }],
        });
        json!({ "api": { "pod": pod }, "taskProcessor": { "pod": pod } })
    }

    /// From now on pods whose name has this part have logged this.
    pub fn log(&self, part: &str, bytes: Vec<u8>) {
        self.logs.lock().unwrap().insert(part.to_owned(), (Arc::new(bytes), 0));
    }

    /// How often the log of such pods was read.
    pub fn read(&self, part: &str) -> usize {
        self.logs.lock().unwrap()[part].1
    }

    /// Waits until it was read so often.
    pub async fn until_read(&self, part: &str, times: usize, limit: Duration) {
        let end = Instant::now() + limit;
        while self.read(part) < times {
            assert!(Instant::now() < end, "the logs of {part} were read {} times", self.read(part));
            sleep(Duration::from_millis(200)).await;
        }
    }

    pub async fn end(self) {
        self.nodes.delete(&self.node, &DeleteParams::default()).await.unwrap();
    }

    async fn until_ready(&self) {
        let end = Instant::now() + SOON;
        loop {
            let node = self.nodes.get(&self.node).await.unwrap();
            let conditions = node.status.and_then(|it| it.conditions).unwrap_or_default();
            if conditions.iter().any(|it| it.type_ == "Ready" && it.status == "True") {
                return;
            }
            assert!(Instant::now() < end, "the simulated node is not ready");
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// One request, one answer.
fn answer(mut stream: StreamOwned<ServerConnection, TcpStream>, logs: &Logs) -> io::Result<()> {
    stream.sock.set_read_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let log = {
        let mut logs = logs.lock().unwrap();
        let found = logs.iter_mut().find(|(part, _)| path.contains(part.as_str()));
        found.map(|(_, (bytes, read))| {
            *read += 1;
            Arc::clone(bytes)
        })
    };
    let log = log.unwrap_or_default();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        log.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&log)?;
    stream.flush()?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Has every pod of a Deployment fail as its kubelet would report it: started twice, not ready.
pub async fn fail_pods(sandbox: &Sandbox, deployment: &str) {
    let now = jiff::Timestamp::now().to_string();
    let not_ready = |kind: &str| json!({ "type": kind, "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": now });
    let api = sandbox.api::<Pod>();
    for pod in pods(sandbox, deployment).await {
        let container = &pod.spec.as_ref().unwrap().containers[0].name;
        let status = json!({ "status": {
            "conditions": [not_ready("Ready"), not_ready("ContainersReady")],
            "containerStatuses": [{
                "name": container, "image": "x", "imageID": "x", "ready": false, "started": false, "restartCount": 1,
                "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container" } },
                "lastState": { "terminated": { "exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now, "containerID": "x://1" } },
            }],
        } });
        let name = pod.metadata.name.unwrap();
        api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }
}

/// The pods of a Deployment, once they are Running.
async fn pods(sandbox: &Sandbox, deployment: &str) -> Vec<Pod> {
    let end = Instant::now() + SOON;
    loop {
        let all = sandbox.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
        let own: Vec<_> = all
            .into_iter()
            .filter(|it| {
                it.metadata.name.as_ref().is_some_and(|name| name.starts_with(&format!("{deployment}-")))
            })
            .collect();
        let running = |it: &Pod| it.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Running");
        if !own.is_empty() && own.iter().all(running) {
            return own;
        }
        let now: FlagsmithDeployment = sandbox.installation().await;
        assert!(Instant::now() < end, "no pods of {deployment}: {:?}", now.status);
        sleep(Duration::from_millis(200)).await;
    }
}
