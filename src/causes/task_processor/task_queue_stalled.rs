//! No processor works on the queue.

use jiff::{SignedDuration, Timestamp};

use super::shared::{
    diagnosis::diagnosis,
    locks,
    processors::{Settings, ready_since},
    queue::{QueueContext, queues, waiting},
    sql,
};
use crate::{
    causes::{
        cause::{Cause, Explains},
        context::Context,
        log::{
            evidence::{LogEvidence, LogLocation, Occurrence},
            failure::FailureDetails,
            finding::{Aftermath, Explanation, Finding},
            phrasing,
            rule::{Rule, Signature},
            tasks::UNHEALTHY_QUIET_SECONDS,
            timeline::{HEALTH_QUIET_SECONDS, ProcessTimeline},
        },
        steps::{age, count, setting},
    },
    flagsmith::Release,
    logs::time::Moment,
    model::{Code, Component, Draft, Severity, shell},
    observe::database::{Blocker, Queue, Sample},
    validate::Change,
};

/// Warnings about unhealthy threads, one each second, from which on they are not a long batch: with the grace
/// period of 20.5 s before the first, a thread has then been busy for half a minute.
const UNHEALTHY_WARNINGS: u64 = 10;
/// Questions for the next tasks that were cancelled, from which on it is not one slow moment.
const CANCELLED: u64 = 5;
/// Seconds without one after which the queue counts as readable again; a processor asks every half second.
const CANCELLED_QUIET_SECONDS: i64 = 60;

/// What two looks may differ in of the same time: the operator's clock is read before the database's, and a question
/// may take two seconds.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(5);

/// Releases in which a task that ran into its timeout blocked its thread for ever (fixed in flagsmith-common 2.2.3,
/// Flagsmith 2.200.0).
const THREADS_STICK_SINCE: Release = Release::new(2, 160, 0);
const THREADS_STICK_UNTIL: Release = Release::new(2, 200, 0);

pub(crate) static CAUSE: Cause = Cause {
    explains: &[Explains::everywhere(&[Code::TaskQueueGrowing])],
    log: &[&HEALTH_CHECK],
    in_logs: Some(in_logs),
    check: Some(check),
    ..Cause::critical(Component::TaskProcessor, include_str!("task_queue_stalled.md"))
};

/// Flagsmith's own health check queues a task and waits for it.
static HEALTH_CHECK: Rule<()> = Rule {
    precedence: 230,
    signatures: &[Signature::of_words((), &["Task processor is unable to process tasks"])],
    details: |_, ()| Some(FailureDetails::default()),
    explain: explain_health_check,
    is_over: Some(|_, timeline, occurrence| {
        Some(timeline.seconds_since(occurrence.last.time) >= HEALTH_QUIET_SECONDS)
    }),
};

fn explain_health_check(evidence: &LogEvidence, occurrence: &Occurrence, (): ()) -> Explanation {
    if let Some(ended) = &evidence.tasks.coordinator_ended {
        return explain_end(ended);
    }
    Explanation::new(
        Code::TaskQueueStalled,
        format!(
            "The task processor's own check found {} that a task which it had queued was not run within 1.5 s: no \
             processor works on the queue, or it is too long.",
            phrasing::times(occurrence.count)
        ),
        format!(
            "See whether a task processor runs with the same DATABASE_URL and release, and how long the queue is: {}",
            sql::READY
        ),
    )
}

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    coordinator_ended(evidence).or_else(|| unreadable(evidence)).or_else(|| hanging(evidence))
}

/// The thread that hands out tasks has ended at its start. The process goes on without it: it answers its probes
/// and never runs a task (flagsmith-common 3.9.0 to 3.13.1, `TaskRunnerCoordinator.run`).
///
/// What ended it is the cause while it lasts, and restarting is what is left to do afterwards. What passes by itself
/// has passed for all but this thread.
fn coordinator_ended(evidence: &LogEvidence) -> Option<Finding> {
    let ended = evidence.tasks.coordinator_ended.as_ref()?;
    let connections = Code::ALL.iter().filter(|code| code.cause().is_connection);
    Some(Finding {
        explains: connections.copied().collect(),
        aftermath: Some(Aftermath {
            passing: &[Code::DatabaseConnectionLost, Code::DatabaseStarting],
            then: " Then restart the task processor (kubectl rollout restart deployment/TASK_PROCESSOR): the thread that hands out tasks ended because of \
                   this, and the pod looks healthy without it.",
        }),
        ..Finding::new(explain_end(ended), vec![ended.clone()])
    })
}

