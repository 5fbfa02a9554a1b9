//! Rules over observations, by family. Here: what they share, and the workloads.

mod database;
mod logs;
mod observed;
mod pods;
pub(super) mod remedies;
mod remedy_language;

use rstest::rstest;
use serde_json::json;
use std::collections::BTreeSet;

use crate::causes::diagnose;
use crate::fixtures::{self, empty_observation, installation, minimal, spec};
use crate::model::{Code, Component, Diagnosis, PodPhase};
use crate::observe::{DatabaseProbe, ExposureState, Observation, PodProblem, PodSummary, WorkloadState};

fn codes(found: &[Diagnosis]) -> Vec<Code> {
    found.iter().map(|diagnosis| diagnosis.code).collect()
}

fn of(observation: &Observation) -> Vec<Diagnosis> {
    diagnose(&installation(&minimal()), observation)
}

/// A workload with every pod ready.
fn healthy(name: &str, pods: i32) -> WorkloadState {
    WorkloadState {
        release: "2.265.0".parse().ok(),
        migrated: "2.265.0".parse().ok(),
        selector: "app.kubernetes.io/instance=flagsmith".to_owned(),
        ..fixtures::rolled_out(name.to_owned(), pods)
    }
}

fn pod(component: &str, problems: Vec<PodProblem>) -> PodSummary {
    PodSummary {
        name: format!("flagsmith-{component}-abc"),
        component: Component::named(component),
        version: Some("2.265.0".to_owned()),
        phase: PodPhase::Running,
        ready: problems.is_empty(),
        problems,
        ..PodSummary::default()
    }
}

fn running() -> Observation {
    Observation {
        api: Some(healthy("flagsmith-api", 2)),
        task_processor: Some(healthy("flagsmith-task-processor", 1)),
        frontend: Some(healthy("flagsmith-frontend", 1)),
        pods: ["api", "task-processor", "frontend"].map(|component| pod(component, vec![])).to_vec(),
        database: DatabaseProbe::Reachable { version: 150_018, read_only: None },
        ..empty_observation()
    }
}

fn waiting(reason: &str) -> PodProblem {
    PodProblem::Waiting {
        reason: reason.to_owned(),
        message: "its words".to_owned(),
        image: "x:1".to_owned(),
    }
}

#[test]
fn a_healthy_installation_has_no_diagnosis() {
    assert_eq!(of(&running()), []);
    assert_eq!(of(&empty_observation()), [], "nor one that is about to be made");
}

#[rstest]
#[case(Some("exceeded quota: compute"), None, Code::QuotaExceeded)]
#[case(Some("violates PodSecurity"), None, Code::AdmissionDenied)]
#[case(None, Some("has timed out progressing"), Code::RolloutDeadlineExceeded)]
fn a_deployment_without_its_pods(
    #[case] failure: Option<&str>,
    #[case] stalled: Option<&str>,
    #[case] code: Code,
) {
    let mut observation = running();
    observation.api = Some(WorkloadState {
        replica_failure: failure.map(str::to_owned),
        stalled: stalled.map(str::to_owned),
        ..healthy("flagsmith-api", 2)
    });
    assert_eq!(codes(&of(&observation)), [code]);
}

#[test]
fn a_task_processor_that_is_switched_off() {
    let installation = installation(&spec(json!({ "taskProcessor": { "replicas": 0 } })));
    assert_eq!(codes(&diagnose(&installation, &running())), [Code::TaskProcessorScaledToZero]);
}

#[test]
fn a_route_without_its_api_or_refused_by_its_gateway() {
    let exposure = json!({ "exposure": { "hosts": ["a.example"], "httpRoute": { "parentRefs": [{ "name": "public" }] } } });
    let installation = installation(&spec(exposure));
    let without = Observation { http_route_api: false, ..running() };
    assert_eq!(codes(&diagnose(&installation, &without)), [Code::HttpRouteApiMissing]);
    let refused = Observation {
        exposure: Some(ExposureState::Rejected("NoMatchingListenerHostname".to_owned())),
        ..running()
    };
    let found = diagnose(&installation, &refused);
    assert_eq!(codes(&found), [Code::RouteNotAccepted]);
    assert!(found.first().unwrap().evidence.iter().any(|line| line.contains("NoMatchingListenerHostname")));
    for harmless in [ExposureState::Waiting, ExposureState::Accepted] {
        assert_eq!(diagnose(&installation, &Observation { exposure: Some(harmless), ..running() }), []);
    }
}

#[test]
fn the_worst_comes_first() {
    let installation = installation(&json!({ "version": "2.265.0", "database": { "embedded": {} } }));
    let observation = Observation { pods: vec![pod("api", vec![waiting("ErrImagePull")])], ..running() };
    let found = diagnose(&installation, &observation);
    let severities: Vec<_> = found.iter().map(|it| it.severity).collect();
    assert!(severities.is_sorted(), "{severities:?}");
    assert_eq!(found.first().unwrap().code, Code::ImagePullFailed);
    let different: BTreeSet<_> = found.iter().map(|it| it.code).collect();
    assert_eq!(different.len(), found.len(), "one diagnosis for one cause");
}
