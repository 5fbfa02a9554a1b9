//! kubectl and helm, as a user types them.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Often enough to see the order of a rollout, seldom enough not to be the load of the machine.
const POLL: Duration = Duration::from_millis(500);

/// Fails with instructions when there is no cluster.
pub fn require_cluster() {
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "this test needs a cluster with the test images: run it by tests/e2e/run (make test-e2e)"
    );
}

fn run(program: &str, arguments: &[&str], input: Option<&str>) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
    if let Some(input) = input {
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    }
    child.wait_with_output().unwrap()
}

fn succeed(program: &str, arguments: &[&str], input: Option<&str>) -> String {
    let output = run(program, arguments, input);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?} failed:\n{out}{err}");
    out.into_owned()
}

pub fn kubectl(arguments: &[&str]) -> String {
    succeed("kubectl", arguments, None)
}

pub fn helm(arguments: &[&str]) -> String {
    succeed("helm", arguments, None)
}

pub fn apply(namespace: &str, text: &str) {
    succeed("kubectl", &["-n", namespace, "apply", "-f", "-"], Some(text));
}

/// What kubectl says when it must fail.
pub fn kubectl_fails(arguments: &[&str], input: Option<&str>) -> String {
    let output = run("kubectl", arguments, input);
    assert!(!output.status.success(), "kubectl {arguments:?} was expected to fail");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn json(arguments: &[&str]) -> Value {
    let arguments: Vec<_> = arguments.iter().copied().chain(["-o", "json"]).collect();
    serde_json::from_str(&kubectl(&arguments)).unwrap()
}

/// The object, or `None` while there is none.
pub fn try_json(arguments: &[&str]) -> Option<Value> {
    let arguments: Vec<_> = arguments.iter().copied().chain(["-o", "json"]).collect();
    let output = run("kubectl", &arguments, None);
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

pub fn pointer<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

/// Waits for `attempt` to succeed; its last error is the message.
pub fn wait_until(limit: Duration, what: &str, mut attempt: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(()) => return,
            Err(state) if start.elapsed() > limit => {
                let pods = kubectl(&["get", "pods", "-A", "-o", "wide"]);
                let described = kubectl(&["describe", "fsd", "-A"]);
                let log = kubectl(&[
                    "-n",
                    "flagsmith-system",
                    "logs",
                    "-l",
                    "app.kubernetes.io/name=flagsmith-operator",
                    "--tail=60",
                ]);
                panic!("after {} s not yet: {what}\n{state}\n{pods}\n{described}\n{log}", limit.as_secs());
            }
            Err(_) => sleep(POLL),
        }
    }
}
