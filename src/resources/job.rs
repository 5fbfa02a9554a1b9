//! The migration Job. Created once and never applied over: its template cannot change.

use serde_json::{Map, Value, json};

use super::{
    child::child,
    container::Django,
    pod::{Template, django_volumes},
    restore,
};
use crate::{
    api::ContainerSettings,
    decide::Migrate,
    flagsmith::{self, Release, env, failures},
    migration::Action,
    model::{
        Component,
        child::{Child, Kind, marks},
    },
    validate::{Database, Installation, ROLL_BACK_COMMAND},
};

/// Runs the migration, and tells Kubernetes whether another attempt may succeed.
const SCRIPT: &str = include_str!("migrate.sh");

/// Lists what the migration will do.
const PLAN: &str = include_str!("plan.sh");

/// Exit status of a container that was told to end: a drained node, a deleted pod.
const TERMINATED: i32 = 143;

pub(super) fn build(installation: &Installation, migrate: &Migrate) -> Child {
    let spec = &installation.migrations;
    let (template, fatal, limit) = match &migrate.action {
        Action::Restore(plan) => {
            (restore::template(installation, migrate, plan), Vec::new(), restore::BACKOFF_LIMIT)
        }
        // Nothing is listed that is undone.
        Action::RollBack(_) => {
            (template(installation, migrate, Vec::new()), vec![marks::MIGRATE_CONTAINER], spec.backoff_limit)
        }
        Action::Migrate => {
            let plan = container(installation, migrate, marks::PLAN_CONTAINER, PLAN, Vec::new());
            let containers = vec![marks::PLAN_CONTAINER, marks::MIGRATE_CONTAINER];
            (template(installation, migrate, vec![plan]), containers, spec.backoff_limit)
        }
    };
    let rules: Vec<Value> =
        [not_of_a_drained_node()].into_iter().chain(fatal.into_iter().map(fails)).collect();
    let mut job = child(
        installation,
        Kind::Job,
        &migrate.name,
        Some(Component::Migrations),
        annotations(migrate),
        json!({ "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": limit,
            "activeDeadlineSeconds": spec.active_deadline_seconds,
            "podFailurePolicy": { "rules": rules },
            // A second pod must not start while the first may still hold its locks.
            "podReplacementPolicy": "Failed",
            "template": template,
        } }),
    );
    let release = match &migrate.action {
        Action::Restore(plan) => plan.release,
        Action::Migrate | Action::RollBack(_) => Some(migrate.release),
    };
    for (path, name, value) in [
        ("/metadata/labels", marks::VERSION, release.map(|release| release.to_string())),
        ("/metadata/labels", marks::DATABASE, Some(migrate.database.clone())),
        // A pod may outlive its Job, and still migrates then.
        ("/spec/template/metadata/labels", marks::DATABASE, Some(migrate.database.clone())),
    ] {
        if let Some(labels) = job.body.pointer_mut(path).and_then(Value::as_object_mut)
            && let Some(value) = value
        {
            labels.insert(name.to_owned(), json!(value));
        }
    }
    job
}

/// The pod that migrates or undoes, after `initial` containers.
fn template(installation: &Installation, migrate: &Migrate, initial: Vec<Value>) -> Value {
    let command = command(installation, migrate);
    Template {
        component: Component::Migrations,
        release: Some(migrate.release),
        settings: &installation.migrations.pod,
        secret_hash: None,
        grace_period: None,
        containers: vec![container(installation, migrate, marks::MIGRATE_CONTAINER, SCRIPT, command)],
        volumes: django_volumes(installation),
        user: flagsmith::USER,
        initial,
        rest: json!({ "restartPolicy": "Never" }),
    }
    .build(installation)
}

fn container(
    installation: &Installation,
    migrate: &Migrate,
    name: &'static str,
    script: &'static str,
    args: Vec<String>,
) -> Value {
    let spec = &installation.migrations;
    let settings = ContainerSettings {
        env: spec.env.clone(),
        env_from: spec.env_from.clone(),
        container_security_context: spec.container_security_context.clone(),
        volume_mounts: spec.volume_mounts.clone(),
        ..ContainerSettings::default()
    };
    // What migrations are undone by is known to the newer release only.
    let image = migrate.action.rollback().map_or(migrate.release, |rollback| rollback.from);
    Django {
        name,
        image: installation.api_image(image),
        command: None,
        args,
        settings: &settings,
        resources: &spec.resources,
        database_url: installation.database.migration_url(),
        task_processor_url: installation.database.task_processor_url(),
        computed: environment(installation, migrate),
        serves: false,
        rest: json!({ "command": ["sh", "-c", script, name] }),
    }
    .build(installation)
}

