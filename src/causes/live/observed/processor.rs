//! A task processor that is missing, idle, started the wrong way, or of another release than the API.

use super::{Code, Component, Diagnosis, Severity, diagnosis};
use crate::{
    flagsmith::{self, env},
    observe::{ContainerState, Observation, WorkloadState},
    validate::{Change, Installation, ManagedBy},
};

/// What starts a task processor that neither migrates nor, in any release since 2.170.0, fails to work.
const WORK: &[&str] = &["start", "task-processor"];

/// The verb that migrates first, and that never runs a task in some releases.
const VERB: &str = "run-task-processor";

/// What follows from a processor that never runs a task, and is then evidence.
const FOLLOWS: &[Code] = &[
    Code::TaskQueueStalled,
    Code::TaskQueueGrowing,
    Code::TasksStuckLocked,
];

pub(super) fn check(installation: &Installation, observation: &Observation, found: &mut Vec<Diagnosis>) {
    let Some(api) = &observation.api else { return };
    let Some(container) = api.container() else { return };
    let Some(processor) = &observation.task_processor else {
        found.extend(absent(installation, api, container));
        return;
    };
    let Some(runs) = processor.container() else { return };
    if let Some(mut cause) = broken(installation, processor, runs) {
        let follows = found.extract_if(.., |it| FOLLOWS.contains(&it.code));
        cause.evidence.extend(follows.flat_map(|it| it.evidence));
        found.insert(0, cause);
    }
    let both_ran = !starting(observation);
    if both_ran {
        found.extend(skew(installation, api, processor));
    }
    found.extend(idle(installation, api, container, processor));
    let newer = both_ran && api.release.is_some() && processor.release > api.release;
    found.extend(migrates(installation, processor, runs, newer));
}

/// How the API runs its tasks: `None` where a Secret behind `envFrom` may say.
fn method(api: &ContainerState) -> Option<&str> {
    let environment = &api.environment;
    match environment.value(env::TASK_RUN_METHOD) {
        None if environment.lacks(env::TASK_RUN_METHOD) => Some(""),
        value => value,
    }
}

fn described(method: &str) -> String {
    if method.is_empty() {
        "TASK_RUN_METHOD is not set, which means SEPARATE_THREAD".to_owned()
    } else {
        format!("TASK_RUN_METHOD is {method}")
    }
}

fn absent(installation: &Installation, api: &WorkloadState, container: &ContainerState) -> Option<Diagnosis> {
    let method = method(container)?;
    let tool = &installation.managed_by;
    let observation = format!("Deployment {}: {}", api.name, described(method));
    if method != env::QUEUED {
        return Some(diagnosis(
            Code::TaskRunMethodUnset,
            Severity::Info,
            Component::TaskProcessor,
            "The API runs its tasks (webhooks, audit log, scheduled changes) in threads of its own: they are lost when a pod stops, and scheduled ones are dropped.".to_owned(),
            vec![observation, "there is no task processor".to_owned()],
            tool.change(&[Change::EnableTaskProcessor]),
        ));
    }
    let named = matches!(tool, ManagedBy::Helm { .. });
    let hint = if named {
        String::new()
    } else {
        "If there is one, name its Deployment in spec.observe.components.taskProcessor. Otherwise: "
            .to_owned()
    };
    Some(diagnosis(
        Code::TaskProcessorMissing,
        if named { Severity::Critical } else { Severity::Warning },
        Component::TaskProcessor,
        "The API queues its tasks and no task processor takes them: webhooks, audit log and scheduled changes wait for ever.".to_owned(),
        vec![observation, "no Deployment of a task processor belongs to this installation".to_owned()],
        format!("{hint}{}", tool.change(&[Change::EnableTaskProcessor])),
    ))
}

