use jiff::SignedDuration;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service, networking::v1::Ingress};
use proptest::{prelude::*, sample::select};
use rstest::rstest;
use serde_json::{Value, json};

use super::check;
use crate::{
    decide::decide,
    fixtures::{installation, spec},
    model::{Code, Diagnosis, Severity, child::Kind},
    observe::{Annotated, ExposureState, Observation, PodSummary, ProbeKill, ThreadUsage, WorkloadState},
    proxy,
    resources::build,
    validate::Installation,
};

fn codes(found: &[Diagnosis]) -> Vec<Code> {
    found.iter().map(|diagnosis| diagnosis.code).collect()
}

/// What is seen of an installation whose objects are as the operator makes them, but for `change`.
fn made(installation: &Installation, change: &dyn Fn(&mut Value)) -> Observation {
    let mut observation = crate::fixtures::empty_observation();
    observation.exposure = installation.exposure.as_ref().map(|_| ExposureState::Waiting);
    observation.previous.migration = Some(crate::api::MigrationStatus {
        key: Some(
            crate::validate::MigrationKey::migrate(
                installation,
                installation.release,
                &crate::fixtures::database(),
            )
            .to_string(),
        ),
        version: installation.release.to_string(),
        result: crate::api::MigrationResult::Applied,
        ..crate::api::MigrationStatus::default()
    });
    for child in build(installation, &decide(installation, &observation, &[])) {
        let mut body = child.body;
        match child.kind {
            Kind::Deployment if child.name.ends_with("-api") => {
                change(&mut body);
                let deployment: Deployment = serde_json::from_value(body).unwrap();
                observation.api = Some(WorkloadState::from(&deployment));
            }
            Kind::Ingress => {
                let ingress: Ingress = serde_json::from_value(body).unwrap();
                observation.front.see_ingress(&ingress);
            }
            Kind::Service if child.name.ends_with("-api") => {
                let service: Service = serde_json::from_value(body).unwrap();
                observation.front.see_service(&service.metadata);
            }
            Kind::HttpRoute => observation.front.see_route(&body),
            _ => {}
        }
    }
    assert!(observation.api.is_some());
    observation
}

fn behind(proxy: &str) -> Installation {
    installation(&spec(json!({
        "exposure": { "hosts": ["*"], "ingress": {}, "proxy": { "name": proxy } },
    })))
}

proptest! {
    /// Whatever the operator makes obeys the rules that it holds others to.
    #[test]
    fn what_the_operator_makes_is_aligned(
        request in 5..=3600,
        threads in 1..=8,
        proxy in select(proxy::ALL),
        ingress in any::<bool>(),
    ) {
        let served = if ingress { proxy.ingress } else { proxy.route };
        prop_assume!(served != proxy::Read::NotServed);
        let mut exposure = json!({ "hosts": ["*"], "proxy": { "name": proxy.name } });
        exposure[if ingress { "ingress" } else { "httpRoute" }] =
            if ingress { json!({}) } else { json!({ "parentRefs": [{ "name": "public" }] }) };
        let installation = installation(&spec(json!({
            "requestTimeoutSeconds": request,
            "api": { "gunicorn": { "threads": threads } },
            "exposure": exposure,
        })));
        let found = check(&installation, &made(&installation, &|_| {}));
        let cannot_be_seen = matches!(served, proxy::Read::Elsewhere(_)) || proxy.idle == proxy::Idle::Unknown;
        for diagnosis in &found {
            prop_assert!(cannot_be_seen && diagnosis.code == Code::ProxyNotChecked, "{diagnosis:?}");
            prop_assert_eq!(diagnosis.severity, Severity::Info);
        }
    }
}

#[test]
fn services_only_are_aligned() {
    let installation = installation(&spec(json!({})));
    assert_eq!(check(&installation, &made(&installation, &|_| {})), []);
}

#[test]
fn an_unknown_proxy_is_asked_about_and_a_stated_one_is_not() {
    let exposed = |proxy: Value| {
        installation(&spec(json!({
            "exposure": { "hosts": ["*"], "ingress": { "className": "own" }, "proxy": proxy },
        })))
    };
    let unknown = exposed(json!({}));
    let found = check(&unknown, &made(&unknown, &|_| {}));
    assert_eq!(codes(&found), [Code::ProxyNotChecked]);
    assert!(
        found.first().unwrap().remedy.contains("less than 95 s"),
        "{found:?}"
    );
    let stated = exposed(json!({ "readTimeoutSeconds": 60, "idleTimeoutSeconds": 350 }));
    assert_eq!(check(&stated, &made(&stated, &|_| {})), []);
    let short = exposed(json!({ "name": "gke", "readTimeoutSeconds": 20 }));
    let found = check(&short, &made(&short, &|_| {}));
    assert_eq!(codes(&found), [Code::ProxyTimeoutBelowGunicorn]);
    assert!(
        found.first().unwrap().remedy.contains("BackendConfig"),
        "{found:?}"
    );
}

