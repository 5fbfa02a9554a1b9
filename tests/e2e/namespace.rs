//! Where a story takes place: a namespace of its own, with one `FlagsmithDeployment` called `flagsmith`.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::kubectl::{self, kubectl, pointer, wait_until};

/// A first start initialises a database and runs every migration, on two cores with cold disks.
pub const START: Duration = Duration::from_mins(5);
/// What the operator does by itself after an event takes milliseconds; the rest is the cluster's.
pub const REACTION: Duration = Duration::from_secs(30);
/// Grace periods of the pods, and the garbage collector.
pub const REMOVAL: Duration = Duration::from_mins(3);

pub const OLD: &str = "2.260.0";
pub const NEW: &str = "2.265.0";

/// A PostgreSQL that somebody runs for himself on a volume: the Deployment and Service `database`, its database
/// and role `flagsmith`.
pub fn database(password: &str, max_connections: u32) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: database}}
spec: {{selector: {{app: database}}, ports: [{{port: 5432}}]}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: database}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: database}}
spec:
  strategy: {{type: Recreate}}
  selector: {{matchLabels: {{app: database}}}}
  template:
    metadata: {{labels: {{app: database}}}}
    spec:
      securityContext: {{runAsUser: 999, runAsGroup: 999, fsGroup: 999}}
      terminationGracePeriodSeconds: 5
      containers:
      - name: postgres
        image: docker.io/local/postgres:15
        args: [-c, max_connections={max_connections}]
        env:
        - {{name: POSTGRES_USER, value: flagsmith}}
        - {{name: POSTGRES_PASSWORD, value: {password}}}
        - {{name: POSTGRES_DB, value: flagsmith}}
        - {{name: PGDATA, value: /data/pg}}
        readinessProbe: {{tcpSocket: {{port: 5432}}, periodSeconds: 1}}
        volumeMounts:
        - {{name: data, mountPath: /data}}
        - {{name: run, mountPath: /var/run/postgresql}}
      volumes:
      - {{name: data, persistentVolumeClaim: {{claimName: database}}}}
      - {{name: run, emptyDir: {{}}}}
"
    )
}

/// A namespace, removed at the end of its story; after a failure it stays to be looked at until the cluster ends.
pub struct Namespace {
    name: &'static str,
}

