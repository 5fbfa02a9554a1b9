//! Which logs of an installation's pods are worth a request now. Pure.
//!
//! Pods in trouble first: the last run of a container that failed is read once, the present run of one that does
//! not become ready again and again. Logs of pods that are well are followed, or sampled one at a time: new lines only.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    super::pod::{ContainerRun, PodSummary},
    findings::{LogReading, Run},
};
use crate::{flagsmith::startup, model::Component, runtime::clock};

/// How long what a sample showed counts: troubles of a running process come back within minutes, or are over.
pub(super) const REMEMBERED: SignedDuration = SignedDuration::from_mins(3);

/// How often the log of a container that is not ready is read again.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// How often one healthy pod of an installation is sampled: with it an installation costs about one request a
/// minute while nothing is wrong.
pub(super) const SAMPLE: SignedDuration = SignedDuration::from_secs(55);

/// How long before its pod is called unready a trouble begins: three failed checks, five seconds apart, each of which may
/// take five.
const UNREADY_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// The most logs of pods in trouble that one pass reads: replicas of one template share their trouble.
const AT_ONCE: usize = 4;

/// How far back a single look reads the log of a pod that is well.
const ONE_LOOK: SignedDuration = SignedDuration::from_mins(10);

/// The most logs that a single look reads.
const ONE_LOOK_AT: usize = 16;

/// A log to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogRequest {
    pub pod: String,
    pub container: String,
    pub component: Component,
    pub run: Run,
    /// The kubelet has to be asked for the run before the present one.
    pub previous: bool,
    /// Of a run that is not ready, since when its lines count: what it logged while it was well is not the reason.
    pub since: Option<Timestamp>,
}

impl LogRequest {
    /// What the evidence calls this log.
    pub(super) fn name(&self) -> String {
        match self.run {
            Run::Failed { .. } => format!("log of pod {}, last run", self.pod),
            Run::Unready | Run::Sample(_) => format!("log of pod {}", self.pod),
        }
    }
}

