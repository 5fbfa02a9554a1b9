//! The migration Job. Created once and never applied over: its template cannot change.

use serde_json::{Map, Value, json};

use super::{
    Component, child,
    container::Django,
    pod::{Template, django_volumes},
};
use crate::{
    api::ContainerSettings,
    child::{Child, Kind, marks},
    decide::{MIGRATE_COMMAND, Migrate},
    flagsmith,
    validate::Installation,
};

pub(super) fn build(installation: &Installation, migrate: &Migrate) -> Child {
    let spec = &installation.migrations;
    let settings = ContainerSettings {
        env: spec.env.clone(),
        env_from: spec.env_from.clone(),
        container_security_context: spec.container_security_context.clone(),
        volume_mounts: spec.volume_mounts.clone(),
        ..ContainerSettings::default()
    };
    let container = Django {
        name: "migrate",
        image: installation.api_image(migrate.release),
        // The image's own entrypoint: it knows what "migrate" means in its release (wait for the database,
        // migrate every database, create the cache tables).
        command: None,
        args: MIGRATE_COMMAND.iter().map(ToString::to_string).collect(),
        settings: &settings,
        resources: &spec.resources,
        database_url: installation.database.migration_url(),
        task_processor_url: None,
        computed: Vec::new(),
        serves: false,
        rest: Value::Null,
    };
    let template = Template {
        component: Component::Migrations,
        release: Some(migrate.release),
        settings: &spec.pod,
        secret_hash: None,
        grace_period: None,
        containers: vec![container.build(installation)],
        volumes: django_volumes(),
        user: flagsmith::USER,
        rest: json!({ "restartPolicy": "Never" }),
    };
    let annotations = Map::from_iter([(marks::MIGRATION_KEY.to_owned(), json!(migrate.key.as_str()))]);
    let mut job = child(
        installation,
        Kind::Job,
        &migrate.name,
        Some(Component::Migrations),
        annotations,
        json!({ "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": spec.backoff_limit,
            "activeDeadlineSeconds": spec.active_deadline_seconds,
            // A drained node is no failed migration.
            "podFailurePolicy": { "rules": [
                { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
            ] },
            // A second pod must not start while the first may still hold its locks.
            "podReplacementPolicy": "Failed",
            "template": template.build(installation),
        } }),
    );
    if let Some(labels) = job
        .body
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut)
    {
        labels.insert(marks::VERSION.to_owned(), json!(migrate.release.to_string()));
        labels.insert(marks::DATABASE.to_owned(), json!(migrate.database));
    }
    job
}