impl Namespace {
    pub fn new(name: &'static str) -> Self {
        kubectl(&["create", "namespace", name]);
        Self { name }
    }

    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&self.with(arguments))
    }

    /// kubectl in this namespace, which goes on beside the story.
    pub fn spawn(&self, arguments: &[&str]) -> std::process::Child {
        std::process::Command::new("kubectl").args(self.with(arguments)).spawn().unwrap()
    }

    pub fn apply(&self, text: &str) {
        kubectl::apply(self.name, text);
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        kubectl::json(&self.with(arguments))
    }

    /// The object, or `None` while there is none.
    pub fn try_json(&self, arguments: &[&str]) -> Option<Value> {
        kubectl::try_json(&self.with(arguments))
    }

    fn with<'a>(&self, arguments: &[&'a str]) -> Vec<&'a str> {
        ["-n", self.name].iter().copied().chain(arguments.iter().copied()).collect()
    }

    pub fn fsd(&self) -> Value {
        self.json(&["get", "fsd", "flagsmith"])
    }

    /// The status of a condition.
    pub fn condition(&self, kind: &str) -> String {
        let path = format!("jsonpath={{.status.conditions[?(@.type==\"{kind}\")].status}}");
        self.kubectl(&["get", "fsd", "flagsmith", "-o", &path])
    }

    /// The codes of the diagnoses, in their order.
    pub fn codes(&self) -> Vec<String> {
        let fsd = self.fsd();
        let diagnoses = pointer(&fsd, "/status/diagnoses").as_array();
        let code = |diagnosis: &Value| diagnosis["code"].as_str().unwrap().to_owned();
        diagnoses.into_iter().flatten().map(code).collect()
    }

    pub fn await_ready(&self) {
        wait_until(START, "the FlagsmithDeployment is Ready", || {
            (self.condition("Ready") == "True")
                .then_some(())
                .ok_or_else(|| self.kubectl(&["get", "fsd", "flagsmith", "-o", "wide"]))
        });
    }

    /// Waits until what was applied last is Ready: before, `Ready` speaks of the generation before. A processor that is
    /// told to end in the first seconds of its start does not hear it, and ends only with its grace period.
    pub fn settled(&self) {
        wait_until(START, "what was applied last is Ready", || {
            let fsd = self.fsd();
            let conditions = pointer(&fsd, "/status/conditions").as_array();
            let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
            let holds = ready.is_some_and(|ready| {
                ready["status"] == "True"
                    && ready["observedGeneration"] == *pointer(&fsd, "/metadata/generation")
            });
            holds.then_some(()).ok_or_else(|| ready.map(ToString::to_string).unwrap_or_default())
        });
    }

    /// The cluster address of a Service.
    pub fn service(&self, name: &str) -> String {
        self.kubectl(&["get", "service", name, "-o", "jsonpath={.spec.clusterIP}"])
    }

    pub fn secret(&self, name: &str, key: &str) -> String {
        let template = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
        self.kubectl(&["get", "secret", name, "-o", &template])
    }

    /// What the embedded database answers.
    pub fn sql(&self, query: &str) -> String {
        let shell = format!(
            "PGPASSWORD=\"$POSTGRES_PASSWORD\" psql -h 127.0.0.1 -U flagsmith -d flagsmith -Atc \"{query}\""
        );
        let answer = self.kubectl(&["exec", "flagsmith-database-0", "--", "sh", "-c", &shell]);
        answer.trim().to_owned()
    }

    /// Deletes the `FlagsmithDeployment` and, with all that is left, the namespace.
    pub fn remove(self) {
        self.kubectl(&["delete", "fsd", "--all", "--wait=true", "--timeout=60s"]);
        kubectl(&["delete", "namespace", self.name, "--wait=false"]);
    }
}

/// The demo's resource at a release, with an Ingress.
pub fn demo(version: &str) -> String {
    let text = std::fs::read_to_string("tests/chart/demo.yaml").unwrap();
    let text = text.replace("version: \"2.265.0\"", &format!("version: \"{version}\""));
    assert!(text.contains(version) && text.ends_with('\n'));
    text + "  exposure:\n    hosts: [flags.example.com]\n    ingress: {className: none}\n"
}

pub fn step<T>(name: &str, run: impl FnOnce() -> T) -> T {
    println!("--- {name}");
    let start = Instant::now();
    let result = run();
    println!("    done in {:.1} s", start.elapsed().as_secs_f32());
    result
}

/// Steps of a trial: one that fails says nothing about the next, so all are tried. With `TRIALS=word,word` only those
/// whose names have one of these words.
pub struct Trials {
    only: String,
    failed: Vec<String>,
}

impl Trials {
    pub fn new() -> Self {
        Self { only: std::env::var("TRIALS").unwrap_or_default(), failed: Vec::new() }
    }

    /// Tries; after a failure `recover` leads back to where the next one begins.
    pub fn trial<T>(&mut self, name: &str, what: impl FnOnce() -> T, recover: impl FnOnce()) -> Option<T> {
        if !self.only.is_empty() && !self.only.split(',').any(|word| name.contains(word)) {
            return None;
        }
        step(name, || {
            let result = catch_unwind(AssertUnwindSafe(what)).ok();
            if result.is_none() {
                self.failed.push(name.to_owned());
                let _ = catch_unwind(AssertUnwindSafe(recover));
            }
            result
        })
    }

    /// Fails when one has failed.
    pub fn verdict(self) {
        assert!(self.failed.is_empty(), "{:#?}", self.failed);
    }
}
