//! Install, use, upgrade, remove.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    http,
    kubectl::{kubectl, kubectl_fails, pointer, wait_until},
    namespace::{NEW, Namespace, OLD, REACTION, REMOVAL, demo, step},
    operator,
};

/// Two migrations, and three Deployments that are exchanged one after the other, each with its grace period.
const UPGRADE: Duration = Duration::from_mins(5);

/// The operator looks at what is well once a minute.
const A_MINUTE_AND_MORE: Duration = Duration::from_secs(100);

const DEFINITION: &str = "flagsmithdeployments.operator.flagsmith.com";

/// One story in the order in which a user lives it; each step needs the one before.
#[test]
fn a_user_installs_uses_upgrades_and_removes_flagsmith() {
    step("install the operator by its chart", operator::installed);
    step("helm test asks each replica", operator::tested);
    let namespace = Namespace::new("lifecycle");
    let step = |name: &str, run: fn(&Namespace)| step(name, || run(&namespace));
    step("refuse what cannot work", refuse_bad_input);
    step("a FlagsmithDeployment becomes Ready", become_ready);
    step("the API answers through Service and Ingress", serve_requests);
    step("an enqueued task is executed by the processor", execute_a_task);
    step("a deleted child comes back", restore_a_child);
    step("a definition older than the operator is named until it is applied", outdated_definition);
    step("a changed version migrates, then rolls processor, API, frontend", upgrade);
    step("a downgrade is blocked", block_a_downgrade);
    step("a database that cannot be used is diagnosed before any Job", diagnose_databases);
    step("no secret is shown anywhere", show_no_secret);
    step("deleting the resource leaves what cannot be made again", leave_what_cannot_be_made_again);
    namespace.remove();
    operator::uninstall();
}

fn refuse_bad_input(_: &Namespace) {
    let error = kubectl_fails(&["apply", "-f", "-"], Some(&demo("latest")));
    let sentence = "must be an exact release such as \"2.265.0\": migrations belong to one release, \
        so a moving tag cannot be upgraded safely";
    assert!(error.contains("spec.version: Invalid value") && error.contains(sentence), "{error}");
}

fn become_ready(namespace: &Namespace) {
    namespace.apply(&demo(OLD));
    namespace.await_ready();
    println!("{}", namespace.kubectl(&["describe", "fsd", "flagsmith"]));
    let status = namespace.fsd();
    assert_eq!(pointer(&status, "/status/version"), OLD);
    assert_eq!(pointer(&status, "/status/migration/result"), "Applied");
    for condition in pointer(&status, "/status/conditions").as_array().unwrap() {
        // This cluster has no ingress controller, and nobody checks a proxy that is not known.
        let proxy = ["TimeoutsAligned", "ExposureReady"].contains(&condition["type"].as_str().unwrap());
        assert_eq!(condition["status"], if proxy { "Unknown" } else { "True" }, "{condition}");
    }
    assert_eq!(
        namespace.codes(),
        ["EmbeddedDatabaseInUse", "ProxyNotChecked"],
        "a healthy installation gets no other diagnosis than what it is and what nobody can see"
    );
}

fn serve_requests(namespace: &Namespace) {
    let api = namespace.service("flagsmith-api");
    let key = [("X-Environment-Key", "anything")];
    let flags = http::get(&api, 8000, "/api/v1/flags/", &key);
    assert_eq!(flags.status, 200, "{}", flags.body);
    assert_eq!(flags.header("flagsmith-version").as_deref(), Some(OLD));
    assert_eq!(http::get(&api, 8000, "/api/v1/flags/", &[]).status, 403);
    // Through the backends of the Ingress, found as an ingress controller finds them.
    let ingress = namespace.json(&["get", "ingress", "flagsmith"]);
    assert_eq!(pointer(&ingress, "/spec/rules/0/host"), "flags.example.com");
    let backend = |path: &str| {
        let paths = pointer(&ingress, "/spec/rules/0/http/paths").as_array().unwrap().clone();
        let best = paths
            .iter()
            .filter(|it| path.starts_with(it["path"].as_str().unwrap()))
            .max_by_key(|it| it["path"].as_str().unwrap().len())
            .unwrap();
        let service_name = best["backend"]["service"]["name"].as_str().unwrap().to_owned();
        let port = u16::try_from(best["backend"]["service"]["port"]["number"].as_u64().unwrap()).unwrap();
        (namespace.service(&service_name), port)
    };
    let host = [("Host", "flags.example.com"), ("X-Environment-Key", "anything")];
    let (address, port) = backend("/api/v1/flags/");
    assert_eq!(http::get(&address, port, "/api/v1/flags/", &host).status, 200);
    let (address, port) = backend("/");
    let page = http::get(&address, port, "/", &host);
    assert!(page.status == 200 && page.body.contains("<html"), "{} {}", page.status, page.body);
    // The frontend's server forwards API calls by itself.
    assert_eq!(http::get(&address, port, "/api/v1/flags/", &host).status, 200);
}

