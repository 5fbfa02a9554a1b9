//! An upgrade with stops: one Job at each, pods at the last, and before it only where they must.

use serde_json::{Value, json};

use super::scene::{OLD_IMAGE, failed, job, key, pod, pulled, recorded, rolled_out, runs, shape, wanted};
use crate::{
    api::MigrationStatus,
    decide::{Gate, Plan, decide},
    fixtures::empty_observation,
    migration::Step,
    model::{Code, Component, PodPhase},
    observe::{JobOutcome, Observation},
    validate::Installation,
};

const FIRST: &str = "2.232.0";
const FIRST_IMAGE: &str = "docker.flagsmith.com/flagsmith/flagsmith-api:2.232.0";

fn stepwise(changes: &Value) -> Installation {
    let mut spec = json!({ "version": "2.265.0", "upgrade": { "strategy": "Stepwise" } });
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    wanted(spec)
}

fn due(plan: &Plan) -> String {
    plan.step.as_ref().unwrap().release.to_string()
}

/// The processor has stopped, and its pods are gone.
fn stopped(observation: &mut Observation, version: &str) {
    let before = observation.task_processor.clone().unwrap();
    let now = rolled_out("task-processor", version, 0);
    observation.task_processor = Some(crate::observe::WorkloadState {
        migration_key: before.migration_key,
        migrated: before.migrated,
        ..now
    });
    observation.pods.retain(|pod| pod.component != Some(Component::TaskProcessor));
}

/// The Job of a stop has ended well, and that is written down.
fn reached(installation: &Installation, observation: &mut Observation, version: &str) {
    observation.jobs.push(job(installation, version, JobOutcome::Complete));
    observation.previous.migration = Some(recorded(installation, version));
    let name = observation.jobs.last().map(|job| job.name.clone());
    let record = MigrationStatus { job: name, ..recorded(installation, version) };
    observation.previous.migration_history.insert(0, record);
}

#[test]
fn each_stop_has_its_job_and_pods_change_at_the_last() {
    let installation = stepwise(&json!({}));
    let mut observation = runs(&installation, FIRST);
    let old = |processors| [Some((FIRST_IMAGE, Some(processors))), Some((FIRST_IMAGE, Some(2)))];

    // The images of all are pulled before anything is stopped.
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(
        (plan.gate.clone(), due(&plan).as_str()),
        (Gate::Blocked(Code::MigrationImagePending), "2.234.2")
    );
    let images = plan.pull.as_ref().unwrap().images.clone();
    assert_eq!(
        images,
        ["2.234.2", "2.260.0", "2.265.0"]
            .map(|it| format!("docker.flagsmith.com/flagsmith/flagsmith-api:{it}"))
    );
    assert_eq!(shape(&plan)[..2], old(1));
    pulled(&installation, &mut observation);
    assert_eq!(shape(&decide(&installation, &observation, &[]))[..2], old(0));
    stopped(&mut observation, FIRST);

    for (stop, next) in [("2.234.2", "2.260.0"), ("2.260.0", "2.265.0")] {
        let plan = decide(&installation, &observation, &[]);
        let migrate = plan.migrate.as_ref().unwrap_or_else(|| panic!("{stop}: {:?}", plan.gate));
        assert_eq!(
            (migrate.release.to_string().as_str(), migrate.key.to_string()),
            (stop, key(&installation, stop))
        );
        // A result counts when it is written down.
        observation.jobs.push(job(&installation, stop, JobOutcome::Complete));
        let plan = decide(&installation, &observation, &[]);
        assert!(matches!(plan.gate, Gate::Unrecorded(_)), "{:?}", plan.gate);
        assert_eq!((due(&plan).as_str(), plan.migrate), (stop, None));
        observation.jobs.pop();
        reached(&installation, &mut observation, stop);
        let plan = decide(&installation, &observation, &[]);
        assert_eq!((plan.gate.clone(), due(&plan).as_str()), (Gate::Pending, next));
        assert_eq!(shape(&plan)[..2], old(0), "pods stay");
        assert_eq!(plan.migrated.unwrap().release, stop.parse().unwrap(), "and tell what is applied");
        assert_eq!(plan.pull, None, "once is enough");
    }
    reached(&installation, &mut observation, "2.265.0");
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(plan.gate, Gate::Succeeded);
    assert_eq!(shape(&plan)[0], Some((super::scene::NEW_IMAGE, Some(1))));
}

