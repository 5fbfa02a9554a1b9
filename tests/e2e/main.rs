//! What a user sees, on a real node: the chart, real containers, a real database, an upgrade, and the end.
//!
//! Run by `tests/e2e/run`, which starts the cluster and imports the images.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::items_after_statements,
    reason = "a test stops where something is not as it must be, and says what it uses where it uses it"
)]

mod http;
mod kubectl;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use kubectl::{helm, json, kubectl, kubectl_fails, pointer, wait_until};

/// A first start initialises a database and runs every migration, on two cores with cold disks.
const START: Duration = Duration::from_mins(5);
/// Two migrations, and three Deployments that are exchanged one after the other, each with its grace period.
const UPGRADE: Duration = Duration::from_mins(5);
/// What the operator does by itself after an event takes milliseconds; the rest is the cluster's.
const REACTION: Duration = Duration::from_secs(30);
/// Grace periods of the pods, and the garbage collector.
const REMOVAL: Duration = Duration::from_mins(3);

const OLD: &str = "2.260.0";
const NEW: &str = "2.265.0";
const SYSTEM: &str = "flagsmith-system";

/// One story in the order in which a user lives it; each step needs the one before.
#[test]
fn a_user_installs_uses_upgrades_and_removes_flagsmith() {
    kubectl::require_cluster();
    step("install the operator by its chart", install_operator);
    step("refuse what cannot work", refuse_bad_input);
    step("a FlagsmithDeployment becomes Ready", become_ready);
    step("the API answers through Service and Ingress", serve_requests);
    step("an enqueued task is executed by the processor", execute_a_task);
    step("a deleted child comes back", restore_a_child);
    step(
        "a changed version migrates, then rolls processor, API, frontend",
        upgrade,
    );
    step("a downgrade is blocked", block_a_downgrade);
    step(
        "a database that cannot be used is diagnosed before any Job",
        diagnose_databases,
    );
    step("no secret is shown anywhere", show_no_secret);
    step("deleting the resource leaves nothing behind", leave_nothing);
}

fn step(name: &str, run: impl FnOnce()) {
    println!("--- {name}");
    let start = Instant::now();
    run();
    println!("    done in {:.1} s", start.elapsed().as_secs_f32());
}

fn install_operator() {
    helm(&[
        "install",
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
    ]);
    let pods = json(&["-n", SYSTEM, "get", "pods"]);
    let ready = pointer(&pods, "/items").as_array().unwrap().len();
    assert_eq!(ready, 2, "two replicas, one of them standing by");
}

fn refuse_bad_input() {
    let error = kubectl_fails(&["apply", "-f", "-"], Some(&demo("latest")));
    let sentence = "must be an exact release such as \"2.265.0\": migrations belong to one release, \
        so a moving tag cannot be upgraded safely";
    assert!(
        error.contains("spec.version: Invalid value") && error.contains(sentence),
        "{error}"
    );
}

fn become_ready() {
    kubectl::apply(&demo(OLD));
    wait_until(START, "the FlagsmithDeployment is Ready", || {
        let status = kubectl(&["get", "fsd", "flagsmith", "-o", "wide"]);
        (condition("Ready") == "True").then_some(()).ok_or(status)
    });
    println!("{}", kubectl(&["describe", "fsd", "flagsmith"]));
    let status = json(&["get", "fsd", "flagsmith"]);
    assert_eq!(pointer(&status, "/status/version"), OLD);
    assert_eq!(pointer(&status, "/status/migration/result"), "Applied");
    for condition in pointer(&status, "/status/conditions").as_array().unwrap() {
        // This cluster has no ingress controller, and nobody checks a proxy that is not known.
        let proxy = ["TimeoutsAligned", "ExposureReady"].contains(&condition["type"].as_str().unwrap());
        assert_eq!(
            condition["status"],
            if proxy { "Unknown" } else { "True" },
            "{condition}"
        );
    }
    let codes: Vec<_> = pointer(&status, "/status/diagnoses")
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["code"].clone())
        .collect();
    assert_eq!(
        codes,
        ["EmbeddedDatabaseInUse"],
        "a healthy installation gets no other diagnosis"
    );
}

