//! A processor is there, and nobody takes tasks.

use jiff::SignedDuration;

use super::{
    super::{Code, Component, Diagnosis, Severity},
    QueueContext, age, locks, of_tasks,
};
use crate::{flagsmith::Release, validate::Change};

/// How long a healthy processor may be silent beyond its sleep interval: every thread looks at one recurring task
/// between two batches, so that with a thread to spare the newest look is seconds old. A minute also covers a
/// restart of the container that no look at the pods has shown.
const SILENT: SignedDuration = SignedDuration::from_secs(60);

/// Releases in which a task that ran into its timeout blocked its thread for ever (fixed in flagsmith-common 2.2.3,
/// Flagsmith 2.200.0).
const THREADS_STICK_SINCE: Release = Release::new(2, 160, 0);
const THREADS_STICK_UNTIL: Release = Release::new(2, 200, 0);

/// How long a healthy processor may be silent that sleeps for so long between two looks.
pub(super) const fn silence(sleep: SignedDuration) -> SignedDuration {
    SILENT.saturating_add(sleep.saturating_mul(2))
}

pub(super) fn check(context: &QueueContext<'_>) -> Option<Diagnosis> {
    let queue = context.queue;
    let patience = silence(context.settings.sleep);
    if !context.settled(patience) {
        return None;
    }
    let locks = locks::tell(queue, &context.processors);
    // Every thread works on a batch: then none of them comes to look at recurring tasks.
    if locks.live >= context.threads() {
        return None;
    }
    let sign = match queue.heartbeat() {
        Some(heartbeat) if heartbeat > patience => format!(
            "last look of a processor at the queue {} ago (a live one looks at least every {})",
            age(heartbeat),
            super::phrasing::setting(context.settings.sleep),
        ),
        Some(_) => return None,
        // Without a recurring task only the queue itself tells.
        None => {
            let waits = queue.oldest_ready.is_some_and(|oldest| oldest > patience);
            let works = locks.live > 0 || queue.last_success().is_some_and(|age| age <= patience);
            if !waits || works {
                return None;
            }
            "no task has been picked up or finished meanwhile, and no recurring task shows when a processor looked last".to_owned()
        }
    };
    let mut evidence = vec![format!("{}: {sign}", context.source())];
    evidence.extend(
        context
            .waiting()
            .map(|waiting| format!("{}: {waiting}", context.source())),
    );
    evidence.extend(queue.blockers.iter().map(|blocker| {
        format!(
            "{}: {} for a lock held by pid {}, application \"{}\", {}",
            context.source(),
            if blocker.waiting == 1 {
                "a session waits".to_owned()
            } else {
                format!("{} sessions wait", super::phrasing::count(blocker.waiting))
            },
            blocker.pid,
            blocker.application,
            blocker.state,
        )
    }));
    Some(of_tasks(
        Code::TaskQueueStalled,
        Severity::Critical,
        "No task is picked up although the task processor's pod is Running and Ready. Webhooks, audit log and scheduled changes are waiting.".to_owned(),
        evidence,
        remedy(context),
    ))
}

fn remedy(context: &QueueContext<'_>) -> String {
    if let Some(blocker) = context.queue.blockers.first() {
        return format!(
            "End that session: SELECT pg_terminate_backend({}); the processor goes on by itself.",
            blocker.pid
        );
    }
    let namespace = &context.installation.identity.namespace;
    let state = context.observation.task_processor.as_ref();
    let restart = format!(
        "kubectl -n {namespace} rollout restart deployment {}",
        state.map_or("TASK_PROCESSOR", |state| state.name.as_str()),
    );
    let sticks = state
        .and_then(|state| state.release)
        .is_some_and(|release| (THREADS_STICK_SINCE..THREADS_STICK_UNTIL).contains(&release));
    if sticks {
        let fixed = THREADS_STICK_UNTIL.to_string();
        format!(
            "Restart it: {restart}. In this release a task beyond its timeout blocks its thread for ever; upgrade to {fixed} or later: {}",
            context.installation.managed_by.change(&[
                Change::Tag(Component::Api, &fixed),
                Change::Tag(Component::TaskProcessor, &fixed)
            ]),
        )
    } else {
        format!("See its log for \"Error handling tasks from database\", then restart it: {restart}")
    }
}
