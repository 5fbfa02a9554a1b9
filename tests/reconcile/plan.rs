//! `plan`: what it says would be written is what the operator then writes, and it writes nothing itself.

use std::{collections::BTreeMap, io::Write as _, process::Stdio};

use serde_json::{Value, json};

use crate::support::{NAME, Network, Operator, Sandbox, run};

/// What the command prints as JSON, and its exit status.
async fn plan(sandbox: &Sandbox, arguments: &[&str], file: Option<&Value>) -> (Value, Option<i32>) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_flagsmith-operator"));
    command
        .args(["plan", "--namespace", &sandbox.namespace, "--output", "json"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let input = file.map(ToString::to_string).unwrap_or_default();
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let page = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (page, output.status.code())
    })
    .await
    .unwrap()
}

fn file(version: &str) -> Value {
    json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1",
        "kind": "FlagsmithDeployment",
        "metadata": { "name": NAME },
        "spec": {
            "version": version,
            "database": { "urlFrom": { "secretKeyRef": { "name": "db", "key": "DATABASE_URL" } } },
        },
    })
}

/// The objects of all steps in their order, as `Kind name`; those of one step in alphabetical order.
fn foretold(page: &Value) -> Vec<String> {
    let writes = |step: &Value| {
        let mut objects: Vec<String> = step["writes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| it["object"].as_str().unwrap().to_owned())
            .collect();
        objects.sort();
        objects
    };
    page["steps"].as_array().unwrap().iter().flat_map(writes).collect()
}

/// Those of one kind with their number: several writes of one pass have no order that counts.
fn counted(objects: &[String]) -> BTreeMap<&str, usize> {
    let mut counted = BTreeMap::new();
    for object in objects {
        *counted.entry(object.as_str()).or_default() += 1;
    }
    counted
}

/// The writes of the operator as `Kind name`, without status, Events and Secrets.
fn written(operator: &Operator) -> Vec<String> {
    let kinds = [
        ("serviceaccounts", "ServiceAccount"),
        ("services", "Service"),
        ("jobs", "Job"),
        ("deployments", "Deployment"),
        ("poddisruptionbudgets", "PodDisruptionBudget"),
    ];
    operator
        .network
        .calls()
        .into_iter()
        .filter(|call| call.is_write() && !call.path.ends_with("/status"))
        .filter_map(|call| {
            let mut parts = call.path.rsplit('/');
            let (last, before) = (parts.next()?.to_owned(), parts.next()?.to_owned());
            let kind = |plural: &str| kinds.iter().find(|(known, _)| *known == plural).map(|(_, kind)| *kind);
            // A Job is created by a POST to its collection, which does not name it.
            kind(&before)
                .map(|kind| format!("{kind} {last}"))
                .or_else(|| (kind(&last)? == "Job").then(|| "Job".to_owned()))
        })
        .collect()
}

#[test]
fn what_is_foretold_is_what_is_written() {
    run(async {
        let sandbox = Sandbox::new("plan").await;

        let before = sandbox.store().await;
        let (page, status) = plan(&sandbox, &["--file", "-"], Some(&file("2.260.0"))).await;
        assert_eq!(status, Some(0), "{page:#}");
        assert_eq!(sandbox.store().await, before, "nothing was written");
        let first = foretold(&page);

        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({ "version": "2.260.0" })).await;
        sandbox.ready().await;
        compare(&first, &written(&operator));

        let (page, status) = plan(&sandbox, &[], None).await;
        assert_eq!((foretold(&page), status), (Vec::new(), Some(0)), "{page:#}");

        let before = sandbox.store().await;
        let (page, status) = plan(&sandbox, &["--file", "-"], Some(&file("2.265.0"))).await;
        assert_eq!(status, Some(0), "{page:#}");
        assert_eq!(sandbox.store().await, before, "nothing was written");
        operator.network.clear();
        sandbox.patch(json!({ "spec": { "version": "2.265.0" } })).await;
        sandbox.ready().await;
        let (foretold, written) = (foretold(&page), written(&operator));
        compare(&foretold, &written);
        assert_eq!(gated(&foretold), gated(&written));

        // Without the operator too: an older release is held back.
        operator.stop().await;
        let (page, status) = plan(&sandbox, &["--file", "-"], Some(&file("2.250.0"))).await;
        assert_eq!(status, Some(1), "{page:#}");
        assert_eq!(page["diagnoses"][0]["code"], "DowngradeBlocked");
        sandbox.end().await;
    });
}

/// What goes through the gate, in its order. Whoever creates a Job does not name it in the path.
fn gated(objects: &[String]) -> Vec<&str> {
    objects
        .iter()
        .filter_map(|object| {
            if object.starts_with("Job") {
                return Some("Job");
            }
            object.starts_with("Deployment").then_some(object.as_str())
        })
        .collect()
}

/// The same objects as often; those of one pass are written in an order of their own.
fn compare(foretold: &[String], written: &[String]) {
    let unnamed: Vec<String> =
        foretold.iter().filter(|object| !object.starts_with("Secret")).cloned().collect();
    let created = |object: &String| {
        if object.starts_with("Job") { "Job".to_owned() } else { object.clone() }
    };
    let (foretold, written): (Vec<String>, Vec<String>) =
        (unnamed.iter().map(created).collect(), written.iter().map(created).collect());
    assert_eq!(counted(&foretold), counted(&written), "{foretold:#?}\n{written:#?}");
}
