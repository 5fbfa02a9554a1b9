//! Jobs, reduced to what decisions need. Pure conversions.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;

use super::{
    metadata::{annotation, label},
    pod::PodSummary,
};
use crate::{api::MigrationOperation, flagsmith::Release, model::child::marks};

/// A migration Job as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobState {
    /// Its name.
    pub name: String,
    /// The key of the migration that it runs.
    pub key: Option<String>,
    /// Whether it applies migrations or undoes them.
    pub operation: MigrationOperation,
    /// The release that it migrates to.
    pub release: Option<Release>,
    /// The release that the database was at before, as far as it was known when the Job was made.
    pub from: Option<Release>,
    /// How many migrations were applied then.
    pub count_before: Option<i64>,
    /// When the newest of them was.
    pub last_applied_before: Option<Timestamp>,
    /// The keyed hash of the URL that it was given.
    pub credentials: Option<String>,
    /// The memory limit of its container.
    pub memory_limit: Option<String>,
    /// The volume claim that a backup Job writes into.
    pub claim: Option<String>,
    /// How it stands, by its conditions.
    pub outcome: JobOutcome,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it reached its outcome.
    pub finished: Option<Timestamp>,
    /// It is being deleted.
    pub deleting: bool,
}

impl JobState {
    /// Removes the finished pods of all Jobs but the latest: why an earlier attempt failed says nothing about this one. One that still runs may work on the database, whatever became of its Job.
    pub(super) fn leave_history_out(jobs: &[Self], pods: &mut Vec<PodSummary>) {
        let latest = jobs
            .iter()
            // One that has not started yet is the youngest.
            .max_by_key(|job| job.started.unwrap_or(Timestamp::MAX));
        let Some(latest) = latest else { return };
        pods.retain(|pod| {
            let job = jobs.iter().find(|job| pod.job.as_ref() == Some(&job.name));
            job.is_none_or(|job| job.name == latest.name) || !pod.phase.has_ended()
        });
    }
}

/// How a Job stands. Counters and `completionTime` say less: a failed Job has no completion time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum JobOutcome {
    /// Neither condition is there yet.
    #[default]
    Active,
    /// The condition Complete.
    Complete,
    /// The condition Failed.
    Failed {
        /// `BackoffLimitExceeded`, `DeadlineExceeded`, `PodFailurePolicy`.
        reason: String,
        /// The controller's words.
        message: String,
    },
}

impl From<&Job> for JobState {
    fn from(job: &Job) -> Self {
        let status = job.status.as_ref();
        let conditions = || status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let holds =
            |kind: &str| conditions().find(|condition| condition.type_ == kind && condition.status == "True");
        let (outcome, finished) = match (holds("Complete"), holds("Failed")) {
            (Some(condition), _) => (JobOutcome::Complete, condition.last_transition_time.as_ref()),
            (None, Some(condition)) => (
                JobOutcome::Failed {
                    reason: condition.reason.clone().unwrap_or_default(),
                    message: condition.message.clone().unwrap_or_default(),
                },
                condition.last_transition_time.as_ref(),
            ),
            (None, None) => (JobOutcome::Active, None),
        };
        Self {
            name: job.metadata.name.clone().unwrap_or_default(),
            key: annotation(Some(&job.metadata), marks::MIGRATION_KEY).map(str::to_owned),
            operation: match annotation(Some(&job.metadata), marks::OPERATION) {
                Some(marks::ROLL_BACK) => MigrationOperation::RollBack,
                Some(marks::RESTORE) => MigrationOperation::Restore,
                _ => MigrationOperation::Migrate,
            },
            release: label(Some(&job.metadata), marks::VERSION).and_then(|version| version.parse().ok()),
            from: annotation(Some(&job.metadata), marks::MIGRATED_FROM)
                .and_then(|version| version.parse().ok()),
            count_before: annotation(Some(&job.metadata), marks::COUNT_BEFORE)
                .and_then(|count| count.parse().ok()),
            last_applied_before: annotation(Some(&job.metadata), marks::LAST_APPLIED_BEFORE)
                .and_then(|time| time.parse().ok()),
            credentials: annotation(Some(&job.metadata), marks::CREDENTIALS_HASH).map(str::to_owned),
            memory_limit: memory_limit(job),
            claim: claim(job),
            outcome,
            started: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
            finished: finished.map(|time| time.0),
            deleting: job.metadata.deletion_timestamp.is_some(),
        }
    }
}

/// The volume claim of the container that dumps; a user's own pod has none that says where its backup is.
fn claim(job: &Job) -> Option<String> {
    let pod = job.spec.as_ref()?.template.spec.as_ref()?;
    let dumps = pod.containers.iter().find(|container| container.name == marks::DUMP_CONTAINER)?;
    let mounts = dumps.volume_mounts.as_ref()?;
    let mounted = |name: &str| mounts.iter().any(|mount| mount.name == name);
    let mut claims = pod.volumes.iter().flatten().filter(|volume| mounted(&volume.name));
    claims.find_map(|volume| volume.persistent_volume_claim.as_ref()).map(|claim| claim.claim_name.clone())
}

fn memory_limit(job: &Job) -> Option<String> {
    let pod = job.spec.as_ref()?.template.spec.as_ref()?;
    let limits = pod.containers.first()?.resources.as_ref()?.limits.as_ref()?;
    limits.get("memory").map(|quantity| quantity.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PodPhase;

    #[test]
    fn what_earlier_attempts_ended_of_is_left_out() {
        let at = |second| Timestamp::from_second(second).ok();
        let job = |name: &str, started| JobState { name: name.to_owned(), started, ..JobState::default() };
        let pod = |name: &str, job: Option<&str>, phase: PodPhase| PodSummary {
            name: name.to_owned(),
            job: job.map(str::to_owned),
            phase,
            ..PodSummary::default()
        };
        let all = [
            pod("api", None, PodPhase::Running),
            pod("first", Some("a"), PodPhase::Failed),
            pod("still", Some("a"), PodPhase::Running),
            pod("second", Some("b"), PodPhase::Failed),
            pod("backup", Some("c"), PodPhase::Failed),
        ];
        for (jobs, expected) in [
            (vec![], "api first still second backup"),
            (vec![job("b", at(2)), job("a", at(1))], "api still second backup"),
            (vec![job("a", at(1)), job("b", at(2)), job("next", None)], "api still backup"),
        ] {
            let mut pods = all.to_vec();
            JobState::leave_history_out(&jobs, &mut pods);
            let names: Vec<_> = pods.iter().map(|pod| pod.name.as_str()).collect();
            assert_eq!(names.join(" "), expected);
        }
    }
}
