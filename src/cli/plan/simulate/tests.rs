use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::json;

use super::*;
use crate::{cli::plan::step::Action, fixtures};

/// The titles of the steps, with what they write.
fn outline(simulation: &Simulation) -> Vec<String> {
    simulation
        .steps
        .iter()
        .map(|step| {
            let sign = |action| match action {
                Action::Create => '+',
                Action::Change => '~',
                Action::Delete => '-',
                Action::Refuse => '!',
            };
            let writes: Vec<String> =
                step.writes.iter().map(|it| format!("{}{}", sign(it.action), it.object)).collect();
            format!("{}: {}", step.title, writes.join(", "))
        })
        .collect()
}

fn of(version: &str, changes: Value) -> Installation {
    let mut spec = fixtures::spec(changes);
    spec["version"] = json!(version);
    fixtures::installation(&spec)
}

/// An installation as it is when everything that was foretold has happened.
fn installed(installation: &Installation) -> (Observation, Objects) {
    let mut future = Future::new(installation, fixtures::empty_observation(), Objects::new());
    future.foretell();
    (future.observation, future.objects)
}

#[test]
fn a_first_start_migrates_before_anything_serves() {
    let installation = of("2.265.0", json!({}));
    let mut observation = fixtures::empty_observation();
    observation.secrets.django = SecretState::Missing;
    let simulation = simulate(&installation, observation, Objects::new());
    insta::assert_debug_snapshot!(outline(&simulation));
    assert_eq!(simulation.unchanged, Vec::<String>::new());
}

#[test]
fn an_embedded_database_is_made_first() {
    let installation = of("2.265.0", json!({ "database": { "embedded": {} } }));
    let mut observation = fixtures::empty_observation();
    observation.secrets.django = SecretState::Missing;
    observation.secrets.database = SecretState::Missing;
    observation.secrets.migration_database = SecretState::Missing;
    observation.migration_lock = None;
    let simulation = simulate(&installation, observation, Objects::new());
    insta::assert_debug_snapshot!(outline(&simulation));
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let installation = of("2.265.0", json!({}));
    let (observation, objects) = installed(&installation);
    let simulation = simulate(&installation, observation, objects);
    assert_eq!(simulation.steps, Vec::new());
    assert!(simulation.unchanged.contains(&"Deployment flagsmith-api".to_owned()));
}

#[test]
fn an_upgrade_goes_through_the_gate() {
    let (observation, objects) = installed(&of("2.260.0", json!({})));
    let simulation = simulate(&of("2.265.0", json!({})), observation, objects);
    insta::assert_debug_snapshot!(simulation.steps);
}

#[test]
fn a_setting_is_applied_at_once_and_alone() {
    let (observation, objects) = installed(&of("2.265.0", json!({})));
    let changed = of("2.265.0", json!({ "api": { "replicas": 3 }, "requestTimeoutSeconds": 60 }));
    let simulation = simulate(&changed, observation, objects);
    insta::assert_debug_snapshot!(simulation.steps);
}

#[test]
fn a_backup_comes_before_the_task_processor_is_stopped() {
    let (observation, objects) = installed(&of("2.260.0", json!({})));
    let backup = json!({ "migrations": { "backup": { "volumeClaim": { "claimName": "backups" } } } });
    let outline = outline(&simulate(&of("2.265.0", backup), observation, objects));
    let position = |text: &str| outline.iter().position(|it| it.contains(text)).unwrap();
    assert!(position("backup") < position("Stop the task processor"), "{outline:#?}");
    assert!(position("Stop the task processor") < position("Migrate"), "{outline:#?}");
}

#[test]
fn a_downgrade_is_held_until_it_is_confirmed() {
    let (mut observation, objects) = installed(&of("2.260.0", json!({})));
    let (upgraded, objects) = {
        let newer = of("2.265.0", json!({}));
        observation.preflight = None;
        let mut future = Future::new(&newer, observation, objects);
        future.foretell();
        (future.observation, future.objects)
    };
    let older = simulate(&of("2.260.0", json!({})), upgraded.clone(), objects.clone());
    let last = older.steps.last().unwrap();
    assert!(last.held && last.title.contains("DowngradeBlocked"), "{:#?}", older.steps);
    assert_eq!(older.steps.len(), 1);

    let confirmed = json!({ "migrations": { "rollback": {
        "from": "2.265.0", "to": "2.260.0", "appliedAfter": "2026-11-24T10:00:00.000000Z",
    } } });
    let simulation = simulate(&of("2.260.0", confirmed), upgraded, objects);
    insta::assert_debug_snapshot!(outline(&simulation));
}

