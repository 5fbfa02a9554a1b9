//! What every pod has, whatever it is for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{everything, migrated, plan};
use crate::{
    decide::{Backup, Migrate, Pull, SchemaBaseline},
    fixtures::{empty_observation, installation, spec},
    migration::Action,
    model::child::Kind,
    resources::build,
    validate::{Installation, RestorePlan},
};

/// The pods of a specification by the names of their owners: what runs, and every kind of Job.
fn pods(installation: &Installation) -> BTreeMap<String, Value> {
    let mut plan = plan(installation, &migrated(installation));
    let first = super::plan(installation, &empty_observation());
    let release = installation.release;
    plan.pull = Some(Pull {
        name: "flagsmith-pull-1".to_owned(),
        release,
        images: vec!["api:1".to_owned(), "web:1".to_owned()],
    });
    plan.backup = Some(Backup {
        name: "flagsmith-backup-1".to_owned(),
        database: "0a1b2c3d".to_owned(),
        release: None,
    });
    plan.migrate = Some(Migrate {
        name: "flagsmith-restore-1".to_owned(),
        key: first.step.unwrap().key,
        release,
        database: "0a1b2c3d".to_owned(),
        credentials: None,
        action: Action::Restore(RestorePlan {
            from: "flagsmith-backup-0".to_owned(),
            claim: "backups".to_owned(),
            made: jiff::Timestamp::UNIX_EPOCH,
            release: None,
            backs_up: false,
        }),
        before: SchemaBaseline::default(),
        options: None,
    });
    let children = everything(installation).into_iter().chain(build(installation, &plan));
    let owners = children.filter(|it| matches!(it.kind, Kind::Deployment | Kind::Job));
    owners.map(|it| (it.name, it.body.pointer("/spec/template/spec").unwrap().clone())).collect()
}

/// The names of the owners of those pods which `has` says yes to, without what tells one Job from another.
fn of(pods: &BTreeMap<String, Value>, has: impl Fn(&Value) -> bool) -> Vec<&str> {
    let kinds = ["api", "backup", "frontend", "migrate", "pull", "restore", "task-processor"];
    let found: Vec<&String> = pods.iter().filter(|(_, pod)| has(pod)).map(|(name, _)| name).collect();
    kinds
        .into_iter()
        .filter(|kind| found.iter().any(|name| name.starts_with(&format!("flagsmith-{kind}"))))
        .collect()
}

#[test]
fn whatever_connects_to_the_database_has_its_authorities() {
    let reference = json!({ "configMapKeyRef": { "name": "authorities", "key": "ca.crt" } });
    let url = json!({ "secretKeyRef": { "name": "db", "key": "url" } });
    let with = |database: Value| {
        installation(&spec(json!({
            "database": database,
            "migrations": { "backup": { "volumeClaim": { "claimName": "backups" } } },
        })))
    };
    let verified = pods(&with(json!({ "urlFrom": url, "caFrom": reference })));
    let mounts_it = |pod: &Value| {
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        let mut named = volumes.filter(|it| it["configMap"]["name"] == "authorities").map(|it| &it["name"]);
        let Some(volume) = named.next() else { return false };
        let containers =
            ["containers", "initContainers"].into_iter().filter_map(|it| pod[it].as_array()).flatten();
        let reaches = |it: &&Value| {
            let variables = it["env"].as_array().into_iter().flatten();
            variables.into_iter().any(|it| it["name"] == "DATABASE_URL")
        };
        let mut reaching = containers.filter(reaches).peekable();
        reaching.peek().is_some()
            && reaching
                .all(|it| it["volumeMounts"].as_array().into_iter().flatten().any(|it| it["name"] == *volume))
    };
    assert_eq!(
        of(&verified, |_| true),
        ["api", "backup", "frontend", "migrate", "pull", "restore", "task-processor"]
    );
    assert_eq!(of(&verified, mounts_it), ["api", "backup", "migrate", "restore", "task-processor"]);
    assert!(of(&pods(&with(json!({ "urlFrom": url }))), mounts_it).is_empty());
}

#[test]
fn a_native_sidecar_of_migrations_is_in_each_of_their_jobs() {
    let proxy = json!({ "name": "proxy", "image": "proxy:1", "restartPolicy": "Always" });
    let installation = installation(&spec(json!({
        "migrations": {
            "pod": { "initContainers": [proxy] },
            "backup": { "volumeClaim": { "claimName": "backups" } },
        },
    })));
    let has_it = |pod: &Value| {
        let first = &pod["initContainers"][0];
        first["name"] == "proxy" && first["restartPolicy"] == "Always"
    };
    assert_eq!(of(&pods(&installation), has_it), ["backup", "migrate", "pull", "restore"]);
}
