//! Timeouts of the official chart's objects: what runs is read, not what the operator would set.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use super::super::Running;
use crate::causes::diagnose;
use crate::{
    fixtures::{CHART_DEFAULT, objects, observed},
    model::{Code, Diagnosis, Severity},
    observe::{Observation, discover::Objects},
    validate::Installation,
};

const UPGRADE: &str =
    "helm upgrade flagsmith flagsmith/flagsmith --namespace prod --version 0.81.0 --reuse-values ";

/// What is seen of the chart's installation behind ingress-nginx, with the API's pods and the Ingress changed.
fn observed_with(pods: &dyn Fn(&mut Value), ingress: &dyn Fn(&mut Value)) -> (Installation, Observation) {
    let mut all: Objects = objects(CHART_DEFAULT);
    for deployment in &mut all.deployments {
        if deployment.metadata.name.as_deref() == Some("flagsmith-api") {
            let mut object = serde_json::to_value(deployment.as_ref()).unwrap();
            pods(object.pointer_mut("/spec/template/spec").unwrap());
            *deployment = Arc::new(serde_json::from_value(object).unwrap());
        }
    }
    for object in &mut all.ingresses {
        let mut changed = serde_json::to_value(object.as_ref()).unwrap();
        ingress(&mut changed);
        *object = Arc::new(serde_json::from_value(changed).unwrap());
    }
    let (found, mut observation) = observed("flagsmith", &all);
    observation.front.controller = Some("k8s.io/ingress-nginx".to_owned());
    (found.installation, observation)
}

fn of(pods: &dyn Fn(&mut Value), ingress: &dyn Fn(&mut Value)) -> Vec<Diagnosis> {
    let (installation, observation) = observed_with(pods, ingress);
    diagnose(&installation, &observation)
}

fn first(found: &[Diagnosis], code: Code) -> &Diagnosis {
    found
        .iter()
        .find(|it| it.code == code)
        .unwrap_or_else(|| panic!("no {code} in {found:#?}"))
}

fn container(pods: &mut Value) -> &mut Value {
    &mut pods["containers"][0]
}

fn env(name: &'static str, value: &'static str) -> impl Fn(&mut Value) {
    move |pods| {
        let environment = container(pods)["env"].as_array_mut().unwrap();
        environment.push(json!({ "name": name, "value": value }));
    }
}

fn none(_: &mut Value) {}

#[test]
fn the_chart_as_it_is_has_risks_and_no_alarm() {
    let (installation, observation) = observed_with(&none, &none);
    let found = diagnose(&installation, &observation);
    assert!(found.iter().all(|it| it.severity == Severity::Info), "{found:#?}");
    let keep_alive = first(&found, Code::KeepAliveBelowProxyIdle);
    assert_eq!(
        keep_alive.remedy,
        format!(
            "{UPGRADE}--set-json 'api.command=[\"flagsmith\"]' --set-json 'api.args=[\"start\",\"--worker-tmp-dir\",\"/dev/shm\",\"--keep-alive\",\"65\",\"api\"]'"
        )
    );
    assert_eq!(
        first(&found, Code::PreStopTooShort).remedy,
        format!(
            "{UPGRADE}--set api.lifecycle.preStop.sleep.seconds=10 --set api.terminationGracePeriodSeconds=50"
        )
    );
    let status = Running::of(&installation, &observation).unwrap().status();
    assert_eq!(
        serde_json::to_value(status).unwrap(),
        json!({
            "workerClass": "gthread", "proxy": "ingress-nginx", "proxyRead": 60, "proxyIdle": 60, "gunicornTimeout": 30,
            "gunicornKeepAlive": 2, "gunicornGracefulTimeout": 30, "preStop": 0, "terminationGracePeriod": 30,
        }),
        "what runs"
    );
}

