//! The backups in the status. Pure.

use std::cmp::Reverse;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::BackupStatus,
    observe::{Dump, JobOutcome, JobState, Observation},
};

/// Backups that are remembered: as many dumps as the script that makes one tells of.
pub(super) const MOST_BACKUPS: usize = 20;

/// What was recorded, and Jobs that were not yet, the newest first; of a volume claim only the files that were in it after
/// the last dump.
pub(crate) fn backups(observation: &Observation) -> Vec<BackupStatus> {
    let known = &observation.previous.backups;
    // What is known of its claim since then came after it, and may have removed its file.
    let past = |job: &JobState| {
        let of_claim = |it: &&BackupStatus| job.claim.is_some() && it.volume_claim == job.claim;
        known.iter().filter(of_claim).any(|it| finished(it) > job.finished)
    };
    let complete: Vec<&JobState> =
        observation.backups.iter().filter(|job| job.outcome == JobOutcome::Complete && !past(job)).collect();
    let mut all = known.clone();
    for job in &complete {
        if !all.iter().any(|known| known.name == job.name) {
            all.push(BackupStatus {
                name: job.name.clone(),
                finished: job.finished.map(Time),
                version: job.from.map(|release| release.to_string()),
                volume_claim: job.claim.clone(),
                bytes: None,
            });
        }
    }
    let told = complete.iter().filter_map(|job| Some((*job, told(observation, job)?)));
    if let Some((job, dumps)) = told.max_by_key(|(job, _)| job.finished) {
        settle(&mut all, job, dumps);
    }
    all.sort_by_key(|backup| Reverse(finished(backup)));
    all.truncate(MOST_BACKUPS);
    all
}

/// The files that a Job saw when it had made its own.
fn told<'a>(observation: &'a Observation, job: &JobState) -> Option<&'a [Dump]> {
    let pods = observation.pods.iter().filter(|pod| pod.job.as_deref() == Some(&job.name));
    pods.map(|pod| pod.dumps.as_slice()).find(|dumps| !dumps.is_empty())
}

/// Brings the files of a volume claim up to what was there when a Job had made its own: those that are gone, their sizes,
/// and those that were not known, which an earlier resource of this name has left.
fn settle(all: &mut Vec<BackupStatus>, job: &JobState, dumps: &[Dump]) {
    all.retain(|backup| {
        let of_claim = backup.volume_claim.is_some() && backup.volume_claim == job.claim;
        let later = finished(backup) > job.finished;
        !of_claim || later || dumps.iter().any(|dump| dump.name == backup.name)
    });
    for dump in dumps {
        match all.iter_mut().find(|backup| backup.name == dump.name) {
            Some(known) => known.bytes = Some(dump.bytes),
            None => all.push(BackupStatus {
                name: dump.name.clone(),
                finished: Some(Time(dump.written)),
                version: None,
                volume_claim: job.claim.clone(),
                bytes: Some(dump.bytes),
            }),
        }
    }
}

fn finished(backup: &BackupStatus) -> Option<jiff::Timestamp> {
    backup.finished.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        fixtures::empty_observation,
        observe::{Observation, PodSummary},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job(name: &str, second: i64, claim: Option<&str>) -> JobState {
        JobState {
            name: name.to_owned(),
            from: "2.260.0".parse().ok(),
            claim: claim.map(str::to_owned),
            outcome: JobOutcome::Complete,
            finished: Some(at(second)),
            ..JobState::default()
        }
    }

    fn pod(job: &str, dumps: &[(&str, i64, i64)]) -> PodSummary {
        let dump = |(name, bytes, second): &(&str, i64, i64)| Dump {
            name: (*name).to_owned(),
            bytes: *bytes,
            written: at(*second),
        };
        PodSummary {
            job: Some(job.to_owned()),
            dumps: dumps.iter().map(dump).collect(),
            ..PodSummary::default()
        }
    }

    /// `NAME@SECOND RELEASE CLAIM BYTES` of each.
    fn said(observation: &Observation) -> Vec<String> {
        let line = |it: &BackupStatus| {
            let second = it.finished.as_ref().map_or(-1, |time| time.0.as_second());
            let (version, claim) = (it.version.as_deref(), it.volume_claim.as_deref());
            let bytes = it.bytes.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string());
            format!("{}@{second} {} {} {bytes}", it.name, version.unwrap_or("?"), claim.unwrap_or("?"))
        };
        backups(observation).iter().map(line).collect()
    }

    #[test]
    fn a_dump_is_listed_with_its_size_and_outlives_its_job() {
        let mut observation = empty_observation();
        observation.backups = vec![job("b1", 10, Some("claim"))];
        assert_eq!(said(&observation), ["b1@10 2.260.0 claim ?"], "its pod is not seen yet");
        observation.pods = vec![pod("b1", &[("b1", 700, 9)])];
        let listed = ["b1@10 2.260.0 claim 700"];
        assert_eq!(said(&observation), listed);
        observation.previous.backups = backups(&observation);
        assert_eq!(said(&observation), listed, "the same the next time");
        observation.backups.clear();
        observation.pods.clear();
        assert_eq!(said(&observation), listed);
    }

    #[test]
    fn what_the_last_dump_did_not_find_any_more_is_no_backup() {
        let mut observation = empty_observation();
        // The Job of the first is still there, its file is not.
        observation.backups = vec![job("b2", 20, Some("claim")), job("b1", 10, Some("claim"))];
        observation.pods = vec![pod("b1", &[("b1", 700, 9)]), pod("b2", &[("b2", 800, 19), ("b0", 600, 1)])];
        observation.previous.backups = vec![
            BackupStatus {
                name: "other".to_owned(),
                volume_claim: Some("old".to_owned()),
                ..BackupStatus::default()
            },
            BackupStatus {
                name: "b1".to_owned(),
                volume_claim: Some("claim".to_owned()),
                ..BackupStatus::default()
            },
            BackupStatus { name: "own".to_owned(), finished: Some(Time(at(5))), ..BackupStatus::default() },
        ];
        assert_eq!(
            said(&observation),
            ["b2@20 2.260.0 claim 800", "own@5 ? ? ?", "b0@1 ? claim 600", "other@-1 ? old ?"]
        );
        // Once that is known, what an earlier pod has told is of the past.
        observation.previous.backups = backups(&observation);
        observation.pods.truncate(1);
        assert_eq!(said(&observation).first().map(String::as_str), Some("b2@20 2.260.0 claim 800"));
        assert!(!said(&observation).iter().any(|line| line.starts_with("b1")));
        // One whose pod has not told yet is kept.
        observation.backups.push(job("b3", 30, Some("claim")));
        assert_eq!(said(&observation).first().map(String::as_str), Some("b3@30 2.260.0 claim ?"));
    }

    #[test]
    fn one_that_failed_is_none_and_the_list_is_bounded() {
        let mut observation = empty_observation();
        let outcome = JobOutcome::Failed { reason: String::new(), message: String::new() };
        observation.backups = vec![JobState { outcome, ..job("b1", 10, None) }];
        assert_eq!(said(&observation), Vec::<String>::new());
        observation.backups = (0..40).map(|place| job(&format!("b{place}"), place, None)).collect();
        let listed = said(&observation);
        assert_eq!((listed.len(), listed[0].as_str()), (MOST_BACKUPS, "b39@39 2.260.0 ? ?"));
    }
}
