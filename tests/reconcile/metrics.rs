//! Who may read the operator's metrics, as a real API server has it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use flagsmith_operator::{
    controller::{
        admin::{Addresses, Admin, Protection, Readers, Sources},
        readiness::Readiness,
    },
    runtime::{heartbeat::Heartbeat, metrics::Metrics},
};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::support::{SOON, Sandbox, run};

const ACCOUNT: &str = "prometheus";

fn object<T: serde::de::DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

/// The status that a request for the metrics is answered with.
async fn asked(address: SocketAddr, token: Option<&str>) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let bearer = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{bearer}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer.contains("# EOF"), answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn are_for_whom_the_api_server_allows_them() {
    run(async {
        let sandbox = Sandbox::empty("metrics").await;
        let anywhere = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let sources =
            Sources { heartbeat: Heartbeat::new(), readiness: Readiness::new(), metrics: Metrics::new() };
        let readers = Some(Readers::new(sandbox.client.clone()));
        let admin = Admin::bind(
            Addresses { probes: anywhere, metrics: anywhere },
            sources,
            Protection { certificate: None, readers },
        )
        .unwrap();
        let address = admin.addresses().metrics;
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(admin.run(shutdown.clone()));

        sandbox.create::<ServiceAccount>(json!({ "metadata": { "name": ACCOUNT } })).await;
        let request: TokenRequest = object(json!({ "metadata": {}, "spec": { "audiences": [] } }));
        let token = sandbox
            .api::<ServiceAccount>()
            .create_token_request(ACCOUNT, &PostParams::default(), &request)
            .await
            .unwrap();
        let token = token.status.unwrap().token;

        assert_eq!(asked(address, None).await, 401);
        assert_eq!(asked(address, Some("made-up")).await, 401);
        assert_eq!(asked(address, Some(&token)).await, 403);

        let name = &sandbox.namespace;
        let role = json!({
            "metadata": { "name": name }, "rules": [{ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }],
        });
        let binding = json!({
            "metadata": { "name": name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": name }],
        });
        let (roles, bindings) = (
            Api::<ClusterRole>::all(sandbox.client.clone()),
            Api::<ClusterRoleBinding>::all(sandbox.client.clone()),
        );
        roles.create(&PostParams::default(), &object(role)).await.unwrap();
        bindings.create(&PostParams::default(), &object(binding)).await.unwrap();
        let end = Instant::now() + SOON;
        while asked(address, Some(&token)).await != 200 {
            assert!(Instant::now() < end, "a right that was given is not seen");
            sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(asked(address, Some("made-up")).await, 401);

        bindings.delete(name, &DeleteParams::default()).await.unwrap();
        roles.delete(name, &DeleteParams::default()).await.unwrap();
        shutdown.cancel();
        serving.await.unwrap();
        sandbox.end().await;
    });
}
