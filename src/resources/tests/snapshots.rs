//! Every object of typical installations, as it is applied. The second and later installations show only what
//! differs from the first.

use insta::{Settings, assert_yaml_snapshot};
use serde_json::Value;

use super::{OLD, before_an_upgrade, embedded, everything, full, plan, unknown_database};
use crate::{
    decide::{Migrate, SchemaBaseline},
    fixtures::{empty_observation, installation, minimal, spec},
    migration::Action,
    model::child::{Child, Kind},
    observe::Observation,
    resources::build,
    validate::RestorePlan,
};

fn snapshot(scenario: &str, children: &[Child]) {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for Child { kind, name, body, .. } in children {
            let file = format!("{scenario}-{}-{name}", kind.as_str().to_lowercase());
            assert_yaml_snapshot!(file, body);
        }
        let names: Vec<_> =
            children.iter().map(|child| format!("{} {}", child.kind.as_str(), child.name)).collect();
        assert_yaml_snapshot!(scenario, names);
    });
}

fn jobs(children: Vec<Child>) -> Vec<Child> {
    children.into_iter().filter(|child| child.kind == Kind::Job).collect()
}

fn without(children: Vec<Child>, known: &[Child]) -> Vec<Child> {
    children.into_iter().filter(|child| !known.contains(child)).collect()
}

#[test]
fn smallest() {
    snapshot("smallest", &everything(&installation(&minimal())));
}

#[test]
fn embedded_database_and_route() {
    let known = everything(&installation(&minimal()));
    snapshot("embedded", &without(everything(&installation(&embedded())), &known));
}

#[test]
fn every_setting() {
    snapshot("full", &everything(&installation(&full())));
}

/// Dashboard and admin exist on the dashboard's host only.
#[test]
fn two_hosts() {
    let known = everything(&installation(&minimal()));
    let exposure = serde_json::json!({
        "api": { "hosts": ["api.example.com"], "httpRoute": { "parentRefs": [{ "name": "public" }] } },
        "frontend": { "hosts": ["flags.internal"], "ingress": { "className": "internal" } },
    });
    let children = everything(&installation(&spec(serde_json::json!({ "exposure": exposure }))));
    snapshot("two-hosts", &without(children, &known));
}

/// Keys that the kubelet puts into the JSON, a keep-alive above that of the proxy in front, hosts with its own paths only.
#[test]
fn edge_proxy() {
    let known = everything(&installation(&minimal()));
    let keys = |number: u8| {
        let key = |kind: &str| serde_json::json!({ "secretKeyRef": { "name": "sdk-keys", "key": format!("{kind}-{number}") } });
        serde_json::json!({ "clientSideKeyFrom": key("client"), "serverSideKeyFrom": key("server") })
    };
    let wanted = serde_json::json!({
        "edgeProxy": {
            "environments": [keys(0), keys(1)],
            "pollIntervalSeconds": 30,
            "autoscaling": { "maxReplicas": 10 },
            "env": [{ "name": "ALLOW_ORIGINS", "value": "[\"https://example.com\"]" }],
        },
        "exposure": { "edgeProxy": {
            "hosts": ["edge.example.com"],
            "ingress": { "className": "nginx" },
            "proxy": { "name": "ingress-nginx" },
        } },
    });
    snapshot("edge-proxy", &without(everything(&installation(&spec(wanted))), &known));
}

/// Variables of every container that runs Django.
#[test]
fn integrations() {
    let known = everything(&installation(&minimal()));
    let key = |key: &str| serde_json::json!({ "secretKeyRef": { "name": "others", "key": key } });
    let wanted = serde_json::json!({ "integrations": {
        "redis": { "urlFrom": key("redis") },
        "email": { "sender": "flags@example.com", "smtp": { "host": "mail", "passwordFrom": key("mail") } },
    } });
    snapshot("integrations", &without(everything(&installation(&spec(wanted))), &known));
}

