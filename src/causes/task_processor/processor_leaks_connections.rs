//! A task processor holds far more connections than its threads can need.

use jiff::SignedDuration;

use super::shared::{
    diagnosis::diagnosis,
    processors::{Settings, processors},
};
use crate::{
    causes::{cause::Cause, context::Context, steps::count},
    model::{Code, Component, Draft, Severity, shell},
    observe::{PodSummary, database::Held},
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::TaskProcessor, include_str!("processor_leaks_connections.md"))
};

/// Connections that a thread can need: its own, and that of the task which it runs, each to the main database, to a
/// separate one of tasks and to one of analytics, all at one server.
const PER_THREAD: i64 = 6;

/// Connections beside those: of the threads that answer health checks, each to as many databases.
const HEALTH: i64 = 6;

/// How long it has to have them: those of threads that have ended go when Python's garbage collector comes by, which it
/// does every few seconds in a process with much to do and little in memory.
const STEADILY: SignedDuration = SignedDuration::from_mins(1);

fn check(context: &Context<'_>) -> Vec<Draft> {
    let Some(held) = &context.observation.queues.held else {
        return Vec::new();
    };
    let next = Settings::of(context.installation);
    processors(context.observation)
        .into_iter()
        .filter_map(|pod| {
            let threads = next.of_pod(pod).threads;
            leaks(context, held, pod, threads)
        })
        // Replicas leak alike.
        .take(1)
        .collect()
}

fn leaks(context: &Context<'_>, held: &Held, pod: &PodSummary, threads: i32) -> Option<Draft> {
    // Behind a pooler or a translated address nobody connects from the pod's own.
    let address = pod.address?;
    let its_own = || held.holders.iter().filter(|holder| holder.address == Some(address));
    let connections: i64 = its_own().map(|holder| holder.connections).sum();
    let since = its_own().filter_map(|holder| holder.many_since).min()?;
    let needs = i64::from(threads) * PER_THREAD + HEALTH;
    if connections <= needs || held.at.duration_since(since) < STEADILY {
        return None;
    }
    let free = held.connections.for_others();
    let severity = if connections * 2 > free { Severity::Warning } else { Severity::Info };
    Some(diagnosis(
        Code::TaskProcessorLeaksConnections,
        severity,
        format!(
            "A pod of the task processor holds {} database connections; its {threads} threads can use {needs} at most. \
             Those of threads that have ended stay until Python's garbage collector comes by, which it rarely does.",
            count(connections)
        ),
        vec![format!(
            "database: {} of {free} connections come from {address}, which is pod {}",
            count(connections),
            pod.name
        )],
        format!(
            "Restart it, which releases them: kubectl -n {} rollout restart deployment {}",
            shell::name(&context.installation.identity.namespace, "NAMESPACE"),
            shell::name(
                context.observation.task_processor.as_ref().map_or("", |state| state.name.as_str()),
                "TASK_PROCESSOR"
            ),
        ),
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::task_processor::shared::testing::{at, found, processor, with_queue},
        model::{Code, Severity},
        observe::database::{Connections, Held, Holder},
    };

    #[rstest]
    #[case::as_many_as_it_needs(12, 200, "10.0.0.9", None, None, None)]
    #[case::a_busy_one_with_three_databases(36, 200, "10.0.0.9", None, None, None)]
    #[case::half_of_all(118, 200, "10.0.0.9", None, Some(60), Some(Severity::Warning))]
    #[case::some_of_many(118, 1_000, "10.0.0.9", None, Some(60), Some(Severity::Info))]
    #[case::its_many_threads(118, 200, "10.0.0.9", Some(30), Some(60), None)]
    #[case::somebody_elses(118, 200, "10.0.0.8", None, Some(60), None)]
    #[case::until_they_are_collected(118, 200, "10.0.0.9", None, Some(59), None)]
    fn connections_of_a_processor(
        #[case] connections: i64,
        #[case] limit: i64,
        #[case] from: &str,
        #[case] threads: Option<i32>,
        #[case] many_for: Option<i64>,
        #[case] expected: Option<Severity>,
    ) {
        let mut observation = with_queue(|_| {});
        let mut pod = processor(0);
        pod.address = "10.0.0.9".parse().ok();
        pod.pace.threads = threads;
        observation.pods = vec![pod];
        observation.queues.held = Some(Held {
            at: at(3_600),
            connections: Connections { limit, reserved: 3, used: connections + 10 },
            holders: vec![Holder {
                user: "flagsmith".to_owned(),
                database: "flagsmith".to_owned(),
                application: String::new(),
                address: from.parse().ok(),
                connections,
                many_since: many_for.map(|seconds| at(3_600 - seconds)),
            }],
        });
        let told: Vec<_> = found(&observation).iter().map(|it| (it.code, it.severity)).collect();
        let expected: Vec<_> =
            expected.into_iter().map(|severity| (Code::TaskProcessorLeaksConnections, severity)).collect();
        assert_eq!(told, expected);
    }
}