fn execute_a_task(namespace: &Namespace) {
    let api = namespace.service("flagsmith-api");
    let answer = http::post(&api, 8000, "/testbed/enqueue?task=write_result&count=3&value=e2e");
    assert!(answer.status < 300, "{} {}", answer.status, answer.body);
    wait_until(REACTION, "the three tasks are in the database as done", || {
        let done = namespace.sql(
            "SELECT count(*) FROM task_processor_task t JOIN task_processor_taskrun r ON r.task_id = t.id \
             WHERE t.completed AND r.result = 'SUCCESS' AND t.task_identifier LIKE '%write_result'",
        );
        (done == "3").then_some(()).ok_or(format!("{done} are"))
    });
    let heartbeat = namespace
        .sql("SELECT now() - max(last_picked_at) < interval '10 s' FROM task_processor_recurringtask");
    assert_eq!(heartbeat, "t", "the processor's heartbeat moves");
}

fn outdated_definition(namespace: &Namespace) {
    let components = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/components";
    let older = format!("[{{\"op\":\"remove\",\"path\":\"{components}\"}}]");
    kubectl(&["patch", "crd", DEFINITION, "--type", "json", "-p", &older]);
    let threads = |threads: &str| {
        let patch = format!(r#"{{"spec":{{"taskProcessor":{{"threads":{threads}}}}}}}"#);
        namespace.kubectl(&["patch", "fsd", "flagsmith", "--type", "merge", "-p", &patch]);
    };
    threads("4");
    wait_until(A_MINUTE_AND_MORE, "CrdOutdated names what was dropped", || {
        let status = pointer(&namespace.fsd(), "/status").clone();
        let found =
            status["diagnoses"].as_array().into_iter().flatten().find(|it| it["code"] == "CrdOutdated");
        let found = found.ok_or_else(|| status["diagnoses"].to_string())?;
        found["evidence"][0]
            .as_str()
            .unwrap()
            .contains(" .status.components:")
            .then_some(())
            .ok_or(found.to_string())
    });
    kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "crds/flagsmithdeployments.yaml"]);
    wait_until(A_MINUTE_AND_MORE, "CrdOutdated is gone, and what was dropped is there", || {
        let status = pointer(&namespace.fsd(), "/status").clone();
        let named = namespace.codes().contains(&"CrdOutdated".to_owned());
        (!named && status["components"].is_object()).then_some(()).ok_or(status.to_string())
    });
    threads("null");
    namespace.settled();
}

fn restore_a_child(namespace: &Namespace) {
    let uid = |kind: &str, name: &str| {
        pointer(&namespace.json(&["get", kind, name]), "/metadata/uid").as_str().map(str::to_owned)
    };
    for (kind, name) in
        [("service", "flagsmith-api"), ("deployment", "flagsmith-frontend"), ("pdb", "flagsmith-api")]
    {
        let before = uid(kind, name);
        namespace.kubectl(&["delete", kind, name, "--wait=false"]);
        wait_until(REACTION, &format!("{kind} {name} is there again"), || {
            match namespace.try_json(&["get", kind, name]) {
                Some(object) if pointer(&object, "/metadata/uid").as_str().map(str::to_owned) != before => {
                    Ok(())
                }
                _ => Err("not yet".to_owned()),
            }
        });
    }
    namespace.await_ready();
}

