//! The operator, installed by its chart as a user installs it.

use crate::kubectl::{helm, json, kubectl, pointer, require_cluster};

pub const SYSTEM: &str = "flagsmith-system";

/// Installs the operator unless it is there: stories that do not care share one.
pub fn installed() {
    require_cluster();
    let releases = helm(&["list", "--namespace", SYSTEM, "--short"]);
    if releases.trim().is_empty() {
        install(&[]);
    }
}

/// Installs the operator with further arguments of `helm install`.
pub fn install(arguments: &[&str]) {
    let fixed = [
        "upgrade",
        "--install",
        "flagsmith-operator",
        "charts/flagsmith-operator",
        "--namespace",
        SYSTEM,
        "--create-namespace",
        "--set",
        "image.repository=docker.io/local/flagsmith-operator",
        "--set",
        "image.tag=dev",
        "--set",
        "image.pullPolicy=Never",
        "--wait",
        "--timeout",
        "3m",
    ];
    helm(&fixed.iter().chain(arguments).copied().collect::<Vec<_>>());
    // Of the Deployment: pods that an upgrade has replaced may still be ending.
    let deployment = json(&["-n", SYSTEM, "get", "deployment", "flagsmith-operator"]);
    let ready = pointer(&deployment, "/status/readyReplicas").as_i64().unwrap();
    assert_eq!(ready, 2, "two replicas, one of them standing by");
}

pub fn uninstall() {
    helm(&["uninstall", "flagsmith-operator", "--namespace", SYSTEM, "--wait"]);
}

/// Everything that the operator has logged.
pub fn log() -> String {
    let label = "app.kubernetes.io/name=flagsmith-operator";
    kubectl(&["-n", SYSTEM, "logs", "-l", label, "--tail=-1"])
}

/// What `helm test` says of each replica.
pub fn tested() {
    let said = helm(&["test", "flagsmith-operator", "--namespace", SYSTEM, "--logs", "--timeout", "3m"]);
    assert_eq!(said.matches(" is ready\n").count(), 2, "{said}");
}

/// Both replicas, without a chance to hand over the lease.
pub fn killed() {
    kubectl(&[
        "-n",
        SYSTEM,
        "delete",
        "pods",
        "-l",
        "app.kubernetes.io/name=flagsmith-operator",
        "--grace-period=0",
        "--force",
        "--wait=false",
    ]);
}
