//! Pods, reduced to what keeps them from running well. Pure conversions.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStatus, EnvVar, Pod, PodSpec};

use crate::{
    flagsmith::ProcessorPace,
    model::{PodPhase, child::marks},
};

/// Characters of a termination message that are kept; the cause stands at its end.
const MESSAGE_LIMIT: usize = 4096;

/// Waiting reasons of a start that takes its normal course.
const NORMAL_WAITING: &[&str] = &["ContainerCreating", "PodInitializing"];

/// A pod, as far as diagnosis needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSummary {
    /// Its name.
    pub name: String,
    /// The component label.
    pub component: String,
    /// The Job that it belongs to.
    pub job: Option<String>,
    /// The release label.
    pub version: Option<String>,
    /// How far its containers have come.
    pub phase: PodPhase,
    /// The Ready condition.
    pub ready: bool,
    /// Since when the Ready condition says what it says.
    pub ready_since: Option<Timestamp>,
    /// What its containers tell a task processor of its pace.
    pub pace: ProcessorPace,
    /// It is being deleted.
    pub terminating: bool,
    /// Its address.
    pub address: Option<IpAddr>,
    /// When its first container was started last; `None` while it does not run.
    pub started: Option<Timestamp>,
    /// Its containers, those that initialise it first.
    pub containers: Vec<ContainerRun>,
    /// What keeps it from running well.
    pub problems: Vec<PodProblem>,
    /// The migrations that it found to do before it began.
    pub pending: Option<Pending>,
}

/// What a migration pod found to do: Django's plan, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// How many migrations.
    pub count: i32,
    /// The first of them, as `app.name`; as many as a termination message holds.
    pub names: Vec<String>,
}

impl PodSummary {
    /// Whether a container cannot be created because something that it refers to is not there.
    #[must_use]
    pub fn misses_something(&self) -> bool {
        self.problems.iter().any(
            |problem| matches!(problem, PodProblem::Waiting { reason, .. } if reason == PodProblem::CONFIG_ERROR),
        )
    }

    /// Whether it runs without being ready.
    #[must_use]
    pub fn starting(&self) -> bool {
        !self.ready && self.phase == PodPhase::Running
    }
}

/// One container of a pod as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRun {
    /// Its name.
    pub name: String,
    /// It initialises the pod.
    pub init: bool,
    /// How often it was started again.
    pub restarts: i32,
    /// Since when it runs; `None` when it does not.
    pub running_since: Option<Timestamp>,
    /// The end of its last run, where that was an error.
    pub failed: Option<Timestamp>,
    /// It is ready, or has done its work.
    pub ready: bool,
}

/// What keeps a pod from running well, read from its status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PodProblem {
    /// No node takes it.
    Unschedulable {
        /// The scheduler's words.
        message: String,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// A container waits: `ImagePullBackOff`, `ErrImagePull`, `CreateContainerConfigError`, …
    Waiting {
        /// The reason.
        reason: String,
        /// The kubelet's words.
        message: String,
        /// The image.
        image: String,
    },
    /// A container has ended and is started again and again.
    CrashLoop {
        /// How often it was started again.
        restarts: i32,
        /// Exit status of the last run.
        exit_code: Option<i32>,
        /// Reason of the last end, for example `OOMKilled`.
        reason: Option<String>,
        /// Its last words (the termination message).
        message: Option<String>,
    },
    /// A container that is not started again has ended with an error.
    Failed {
        /// Exit status.
        exit_code: i32,
        /// Reason of the end.
        reason: Option<String>,
        /// Its last words (the termination message).
        message: Option<String>,
    },
    /// A container ended for lack of memory, now or the last time.
    OutOfMemory {
        /// How often it was started again.
        restarts: i32,
        /// The memory limit.
        limit: Option<String>,
    },
}

impl PodProblem {
    /// The waiting reason of a container whose configuration cannot be put together.
    pub const CONFIG_ERROR: &str = "CreateContainerConfigError";
}

impl From<&Pod> for PodSummary {
    fn from(pod: &Pod) -> Self {
        let label = |key: &str| {
            pod.metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(key))
                .cloned()
        };
        let status = pod.status.as_ref();
        let condition = |kind: &str| {
            status
                .and_then(|status| status.conditions.as_ref())
                .into_iter()
                .flatten()
                .find(|it| it.type_ == kind)
        };
        let mut problems: Vec<PodProblem> = condition("PodScheduled")
            .filter(|it| it.status == "False" && it.reason.as_deref() == Some("Unschedulable"))
            .map(|it| PodProblem::Unschedulable {
                message: it.message.clone().unwrap_or_default(),
                since: it.last_transition_time.as_ref().map(|time| time.0),
            })
            .into_iter()
            .collect();
        let initial = status
            .into_iter()
            .flat_map(|status| status.init_container_statuses.iter().flatten());
        let main = status
            .into_iter()
            .flat_map(|status| status.container_statuses.iter().flatten());
        let containers = || {
            initial
                .clone()
                .map(|it| (it, true))
                .chain(main.clone().map(|it| (it, false)))
        };
        problems.extend(
            containers()
                .flat_map(|(container, _)| container_problems(container, limit(pod, &container.name))),
        );
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            component: label(marks::COMPONENT).unwrap_or_default(),
            job: label("batch.kubernetes.io/job-name"),
            version: label(marks::VERSION),
            phase: status
                .and_then(|status| status.phase.as_deref())
                .map(PodPhase::named)
                .unwrap_or_default(),
            ready: condition("Ready").is_some_and(|it| it.status == "True"),
            ready_since: condition("Ready")
                .and_then(|it| it.last_transition_time.as_ref())
                .map(|time| time.0),
            pace: pod.spec.as_ref().map(paces).unwrap_or_default(),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            address: status.and_then(|status| status.pod_ip.as_ref()?.parse().ok()),
            started: started(pod),
            containers: containers()
                .map(|(container, init)| container_run(container, init))
                .collect(),
            problems,
            pending: status.and_then(|status| {
                status
                    .init_container_statuses
                    .iter()
                    .flatten()
                    .find(|container| container.name == marks::PLAN_CONTAINER)?
                    .state
                    .as_ref()?
                    .terminated
                    .as_ref()?
                    .message
                    .as_deref()
                    .and_then(pending)
            }),
        }
    }
}