fn upgrade(namespace: &Namespace) {
    namespace.apply(&demo(NEW));
    let start = Instant::now();
    let mut first: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut failures = Vec::new();
    let api = namespace.service("flagsmith-api");
    wait_until(UPGRADE, "the new release is Ready", || {
        let mut note = |what: &'static str, holds: bool| {
            if holds {
                first.entry(what).or_insert_with(|| start.elapsed());
            }
        };
        let jobs = namespace.json(&["get", "jobs", "-l", "app.kubernetes.io/instance=flagsmith"]);
        let new_jobs: Vec<_> = pointer(&jobs, "/items")
            .as_array()
            .unwrap()
            .iter()
            .filter(|job| pointer(job, "/metadata/labels/app.kubernetes.io~1version") == NEW)
            .collect();
        assert!(new_jobs.len() <= 1, "one migration Job for one release");
        note("1 job", !new_jobs.is_empty());
        note("2 job complete", new_jobs.iter().any(|job| pointer(job, "/status/succeeded") == 1));
        let deployments = namespace.json(&["get", "deployments"]);
        for (what, name) in [
            ("3 processor", "flagsmith-task-processor"),
            ("4 api", "flagsmith-api"),
            ("5 frontend", "flagsmith-frontend"),
        ] {
            let new = pointer(&deployments, "/items").as_array().unwrap().iter().any(|deployment| {
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
        let ready =
            namespace.condition("Ready") == "True" && pointer(&namespace.fsd(), "/status/version") == NEW;
        ready.then_some(()).ok_or_else(|| namespace.kubectl(&["get", "fsd", "flagsmith", "-o", "wide"]))
    });
    println!("    first seen: {first:?}");
    let order: Vec<_> = first.keys().copied().collect();
    assert_eq!(order, ["1 job", "2 job complete", "3 processor", "4 api", "5 frontend"]);
    let times: Vec<_> = first.values().collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "in this order");
    assert!(failures.is_empty(), "the API answers throughout: {failures:?}");
    let answer = http::get(&api, 8000, "/api/v1/flags/", &[("X-Environment-Key", "anything")]);
    assert_eq!(answer.header("flagsmith-version").as_deref(), Some(NEW));
    println!("{}", namespace.kubectl(&["describe", "fsd", "flagsmith"]));
}

fn block_a_downgrade(namespace: &Namespace) {
    namespace.apply(&demo(OLD));
    wait_until(REACTION, "the downgrade is refused", || {
        let status = namespace.fsd();
        let code = pointer(&status, "/status/diagnoses/0/code");
        (code == "DowngradeBlocked").then_some(()).ok_or(code.to_string())
    });
    let image = pointer(
        &namespace.json(&["get", "deployment", "flagsmith-api"]),
        "/spec/template/spec/containers/0/image",
    )
    .clone();
    assert!(image.as_str().unwrap().ends_with(NEW), "{image}");
    namespace.apply(&demo(NEW));
    namespace.await_ready();
}

/// Shown nowhere, although it is in a Secret that the operator has read.
const WRONG_PASSWORD: &str = "no-password-of-anybody";

fn diagnose_databases(namespace: &Namespace) {
    let url = namespace.secret("flagsmith-database", "DATABASE_URL");
    let password = namespace.secret("flagsmith-database", "POSTGRES_PASSWORD");
    let cases = [
        ("DatabaseAuthenticationFailed", url.replace(&password, WRONG_PASSWORD)),
        ("DatabaseNotFound", url.replace("5432/flagsmith", "5432/elsewhere")),
        ("DatabaseHostNotFound", url.replace("flagsmith-database", "no-such-service")),
        ("DatabaseUnreachable", url.replace(":5432", ":5433")),
        ("DatabaseUrlInvalid", "flagsmith-database:5432".to_owned()),
    ];
    namespace.apply(&format!(
        "apiVersion: operator.flagsmith.com/v1alpha1\nkind: FlagsmithDeployment\nmetadata: {{name: broken}}\n\
         spec:\n  version: {NEW}\n  database: {{urlFrom: {{secretKeyRef: {{name: broken-db, key: DATABASE_URL}}}}}}\n"
    ));
    let code = || pointer(&namespace.json(&["get", "fsd", "broken"]), "/status/diagnoses/0/code").clone();
    wait_until(REACTION, "the missing Secret is diagnosed", || {
        (code() == "DatabaseSecretMissing").then_some(()).ok_or_else(|| code().to_string())
    });
    for (expected, value) in cases {
        namespace.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: broken-db}}\nstringData: {{DATABASE_URL: \"{value}\"}}\n"
        ));
        wait_until(REACTION, expected, || {
            (code() == expected).then_some(()).ok_or_else(|| code().to_string())
        });
        println!(
            "    {}",
            pointer(&namespace.json(&["get", "fsd", "broken"]), "/status/diagnoses/0/message")
        );
    }
    let jobs = namespace.kubectl(&["get", "jobs", "-l", "app.kubernetes.io/instance=broken", "-o", "name"]);
    assert_eq!(jobs, "", "no Job starts on a database that cannot be used");
    namespace.kubectl(&["delete", "fsd", "broken", "--wait=true", "--timeout=60s"]);
    namespace.kubectl(&["delete", "secret", "broken-db"]);
}

fn show_no_secret(namespace: &Namespace) {
    const KINDS: &str = "fsd,deployments,statefulsets,jobs,events,configmaps,ingresses";
    let shown = namespace.kubectl(&["get", KINDS, "-o", "yaml"])
        + &namespace.kubectl(&["describe", "fsd", "flagsmith"])
        + &operator::log();
    assert!(shown.contains("made a Job"), "the operator's log is among it");
    for (name, key) in
        [("flagsmith-database", "POSTGRES_PASSWORD"), ("flagsmith-django", "DJANGO_SECRET_KEY")]
    {
        let value = namespace.secret(name, key);
        assert!(value.len() > 20, "{name} has a generated {key}");
        assert!(!shown.contains(&value), "{key} is shown");
    }
    assert!(!shown.contains(WRONG_PASSWORD), "a password is shown");
}

fn leave_what_cannot_be_made_again(namespace: &Namespace) {
    namespace.kubectl(&["delete", "fsd", "flagsmith", "--wait=true", "--timeout=60s"]);
    const KINDS: &str = "deployments,statefulsets,replicasets,jobs,pods,services,serviceaccounts,secrets,pdb,hpa,ingresses,pvc";
    const KEPT: &str =
        "secret/flagsmith-database\nsecret/flagsmith-django\npersistentvolumeclaim/data-flagsmith-database-0";
    wait_until(REMOVAL, "only its keys and its data are left", || {
        let left =
            namespace.kubectl(&["get", KINDS, "-l", "app.kubernetes.io/instance=flagsmith", "-o", "name"]);
        (left.trim() == KEPT).then_some(()).ok_or(left)
    });
}