fn serve_requests() {
    let api = service("flagsmith-api");
    let key = [("X-Environment-Key", "anything")];
    let flags = http::get(&api, 8000, "/api/v1/flags/", &key);
    assert_eq!(flags.status, 200, "{}", flags.body);
    assert_eq!(flags.header("flagsmith-version").as_deref(), Some(OLD));
    assert_eq!(http::get(&api, 8000, "/api/v1/flags/", &[]).status, 403);
    // Through the backends of the Ingress, found as an ingress controller finds them.
    let ingress = json(&["get", "ingress", "flagsmith"]);
    assert_eq!(pointer(&ingress, "/spec/rules/0/host"), "flags.example.com");
    let backend = |path: &str| {
        let paths = pointer(&ingress, "/spec/rules/0/http/paths")
            .as_array()
            .unwrap()
            .clone();
        let best = paths
            .iter()
            .filter(|it| path.starts_with(it["path"].as_str().unwrap()))
            .max_by_key(|it| it["path"].as_str().unwrap().len())
            .unwrap();
        let service_name = best["backend"]["service"]["name"].as_str().unwrap().to_owned();
        let port = u16::try_from(best["backend"]["service"]["port"]["number"].as_u64().unwrap()).unwrap();
        (service(&service_name), port)
    };
    let host = [("Host", "flags.example.com"), ("X-Environment-Key", "anything")];
    let (address, port) = backend("/api/v1/flags/");
    assert_eq!(http::get(&address, port, "/api/v1/flags/", &host).status, 200);
    let (address, port) = backend("/");
    let page = http::get(&address, port, "/", &host);
    assert!(
        page.status == 200 && page.body.contains("<html"),
        "{} {}",
        page.status,
        page.body
    );
    // The frontend's server forwards API calls by itself.
    assert_eq!(http::get(&address, port, "/api/v1/flags/", &host).status, 200);
}

fn execute_a_task() {
    let api = service("flagsmith-api");
    let answer = http::post(&api, 8000, "/testbed/enqueue?task=write_result&count=3&value=e2e");
    assert!(answer.status < 300, "{} {}", answer.status, answer.body);
    wait_until(REACTION, "the three tasks are in the database as done", || {
        let done = sql(
            "SELECT count(*) FROM task_processor_task t JOIN task_processor_taskrun r ON r.task_id = t.id \
             WHERE t.completed AND r.result = 'SUCCESS' AND t.task_identifier LIKE '%write_result'",
        );
        (done == "3").then_some(()).ok_or(format!("{done} are"))
    });
    let heartbeat =
        sql("SELECT now() - max(last_picked_at) < interval '10 s' FROM task_processor_recurringtask");
    assert_eq!(heartbeat, "t", "the processor's heartbeat moves");
}

fn restore_a_child() {
    let uid = |kind: &str, name: &str| {
        pointer(&json(&["get", kind, name]), "/metadata/uid")
            .as_str()
            .map(str::to_owned)
    };
    for (kind, name) in [
        ("service", "flagsmith-api"),
        ("deployment", "flagsmith-frontend"),
        ("pdb", "flagsmith-api"),
    ] {
        let before = uid(kind, name);
        kubectl(&["delete", kind, name, "--wait=false"]);
        wait_until(
            REACTION,
            &format!("{kind} {name} is there again"),
            || match kubectl::try_json(&["get", kind, name]) {
                Some(object) if pointer(&object, "/metadata/uid").as_str().map(str::to_owned) != before => {
                    Ok(())
                }
                _ => Err("not yet".to_owned()),
            },
        );
    }
    wait_until(START, "Ready again", || {
        (condition("Ready") == "True")
            .then_some(())
            .ok_or_else(|| condition("Ready"))
    });
}