#[test]
fn what_is_advised_heals() {
    let found = of(
        &|pods| {
            pods["terminationGracePeriodSeconds"] = json!(50);
            container(pods)["command"] = json!(["flagsmith"]);
            container(pods)["args"] = json!([
                "start",
                "--worker-tmp-dir",
                "/dev/shm",
                "--keep-alive",
                "65",
                "api"
            ]);
            container(pods)["lifecycle"] = json!({ "preStop": { "sleep": { "seconds": 10 } } });
        },
        &none,
    );
    for code in [
        Code::KeepAliveBelowProxyIdle,
        Code::PreStopTooShort,
        Code::GraceBelowGracefulTimeout,
        Code::ProxyNotChecked,
    ] {
        assert!(found.iter().all(|it| it.code != code), "{found:#?}");
    }
}

#[rstest]
#[case(&env("GUNICORN_KEEP_ALIVE", "75"), "GUNICORN_KEEP_ALIVE has no effect", "api.extraEnv.GUNICORN_KEEP_ALIVE=null --set-json 'api.command=[\"flagsmith\"]' --set-json 'api.args=[\"start\",\"--worker-tmp-dir\",\"/dev/shm\",\"--keep-alive\",\"75\",\"api\"]'")]
#[case(&env("GUNICORN_CMD_ARGS", "--timeout=90 --keep-alive 5"), "GUNICORN_CMD_ARGS has no effect", "\"--timeout\",\"90\",\"--keep-alive\",\"5\",\"api\"]'")]
fn a_setting_that_the_release_ignores_comes_first(
    #[case] pods: &dyn Fn(&mut Value),
    #[case] message: &str,
    #[case] remedy: &str,
) {
    let found = of(pods, &none);
    let ignored = found.first().unwrap();
    assert_eq!(
        (ignored.code, ignored.severity),
        (Code::GunicornSettingsIgnored, Severity::Warning)
    );
    assert!(ignored.message.contains(message), "{ignored:#?}");
    assert!(ignored.remedy.ends_with(remedy), "{ignored:#?}");
}

#[test]
fn an_ignored_setting_is_no_reason_for_a_crash() {
    let (installation, mut observation) = observed_with(&env("GUNICORN_CMD_ARGS", "--timeout 90"), &none);
    observation.pods.push(crate::observe::PodSummary {
        name: "flagsmith-api-0".to_owned(),
        component: "api".to_owned(),
        problems: vec![crate::observe::PodProblem::CrashLoop {
            restarts: 3,
            exit_code: Some(1),
            reason: None,
            message: None,
        }],
        ..crate::observe::PodSummary::default()
    });
    let found = diagnose(&installation, &observation);
    assert_eq!(
        found.first().map(|it| it.code),
        Some(Code::CrashLooping),
        "{found:#?}"
    );
}

#[test]
fn an_ingress_without_annotations_is_named_when_gunicorn_waits_longer() {
    let found = of(&env("GUNICORN_TIMEOUT", "120"), &none);
    let cut = first(&found, Code::ProxyTimeoutBelowGunicorn);
    assert_eq!(cut.severity, Severity::Warning);
    assert_eq!(
        cut.evidence.first().unwrap(),
        "Ingress flagsmith-api has no annotation nginx.ingress.kubernetes.io/proxy-read-timeout, so the default of 60 s counts"
    );
    assert_eq!(
        cut.remedy,
        format!(
            r"{UPGRADE}--set-string 'ingress.api.annotations.nginx\.ingress\.kubernetes\.io/proxy-read-timeout=125' --set-string 'ingress.api.annotations.nginx\.ingress\.kubernetes\.io/proxy-send-timeout=125' --set-string 'ingress.api.annotations.nginx\.ingress\.kubernetes\.io/proxy-next-upstream-timeout=120'"
        )
    );
    // Of an Ingress that somebody wrote beside the chart.
    let found = of(&env("GUNICORN_TIMEOUT", "120"), &|ingress| {
        ingress["metadata"]["labels"] = Value::Null;
    });
    let cut = first(&found, Code::ProxyTimeoutBelowGunicorn);
    assert!(
        cut.remedy.starts_with(
            "kubectl -n prod annotate --overwrite ingress flagsmith-api 'nginx.ingress.kubernetes.io/proxy-read-timeout=125'"
        ),
        "{cut:#?}"
    );
}

