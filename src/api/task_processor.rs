//! The task processor of an installation.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ServiceSpec,
    components::{ContainerSettings, is_default, resources},
};

/// The task processor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskProcessorSpec {
    /// The number of task processor pods. 1 if neither this nor `autoscaling` is set. With 0, tasks are queued but not
    /// run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// Scales the number of pods by the age of the oldest waiting task. Ignored while a `HorizontalPodAutoscaler` of your
    /// own targets the Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<TaskAutoscalingSpec>,
    /// `--numthreads`: threads that run tasks, in each pod.
    #[schemars(range(min = 1, max = 128))]
    pub threads: i32,
    /// `--sleepintervalms`: milliseconds between two polls of the queue.
    #[schemars(range(min = 50, max = 3_600_000))]
    pub sleep_interval_milliseconds: i32,
    /// `--queuepopsize`: tasks that a thread takes from the queue at once.
    #[schemars(range(min = 1, max = 1000))]
    pub queue_pop_size: i32,
    /// `--graceperiodms`: milliseconds after which the processor logs a thread that is still busy with its batch as
    /// unhealthy. It does not stop the thread.
    #[schemars(range(min = 1000, max = 3_600_000))]
    pub grace_period_milliseconds: i32,
    /// The longest time that a task may take, in seconds. A terminating pod has this long, plus a minute, to finish its
    /// tasks. Flagsmith's own tasks time out after 60 s by default.
    #[schemars(range(min = 1, max = 86_400))]
    pub longest_task_seconds: i32,
    /// Compute resources of the container.
    pub resources: ResourceRequirements,
    /// The Service of the processor's metrics. Nothing else is asked of it.
    #[serde(skip_serializing_if = "is_default")]
    pub service: ServiceSpec,
    /// Container and pod settings.
    #[serde(flatten)]
    pub container: ContainerSettings,
}

/// Scales the task processor by its queue, which the operator reads from the database; no metrics adapter is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.minReplicas <= self.maxReplicas").message("minReplicas must not be above maxReplicas"))]
pub struct TaskAutoscalingSpec {
    /// The minimum number of pods.
    #[serde(default = "default_min_replicas")]
    #[schemars(range(min = 1))]
    pub min_replicas: i32,
    /// The maximum number of pods. The operator never exceeds what the database's connection limit allows.
    #[schemars(range(min = 1))]
    pub max_replicas: i32,
    /// How long the oldest task may wait before a pod is added, in seconds.
    #[serde(default = "default_target_age")]
    #[schemars(range(min = 1, max = 3600))]
    pub target_age_seconds: i32,
    /// How long the queue must be quiet before a pod is removed, in seconds.
    #[serde(default = "default_scale_down_stabilization")]
    #[schemars(range(min = 60, max = 900))]
    pub scale_down_stabilization_seconds: i32,
}

impl Default for TaskProcessorSpec {
    /// Flagsmith's own defaults (flagsmith-common, `task_processor/utils.py`).
    fn default() -> Self {
        Self {
            replicas: None,
            autoscaling: None,
            threads: 5,
            sleep_interval_milliseconds: 500,
            queue_pop_size: 10,
            grace_period_milliseconds: 20_000,
            longest_task_seconds: 60,
            resources: resources("100m", "512Mi", "1Gi"),
            service: ServiceSpec::default(),
            container: ContainerSettings::default(),
        }
    }
}

const fn default_min_replicas() -> i32 {
    1
}

/// A minute: webhooks and scheduled changes that late are noticed.
const fn default_target_age() -> i32 {
    60
}

/// Ten minutes, so that the daily and hourly peaks of a busy installation do not stop and start pods each time.
const fn default_scale_down_stabilization() -> i32 {
    600
}