fn upgrade() {
    kubectl::apply(&demo(NEW));
    let start = Instant::now();
    let mut first: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut failures = Vec::new();
    let api = service("flagsmith-api");
    wait_until(UPGRADE, "the new release is Ready", || {
        let mut note = |what: &'static str, holds: bool| {
            if holds {
                first.entry(what).or_insert_with(|| start.elapsed());
            }
        };
        let jobs = json(&["get", "jobs", "-l", "app.kubernetes.io/instance=flagsmith"]);
        let new_jobs: Vec<_> = pointer(&jobs, "/items")
            .as_array()
            .unwrap()
            .iter()
            .filter(|job| pointer(job, "/metadata/labels/app.kubernetes.io~1version") == NEW)
            .collect();
        assert!(new_jobs.len() <= 1, "one migration Job for one release");
        note("1 job", !new_jobs.is_empty());
        note(
            "2 job complete",
            new_jobs.iter().any(|job| pointer(job, "/status/succeeded") == 1),
        );
        let deployments = json(&["get", "deployments"]);
        for (what, name) in [
            ("3 processor", "flagsmith-task-processor"),
            ("4 api", "flagsmith-api"),
            ("5 frontend", "flagsmith-frontend"),
        ] {
            let new = pointer(&deployments, "/items")
                .as_array()
                .unwrap()
                .iter()
                .any(|deployment| {
                    pointer(deployment, "/metadata/name") == name
                        && pointer(deployment, "/spec/template/spec/containers/0/image")
                            .as_str()
                            .unwrap()
                            .ends_with(NEW)
                });
            note(what, new);
        }
        let health = http::get(&api, 8000, "/health/liveness/", &[]).status;
        if health != 200 {
            failures.push((start.elapsed(), health));
        }
        let ready = condition("Ready") == "True"
            && pointer(&json(&["get", "fsd", "flagsmith"]), "/status/version") == NEW;
        ready
            .then_some(())
            .ok_or_else(|| kubectl(&["get", "fsd", "flagsmith", "-o", "wide"]))
    });
    println!("    first seen: {first:?}");
    let order: Vec<_> = first.keys().copied().collect();
    assert_eq!(
        order,
        ["1 job", "2 job complete", "3 processor", "4 api", "5 frontend"]
    );
    let times: Vec<_> = first.values().collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "in this order");
    assert!(failures.is_empty(), "the API answers throughout: {failures:?}");
    let answer = http::get(&api, 8000, "/api/v1/flags/", &[("X-Environment-Key", "anything")]);
    assert_eq!(answer.header("flagsmith-version").as_deref(), Some(NEW));
    println!("{}", kubectl(&["describe", "fsd", "flagsmith"]));
}

fn block_a_downgrade() {
    kubectl::apply(&demo(OLD));
    wait_until(REACTION, "the downgrade is refused", || {
        let status = json(&["get", "fsd", "flagsmith"]);
        let code = pointer(&status, "/status/diagnoses/0/code");
        (code == "DowngradeBlocked").then_some(()).ok_or(code.to_string())
    });
    let image = pointer(
        &json(&["get", "deployment", "flagsmith-api"]),
        "/spec/template/spec/containers/0/image",
    )
    .clone();
    assert!(image.as_str().unwrap().ends_with(NEW), "{image}");
    kubectl::apply(&demo(NEW));
    wait_until(START, "Ready again", || {
        (condition("Ready") == "True")
            .then_some(())
            .ok_or_else(|| condition("Ready"))
    });
}

/// Shown nowhere, although it is in a Secret that the operator has read.
const WRONG_PASSWORD: &str = "no-password-of-anybody";

fn diagnose_databases() {
    let url = secret("flagsmith-database", "DATABASE_URL");
    let password = secret("flagsmith-database", "POSTGRES_PASSWORD");
    let cases = [
        (
            "DatabaseAuthenticationFailed",
            url.replace(&password, WRONG_PASSWORD),
        ),
        (
            "DatabaseNotFound",
            url.replace("5432/flagsmith", "5432/elsewhere"),
        ),
        (
            "DatabaseHostNotFound",
            url.replace("flagsmith-database", "no-such-service"),
        ),
        ("DatabaseUnreachable", url.replace(":5432", ":5433")),
        ("DatabaseUrlInvalid", "flagsmith-database:5432".to_owned()),
    ];
    kubectl::apply(&format!(
        "apiVersion: operator.flagsmith.com/v1alpha1\nkind: FlagsmithDeployment\nmetadata: {{name: broken}}\n\
         spec:\n  version: {NEW}\n  database: {{urlFrom: {{secretKeyRef: {{name: broken-db, key: DATABASE_URL}}}}}}\n"
    ));
    let code = || pointer(&json(&["get", "fsd", "broken"]), "/status/diagnoses/0/code").clone();
    wait_until(REACTION, "the missing Secret is diagnosed", || {
        (code() == "DatabaseSecretMissing")
            .then_some(())
            .ok_or_else(|| code().to_string())
    });
    for (expected, value) in cases {
        kubectl::apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: broken-db}}\nstringData: {{DATABASE_URL: \"{value}\"}}\n"
        ));
        wait_until(REACTION, expected, || {
            (code() == expected)
                .then_some(())
                .ok_or_else(|| code().to_string())
        });
        println!(
            "    {}",
            pointer(&json(&["get", "fsd", "broken"]), "/status/diagnoses/0/message")
        );
    }
    let jobs = kubectl(&[
        "get",
        "jobs",
        "-l",
        "app.kubernetes.io/instance=broken",
        "-o",
        "name",
    ]);
    assert_eq!(jobs, "", "no Job starts on a database that cannot be used");
    kubectl(&["delete", "fsd", "broken", "--wait=true", "--timeout=60s"]);
    kubectl(&["delete", "secret", "broken-db"]);
}

