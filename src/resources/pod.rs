//! Pod templates: what all pods of an installation have in common.

use serde_json::{Map, Value, json};

use super::{
    child::{selector, with_common},
    pod_monitor,
};
use crate::{
    api::{PodPart, PodSettings},
    flagsmith::{self, Release},
    model::{Component, child::marks},
    observe::CA_FILE,
    validate::{CertificatesKey, Installation},
};

/// What differs from one pod template to the next.
pub(super) struct Template<'a> {
    pub(super) component: Component,
    pub(super) release: Option<Release>,
    pub(super) settings: &'a PodSettings,
    pub(super) secret_hash: Option<&'a str>,
    pub(super) grace_period: Option<i32>,
    pub(super) containers: Vec<Value>,
    pub(super) volumes: Vec<Value>,
    pub(super) user: i64,
    /// Init containers of the operator's own, which run after the user's.
    pub(super) initial: Vec<Value>,
    /// Further fields of the pod specification.
    pub(super) rest: Value,
}

impl Template<'_> {
    /// The `template` of a Deployment, `StatefulSet` or Job.
    pub(super) fn build(self, installation: &Installation) -> Value {
        let mut labels: Map<String, Value> =
            self.settings.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        labels.extend(selector(installation, self.component));
        labels.insert(marks::MANAGED_BY.to_owned(), json!(marks::OPERATOR));
        labels.insert(marks::COMPONENT.to_owned(), json!(self.component.as_str()));
        if let Some(release) = self.release {
            labels.insert(marks::VERSION.to_owned(), json!(release.to_string()));
        }
        // The user's own win, for example another path for a Prometheus of his own.
        let mut annotations = pod_monitor::annotations(installation, self.component, self.release);
        annotations.extend(self.settings.annotations.iter().map(|(key, value)| (key.clone(), json!(value))));
        if let Some(hash) = self.secret_hash {
            annotations.insert(marks::SECRET_HASH.to_owned(), json!(hash));
        }
        let settings = self.settings;
        let mut volumes = self.volumes;
        volumes.extend(settings.volumes.iter().map(|volume| json!(volume)));
        let pull_secrets: Vec<_> =
            installation.images.pull_secrets.iter().map(|name| json!({ "name": name })).collect();
        let own_account = settings.service_account_name.as_ref().or(installation.service_account.as_ref());
        let added = |containers: &[PodPart]| containers.iter().map(|it| json!(it)).collect::<Vec<_>>();
        // What migrations connect through, such as a proxy beside them, is there before they look at the database.
        let initial = [added(&settings.init_containers), self.initial].concat();
        let containers = [self.containers, added(&settings.extra_containers)].concat();
        let mut spec = json!({
            "serviceAccountName": own_account.unwrap_or(&installation.identity.name),
            "automountServiceAccountToken": if own_account.is_some() { Value::Null } else { json!(false) },
            // Service links would turn every Service of the namespace into environment variables, for example
            // GUNICORN_PORT for a Service named "gunicorn".
            "enableServiceLinks": false,
            "securityContext": settings.security_context.as_ref().map_or_else(
                || security_context(self.user),
                |context| json!(context),
            ),
            "terminationGracePeriodSeconds": self.grace_period,
            "imagePullSecrets": pull_secrets,
            "nodeSelector": settings.node_selector,
            "tolerations": settings.tolerations,
            "affinity": settings.affinity,
            "topologySpreadConstraints": settings.topology_spread_constraints,
            "priorityClassName": settings.priority_class_name,
            "schedulerName": settings.scheduler_name,
            "runtimeClassName": settings.runtime_class_name,
            "hostAliases": settings.host_aliases,
            "dnsPolicy": settings.dns_policy,
            "dnsConfig": settings.dns_config,
            "shareProcessNamespace": settings.share_process_namespace,
            "initContainers": initial,
            "containers": containers,
            "volumes": volumes,
        });
        if let (Some(spec), Value::Object(rest)) = (spec.as_object_mut(), self.rest) {
            spec.extend(rest);
        }
        let labels = with_common(&installation.common_labels, labels);
        let annotations = with_common(&installation.common_annotations, annotations);
        json!({ "metadata": { "labels": labels, "annotations": annotations }, "spec": spec })
    }
}

/// Restricted Pod Security for a user without rights.
fn security_context(user: i64) -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// How much a container may write into a directory that goes with its pod. A pod that exceeds it is evicted and
/// replaced, instead of filling its node's disk for all others. Uploads, the files of Gunicorn's metrics (some hundred
/// KiB for each worker process that ever ran) and the logs of a migration's own steps stay far below.
const SCRATCH: &str = "1Gi";

/// A writable directory that goes with its pod.
pub(super) fn scratch(name: &str) -> Value {
    json!({ "name": name, "emptyDir": { "sizeLimit": SCRATCH } })
}

/// The volume of the certificates by which the database's server is verified.
const CA_VOLUME: &str = "flagsmith-database-ca";

/// The certificates that `spec.database.caFrom` names, as a volume.
pub(super) fn authorities(installation: &Installation) -> Option<Value> {
    let (source, object, key) = match installation.database.authorities()? {
        CertificatesKey::Secret(key) => ("secret", json!({ "secretName": key.name }), &key.key),
        CertificatesKey::ConfigMap { name, key } => ("configMap", json!({ "name": name }), key),
    };
    let file = CA_FILE.rsplit('/').next().unwrap_or_default();
    let mut volume = json!({ "name": CA_VOLUME });
    let mut object = object;
    if let (Some(volume), Some(object)) = (volume.as_object_mut(), object.as_object_mut()) {
        object.insert("items".to_owned(), json!([{ "key": key, "path": file }]));
        volume.insert(source.to_owned(), json!(object));
    }
    Some(volume)
}

/// The mount of [`authorities`].
pub(super) fn authorities_mount(installation: &Installation) -> Option<Value> {
    let directory = CA_FILE.rsplit_once('/').map_or(CA_FILE, |(directory, _)| directory);
    installation.database.authorities()?;
    Some(json!({ "name": CA_VOLUME, "mountPath": directory, "readOnly": true }))
}

/// Writable directories of a Django container whose root is read-only. The images make `/tmp/prometheus` at
/// build time, so a volume on `/tmp` alone would hide it (`FileNotFoundError` at the first metric).
pub(super) fn django_volumes(installation: &Installation) -> Vec<Value> {
    [scratch("tmp"), scratch("prometheus")].into_iter().chain(authorities(installation)).collect()
}

/// The mounts of [`django_volumes`].
pub(super) fn django_mounts(installation: &Installation) -> Vec<Value> {
    let writable = [("tmp", "/tmp"), ("prometheus", flagsmith::PROMETHEUS_DIR)];
    let writable = writable.map(|(name, path)| json!({ "name": name, "mountPath": path }));
    writable.into_iter().chain(authorities_mount(installation)).collect()
}
