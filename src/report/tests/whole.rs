//! Whole resources with their status, as the API server has them. tests/gitops reads these snapshots: what Argo CD, Flux
//! and `helm --wait` make of each.

use insta::{Settings, assert_json_snapshot};
use rstest::rstest;
use serde_json::{Value, json};

use super::scene::{Scene, job, starting};
use crate::{
    api::FlagsmithDeploymentStatus,
    decide::Gate,
    fixtures,
    model::{Code, Component, Severity},
    observe::JobOutcome,
};

fn managed() -> Scene {
    Scene::managed(json!({}))
}

/// Nothing was made yet.
fn new() -> Scene {
    managed().at(Gate::Pending).seeing(|observation| {
        (observation.api, observation.task_processor, observation.frontend) = (None, None, None);
        observation.previous = FlagsmithDeploymentStatus::default();
    })
}

fn critical(code: Code, component: Component) -> Scene {
    managed().diagnosed(code, Severity::Critical, component)
}

#[rstest]
#[case::ready("ready", json!({}), managed())]
#[case::first_install("first_install", json!({}), new())]
#[case::migrating("migrating", json!({}), managed().at(Gate::Running(job(JobOutcome::Active))))]
#[case::migration_failed("migration_failed",
    json!({}),
    critical(Code::MigrationFailed, Component::Migrations)
        .at(Gate::Failed { job: "flagsmith-migrate-1a2b".to_owned(), state: None })
)]
#[case::rolling_out("rolling_out", json!({}), managed().seeing(|observation| observation.api = Some(starting("api", 2))))]
#[case::crash_looping("crash_looping",
    json!({}),
    critical(Code::CrashLooping, Component::Api).seeing(|observation| observation.api = Some(starting("api", 2)))
)]
#[case::database_starting("database_starting", json!({}), critical(Code::DatabaseStarting, Component::Database))]
#[case::database_unsupported("database_unsupported", json!({}), critical(Code::DatabaseVersionUnsupported, Component::Database))]
#[case::tasks_pile_up("tasks_pile_up", json!({}), managed().diagnosed(Code::TaskQueueGrowing, Severity::Warning, Component::TaskProcessor))]
#[case::suspended("suspended", json!({ "suspend": true }), Scene::managed(json!({ "suspend": true })))]
#[case::observed("observed", json!({ "mode": "Observed" }), Scene::observed())]
#[case::observed_crash_looping("observed_crash_looping",
    json!({ "mode": "Observed" }),
    Scene::observed().diagnosed(Code::CrashLooping, Severity::Critical, Component::Api)
)]
fn a_whole_resource(#[case] name: &str, #[case] spec: Value, #[case] scene: Scene) {
    let resource = json!({
        "apiVersion": "operator.flagsmith.com/v1alpha1",
        "kind": "FlagsmithDeployment",
        "metadata": { "name": "flagsmith", "namespace": "prod", "generation": 1 },
        "spec": fixtures::spec(spec),
        "status": scene.status(),
    });
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| assert_json_snapshot!(name, resource));
}