/// The rule by which a Job fails at once: missing rights, a broken history or too little memory are the same the next
/// time. How a sidecar ends says nothing about that.
fn fails(container: &str) -> Value {
    json!({ "action": "FailJob", "onExitCodes": {
        "containerName": container, "operator": "NotIn", "values": [failures::TRANSIENT_STATUS, TERMINATED],
    } })
}

/// The rule by which a pod that goes with its node does not count as a failure of its Job.
pub(super) fn not_of_a_drained_node() -> Value {
    json!({ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] })
}

/// What the Job runs: one command where the image knows how, a list for the shell otherwise.
fn command(installation: &Installation, migrate: &Migrate) -> Vec<String> {
    let mut commands = match migrate.action.rollback() {
        Some(rollback) => {
            // Without "Z", which Python reads since 3.11 only. What was applied at this moment stays.
            let after = rollback.applied_after.as_microsecond().saturating_add(1);
            let moment = jiff::Timestamp::from_microsecond(after).unwrap_or(rollback.applied_after);
            let moment = moment.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00");
            return ["flagsmith", ROLL_BACK_COMMAND, &moment.to_string()].map(str::to_owned).into();
        }
        None if installation.database.task_processor_url().is_some() => {
            separately(installation, migrate.release)
        }
        None => vec![flagsmith::migrate_command(migrate.release)],
    };
    if installation.migrations.bootstrap.is_some() && migrate.release == installation.release {
        commands.push("flagsmith bootstrap");
    }
    match commands.as_slice() {
        [one] => one.split(' ').map(str::to_owned).collect(),
        several => vec!["sh".to_owned(), "-c".to_owned(), several.join(" && ")],
    }
}

/// Only the pod knows whether there is one: its URL may come from any source of variables.
const CLICKHOUSE: &str =
    "{ [ -z \"$CLICKHOUSE_URL$CLICKHOUSE_HOST\" ] || flagsmith migrate --database clickhouse; }";

/// With a separate database of the task processor the image's own command runs every app's migrations there, and
/// fails on an empty one (`users.0010` of Flagsmith looks into the main database; 2.178.0 to at least 2.265.0). Only
/// that app's belong there.
fn separately(installation: &Installation, release: Release) -> Vec<&'static str> {
    let mut commands = vec!["flagsmith waitfordb", "flagsmith migrate --database default"];
    if matches!(&installation.database, Database::External { analytics_url: Some(_), .. }) {
        commands.push("flagsmith migrate --database analytics");
    }
    if release >= flagsmith::CLICKHOUSE_SINCE {
        commands.push(CLICKHOUSE);
    }
    commands.push("flagsmith migrate task_processor --database task_processor");
    commands.push("flagsmith createcachetable");
    commands
}

fn environment(installation: &Installation, migrate: &Migrate) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        // Seen in pg_stat_activity; without it nobody knows whose session holds a lock.
        ("PGAPPNAME", migrate.name.clone()),
        ("FLAGSMITH_OPERATOR_TRANSIENT", failures::TRANSIENT.to_owned()),
        ("FLAGSMITH_OPERATOR_RACES", failures::RACES.to_owned()),
    ];
    if let Some(options) = &migrate.options {
        variables.push(("PGOPTIONS", options.clone()));
    }
    if let Some(bootstrap) = &installation.migrations.bootstrap {
        variables.push((env::ALLOW_ADMIN_INITIATION_VIA_CLI, "true".to_owned()));
        variables.push((env::ADMIN_EMAIL, bootstrap.admin_email.clone()));
        let names = [
            (env::ORGANISATION_NAME, &bootstrap.organisation_name),
            (env::PROJECT_NAME, &bootstrap.project_name),
        ];
        variables.extend(names.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    }
    variables
}

fn annotations(migrate: &Migrate) -> Map<String, Value> {
    let before = migrate.before;
    let operation = match migrate.action {
        Action::Migrate => None,
        Action::RollBack(_) => Some(marks::ROLL_BACK.to_owned()),
        Action::Restore(_) => Some(marks::RESTORE.to_owned()),
    };
    [
        (marks::MIGRATION_KEY, Some(migrate.key.to_string())),
        (marks::CREDENTIALS_HASH, migrate.credentials.clone()),
        (marks::OPERATION, operation),
        (marks::MIGRATED_FROM, before.release.map(|release| release.to_string())),
        (marks::COUNT_BEFORE, before.count.map(|count| count.to_string())),
        (marks::LAST_APPLIED_BEFORE, before.last_applied.map(|time| time.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
    .collect()
}
