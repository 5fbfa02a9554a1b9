//! The command line against a real API server: what it says of an installation that the operator looks after, looks after
//! no more, or never did.

use std::{
    process::Output,
    sync::{Mutex, MutexGuard, PoisonError},
};

use flagsmith_operator::{api::FlagsmithDeployment, runtime::lease};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::support::{NAME, Network, Operator, SOON, Sandbox, condition, run};

/// The command asks for the Leases of all namespaces: what one of these tests says of its operator, the others read.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls the program with the namespace in front of the command, as kubectl's users do.
async fn ask(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_flagsmith-operator"));
    command.args(["-n", &sandbox.namespace]).args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// What it prints, and its exit status.
async fn text(sandbox: &Sandbox, arguments: &[&str]) -> (String, Option<i32>) {
    let output = ask(sandbox, arguments).await;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (said, output.status.code())
}

async fn json_of(sandbox: &Sandbox, arguments: &[&str]) -> (Value, Option<i32>) {
    let output = ask(sandbox, &[arguments, &["--output", "json"]].concat()).await;
    let page = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (page, output.status.code())
}

fn codes(page: &Value) -> Vec<&str> {
    let diagnoses = page["diagnoses"].as_array().unwrap();
    diagnoses.iter().map(|it| it["code"].as_str().unwrap()).collect()
}

/// The one Lease of an operator in the cluster: for these namespaces, renewed so long ago.
async fn lease(sandbox: &Sandbox, namespaces: &str, renewed: SignedDuration) {
    let (label, value) = lease::LABEL;
    let renewed = Timestamp::now() - renewed;
    no_lease(sandbox).await;
    sandbox
        .create::<Lease>(json!({
            "metadata": {
                "name": "flagsmith-operator",
                "labels": { label: value },
                "annotations": { lease::NAMESPACES_ANNOTATION: namespaces },
            },
            "spec": {
                "holderIdentity": "operator-0_1",
                "leaseDurationSeconds": 15,
                "renewTime": format!("{renewed:.6}"),
            },
        }))
        .await;
}

/// Takes away the test's own Lease, and those that ended operators of other tests have left.
async fn no_lease(sandbox: &Sandbox) {
    let (label, value) = lease::LABEL;
    let labelled = ListParams::default().labels(&format!("{label}={value}"));
    let client = sandbox.api::<Lease>().into_client();
    for left in Api::<Lease>::all(client.clone()).list(&labelled).await.unwrap() {
        let namespace = left.namespace().unwrap_or_default();
        let renewed = left.spec.as_ref().and_then(|spec| spec.renew_time.as_ref());
        let ended =
            renewed.is_none_or(|time| Timestamp::now().duration_since(time.0) > SignedDuration::from_mins(1));
        if ended || namespace == sandbox.namespace {
            let api = Api::<Lease>::namespaced(client.clone(), &namespace);
            api.delete(&left.name_any(), &DeleteParams::default()).await.ok();
        }
    }
}

/// A status as an operator writes it that cannot reach the database.
async fn status(sandbox: &Sandbox, generation: Option<i64>) {
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": "as it was", "observedGeneration": generation,
            "lastTransitionTime": "2026-11-28T10:00:00Z",
        })
    };
    let status = json!({
        "observedGeneration": generation,
        "diagnoses": [{
            "code": "DatabaseUnreachable", "severity": "Critical", "component": "database",
            "message": "Nothing listens at db.prod:5432.", "evidence": ["database: connection refused"],
            "remedy": "Start PostgreSQL there.", "since": "2026-11-28T10:00:00Z",
            "docs": "https://docs.example.com/causes.html#databaseunreachable",
        }],
        "conditions": [
            condition("Ready", "False", "DatabaseUnreachable"),
            condition("DatabaseReachable", "False", "DatabaseUnreachable"),
        ],
    });
    sandbox
        .api::<FlagsmithDeployment>()
        .patch_status(NAME, &PatchParams::default(), &Patch::Merge(json!({ "status": status })))
        .await
        .unwrap();
}

#[test]
fn what_the_operator_has_found_is_said_with_its_age() {
    let _turn = turn();
    run(async {
        let sandbox = Sandbox::new("asked").await;
        let resource = sandbox.install(json!({})).await;
        lease(&sandbox, &sandbox.namespace, SignedDuration::ZERO).await;
        status(&sandbox, resource.metadata.generation).await;

        let (page, exit) = json_of(&sandbox, &["diagnose"]).await;
        assert_eq!((codes(&page), exit), (vec!["DatabaseUnreachable"], Some(1)), "{page:#}");
        assert_eq!(page["diagnoses"][0]["since"], "2026-11-28T10:00:00Z");
        assert_eq!(page["operator"]["statusIsCurrent"], true, "{page:#}");

        let (said, exit) = text(&sandbox, &["diagnose"]).await;
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.contains("by     the operator, since 2026-11-28T10:00:00Z"), "{said}");
        assert!(said.contains("looks, heard ") && said.contains("written "), "{said}");
        assert!(!said.contains("Nothing wrong"), "{said}");

        let (said, exit) = text(&sandbox, &["status"]).await;
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.contains("DatabaseUnreachable Nothing listens"), "{said}");
        no_lease(&sandbox).await;
        sandbox.end().await;
    });
}