#[test]
fn an_annotation_that_cuts_is_named_with_who_set_it() {
    let installation = behind("ingress-nginx");
    let mut observation = made(&installation, &|_| {});
    let key = "nginx.ingress.kubernetes.io/proxy-read-timeout";
    observation.front.ingress.insert(
        key.to_owned(),
        Annotated {
            value: "10".to_owned(),
            by: Some(("kubectl-annotate".to_owned(), "2026-11-21T10:00:00Z".parse().ok())),
        },
    );
    let found = check(&installation, &observation);
    assert_eq!(codes(&found), [Code::ProxyTimeoutBelowGunicorn]);
    let first = found.first().unwrap();
    assert_eq!(
        first.evidence,
        [
            "Ingress flagsmith: nginx.ingress.kubernetes.io/proxy-read-timeout is \"10\", set by field manager \"kubectl-annotate\" on 2026-11-21",
            "Deployment flagsmith-api: --timeout 30",
        ]
    );
    assert!(
        first
            .message
            .contains("longer than 10 s are cut by ingress-nginx (504)"),
        "{first:?}"
    );
    assert!(
        first.remedy.contains("spec.requestTimeoutSeconds: 10"),
        "{first:?}"
    );
    observation.front.ingress.remove(key);
    assert_eq!(
        check(&installation, &observation),
        [],
        "its default of 60 s is enough for requests of 30 s"
    );
}

#[test]
fn an_annotation_in_the_specification_is_to_be_removed_there() {
    let installation = installation(&spec(json!({
        "exposure": {
            "hosts": ["*"],
            "ingress": { "annotations": { "haproxy.org/timeout-server": "10000" } },
            "proxy": { "name": "haproxy" },
        },
    })));
    let found = check(&installation, &made(&installation, &|_| {}));
    assert_eq!(codes(&found), [Code::ProxyTimeoutBelowGunicorn]);
    assert!(
        found
            .first()
            .unwrap()
            .remedy
            .contains("spec.exposure.ingress.annotations"),
        "{found:?}"
    );
}

/// The API's container as the official chart starts it.
fn chart(body: &mut Value) {
    let pod = body.pointer_mut("/spec/template/spec").unwrap();
    pod["terminationGracePeriodSeconds"] = json!(30);
    let container = &mut pod["containers"][0];
    container["args"] = json!(["serve"]);
    container["command"] = Value::Null;
    container["lifecycle"] = Value::Null;
}

#[test]
fn the_official_charts_defaults_are_named() {
    let installation = behind("ingress-nginx");
    let found = check(&installation, &made(&installation, &chart));
    assert_eq!(
        codes(&found),
        [Code::KeepAliveBelowProxyIdle, Code::PreStopTooShort]
    );
    let keep_alive = found.first().unwrap();
    assert!(
        keep_alive
            .message
            .contains("silent for 2 s, while ingress-nginx keeps it for 60 s"),
        "{keep_alive:?}"
    );
    assert!(
        keep_alive.remedy.contains("spec.suspend: false"),
        "the operator undoes it: {keep_alive:?}"
    );
}

#[rstest]
#[case(json!([{ "name": "GUNICORN_KEEP_ALIVE", "value": "75" }]), "GUNICORN_KEEP_ALIVE has no effect")]
#[case(json!([{ "name": "GUNICORN_CMD_ARGS", "value": "--timeout 90" }]), "GUNICORN_CMD_ARGS has no effect")]
fn a_variable_that_is_not_read_is_named(#[case] variables: Value, #[case] message: &str) {
    let installation = installation(&spec(json!({})));
    let observation = made(&installation, &|body| {
        *body.pointer_mut("/spec/template/spec/containers/0/env").unwrap() = variables.clone();
    });
    let found = check(&installation, &observation);
    assert_eq!(codes(&found), [Code::GunicornSettingsIgnored]);
    let first = found.first().unwrap();
    assert!(first.message.contains(message), "{first:?}");
    let variable = message.split(' ').next().unwrap();
    assert!(first.remedy.contains(&format!("without {variable}")), "{first:?}");
}

#[rstest]
#[case("/spec/template/spec/containers/0/args", json!(["start", "--worker-class", "gevent", "api"]), Code::GunicornWorkerClassUnavailable)]
#[case("/spec/template/spec/terminationGracePeriodSeconds", json!(40), Code::GraceBelowGracefulTimeout)]
#[case("/spec/template/spec/containers/0/args", json!(["start", "--timeout", "60", "--graceful-timeout", "30", "api"]), Code::GraceBelowGracefulTimeout)]
#[case("/spec/template/spec/containers/0/lifecycle/preStop/sleep/seconds", json!(2), Code::PreStopTooShort)]
#[case("/spec/template/spec/containers/0/resources", json!({ "limits": { "memory": "512Mi" } }), Code::WorkersExceedLimits)]
#[case("/spec/template/spec/containers/0/resources", json!({ "limits": { "cpu": "500m" } }), Code::WorkersExceedLimits)]
fn one_change_has_one_name(#[case] path: &str, #[case] value: Value, #[case] code: Code) {
    let installation = installation(&spec(json!({})));
    let observation = made(&installation, &|body| {
        *body.pointer_mut(path).unwrap() = value.clone();
    });
    assert_eq!(codes(&check(&installation, &observation)), [code]);
}

