//! The Job that brings a backup back.

use serde_json::{Value, json};

use super::{
    backup::{DIRECTORY, URL_SCRIPT, USER, VOLUME},
    container::restricted,
    pod::{Template, authorities, authorities_mount},
};
use crate::{
    decide::Migrate,
    model::{Component, child::marks},
    validate::{Installation, RestorePlan},
};

/// Restores from a file, in one transaction.
const SCRIPT: &str = include_str!("restore.sh");

/// How often a pod is replaced that has failed: once, for a node or a connection that is lost. Whatever it fails of
/// otherwise is the same the next time, and everything is stopped meanwhile.
pub(super) const BACKOFF_LIMIT: i32 = 1;

/// The pod.
pub(super) fn template(installation: &Installation, migrate: &Migrate, restore: &RestorePlan) -> Value {
    let url = installation.database.migration_url();
    let mut mounts = vec![json!({ "name": VOLUME, "mountPath": DIRECTORY, "readOnly": true })];
    mounts.extend(authorities_mount(installation));
    // For the list of what the dump holds.
    mounts.push(json!({ "name": "tmp", "mountPath": "/tmp" }));
    let claim = json!({ "claimName": restore.claim, "readOnly": true });
    let mut volumes = vec![
        json!({ "name": VOLUME, "persistentVolumeClaim": claim }),
        json!({ "name": "tmp", "emptyDir": { "sizeLimit": "16Mi" } }),
    ];
    volumes.extend(authorities(installation));
    let mut environment = vec![
        json!({ "name": "DATABASE_URL", "valueFrom": { "secretKeyRef": { "name": url.name, "key": url.key } } }),
        json!({ "name": "PGAPPNAME", "value": migrate.name }),
    ];
    environment
        .extend(migrate.options.iter().map(|options| json!({ "name": "PGOPTIONS", "value": options })));
    let container = json!({
        "name": marks::RESTORE_CONTAINER,
        "image": installation.dump_image(),
        "imagePullPolicy": installation.images.pull_policy,
        "command": ["sh", "-c", format!("{URL_SCRIPT}{SCRIPT}"), format!("{DIRECTORY}/{}.dump", restore.from)],
        "env": environment,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": restricted(),
        "volumeMounts": mounts,
    });
    Template {
        component: Component::Migrations,
        release: restore.release,
        settings: &installation.migrations.pod,
        secret_hash: None,
        grace_period: None,
        containers: vec![container],
        volumes,
        user: USER,
        initial: Vec::new(),
        rest: json!({ "restartPolicy": "Never" }),
    }
    .build(installation)
}