#[test]
fn a_missing_image_of_a_later_stop_starts_nothing() {
    let installation = stepwise(&json!({ "taskProcessor": { "replicas": 0 } }));
    let mut observation = runs(&installation, FIRST);
    // Nothing is to be stopped, and yet it matters.
    stopped(&mut observation, FIRST);
    for _ in 0..2 {
        let plan = decide(&installation, &observation, &[]);
        assert_eq!((plan.gate, plan.migrate), (Gate::Blocked(Code::MigrationImagePending), None));
        observation.pulls = plan
            .pull
            .into_iter()
            .map(|pull| crate::observe::JobState { name: pull.name, ..Default::default() })
            .collect();
    }
    // Another stop is another Job: its images differ.
    let other = stepwise(&json!({ "upgrade": { "strategy": "Stepwise", "via": ["2.250.0"] } }));
    observation.pulls.clear();
    let name = |installation| decide(installation, &observation, &[]).pull.map(|pull| pull.name);
    assert_ne!(name(&other), name(&installation));
}

#[test]
fn a_stop_that_fails_leaves_what_serves() {
    let installation = stepwise(&json!({}));
    let mut observation = runs(&installation, FIRST);
    reached(&installation, &mut observation, "2.234.2");
    observation.jobs.push(job(&installation, "2.260.0", failed()));
    let plan = decide(&installation, &observation, &[]);
    assert!(matches!(plan.gate, Gate::Failed { .. }), "{:?}", plan.gate);
    assert_eq!(due(&plan), "2.260.0");
    assert_eq!(shape(&plan)[..2], [Some((FIRST_IMAGE, Some(1))), Some((FIRST_IMAGE, Some(2)))]);
    // Another way from what is applied.
    let direct = wanted(json!({ "version": "2.265.0" }));
    assert_eq!(due(&decide(&direct, &observation, &[])), "2.265.0");
    let lower = wanted(json!({ "version": "2.234.2" }));
    assert_eq!(decide(&lower, &observation, &[]).gate, Gate::Succeeded);
}

/// Pods of 2.260.0 do not work on the tables of 2.265.0: they are replaced there before 2.266.0 is migrated to.
#[test]
fn pods_that_do_not_serve_at_a_stop_are_replaced_there() {
    let installation = wanted(json!({ "version": "2.266.0", "upgrade": { "via": ["2.265.0"] } }));
    let mut observation = runs(&installation, "2.260.0");
    let image = super::scene::NEW_IMAGE;
    reached(&installation, &mut observation, "2.265.0");
    stopped(&mut observation, "2.260.0");
    let plan = decide(&installation, &observation, &[]);
    assert_eq!((plan.gate.clone(), due(&plan).as_str()), (Gate::Succeeded, "2.265.0"));
    assert_eq!(shape(&plan)[..2], [Some((image, Some(1))), Some((OLD_IMAGE, Some(2)))]);
    // While a pod is left that does not, nothing goes on.
    observation.task_processor = Some(rolled_out("task-processor", "2.265.0", 1));
    observation.api = Some(rolled_out("api", "2.265.0", 2));
    assert_eq!(due(&decide(&installation, &observation, &[])), "2.265.0");
    observation.pods = vec![pod("api", "2.265.0", PodPhase::Running)];
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(
        (plan.gate.clone(), due(&plan).as_str()),
        (Gate::Blocked(Code::MigrationImagePending), "2.266.0")
    );
    assert_eq!(plan.pull.unwrap().images, ["docker.flagsmith.com/flagsmith/flagsmith-api:2.266.0"]);
}

#[test]
fn an_empty_database_is_migrated_at_once() {
    let installation = stepwise(&json!({ "upgrade": { "strategy": "Stepwise", "via": ["2.250.0"] } }));
    let step = Step::of(&installation, &empty_observation()).unwrap();
    assert_eq!((step.release, step.path.len()), (installation.release, 1));
}

/// After an undoing the annotations still name the newer release: the way begins at what is left.
#[test]
fn what_was_undone_is_gone_again_by_its_stops() {
    let installation = stepwise(&json!({}));
    let mut observation = runs(&installation, "2.265.0");
    for state in [&mut observation.api, &mut observation.task_processor] {
        state.as_mut().unwrap().migration_key = Some("undone-by-x".to_owned());
    }
    let undone = MigrationStatus {
        operation: crate::api::MigrationOperation::RollBack,
        ..recorded(&installation, "2.234.2")
    };
    let upgraded =
        |from: &str| MigrationStatus { from: Some(from.to_owned()), ..recorded(&installation, "2.265.0") };
    observation.previous.migration_history = vec![undone, upgraded("2.234.2")];
    assert_eq!(due(&decide(&installation, &observation, &[])), "2.260.0");
    // It came from further back, so that is where it is.
    observation.previous.migration_history[1] = upgraded("2.232.0");
    assert_eq!(due(&decide(&installation, &observation, &[])), "2.234.2");
}
