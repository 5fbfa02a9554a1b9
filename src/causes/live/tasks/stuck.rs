//! Tasks that a processor had picked up when it died.

use super::{
    super::{Code, Component, Diagnosis, Severity},
    QueueContext, age, locks, of_tasks, phrasing,
};
use crate::validate::Change;

pub(super) fn check(context: &QueueContext<'_>) -> Option<Diagnosis> {
    // Whose pods are not known might hold them.
    let state = context.observation.task_processor.as_ref()?;
    let locks = locks::tell(context.queue, &context.processors);
    let number = i64::try_from(locks.stuck.len())
        .ok()
        .filter(|number| *number > 0)?;
    let oldest = locks.stuck.iter().map(|lock| lock.due).max()?;
    let running = context.processors.iter().any(|pod| pod.started.is_some());
    let why = if running {
        "no processor that runs can hold them: they were picked up before it was started, or longer ago than their timeouts allow"
    } else {
        "no task processor runs that could hold them"
    };
    Some(of_tasks(
        Code::TasksStuckLocked,
        Severity::Warning,
        format!(
            "A task processor has ended while it held {}; nobody will run them, because the lock of a task never ends by itself.",
            phrasing::tasks(number),
        ),
        vec![
            format!(
                "{}: {} locked and not finished, the oldest due for {}: {}",
                context.source(),
                phrasing::tasks(number),
                age(oldest),
                phrasing::names(locks.stuck.iter().map(|lock| lock.identifier.as_str())),
            ),
            why.to_owned(),
        ],
        format!(
            "Some of them may have run already. If running them twice does no harm, stop the task processor: {}; wait until the pods of Deployment {} have ended, run UPDATE task_processor_task SET is_locked = false WHERE is_locked AND NOT completed AND num_failures < 3; and set the replicas again. To drop them instead: DELETE FROM task_processor_task with the same condition.",
            context
                .installation
                .managed_by
                .change(&[Change::Replicas(Component::TaskProcessor, 0)]),
            state.name
        ),
    ))
}
