//! Settings of pods, and what runs in them beside the operator's own containers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, HostAlias, PodDNSConfig, PodSecurityContext, Toleration, TopologySpreadConstraint,
};
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::object_name::NAME_PATTERN;

/// Containers that may be added to a pod in either list.
const MOST_CONTAINERS: u32 = 16;

/// Volumes that may be added to a pod.
const MOST_VOLUMES: u32 = 64;

/// Settings of the pods of a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.extraContainers) || self.extraContainers.all(c, !(c.name in ['api', 'task-processor', 'frontend', 'edge-proxy', 'migrate', 'plan', 'pg-dump', 'pg-restore', 'postgresql']) && !c.name.startsWith('pull-'))").message("extraContainers: the names of the operator's own containers (api, task-processor, frontend, edge-proxy, migrate, plan, pg-dump, pg-restore, postgresql, pull-…) are taken; give the container another name"),
    validation = Rule::new("!has(self.initContainers) || self.initContainers.all(c, !(c.name in ['api', 'task-processor', 'frontend', 'edge-proxy', 'migrate', 'plan', 'pg-dump', 'pg-restore', 'postgresql']) && !c.name.startsWith('pull-'))").message("initContainers: the names of the operator's own containers (api, task-processor, frontend, edge-proxy, migrate, plan, pg-dump, pg-restore, postgresql, pull-…) are taken; give the container another name"),
    validation = Rule::new("!has(self.extraContainers) || !has(self.initContainers) || self.extraContainers.all(c, !self.initContainers.exists(i, i.name == c.name))").message("a name is in both extraContainers and initContainers; the containers of a pod have different names"),
)]
pub struct PodSettings {
    /// Labels of the pods. Those that the operator sets are refused here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// `nodeSelector` of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// `tolerations` of the pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// `affinity` of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Box<Affinity>>,
    /// `topologySpreadConstraints` of the pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// `priorityClassName` of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// `schedulerName` of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scheduler_name: Option<String>,
    /// `runtimeClassName` of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
    /// An existing `ServiceAccount` for these pods, instead of `spec.serviceAccountName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// `hostAliases` of the pods: lines of their `/etc/hosts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_aliases: Vec<HostAlias>,
    /// `dnsPolicy` of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub dns_policy: Option<String>,
    /// `dnsConfig` of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<Box<PodDNSConfig>>,
    /// `shareProcessNamespace` of the pods: each container sees the processes of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_process_namespace: Option<bool>,
    /// Replaces the pod's security context (by default: uid 65534, `RuntimeDefault` seccomp profile).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<Box<PodSecurityContext>>,
    /// Additional volumes of the pods, for example certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "volumes")]
    pub volumes: Vec<PodPart>,
    /// Containers beside the operator's own. The pods of a Job cannot have any: a Job ends when all of its containers
    /// have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "containers")]
    pub extra_containers: Vec<PodPart>,
    /// Containers that run before the operator's own, one after the other. One with `restartPolicy` Always is a native
    /// sidecar: it goes on running beside them, and ends with them, also in the pods of a Job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "containers")]
    pub init_containers: Vec<PodPart>,
}

/// A container or a volume beside the operator's own, in Kubernetes' words. Only its name matters to the operator; the rest is handed
/// on as it is, so that fields which are newer than the operator are not lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodPart {
    /// Its name.
    pub name: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

fn containers(_: &mut SchemaGenerator) -> Schema {
    parts(MOST_CONTAINERS)
}

fn volumes(_: &mut SchemaGenerator) -> Schema {
    parts(MOST_VOLUMES)
}

/// The API server checks containers and volumes when the pods' owner is written; their whole schema, in the lists of each
/// component, would double the size of this resource's.
fn parts(most: u32) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": most,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {
            "type": "object",
            "required": ["name"],
            "properties": { "name": { "type": "string", "maxLength": 63, "pattern": NAME_PATTERN } },
            "x-kubernetes-preserve-unknown-fields": true,
        },
    })
}
