//! Pods, reduced to what keeps them from running well. Pure conversions.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use super::{ContainerRun, Pending, PodProblem, PodSummary};
use crate::model::child::marks;

/// Characters of a termination message that are kept; the cause stands at its end.
const MESSAGE_LIMIT: usize = 4096;

/// Waiting reasons of a start that takes its normal course.
const NORMAL_WAITING: &[&str] = &["ContainerCreating", "PodInitializing"];

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
            phase: status.and_then(|status| status.phase.clone()).unwrap_or_default(),
            ready: condition("Ready").is_some_and(|it| it.status == "True"),
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