/// Flagsmith 2.253.0 to 2.259.0 look for the literal argument `task-processor` (flagsmith-common 3.12.0).
fn broken(installation: &Installation, state: &WorkloadState, runs: &ContainerState) -> Option<Diagnosis> {
    let release = state
        .release
        .filter(|release| flagsmith::VERB_RUNS_NO_TASK.contains(release))?;
    if !runs.runs(VERB) || !runs.environment.lacks(env::RUN_BY_PROCESSOR) {
        return None;
    }
    let fixed = flagsmith::VERB_RUNS_NO_TASK.end.to_string();
    let tool = &installation.managed_by;
    Some(diagnosis(
        Code::TaskProcessorReleaseBroken,
        Severity::Critical,
        Component::TaskProcessor,
        format!(
            "Flagsmith {release} never runs a task when it is started with \"{VERB}\" (a defect of 2.253.0 to 2.259.0). The pod looks healthy."
        ),
        vec![format!(
            "Deployment {}: image tag {release}, command {:?}; RUN_BY_PROCESSOR is not set",
            state.name, runs.command
        )],
        format!(
            "Until you upgrade to {fixed} or later: {}. The upgrade: {}. Tasks that it has taken stay locked; see TasksStuckLocked.",
            tool.change(&[Change::Env(
                Component::TaskProcessor,
                env::RUN_BY_PROCESSOR,
                "true"
            )]),
            tool.change(&[
                Change::Tag(Component::Api, &fixed),
                Change::Tag(Component::TaskProcessor, &fixed),
            ]),
        ),
    ))
}

/// Whether a pod of the two has never run: whether its release even has an image is not known yet, and which release
/// both should have neither.
fn starting(observation: &Observation) -> bool {
    let both = [Component::Api.as_str(), Component::TaskProcessor.as_str()];
    observation.pods.iter().any(|pod| {
        both.contains(&pod.component.as_str())
            && !pod.terminating
            && pod.started.is_none()
            && pod.containers.iter().all(|container| container.restarts == 0)
    })
}

fn skew(installation: &Installation, api: &WorkloadState, processor: &WorkloadState) -> Option<Diagnosis> {
    let (of_api, of_processor) = (api.release?, processor.release?);
    if of_api == of_processor {
        return None;
    }
    // The newer one may have migrated already, so the older one follows.
    let newest = of_api.max(of_processor).to_string();
    let (behind, consequence) = if of_api < of_processor {
        (
            Component::Api,
            "the task processor may migrate the database under the older API",
        )
    } else {
        (
            Component::TaskProcessor,
            "a task that only the newer API knows leaves up to ten tasks locked for ever",
        )
    };
    let chart = matches!(installation.managed_by, ManagedBy::Helm { .. });
    let cause = if chart {
        " The chart's taskProcessor.image.tag does not follow api.image.tag."
    } else {
        ""
    };
    Some(diagnosis(
        Code::TaskProcessorVersionSkew,
        Severity::Warning,
        Component::TaskProcessor,
        format!("API and task processor run different releases: {consequence}.{cause}"),
        vec![
            format!("Deployment {}: image tag {of_api}", api.name),
            format!("Deployment {}: image tag {of_processor}", processor.name),
        ],
        installation.managed_by.change(&[Change::Tag(behind, &newest)]),
    ))
}

fn idle(
    installation: &Installation,
    api: &WorkloadState,
    container: &ContainerState,
    processor: &WorkloadState,
) -> Option<Diagnosis> {
    let method = method(container).filter(|method| *method != env::QUEUED)?;
    if processor.desired == 0 {
        return None;
    }
    let change = match &installation.managed_by {
        ManagedBy::Helm { .. } => Change::EnableTaskProcessor,
        _ => Change::Env(Component::Api, env::TASK_RUN_METHOD, env::QUEUED),
    };
    Some(diagnosis(
        Code::TaskRunMethodUnset,
        Severity::Warning,
        Component::TaskProcessor,
        "The API runs its tasks in threads of its own, so the task processor gets none: they are lost when a pod of the API stops, and scheduled ones are dropped.".to_owned(),
        vec![
            format!("Deployment {}: {}", api.name, described(method)),
            format!("Deployment {}: {} of {} pods ready", processor.name, processor.ready, processor.desired),
        ],
        installation.managed_by.change(&[change]),
    ))
}

fn migrates(
    installation: &Installation,
    processor: &WorkloadState,
    runs: &ContainerState,
    newer: bool,
) -> Option<Diagnosis> {
    if !runs.migrates() {
        return None;
    }
    let several = processor.desired > 1;
    Some(diagnosis(
        Code::TaskProcessorMigratesItself,
        if newer || several {
            Severity::Warning
        } else {
            Severity::Info
        },
        Component::TaskProcessor,
        format!(
            "The task processor migrates the database at every start{}.",
            if newer {
                ", to a release that is newer than the API's"
            } else if several {
                "; its pods race each other"
            } else {
                ", beside whatever else migrates"
            }
        ),
        vec![format!(
            "Deployment {}: command {:?}, {} pods",
            processor.name, runs.command, processor.desired
        )],
        installation
            .managed_by
            .change(&[Change::Start(Component::TaskProcessor, WORK)]),
    ))
}
