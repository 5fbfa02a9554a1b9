//! Tasks are locked and no processor works on them.

use super::shared::{
    diagnosis::diagnosis,
    locks,
    queue::{QueueContext, queues},
    sql,
};
use crate::{
    causes::{
        prelude::*,
        steps::{age, names, tasks},
    },
    model::shell,
    validate::Change,
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::TaskProcessor, include_str!("tasks_stuck_locked.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    queues(context).iter().filter_map(stuck).collect()
}

fn stuck(context: &QueueContext<'_>) -> Option<Draft> {
    // Whose pods are not known might hold them.
    let state = context.observation.task_processor.as_ref()?;
    let locks = locks::tell(context.queue, &context.processors);
    let number = i64::try_from(locks.stuck.len()).ok().filter(|number| *number > 0)?;
    let oldest = locks.stuck.iter().map(|lock| lock.due).max()?;
    let why = if context.running() > 0 {
        "no processor that runs can hold them: they were picked up before it was started, or longer ago than their timeouts \
         allow"
    } else {
        "no task processor runs that could hold them"
    };
    let stop = context.installation.managed_by.change(&[Change::Replicas(Component::TaskProcessor, 0)]);
    Some(diagnosis(
        Code::TasksStuckLocked,
        Severity::Warning,
        format!(
            "A task processor has ended while it held {}; they will never be run, because the lock of a task never ends by \
             itself.",
            tasks(number),
        ),
        vec![
            format!(
                "{}: {} locked and not finished, the oldest due for {}: {}",
                context.source(),
                tasks(number),
                age(oldest),
                names(locks.stuck.iter().map(|lock| lock.identifier.as_str())),
            ),
            why.to_owned(),
        ],
        remedy(&stop, &state.name),
    ))
}

fn remedy(stop: &str, deployment: &str) -> String {
    format!(
        "Some of them may have run already. If running them twice does no harm, stop the task processor: {stop}; wait until \
         the pods of Deployment {} have ended, run {} and set the replicas again. To drop them instead: DELETE FROM \
         task_processor_task with the same condition.",
        shell::name(deployment, "TASK_PROCESSOR"),
        sql::UNLOCK,
    )
}

#[cfg(test)]
mod tests {
    use super::remedy;
    use crate::{
        causes::task_processor::shared::testing::{
            HOSTILE, NOW, assert_harmless, assert_typed_at_helm, codes, found, lock, processor, with_queue,
        },
        model::Code,
    };

    #[test]
    fn locks_of_a_dead_processor_are_told_with_the_statement_that_frees_them() {
        let mut observation = with_queue(|queue| {
            queue.locked = 12;
            queue.locks = (0..12).map(|id| lock(id, 99_700, 60)).collect();
        });
        assert_eq!(found(&observation), [], "the processor may be at it");
        // The look a minute ago found a newer transaction, and the container was started afterwards.
        observation.pods = vec![processor(NOW - 30)];
        let found = found(&observation);
        assert_eq!(codes(&observation), [Code::TasksStuckLocked]);
        let first = found.first().unwrap();
        assert!(first.message.contains("it held more than 10 tasks;"), "{first:?}");
        assert!(first.remedy.contains("UPDATE task_processor_task SET is_locked = false"), "{first:?}");
        assert!(first.evidence.iter().any(|line| line.contains("tasks.call_webhook")), "{first:?}");
    }

    #[test]
    fn the_remedy_can_be_typed_at_the_chart() {
        let mut observation = with_queue(|queue| queue.locks = vec![lock(1, 99_700, 60)]);
        observation.pods = vec![processor(NOW - 30)];
        assert_typed_at_helm(&observation, Code::TasksStuckLocked, "--set taskProcessor.replicacount=0");
    }

    #[test]
    fn a_hostile_name_is_not_repeated_beside_a_command() {
        for hostile in HOSTILE {
            assert_harmless(&remedy("stop it", hostile), "");
        }
    }
}