/// By a `PodMonitor`, and by annotations of the pods that have metrics.
#[test]
fn monitoring() {
    let known = everything(&installation(&minimal()));
    let made = |monitoring: Value| {
        let installation = installation(&spec(serde_json::json!({ "monitoring": monitoring })));
        without(everything(&installation), &known)
    };
    let labels = serde_json::json!({ "release": "prometheus", "app.example.com/team": "flags" });
    let monitor = serde_json::json!({ "interval": "1m", "labels": labels, "annotations": { "example.com/owner": "flags" } });
    snapshot("pod-monitor", &made(serde_json::json!({ "podMonitor": monitor })));
    let annotated = made(serde_json::json!({ "podAnnotations": {} }));
    let names: Vec<&str> = annotated.iter().map(|child| child.name.as_str()).collect();
    assert_eq!(names, ["flagsmith-api", "flagsmith-task-processor"]);
    for child in &annotated {
        let annotations = &child.body["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations["prometheus.io/scrape"], "true");
        assert_eq!(annotations["prometheus.io/port"], "9100");
        assert_eq!(annotations["prometheus.io/path"], "/metrics");
    }
}

/// Nor for a release without metrics.
#[test]
fn without_the_api_there_is_no_pod_monitor() {
    let made = |version: &str, pod_monitor_api: bool, monitoring: Value| {
        let spec = spec(serde_json::json!({ "version": version, "monitoring": monitoring }));
        let observation = Observation { pod_monitor_api, ..empty_observation() };
        let installation = installation(&spec);
        build(&installation, &plan(&installation, &observation))
    };
    let monitors = |children: Vec<Child>| children.iter().filter(|it| it.kind == Kind::PodMonitor).count();
    let wanted = || serde_json::json!({ "podMonitor": {} });
    assert_eq!(monitors(made("2.265.0", true, wanted())), 1);
    assert_eq!(monitors(made("2.265.0", true, Value::Null)), 0);
    assert_eq!(monitors(made("2.265.0", false, wanted())), 0);
    assert_eq!(monitors(made("2.210.0", true, wanted())), 0);
    let old = spec(serde_json::json!({ "version": "2.210.0" }));
    let mut annotated = old.clone();
    annotated["monitoring"] = serde_json::json!({ "podAnnotations": {} });
    assert_eq!(everything(&installation(&annotated)), everything(&installation(&old)));
}

#[test]
fn upgrade() {
    let installation = installation(&minimal());
    let known = everything(&installation);
    let children = build(&installation, &plan(&installation, &before_an_upgrade()));
    snapshot("upgrade", &without(children, &known));
}

#[test]
fn upgrade_that_begins() {
    let installation = installation(&minimal());
    let known = everything(&installation);
    let mut observation = before_an_upgrade();
    if let Some(processor) = &mut observation.task_processor {
        processor.desired = 1;
    }
    let children = build(&installation, &plan(&installation, &observation));
    snapshot("upgrade-begins", &jobs(without(children, &known)));
}

/// A backup in the place of what is there.
#[test]
fn restore() {
    let installation = installation(&full());
    let mut plan = plan(&installation, &before_an_upgrade());
    plan.migrate = Some(Migrate {
        name: "flagsmith-restore-0123456789".to_owned(),
        key: plan.step.as_ref().unwrap().key.clone(),
        release: OLD.parse().unwrap(),
        database: "0a1b2c3d".to_owned(),
        credentials: Some("keyed".to_owned()),
        action: Action::Restore(RestorePlan {
            from: "flagsmith-backup-9876543210".to_owned(),
            claim: "backups".to_owned(),
            made: jiff::Timestamp::UNIX_EPOCH,
            release: OLD.parse().ok(),
            backs_up: true,
        }),
        before: SchemaBaseline::default(),
        options: Some("-c lock_timeout=30s".to_owned()),
    });
    let restores = |child: &Child| child.name.contains("-restore-");
    snapshot("restore", &build(&installation, &plan).into_iter().filter(restores).collect::<Vec<_>>());
}

#[test]
fn nothing_runs_before_the_database_is_known() {
    let installation = installation(&embedded());
    let children = build(&installation, &plan(&installation, &unknown_database(empty_observation())));
    let names: Vec<_> =
        children.iter().map(|child| format!("{} {}", child.kind.as_str(), child.name)).collect();
    assert_eq!(
        names,
        [
            "ServiceAccount flagsmith",
            "Service flagsmith-api",
            "Service flagsmith-database",
            "Service flagsmith-task-processor",
            "StatefulSet flagsmith-database",
            "HTTPRoute flagsmith",
        ]
    );
}

#[test]
fn without_the_gateway_api_there_is_no_route() {
    let installation = installation(&embedded());
    let mut observation = empty_observation();
    observation.http_route_api = false;
    let children = build(&installation, &plan(&installation, &observation));
    assert!(children.iter().all(|child| child.kind.as_str() != "HTTPRoute"));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let text =
        || -> Vec<Value> { everything(&installation(&full())).into_iter().map(|child| child.body).collect() };
    assert_eq!(serde_json::to_string(&text()).unwrap(), serde_json::to_string(&text()).unwrap());
}