fn show_no_secret() {
    let mut shown = String::new();
    for arguments in [
        &[
            "get",
            "fsd,deployments,statefulsets,jobs,events,configmaps,ingresses",
            "-o",
            "yaml",
        ][..],
        &["describe", "fsd", "flagsmith"],
        &[
            "-n",
            SYSTEM,
            "logs",
            "-l",
            "app.kubernetes.io/name=flagsmith-operator",
            "--tail=-1",
        ],
    ] {
        shown += &kubectl(arguments);
    }
    assert!(
        shown.contains("started a migration"),
        "the operator's log is among it"
    );
    for (name, key) in [
        ("flagsmith-database", "POSTGRES_PASSWORD"),
        ("flagsmith-django", "DJANGO_SECRET_KEY"),
    ] {
        let value = secret(name, key);
        assert!(value.len() > 20, "{name} has a generated {key}");
        assert!(!shown.contains(&value), "{key} is shown");
    }
    assert!(!shown.contains(WRONG_PASSWORD), "a password is shown");
}

fn secret(name: &str, key: &str) -> String {
    kubectl(&[
        "get",
        "secret",
        name,
        "-o",
        &format!("go-template={{{{index .data \"{key}\" | base64decode}}}}"),
    ])
}

fn leave_nothing() {
    kubectl(&["delete", "fsd", "flagsmith", "--wait=true", "--timeout=60s"]);
    const KINDS: &str = "deployments,statefulsets,replicasets,jobs,pods,services,serviceaccounts,secrets,pdb,hpa,ingresses,pvc";
    wait_until(REMOVAL, "nothing of it is left", || {
        let left = kubectl(&[
            "get",
            KINDS,
            "-l",
            "app.kubernetes.io/instance=flagsmith",
            "-o",
            "name",
        ]);
        let claims = kubectl(&["get", "pvc", "-o", "name"]);
        (left.is_empty() && claims.is_empty())
            .then_some(())
            .ok_or(left + &claims)
    });
    helm(&["uninstall", "flagsmith-operator", "--namespace", SYSTEM, "--wait"]);
}

/// The demo's resource at a release, with an Ingress.
fn demo(version: &str) -> String {
    let text = std::fs::read_to_string("tests/chart/demo.yaml").unwrap();
    let text = text.replace("version: \"2.265.0\"", &format!("version: \"{version}\""));
    assert!(text.contains(version));
    format!("{text}  exposure:\n    hosts: [flags.example.com]\n    ingress: {{className: none}}\n").replace(
        "  exposure",
        if text.ends_with('\n') {
            "  exposure"
        } else {
            "\n  exposure"
        },
    )
}

fn condition(kind: &str) -> String {
    kubectl(&[
        "get",
        "fsd",
        "flagsmith",
        "-o",
        &format!("jsonpath={{.status.conditions[?(@.type==\"{kind}\")].status}}"),
    ])
}

fn service(name: &str) -> String {
    kubectl(&["get", "service", name, "-o", "jsonpath={.spec.clusterIP}"])
}

fn sql(query: &str) -> String {
    let shell = format!(
        "PGPASSWORD=\"$POSTGRES_PASSWORD\" psql -h 127.0.0.1 -U flagsmith -d flagsmith -Atc \"{query}\""
    );
    kubectl(&["exec", "flagsmith-database-0", "--", "sh", "-c", &shell])
        .trim()
        .to_owned()
}