#[test]
fn a_restore_stops_everything_and_starts_what_the_backup_is_of() {
    let (mut observation, objects) = installed(&of("2.265.0", json!({})));
    observation.previous.observed_generation = Some(1);
    observation.previous.backups = serde_json::from_value(json!([{
        "name": "flagsmith-backup-0123456789", "finished": "2026-11-30T10:00:00Z", "version": "2.260.0",
        "volumeClaim": "backups",
    }]))
    .unwrap();
    let wanted = |confirm: Value| {
        let restore = json!({ "from": "flagsmith-backup-0123456789", "confirm": confirm });
        of(
            "2.260.0",
            json!({ "migrations": {
            "backup": { "volumeClaim": { "claimName": "backups" } }, "restore": restore,
        } }),
        )
    };
    let confirmed = wanted(json!(format!("{} 2026-11-30T10:00:00Z", fixtures::database())));
    insta::assert_debug_snapshot!(outline(&simulate(&confirmed, observation.clone(), objects.clone())));
    let held = simulate(&wanted(Value::Null), observation, objects);
    assert!(held.steps.last().unwrap().title.contains("DowngradeBlocked"), "{:#?}", held.steps);
}

/// The same between releases whose older pods serve on the newer schema: nothing says that the API is away.
#[test]
fn older_pods_come_before_the_undoing() {
    let (observation, objects) = installed(&of("2.259.0", json!({})));
    let newer = of("2.260.0", json!({}));
    let mut future = Future::new(&newer, observation, objects);
    future.foretell();
    let (mut upgraded, objects) = (future.observation, future.objects);
    let moment: jiff::Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
    upgraded.previous.migration_history[0].last_applied_before = Some(MicroTime(moment));
    let going_back = |changes: Value| {
        let mut rollback = json!({ "from": "2.260.0", "to": "2.259.0" });
        rollback.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let wanted = of("2.259.0", json!({ "migrations": { "rollback": rollback } }));
        simulate(&wanted, upgraded.clone(), objects.clone())
    };
    let away = |simulation: &Simulation| {
        simulation.steps.iter().filter(|step| step.because.contains("no API")).count()
    };
    let simulation = going_back(json!({}));
    insta::assert_debug_snapshot!(outline(&simulation));
    assert_eq!(away(&simulation), 0);
    assert_eq!(away(&going_back(json!({ "undoFirst": true }))), 1);
}

#[test]
fn an_obstacle_is_named_and_what_comes_after_it() {
    let installation = of("2.265.0", json!({}));
    let mut observation = fixtures::empty_observation();
    observation.external_migration = Some("pod prod/other (container migrate-db)".to_owned());
    let simulation = simulate(&installation, observation, Objects::new());
    let waits: Vec<_> = simulation.steps.iter().filter(|step| step.because.contains("prod/other")).collect();
    assert!(waits.len() == 1 && !waits[0].held, "{waits:#?}");
    assert!(outline(&simulation).iter().any(|it| it.starts_with("Migrate")));
}

#[test]
fn nothing_is_foretold_of_a_database_that_is_not_known() {
    let mut observation = fixtures::empty_observation();
    observation.secrets.database = SecretState::Missing;
    observation.secrets.migration_database = SecretState::Missing;
    let simulation = simulate(&of("2.265.0", json!({})), observation, Objects::new());
    let last = simulation.steps.last().unwrap();
    assert!(last.held && last.title.contains("DatabaseSecretMissing"), "{last:#?}");
    assert!(!outline(&simulation).iter().any(|it| it.contains("Job")));
}

#[test]
fn values_of_variables_are_not_shown() {
    let (observation, objects) = installed(&of("2.265.0", json!({})));
    let changed = of("2.265.0", json!({ "env": [{ "name": "A", "value": "s3cr3t" }] }));
    let simulation = simulate(&changed, observation, objects);
    let text = serde_json::to_string(&simulation.steps).unwrap();
    assert!(text.contains("spec.template.spec.containers") && !text.contains("s3cr3t"), "{text}");
}