fn explain_end(ended: &LogLocation) -> Explanation {
    Explanation::new(
        Code::TaskQueueStalled,
        format!(
            "The task processor runs no task: the thread that hands them out ended at its start ({}). The process goes on \
             without it, so the pod looks healthy.",
            ended.excerpt()
        ),
        "Restart the task processor (kubectl rollout restart deployment/TASK_PROCESSOR); if the thread ends with the same error again, fix its \
         reason first.",
    )
    .with(Severity::Critical)
}

/// Each time the processor asks for tasks the server cancels the question: a table of millions of rows that is not
/// cleaned up (<https://github.com/Flagsmith/flagsmith/issues/4271>).
fn unreadable(evidence: &LogEvidence) -> Option<Finding> {
    let cancelled = evidence.tasks.cancelled.as_ref()?;
    let quiet = quiet(evidence, &cancelled.last, |life| life.last_time);
    if cancelled.count < CANCELLED || quiet >= CANCELLED_QUIET_SECONDS {
        return None;
    }
    let explained = Explanation::new(
        Code::TaskQueueStalled,
        format!(
            "The task processor cannot read its queue: the server cancelled its question for the next tasks {}, because it \
             took longer than statement_timeout allows. Most often the task table is too large, because finished tasks are \
             not deleted, or has not been vacuumed.",
            phrasing::times(cancelled.count)
        ),
        format!(
            "See how large it is: {} with many dead rows: VACUUM ANALYZE task_processor_task; with many live ones see that \
             ENABLE_CLEAN_UP_OLD_TASKS is not false, and delete finished ones in parts. Until then: ALTER ROLE ROLE SET \
             statement_timeout = '5min'; and restart the task processor.",
            sql::SIZES
        ),
    );
    Some(Finding::new(explained, vec![cancelled.first.clone(), cancelled.last.clone()]))
}

/// Threads do not come back for the next task.
fn hanging(evidence: &LogEvidence) -> Option<Finding> {
    let unhealthy = evidence.tasks.unhealthy.as_ref()?;
    let end = |life: &ProcessTimeline| match life.stopping {
        Some((line, time)) if line > unhealthy.last.line => time,
        _ => life.last_time,
    };
    if unhealthy.warnings < UNHEALTHY_WARNINGS
        || quiet(evidence, &unhealthy.last, end) > UNHEALTHY_QUIET_SECONDS
    {
        return None;
    }
    let seconds = unhealthy.last.time.zip(unhealthy.first.time).map_or_else(
        || format!("{} warnings long", unhealthy.warnings),
        |(last, first)| format!("for {} s on top of the grace period", last.seconds_since(first)),
    );
    let threads = match unhealthy.threads {
        1 => "A thread".to_owned(),
        threads => format!("{threads} threads"),
    };
    let explained = Explanation::new(
        Code::TaskQueueStalled,
        format!(
            "{threads} of the task processor did not come back for the next task, {seconds}, and still had not at the end of \
             the log: stuck in a task or waiting for the database. What was picked up with that task waits behind it."
        ),
        format!(
            "See what they wait for: {} and what is locked: {} then restart the task processor. In {THREADS_STICK_SINCE} to \
             2.199.x one task over its time limit blocks its thread forever: upgrade to {THREADS_STICK_UNTIL} or later.",
            sql::SESSIONS,
            sql::LOCKED
        ),
    )
    .with(Severity::Warning);
    Some(Finding::new(explained, vec![unhealthy.first.clone(), unhealthy.last.clone()]))
}

/// Seconds from what was seen last to the latest end of a process.
fn quiet(
    evidence: &LogEvidence,
    last: &LogLocation,
    end: impl Fn(&ProcessTimeline) -> Option<Moment>,
) -> i64 {
    let ends = evidence.sources.iter().filter_map(|source| end(&source.life));
    ends.max().zip(last.time).map_or(0, |(end, last)| end.seconds_since(last))
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    queues(context).iter().filter_map(silent).collect()
}

