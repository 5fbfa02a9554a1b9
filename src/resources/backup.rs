//! The Job that makes a backup before a migration.

use serde_json::{Value, json};

use super::{
    child::{child, labels},
    container::restricted,
    pod::{Template, authorities, authorities_mount},
};
use crate::{
    api::DumpSpec,
    decide::Backup,
    model::{
        Component,
        child::{Child, Kind, marks},
    },
    validate::Installation,
};

/// Takes the URL apart, so that the password stands on no command line.
pub(super) const URL_SCRIPT: &str = include_str!("database_url.sh");

/// Dumps into a file.
const SCRIPT: &str = include_str!("backup.sh");

/// Where the volume claim is mounted.
pub(super) const DIRECTORY: &str = "/backup";

/// The volume of that claim.
pub(super) const VOLUME: &str = "backup";

/// Seconds that a finished backup Job stays to be looked at: a week.
const KEPT: i32 = 7 * 24 * 60 * 60;

/// Where the kubelet reads what a container says at its end.
const LAST_WORDS: &str = "/dev/termination-log";

/// The user of PostgreSQL's official image on Debian.
pub(super) const USER: i64 = 999;

pub(super) fn build(installation: &Installation, backup: &Backup) -> Option<Child> {
    let spec = installation.migrations.backup.as_ref()?;
    let mut template = match (&spec.volume_claim, &spec.pod_template) {
        (Some(dump), _) => pg_dump(installation, backup, dump),
        (None, Some(template)) => json!(template),
        (None, None) => return None,
    };
    let pod = template.get_mut("spec").and_then(Value::as_object_mut)?;
    pod.entry("restartPolicy").or_insert_with(|| json!("Never"));
    // What it fails of is told with the diagnosis.
    let containers = pod.get_mut("containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
        container.entry("terminationMessagePolicy").or_insert_with(|| json!("FallbackToLogsOnError"));
    }
    // The labels that the operator finds its pods by, besides the user's own.
    let own = template.pointer("/metadata/labels").and_then(Value::as_object);
    let mut marked = own.cloned().unwrap_or_default();
    marked.extend(labels(installation, Some(Component::Backup)));
    let annotations = template.pointer("/metadata/annotations").cloned();
    if let Some(template) = template.as_object_mut() {
        let metadata = json!({ "labels": marked, "annotations": annotations });
        template.insert("metadata".to_owned(), metadata);
    }
    let mut job = child(
        installation,
        Kind::Job,
        &backup.name,
        Some(Component::Backup),
        backup
            .release
            .iter()
            .map(|release| (marks::MIGRATED_FROM.to_owned(), json!(release.to_string())))
            .collect(),
        json!({ "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 1,
            "activeDeadlineSeconds": spec.active_deadline_seconds,
            "ttlSecondsAfterFinished": KEPT,
            "template": template,
        } }),
    );
    // No migration starts on this database while it is being dumped: it would wait for the dump's locks.
    if let Some(labels) = job.body.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.insert(marks::DATABASE.to_owned(), json!(backup.database));
    }
    Some(job)
}

fn pg_dump(installation: &Installation, backup: &Backup, dump: &DumpSpec) -> Value {
    let url = installation.database.migration_url();
    let mut mounts = vec![json!({ "name": VOLUME, "mountPath": DIRECTORY })];
    mounts.extend(authorities_mount(installation));
    let mut volumes =
        vec![json!({ "name": VOLUME, "persistentVolumeClaim": { "claimName": dump.claim_name } })];
    volumes.extend(authorities(installation));
    let kept = |limit: Option<i32>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    let keep = dump.keep.unwrap_or_default();
    let file = format!("{DIRECTORY}/{}.dump", backup.name);
    let container = json!({
        "name": marks::DUMP_CONTAINER,
        "image": dump.image,
        "imagePullPolicy": installation.images.pull_policy,
        "command": ["sh", "-c", format!("{URL_SCRIPT}{SCRIPT}"), file, LAST_WORDS, kept(keep.count), kept(keep.days)],
        "env": [
            { "name": "DATABASE_URL", "valueFrom": { "secretKeyRef": { "name": url.name, "key": url.key } } },
            { "name": "PGAPPNAME", "value": backup.name },
        ],
        "securityContext": restricted(),
        "volumeMounts": mounts,
    });
    Template {
        component: Component::Backup,
        release: None,
        settings: &installation.migrations.pod,
        secret_hash: None,
        grace_period: None,
        containers: vec![container],
        volumes,
        user: USER,
        initial: Vec::new(),
        rest: Value::Null,
    }
    .build(installation)
}
