//! An installation of the official chart: looked at, brought into trouble, healed by what the operator says, and moved
//! to the operator.

use crate::{
    audit,
    availability_monitor::{AvailabilityMonitor, Sessions},
    kubectl::{pointer, wait_until},
    namespace::{NEW, Namespace, START, step},
    official_chart::{
        RELEASE, adoption, binary, condition, follow, healthy, moved, read_only_operator, trouble, upgrade,
        watched,
    },
    operator,
};

#[test]
fn an_observed_installation_is_diagnosed_and_moved() {
    step("install an operator that may write nothing", read_only_operator);
    let namespace = Namespace::new("observed");
    let since = audit::now();
    step("an installation of the official chart is healthy", || {
        healthy(&namespace);
    });
    step("one command without the operator says the same", || {
        without_operator(&namespace);
    });
    step("a risk of the chart's defaults goes by what is said", || {
        heed(&namespace, "PreStopTooShort");
    });
    step("a task processor of another release", || {
        trouble(&namespace, "TaskProcessorVersionSkew", || {
            upgrade(&namespace, &["--set", "taskProcessor.image.tag=2.260.0"]);
        });
    });
    step("no task processor", || {
        trouble(&namespace, "TaskProcessorScaledToZero", || {
            namespace.kubectl(&["scale", "deployment", "acme-flagsmith-task-processor", "--replicas=0"]);
        });
    });
    step("hosts that the probes do not have", || {
        trouble(&namespace, "AllowedHostsRejected", || {
            let set = "DJANGO_ALLOWED_HOSTS=flags.example.com";
            namespace.kubectl(&["set", "env", "deployment/acme-flagsmith-api", set]);
        });
    });
    step("the operator has written nothing but its status", || {
        wrote_nothing(&since);
    });
    step("moved to the operator under load", || adopt(&namespace));
    namespace.remove();
}

/// Does what is said of a risk that is no alarm.
fn heed(namespace: &Namespace, code: &str) {
    let fsd = watched(namespace);
    let all = pointer(&fsd, "/status/diagnoses").as_array();
    let risk = all.into_iter().flatten().find(|it| it["code"] == code).unwrap();
    assert_eq!(risk["severity"], "Info");
    follow(risk);
    wait_until(START, "the timeouts that run are aligned", || {
        let fsd = watched(namespace);
        let (aligned, ready) = (condition(&fsd, "TimeoutsAligned"), condition(&fsd, "Ready"));
        (aligned == "True" && ready == "True")
            .then_some(())
            .ok_or_else(|| pointer(&fsd, "/status/timeouts").to_string())
    });
}

fn without_operator(namespace: &Namespace) {
    let output = std::process::Command::new(binary())
        .args(["diagnose", "--release", RELEASE, "--namespace", namespace.name()])
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{page}");
    assert_eq!(output.status.code(), Some(0), "nothing above Info");
    assert!(page.contains("acme-flagsmith-api") && page.lines().count() < 60);
}

fn wrote_nothing(since: &str) {
    let requests = audit::of_the_operator(since);
    for request in &requests {
        let allowed = !request.writes()
            || (request.resource() == "flagsmithdeployments" && request.subresource() == "status")
            || ["events", "leases"].contains(&request.resource());
        assert!(allowed, "{request:?}");
    }
    println!("    {} requests", requests.len());
    assert!(requests.len() > 10, "the operator's requests are in the log");
}

fn adopt(namespace: &Namespace) {
    operator::install(&[]);
    let page = adoption(namespace).0;
    let sessions = Sessions { namespace: namespace.name(), pod: "deployment/database" };
    let monitor = AvailabilityMonitor::begin(Some(&namespace.service("acme-flagsmith-api")), sessions);
    moved(namespace, &page);
    assert!(monitor.requests() > 100, "the move was under load");
    let (migrators, wrong) = monitor.end();
    assert!(migrators <= 1 && wrong.is_empty(), "{wrong:#?}");
    let key = namespace.secret("acme-flagsmith-django-secret-key", "django-secret-key");
    assert_eq!(key, "kept-for-ever-and-ever");
    let used = namespace.kubectl(&["exec", "deployment/acme-op-api", "--", "printenv", "DJANGO_SECRET_KEY"]);
    assert_eq!(used.trim(), key, "sessions stay valid");
    let fsd = namespace.json(&["get", "fsd", "acme-op"]);
    assert_eq!(pointer(&fsd, "/status/version"), NEW);
}