/// What to read now, given what was read before, and which pods' logs are followed.
pub(super) fn wanted(
    pods: &[PodSummary],
    known: &[LogReading],
    followed: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Vec<LogRequest> {
    let mut wanted: Vec<LogRequest> = pods
        .iter()
        .filter(|pod| !pod.terminating && !pod.ready)
        .flat_map(|pod| {
            pod.containers.iter().filter_map(move |container| troubled(pod, container, known, now))
        })
        .take(AT_ONCE)
        .collect();
    wanted.extend(sample(pods, known, followed, now));
    wanted
}

fn troubled(
    pod: &PodSummary,
    container: &ContainerRun,
    known: &[LogReading],
    now: Timestamp,
) -> Option<LogRequest> {
    let read = || known.iter().filter(|known| known.pod == pod.name && known.container == container.name);
    let component = component(pod, container)?;
    let wanted = |run, previous| LogRequest {
        pod: pod.name.clone(),
        container: container.name.clone(),
        component,
        since: pod.ready_since.filter(|_| run == Run::Unready).map(|since| since - UNREADY_AFTER),
        run,
        previous,
    };
    let restarts = container.restarts;
    let failed = Run::Failed { restarts };
    if container.failed.is_some() && !read().any(|known| known.run == failed) {
        // While the container waits for its next start the kubelet still calls the failed run the present one.
        return Some(wanted(failed, container.running_since.is_some()));
    }
    let stale =
        read().filter(|known| known.run == Run::Unready).all(|known| clock::since(known.at, now) >= AGAIN);
    // An init container that runs for long is a migration, or waits for something: both say so in their log.
    (stale && hangs(container, now)).then(|| wanted(Run::Unready, false))
}

/// Whether the present run is up for longer than a start takes, and not ready.
fn hangs(container: &ContainerRun, now: Timestamp) -> bool {
    let since = container.running_since;
    !container.ready && since.is_some_and(|since| now.duration_since(since) >= startup::USUALLY)
}

/// When a pod that is well was read last.
fn last(pod: &str, known: &[LogReading]) -> Option<Timestamp> {
    let of_pod = known.iter().filter(|known| known.pod == pod && matches!(known.run, Run::Sample(_)));
    of_pod.map(|known| known.at).max()
}

/// How long it takes until a pod that is well is read again, where the `latest` reading was then.
pub(super) fn until_sample(latest: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(SAMPLE.saturating_sub(clock::since(latest, now))).unwrap_or_default()
}

/// The healthy pod that was sampled least recently, when one is due.
fn sample(
    pods: &[PodSummary],
    known: &[LogReading],
    followed: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Option<LogRequest> {
    let sampled = || pods.iter().filter(|pod| !followed(&pod.name));
    let latest = sampled().filter_map(|pod| last(&pod.name, known)).max();
    if latest.is_some_and(|latest| !until_sample(latest, now).is_zero()) {
        return None;
    }
    sampled()
        .filter_map(|pod| new_lines(pod, known, now))
        .min_by_key(|request| (last(&request.pod, known), request.pod.clone()))
}

/// The logs of pods that are well, each from where it was read before.
pub(super) fn of_the_well(pods: &[PodSummary], known: &[LogReading], now: Timestamp) -> Vec<LogRequest> {
    pods.iter().filter_map(|pod| new_lines(pod, known, now)).collect()
}

/// What a pod of API or task processor that is well has logged since it was read last.
fn new_lines(pod: &PodSummary, known: &[LogReading], now: Timestamp) -> Option<LogRequest> {
    if !is_well(pod) {
        return None;
    }
    let container = pod.containers.iter().find(|container| !container.init && !container.sidecar)?;
    let component =
        component(pod, container).filter(|it| matches!(it, Component::Api | Component::TaskProcessor))?;
    // What was logged before is forgotten in a process that has read all along: one that begins, as after a restart of
    // the operator, does not raise it anew.
    let began = container.running_since.map(|since| since.max(now - REMEMBERED));
    Some(LogRequest {
        pod: pod.name.clone(),
        container: container.name.clone(),
        component,
        run: Run::Sample(last(&pod.name, known).or(began)?),
        previous: false,
        since: None,
    })
}

/// Whether a pod serves.
fn is_well(pod: &PodSummary) -> bool {
    pod.ready && !pod.terminating
}

/// What a command reads that looks once: of every pod that is not well as a pass would, of all others what they
/// logged lately.
pub(super) fn all(pods: &[PodSummary], now: Timestamp) -> Vec<LogRequest> {
    let pods = || pods.iter().filter(|pod| !pod.terminating);
    let troubled = pods().filter(|pod| !pod.ready).flat_map(|pod| {
        pod.containers.iter().flat_map(move |container| {
            let first = troubled(pod, container, &[], now);
            // The run that failed may be long past: the present one says what is wrong now.
            let present =
                first.clone().filter(|it| it.previous && hangs(container, now)).map(|it| LogRequest {
                    run: Run::Unready,
                    previous: false,
                    since: pod.ready_since.map(|since| since - UNREADY_AFTER),
                    ..it
                });
            [first, present].into_iter().flatten()
        })
    });
    let well = pods().filter(|pod| pod.ready).filter_map(|pod| {
        let container = pod.containers.iter().find(|container| !container.init && !container.sidecar)?;
        Some(LogRequest {
            pod: pod.name.clone(),
            container: container.name.clone(),
            component: component(pod, container)?,
            run: Run::Sample(container.running_since?.max(now - ONE_LOOK)),
            previous: false,
            since: None,
        })
    });
    troubled.chain(well).take(ONE_LOOK_AT).collect()
}

/// Whose log it is. The official chart migrates in an init container of the API.
fn component(pod: &PodSummary, container: &ContainerRun) -> Option<Component> {
    use Component::{Api, EdgeProxy, Frontend, Migrations, TaskProcessor};
    match pod.component {
        _ if container.sidecar => None,
        _ if container.init && container.name.contains("migrat") => Some(Migrations),
        Some(component @ (Api | TaskProcessor | Frontend | EdgeProxy | Migrations)) => Some(component),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::model::PodPhase;

    const NOW: &str = "2026-11-24T10:00:00Z";

    fn nobody(_: &str) -> bool {
        false
    }

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn ago(seconds: i64) -> Timestamp {
        now() - SignedDuration::from_secs(seconds)
    }

    fn container(restarts: i32, running: Option<i64>, failed: Option<i64>, ready: bool) -> ContainerRun {
        ContainerRun {
            name: "flagsmith".to_owned(),
            init: false,
            sidecar: false,
            restarts,
            running_since: running.map(ago),
            failed: failed.map(ago),
            ready,
        }
    }

    fn pod(name: &str, container: ContainerRun) -> PodSummary {
        PodSummary {
            name: name.to_owned(),
            component: Some(Component::Api),
            phase: PodPhase::Running,
            ready: container.ready,
            containers: vec![container],
            ..PodSummary::default()
        }
    }

    fn reading(pod: &str, run: Run, seconds: i64) -> LogReading {
        LogReading {
            pod: pod.to_owned(),
            container: "flagsmith".to_owned(),
            component: Component::Api,
            run,
            at: ago(seconds),
            found: Vec::new(),
        }
    }

    #[rstest]
    #[case::waiting_for_its_next_start(container(2, None, Some(3), false), vec![], Some((Run::Failed { restarts: 2 }, false)))]
    #[case::started_again(container(2, Some(3), Some(5), false), vec![], Some((Run::Failed { restarts: 2 }, true)))]
    #[case::read_already(container(2, Some(3), Some(5), false), vec![reading("a", Run::Failed { restarts: 2 }, 1)], None)]
    #[case::failed_once_more(container(3, None, Some(1), false), vec![reading("a", Run::Failed { restarts: 2 }, 9)], Some((Run::Failed { restarts: 3 }, false)))]
    #[case::starting(container(0, Some(10), None, false), vec![], None)]
    #[case::not_becoming_ready(container(0, Some(20), None, false), vec![], Some((Run::Unready, false)))]
    #[case::read_a_moment_ago(container(0, Some(40), None, false), vec![reading("a", Run::Unready, 20)], None)]
    #[case::read_a_while_ago(container(0, Some(60), None, false), vec![reading("a", Run::Unready, 31)], Some((Run::Unready, false)))]
    #[case::read_before_the_clock_was_set_back(container(0, Some(60), None, false), vec![reading("a", Run::Unready, -86_400)], Some((Run::Unready, false)))]
    #[case::well(container(0, Some(60), None, true), vec![reading("a", Run::Sample(ago(90)), 20)], None)]
    #[case::well_and_due(container(0, Some(600), None, true), vec![reading("a", Run::Sample(ago(120)), 60)], Some((Run::Sample(ago(60)), false)))]
    #[case::well_and_read_before_the_clock_was_set_back(container(0, Some(600), None, true), vec![reading("a", Run::Sample(ago(120)), -86_400)], Some((Run::Sample(ago(-86_400)), false)))]
    #[case::well_and_never_read(container(0, Some(600), None, true), vec![], Some((Run::Sample(ago(180)), false)))]
    #[case::well_after_a_crash(container(4, Some(600), Some(700), true), vec![], Some((Run::Sample(ago(180)), false)))]
    #[case::well_since_a_moment(container(0, Some(60), None, true), vec![], Some((Run::Sample(ago(60)), false)))]
    fn reads_what_tells_most(
        #[case] container: ContainerRun,
        #[case] known: Vec<LogReading>,
        #[case] expected: Option<(Run, bool)>,
    ) {
        let wanted = wanted(&[pod("a", container)], &known, nobody, now());
        let first = wanted.into_iter().next().map(|wanted| (wanted.run, wanted.previous));
        assert_eq!(first, expected);
    }

    #[rstest]
    #[case::just_read(0, 55)]
    #[case::due(55, 0)]
    #[case::long_due(600, 0)]
    #[case::before_the_clock_was_set_back(-86_400, 0)]
    fn a_pod_that_is_well_is_read_each_minute(#[case] read: i64, #[case] expected: u64) {
        assert_eq!(until_sample(ago(read), now()), Duration::from_secs(expected));
    }

    #[rstest]
    #[case::just_started(3, &[(Run::Failed { restarts: 1 }, true)])]
    #[case::up_for_long(60, &[(Run::Failed { restarts: 1 }, true), (Run::Unready, false)])]
    fn one_look_reads_what_is_wrong_now_too(#[case] since: i64, #[case] expected: &[(Run, bool)]) {
        let wanted = all(&[pod("a", container(1, Some(since), Some(since + 5), false))], now());
        let runs: Vec<_> = wanted.into_iter().map(|it| (it.run, it.previous)).collect();
        assert_eq!(runs, expected);
    }

    #[rstest]
    #[case(Component::Api, true)]
    #[case(Component::TaskProcessor, true)]
    #[case(Component::Frontend, true)]
    #[case(Component::EdgeProxy, true)]
    #[case(Component::Migrations, true)]
    #[case(Component::Database, false)]
    fn logs_of_flagsmiths_own_programs_are_read(#[case] component: Component, #[case] expected: bool) {
        let failed = container(1, None, Some(1), false);
        let pod = PodSummary { component: Some(component), ..pod("a", failed) };
        let found: Vec<Component> =
            wanted(&[pod], &[], nobody, now()).iter().map(|it| it.component).collect();
        assert_eq!(found, if expected { vec![component] } else { vec![] });
    }

    /// What a pod logged of an outage that it has got over is not why it is not ready now.
    #[test]
    fn of_a_pod_that_was_well_only_the_end_of_its_log_counts() {
        let mut unready = pod("a", container(0, Some(600), None, false));
        unready.ready_since = Some(ago(40));
        for found in [wanted(&[unready.clone()], &[], nobody, now()), all(&[unready], now())] {
            let since: Vec<_> = found.iter().map(|it| (&it.run, it.since)).collect();
            assert_eq!(since, [(&Run::Unready, Some(ago(70)))]);
        }
    }

    #[test]
    fn samples_take_turns() {
        let well = || container(0, Some(600), None, true);
        let pods = [pod("a", well()), pod("b", well()), pod("c", well())];
        let known = [reading("a", Run::Sample(ago(300)), 120), reading("b", Run::Sample(ago(300)), 60)];
        let next = |followed: fn(&str) -> bool| {
            wanted(&pods, &known, followed, now()).into_iter().map(|it| it.pod).collect::<Vec<_>>()
        };
        assert_eq!(next(nobody), ["c"]);
        assert_eq!(next(|pod| pod == "c"), ["a"]);
        assert_eq!(
            next(|pod| pod != "b"),
            ["b"],
            "what is followed is read more often, and puts no sample off"
        );
        assert_eq!(next(|_| true), [""; 0]);
    }

    #[test]
    fn a_thousand_pods_in_trouble_are_not_read_at_once() {
        let pods: Vec<_> =
            (0..1000).map(|n| pod(&n.to_string(), container(1, None, Some(1), false))).collect();
        assert_eq!(wanted(&pods, &[], nobody, now()).len(), AT_ONCE);
    }
}