#[test]
fn a_status_that_nobody_keeps_is_not_taken_for_the_present() {
    let _turn = turn();
    run(async {
        let sandbox = Sandbox::new("left").await;
        let resource = sandbox.install(json!({})).await;
        // The API server tells its time to the second.
        lease(&sandbox, "", SignedDuration::from_mins(3 * 60 + 1)).await;
        status(&sandbox, resource.metadata.generation.map(|it| it - 1)).await;

        let (page, exit) = json_of(&sandbox, &["diagnose"]).await;
        assert_eq!((codes(&page), exit), (vec!["OperatorNotRunning"], Some(1)), "{page:#}");
        assert_eq!(page["operator"]["attended"], false);
        let not_seen = page["notSeen"].to_string();
        assert!(not_seen.contains("the status is of generation 0, the resource is at 1"), "{not_seen}");
        assert!(not_seen.contains("the database itself"), "{not_seen}");

        let (said, exit) = text(&sandbox, &["status"]).await;
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.contains("none runs") && said.contains("3 h ago"), "{said}");
        assert!(said.contains("the status is of generation 0, the resource is at 1"), "{said}");
        no_lease(&sandbox).await;
        sandbox.end().await;
    });
}

#[test]
fn a_namespace_that_the_operator_does_not_look_after_is_told() {
    let _turn = turn();
    run(async {
        let sandbox = Sandbox::new("elsewhere").await;
        let resource = sandbox.install(json!({})).await;
        lease(&sandbox, "team-a,team-b", SignedDuration::ZERO).await;
        status(&sandbox, resource.metadata.generation).await;
        sandbox.patch(json!({ "spec": { "requestTimeoutSeconds": 20 } })).await;

        let (page, exit) = json_of(&sandbox, &["diagnose"]).await;
        assert_eq!((codes(&page), exit), (vec!["NamespaceNotWatched"], Some(1)), "{page:#}");
        let evidence = page["diagnoses"][0]["evidence"].to_string();
        assert!(evidence.contains("team-a, team-b only"), "{page:#}");
        let (said, _) = text(&sandbox, &["status"]).await;
        assert!(said.contains("the status is of generation 1, the resource is at 2"), "{said}");
        no_lease(&sandbox).await;
        sandbox.end().await;
    });
}

#[test]
fn a_deployment_that_is_gone_while_nobody_acts_is_told() {
    let _turn = turn();
    run(async {
        let sandbox = Sandbox::new("gone").await;
        let operator = Operator::start(&sandbox.namespace, Network::default()).await;
        sandbox.install(json!({})).await;
        sandbox.ready().await;
        let suspended = sandbox.patch(json!({ "spec": { "suspend": true } })).await;
        sandbox
            .until(SOON, "suspended", |it| {
                it.status.as_ref().and_then(|status| status.observed_generation)
                    == suspended.metadata.generation
            })
            .await;
        sandbox.delete::<Deployment>("flagsmith-api").await;
        let seen =
            sandbox.until(SOON, "seen to be gone", |it| condition(it, "ApiAvailable").0 == "False").await;
        assert_eq!(condition(&seen, "ApiAvailable").1, "DeploymentMissing");
        let message = &seen.status.unwrap().diagnoses[0].message;
        assert!(message.contains("none is made while spec.suspend is true"), "{message}");
        operator.stop().await;
        lease(&sandbox, &sandbox.namespace, SignedDuration::ZERO).await;

        let (page, exit) = json_of(&sandbox, &["diagnose"]).await;
        assert_eq!((codes(&page), exit), (vec!["DeploymentMissing"], Some(1)), "{page:#}");
        no_lease(&sandbox).await;
        sandbox.end().await;
    });
}

#[test]
fn what_is_only_observed_wants_no_release() {
    run(async {
        let sandbox = Sandbox::empty("observed").await;
        sandbox
            .create::<FlagsmithDeployment>(json!({
                "metadata": { "name": NAME },
                "spec": { "mode": "Observed", "observe": { "release": "acme" } },
            }))
            .await;
        let (said, _) = text(&sandbox, &["status"]).await;
        assert!(said.contains("nothing yet  ") && !said.contains("wanted"), "{said}");
        sandbox.end().await;
    });
}

#[test]
fn a_report_says_what_it_does_not_hold() {
    run(async {
        let sandbox = Sandbox::empty("report").await;
        sandbox
            .create::<FlagsmithDeployment>(json!({
                "metadata": { "name": NAME },
                "spec": { "mode": "Observed", "observe": { "release": "acme" } },
            }))
            .await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.zip");
        let (said, exit) = text(&sandbox, &["report", "--file", file.to_str().unwrap()]).await;
        assert_eq!(exit, Some(0), "{said}");
        assert!(said.contains("It does not hold:"), "{said}");
        let label = "app.kubernetes.io/instance=acme";
        assert!(said.contains("deployments: none") && said.contains(label), "{said}");
        sandbox.end().await;
    });
}