#[test]
fn the_api_behind_the_frontend_has_no_idle_connections_of_the_proxy() {
    let found = of(&none, &|ingress| {
        *ingress
            .pointer_mut("/spec/rules/0/http/paths/0/backend/service/name")
            .unwrap() = json!("flagsmith-frontend");
    });
    assert!(
        found.iter().all(|it| it.code != Code::KeepAliveBelowProxyIdle),
        "{found:#?}"
    );
}

#[test]
fn what_a_secret_or_a_script_says_is_left_out() {
    let (installation, observation) = observed_with(
        &|pods| {
            container(pods)["envFrom"] = json!([{ "secretRef": { "name": "settings" } }]);
            container(pods)["lifecycle"] = json!({ "preStop": { "exec": { "command": ["/drain"] } } });
        },
        &none,
    );
    let running = Running::of(&installation, &observation).unwrap();
    let status = running.status();
    assert_eq!(
        (
            status.gunicorn_timeout,
            status.pre_stop,
            status.gunicorn_keep_alive,
            status.worker_class.as_str()
        ),
        (None, None, Some(2), ""),
        "no release of today reads a keep-alive from the environment"
    );
    assert!(
        running.summary().contains("Gunicorn's timeout is not known"),
        "{}",
        running.summary()
    );
    let found = diagnose(&installation, &observation);
    assert!(
        found.iter().all(|it| it.code != Code::PreStopTooShort),
        "{found:#?}"
    );
}

#[test]
fn a_sidecar_is_not_taken_for_the_api() {
    let found = of(
        &|pods| {
            let sidecar = json!({ "name": "sidecar", "image": "envoy:1", "resources": { "limits": { "memory": "64Mi" } } });
            pods["containers"].as_array_mut().unwrap().insert(0, sidecar);
        },
        &none,
    );
    assert!(
        found.iter().all(|it| it.code != Code::WorkersExceedLimits),
        "{found:#?}"
    );
}

#[test]
fn limits_are_changed_by_values() {
    let found = of(
        &|pods| container(pods)["resources"] = json!({ "limits": { "memory": "512Mi", "cpu": "500m" } }),
        &none,
    );
    let sizing = first(&found, Code::WorkersExceedLimits);
    for part in [
        "--set api.resources.limits.memory=750Mi",
        "run 2 workers",
        "--set-string 'api.extraEnv.GUNICORN_WORKERS=2'",
        "--set api.resources.limits.cpu=null",
    ] {
        assert!(sizing.remedy.contains(part), "{part}: {sizing:#?}");
    }
}

#[rstest]
#[case::another(
    false,
    "api.example.com, localhost",
    Some("DJANGO_ALLOWED_HOSTS=api.example.com")
)]
#[case::the_same(false, "flags.example.com", None)]
#[case::every(false, "*", None)]
#[case::the_frontend_asks(true, "api.example.com", None)]
fn hosts_of_the_ingress_that_django_refuses(
    #[case] through_frontend: bool,
    #[case] allowed: &'static str,
    #[case] expected: Option<&str>,
) {
    let (installation, mut observation) = observed_with(&env("DJANGO_ALLOWED_HOSTS", allowed), &|ingress| {
        ingress["spec"]["rules"][0]["host"] = json!("flags.example.com");
    });
    observation.front.through_frontend = through_frontend;
    let found = diagnose(&installation, &observation);
    let refused = found.iter().find(|it| {
        (it.code, it.component) == (Code::AllowedHostsRejected, crate::model::Component::Exposure)
    });
    assert_eq!(refused.is_some(), expected.is_some(), "{found:#?}");
    if let (Some(refused), Some(expected)) = (refused, expected) {
        assert!(
            refused.remedy.contains(expected) && refused.remedy.contains("flags.example.com"),
            "{refused:#?}"
        );
    }
}