/// Fewer workers are advised only where there are more than fit.
#[rstest]
#[case(1, false)]
#[case(3, true)]
fn fewer_workers_are_advised_where_there_are_more(#[case] workers: i32, #[case] expected: bool) {
    let installation = installation(&spec(json!({ "api": { "gunicorn": { "workers": workers } } })));
    let observation = made(&installation, &|body| {
        let limits = json!({ "limits": { "memory": "64Mi" } });
        body.pointer_mut("/spec/template/spec/containers/0").unwrap()["resources"] = limits;
    });
    let found = check(&installation, &observation);
    assert_eq!(codes(&found), [Code::WorkersExceedLimits]);
    assert_eq!(
        found[0].remedy.contains("Or run 1 worker"),
        expected,
        "{found:#?}"
    );
}

#[test]
fn limits_that_fit_are_no_diagnosis() {
    let installation = installation(&spec(json!({})));
    let observation = made(&installation, &|body| {
        body.pointer_mut("/spec/template/spec/containers/0").unwrap()["resources"] =
            json!({ "limits": { "memory": "1Gi", "cpu": "1" } });
    });
    assert_eq!(check(&installation, &observation), []);
}

#[test]
fn a_container_that_its_liveness_probe_ended_is_named() {
    let installation = installation(&spec(json!({})));
    let mut observation = made(&installation, &|_| {});
    observation.probe_kills = vec![ProbeKill {
        pod: "flagsmith-api-abc".to_owned(),
        component: "api".to_owned(),
        probe: "Liveness probe failed: context deadline exceeded".to_owned(),
        exit_code: 137,
        restarts: 2,
    }];
    let found = check(&installation, &observation);
    assert_eq!(codes(&found), [Code::LivenessProbeKilling]);
    assert!(
        found
            .first()
            .unwrap()
            .evidence
            .iter()
            .any(|it| it.contains("context deadline exceeded")),
        "{found:?}"
    );
}

#[rstest]
#[case::once_and_well_since(1, true, 600, Severity::Info)]
#[case::a_moment_ago(1, true, 30, Severity::Warning)]
#[case::again_and_again(3, true, 600, Severity::Warning)]
#[case::not_well(1, false, 600, Severity::Warning)]
fn what_happened_once_is_over(
    #[case] restarts: i32,
    #[case] ready: bool,
    #[case] seconds: i64,
    #[case] expected: Severity,
) {
    let installation = installation(&spec(json!({})));
    let mut observation = made(&installation, &|_| {});
    observation.probe_kills = vec![ProbeKill {
        pod: "flagsmith-api-abc".to_owned(),
        component: "api".to_owned(),
        probe: "Liveness probe failed: context deadline exceeded".to_owned(),
        exit_code: 137,
        restarts,
    }];
    observation.pods = vec![PodSummary {
        name: "flagsmith-api-abc".to_owned(),
        component: "api".to_owned(),
        ready,
        started: Some(observation.now - SignedDuration::from_secs(seconds)),
        ..PodSummary::default()
    }];
    let found = check(&installation, &observation);
    let killed = found.iter().find(|it| it.code == Code::LivenessProbeKilling);
    assert_eq!(killed.map(|it| it.severity), Some(expected), "{found:#?}");
}

/// Two pods of three workers with two threads each, which are so busy.
fn at_work(threads: f64) -> (Installation, Observation) {
    let installation = installation(&spec(json!({})));
    let mut observation = made(&installation, &|_| {});
    observation.busy = Some(ThreadUsage { threads, pods: 2 });
    (installation, observation)
}

#[test]
fn threads_that_are_all_busy_are_named_with_what_would_do() {
    let (installation, observation) = at_work(5.6);
    let found = check(&installation, &observation);
    assert_eq!(codes(&found), [Code::GunicornWorkersSaturated]);
    let first = found.first().unwrap();
    assert!(
        first
            .evidence
            .iter()
            .any(|it| it.contains("about 6 of 6 threads")),
        "{first:?}"
    );
    // 11.2 busy threads, at most 60 % of all: ten workers of two threads, in pods of three.
    assert!(
        first
            .remedy
            .contains("At least 10 workers in all would do, in 4 pods: Set spec.api.replicas: 4"),
        "{first:?}"
    );
    let (installation, observation) = at_work(5.0);
    assert_eq!(check(&installation, &observation), []);
}

#[test]
fn a_load_at_the_brink_does_not_come_and_go() {
    let (installation, mut observation) = at_work(4.8);
    assert_eq!(check(&installation, &observation), []);
    observation.previous.diagnoses = vec![crate::api::DiagnosisStatus {
        code: Code::GunicornWorkersSaturated.as_str().to_owned(),
        ..crate::api::DiagnosisStatus::default()
    }];
    assert_eq!(
        codes(&check(&installation, &observation)),
        [Code::GunicornWorkersSaturated]
    );
    observation.busy = Some(ThreadUsage {
        threads: 4.0,
        pods: 2,
    });
    assert_eq!(check(&installation, &observation), []);
}
