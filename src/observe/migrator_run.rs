//! Runs of containers that migrate a database on their own.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{memory::Memory, pod::PodSummary};
use crate::runtime::cache::PerInstallation;

/// The most runs that are remembered of an installation, the latest: a pod whose migration fails again and again has one
/// more every five minutes.
const REMEMBERED: usize = 64;

/// How long a run is told that its pod's status does not tell any more: as long as the API server keeps Events by default.
const TOLD: SignedDuration = SignedDuration::from_hours(1);

/// One run of a container that migrates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigratorRun {
    /// Its pod.
    pub pod: String,
    /// Its name.
    pub container: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Its exit status.
    pub exit_code: Option<i32>,
}

impl fmt::Display for MigratorRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pod, container, started, .. } = self;
        write!(formatter, "pod {pod}, container {container}: started {started}")?;
        match (self.finished, self.exit_code) {
            (Some(finished), Some(0)) => write!(formatter, ", succeeded {finished}"),
            (Some(finished), Some(code)) => write!(formatter, ", failed {finished} with status {code}"),
            _ => write!(formatter, ", running"),
        }
    }
}

/// The runs of pods that are still there, also those that their statuses do not tell any more: a kubelet removes the
/// container of an init container's failed run as soon as one has succeeded and the pod goes on, seconds after it failed.
#[derive(Debug, Default)]
pub(super) struct PastRuns(PerInstallation<Vec<MigratorRun>>);

impl PastRuns {
    /// What the statuses of these pods tell, and have told.
    pub(super) fn and(
        &self,
        uid: &str,
        told: Vec<MigratorRun>,
        pods: &[PodSummary],
        now: Timestamp,
    ) -> Vec<MigratorRun> {
        if told.is_empty() && self.0.read(uid, Vec::is_empty).unwrap_or(true) {
            return told;
        }
        self.0.entry(&uid.to_owned(), |runs| {
            runs.retain(|run| {
                let is_recent = run.finished.is_some_and(|finished| now.duration_since(finished) < TOLD);
                is_recent && pods.iter().any(|pod| pod.name == run.pod)
            });
            for run in told {
                if !runs.contains(&run) {
                    runs.push(run);
                }
            }
            runs.sort_by(|a, b| (a.started, &a.pod).cmp(&(b.started, &b.pod)));
            runs.drain(..runs.len().saturating_sub(REMEMBERED));
            runs.clone()
        })
    }
}

impl Memory for PastRuns {
    fn remembers(&self) -> (&'static str, usize) {
        ("migrator_runs", self.0.count())
    }

    fn forget(&self, uid: &str) {
        self.0.forget(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    fn run(pod: &str, second: i64, exit_code: i32) -> MigratorRun {
        MigratorRun {
            pod: pod.to_owned(),
            container: "migrate-db".to_owned(),
            started: at(second),
            finished: Some(at(second + 2)),
            exit_code: Some(exit_code),
        }
    }

    fn pods(names: &[&str]) -> Vec<PodSummary> {
        let named = |name: &&str| PodSummary { name: (*name).to_owned(), ..PodSummary::default() };
        names.iter().map(named).collect()
    }

    #[test]
    fn a_run_that_failed_is_known_when_its_container_is_gone() {
        let past = PastRuns::default();
        let both = pods(&["a", "b"]);
        assert_eq!(past.and("uid", vec![run("b", 1, 1)], &both, at(9)), [run("b", 1, 1)]);
        let later = vec![run("a", 0, 0), run("b", 4, 0)];
        let all = [run("a", 0, 0), run("b", 1, 1), run("b", 4, 0)];
        assert_eq!(past.and("uid", later.clone(), &both, at(9)), all);
        assert_eq!(past.and("uid", later, &both, at(9)), all, "each once");
        assert_eq!(past.and("other", Vec::new(), &both, at(9)), []);
    }

    #[test]
    fn runs_go_with_their_pod_and_with_the_installation() {
        let past = PastRuns::default();
        past.and("uid", vec![run("a", 0, 0), run("b", 1, 1)], &pods(&["a", "b"]), at(9));
        assert_eq!(past.and("uid", Vec::new(), &pods(&["a"]), at(9)), [run("a", 0, 0)]);
        past.forget("uid");
        assert_eq!(past.and("uid", Vec::new(), &pods(&["a"]), at(9)), []);
    }

    #[test]
    fn what_is_told_no_more_is_forgotten_after_an_hour() {
        let past = PastRuns::default();
        past.and("uid", vec![run("a", 0, 1)], &pods(&["a"]), at(9));
        let later = |second| past.and("uid", Vec::new(), &pods(&["a"]), at(second)).len();
        assert_eq!((later(3_601), later(3_602)), (1, 0));
    }

    #[test]
    fn their_number_is_bounded() {
        let past = PastRuns::default();
        let many = (0..100).map(|second| run("a", second, 1)).collect();
        let kept = past.and("uid", many, &pods(&["a"]), at(9));
        assert_eq!((kept.len(), kept[0].clone()), (REMEMBERED, run("a", 36, 1)));
    }
}