/// What its containers are told of a task processor's pace.
fn paces(pod: &PodSpec) -> ProcessorPace {
    let of = |container: &Container| {
        pace(
            container.args.as_deref().unwrap_or_default(),
            container.env.as_deref().unwrap_or_default(),
        )
    };
    let told = pod
        .containers
        .iter()
        .map(of)
        .find(|pace| *pace != ProcessorPace::default());
    told.unwrap_or_default()
}

/// What a container is told of a task processor's pace.
pub(super) fn pace(args: &[String], env: &[EnvVar]) -> ProcessorPace {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // Of two entries with one name the last counts.
    let value = |name: &str| env.iter().rfind(|it| it.name == name)?.value.as_deref();
    ProcessorPace::of(&args, value)
}

/// When the first container, which is Flagsmith, was started.
fn started(pod: &Pod) -> Option<Timestamp> {
    let first = &pod.spec.as_ref()?.containers.first()?.name;
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| status.name == *first)?;
    let running = status.state.as_ref()?.running.as_ref()?;
    running.started_at.as_ref().map(|time| time.0)
}

/// The termination message of the container that lists the plan: the number of migrations, then their names.
fn pending(message: &str) -> Option<Pending> {
    let mut lines = message.lines().map(str::trim);
    let count: i32 = lines.next()?.parse().ok()?;
    // The last name may have been cut.
    let whole = usize::from(!message.ends_with('\n'));
    let names: Vec<String> = lines
        .filter(|name| name.contains('.'))
        .map(str::to_owned)
        .collect();
    let kept = names.len().saturating_sub(whole);
    Some(Pending {
        count,
        names: names.into_iter().take(kept).collect(),
    })
}

fn container_run(container: &ContainerStatus, init: bool) -> ContainerRun {
    let failed = |state: Option<&ContainerState>| {
        let ended = state?.terminated.as_ref()?;
        (ended.exit_code != 0).then(|| ended.finished_at.as_ref().map(|time| time.0))?
    };
    let running = container.state.as_ref().and_then(|state| state.running.as_ref());
    ContainerRun {
        name: container.name.clone(),
        init,
        restarts: container.restart_count,
        running_since: running
            .and_then(|running| running.started_at.as_ref())
            .map(|time| time.0),
        failed: failed(container.state.as_ref()).or_else(|| failed(container.last_state.as_ref())),
        ready: container.ready,
    }
}

fn container_problems(container: &ContainerStatus, limit: Option<String>) -> Vec<PodProblem> {
    let ended = |state: Option<&ContainerState>| state.and_then(|state| state.terminated.clone());
    let last = ended(container.state.as_ref()).or_else(|| ended(container.last_state.as_ref()));
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.clone());
    let mut problems = Vec::new();
    if last
        .as_ref()
        .is_some_and(|ended| ended.reason.as_deref() == Some("OOMKilled"))
    {
        problems.push(PodProblem::OutOfMemory {
            restarts: container.restart_count,
            limit,
        });
    }
    let exited = container
        .state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    if let Some(ended) = exited.filter(|ended| ended.exit_code != 0) {
        problems.push(PodProblem::Failed {
            exit_code: ended.exit_code,
            reason: ended.reason.clone(),
            message: ended.message.as_deref().map(tail),
        });
    }
    match reason.as_deref() {
        Some("CrashLoopBackOff") => problems.push(PodProblem::CrashLoop {
            restarts: container.restart_count,
            exit_code: last.as_ref().map(|ended| ended.exit_code),
            reason: last.as_ref().and_then(|ended| ended.reason.clone()),
            message: last
                .as_ref()
                .and_then(|ended| ended.message.clone())
                .as_deref()
                .map(tail),
        }),
        Some(reason) if !NORMAL_WAITING.contains(&reason) => problems.push(PodProblem::Waiting {
            reason: reason.to_owned(),
            message: waiting
                .and_then(|waiting| waiting.message.clone())
                .unwrap_or_default(),
            image: container.image.clone(),
        }),
        _ => {}
    }
    problems
}

fn limit(pod: &Pod, container: &str) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    let limits = containers
        .iter()
        .find(|it| it.name == container)?
        .resources
        .as_ref()?
        .limits
        .as_ref()?;
    limits.get("memory").map(|quantity| quantity.0.clone())
}

fn tail(message: &str) -> String {
    let skip = message
        .char_indices()
        .rev()
        .nth(MESSAGE_LIMIT)
        .map_or(0, |(index, _)| index);
    message.get(skip..).unwrap_or_default().to_owned()
}