/// A processor is there, and takes no tasks.
fn silent(context: &QueueContext<'_>) -> Option<Draft> {
    let queue = context.queue;
    let settings = Settings::running(context.installation, context.observation);
    let patience = settings.silence();
    // At the time of the look: a look may be a minute old, and what it saw soon after the start of a processor was left
    // behind by the one before.
    let since = ready_since(context.observation)?.max(restored(queue));
    if queue.at.duration_since(since) <= patience {
        return None;
    }
    let locks = locks::tell(queue, &context.processors);
    // Every thread works on a batch: then none of them comes to look at recurring tasks.
    if locks.live >= context.threads() {
        return None;
    }
    let source = context.source();
    let sign = sign(queue, locks.live, patience, settings.sleep)?;
    let mut evidence = vec![format!("{source}: {sign}")];
    evidence.extend(waiting(queue).map(|waiting| format!("{source}: {waiting}")));
    evidence.extend(queue.blockers.iter().map(|blocker| told(&source, blocker)));
    Some(diagnosis(
        Code::TaskQueueStalled,
        Severity::Critical,
        "No task is picked up although the task processor's pod is Running and Ready. Webhooks, audit log and scheduled \
         changes are waiting.",
        evidence,
        remedy(context),
    ))
}

/// The last look that found a newer sign of a processor than this one: the tables have been replaced by older ones since
/// (a restored backup), and every age in them was inherited.
fn restored(queue: &Queue) -> Timestamp {
    let picked = queue.picked();
    let newer = |sample: &&Sample| {
        let before = sample.picked;
        before.zip(picked).is_some_and(|(before, now)| before.duration_since(now) > CLOCKS_DIFFER)
    };
    queue.before.iter().rfind(newer).map_or(Timestamp::MIN, |sample| sample.at)
}

/// What shows that no processor looks at the queue; `None` where one does.
fn sign(queue: &Queue, live: usize, patience: SignedDuration, sleep: SignedDuration) -> Option<String> {
    match queue.heartbeat() {
        Some(heartbeat) if heartbeat > patience => Some(format!(
            "last look of a processor at the queue {} ago (a live one looks at least every {})",
            age(heartbeat),
            setting(sleep),
        )),
        Some(_) => None,
        // Without a recurring task only the queue itself tells.
        None => {
            let waits = queue.oldest_ready.is_some_and(|oldest| oldest > patience);
            let works = live > 0 || queue.last_success().is_some_and(|age| age <= patience);
            (waits && !works).then(|| {
                "no task has been picked up or finished meanwhile, and no recurring task shows when a processor looked last"
                    .to_owned()
            })
        }
    }
}

fn told(source: &str, blocker: &Blocker) -> String {
    let sessions = if blocker.waiting == 1 {
        "a session waits".to_owned()
    } else {
        format!("{} sessions wait", count(blocker.waiting))
    };
    let open =
        blocker.open.map_or_else(String::new, |open| format!(", in a transaction open for {}", age(open)));
    format!(
        "{source}: {sessions} for a lock held by pid {}, application \"{}\", {}, role \"{}\"{open}",
        blocker.pid, blocker.application, blocker.state, blocker.user,
    )
}

fn remedy(context: &QueueContext<'_>) -> String {
    if let Some(blocker) = context.queue.blockers.first() {
        return format!(
            "End that session: SELECT pg_terminate_backend({}); the processor goes on by itself.",
            blocker.pid
        );
    }
    let state = context.observation.task_processor.as_ref();
    let restart = format!(
        "kubectl -n {} rollout restart deployment {}",
        shell::name(&context.installation.identity.namespace, "NAMESPACE"),
        shell::name(state.map_or("", |state| state.name.as_str()), "TASK_PROCESSOR"),
    );
    let sticks = state
        .and_then(|state| state.release)
        .is_some_and(|release| (THREADS_STICK_SINCE..THREADS_STICK_UNTIL).contains(&release));
    if sticks {
        let fixed = THREADS_STICK_UNTIL.to_string();
        format!(
            "Restart it: {restart}. In this release a task beyond its timeout blocks its thread forever; upgrade to {fixed} \
             or later: {}",
            context.installation.managed_by.change(&[
                Change::Tag(Component::Api, &fixed),
                Change::Tag(Component::TaskProcessor, &fixed)
            ]),
        )
    } else {
        format!("See its log for \"Error handling tasks from database\", then restart it: {restart}")
    }
}

#[cfg(test)]
mod tests;
