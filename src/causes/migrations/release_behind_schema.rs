//! Pods of a release meet what a newer one has migrated, and some of their requests fail of it.

use std::collections::BTreeSet;

use crate::{
    causes::prelude::*,
    flagsmith::{
        Release,
        upgrades::{self, Incompatibility},
    },
    model::shell,
    observe::{LogFinding, PodSummary},
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[Explains::same_component(&[Code::RequestsFailing])],
    check: Some(|context| check(context).into_iter().collect()),
    ..Cause::warning(Component::Api, include_str!("release_behind_schema.md"))
};

/// Requests fail again and again with the very error that a known step between two releases gives to pods of the older.
fn check(context: &Context<'_>) -> Option<Draft> {
    let observation = context.observation;
    let (release, change, finding) = observation.pod_logs.logs.iter().find_map(|reading| {
        let pod = observation.pods.iter().find(|pod| pod.name == reading.pod)?;
        let release = release(pod)?;
        let change = newer(context).into_iter().find_map(|newer| upgrades::incompatible(release, newer))?;
        let finding = reading.found.iter().find(|finding| shows(finding, change))?;
        Some((release, change, finding))
    })?;
    let installation = context.installation;
    let left = observation.pods.iter().filter(|pod| pod.component == Some(Component::Api));
    let left = left.filter(|pod| self::release(pod) == Some(release)).count();
    let mut evidence: Vec<String> =
        finding.diagnosis.evidence.iter().map(ToString::to_string).take(1).collect();
    evidence.push(format!("pods of the API of {release}: {left}"));
    let namespace = shell::name(&installation.identity.namespace, "NAMESPACE");
    let name = observation.api.as_ref().map(|api| shell::name(&api.name, "DEPLOYMENT")).unwrap_or_default();
    Some(Draft {
        message: format!(
            "The database is migrated to a newer release than {release}, and pods of {release} cannot {}.",
            change.what
        ),
        evidence,
        remedy: format!(
            "It ends with the last pod of {release}: kubectl -n {namespace} rollout status deployment/{name} shows whether the rollout \
             goes on; the other diagnoses say what holds it up."
        ),
        ..Code::ReleaseBehindSchema.draft()
    })
}

fn release(pod: &PodSummary) -> Option<Release> {
    pod.version.as_ref()?.parse().ok()
}

/// The releases that the database was, is being, or was in part migrated to.
fn newer(context: &Context<'_>) -> BTreeSet<Release> {
    let observation = context.observation;
    let jobs = observation.jobs.iter().filter_map(|job| job.release);
    let recorded = observation.previous.migration.iter().chain(&observation.previous.migration_history);
    let recorded = recorded.filter_map(|record| record.version.parse().ok());
    observation.newest_migrated().into_iter().chain(jobs).chain(recorded).collect()
}

fn shows(finding: &LogFinding, change: &Incompatibility) -> bool {
    finding.diagnosis.code == Code::RequestsFailing
        && finding.diagnosis.evidence.iter().any(|line| line.contains(change.sign))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use crate::{
        causes::{diagnose, diagnose_log},
        fixtures::{self, empty_observation, installation, spec},
        model::{Code, Component, PodPhase},
        observe::{
            JobOutcome, JobState, LogFinding, LogReading, Observation, PodLogFindings, PodSummary, Run,
            WorkloadState,
        },
    };

    /// As the API of 2.260.0 logs it on the tables of 2.265.0.
    const FAILED: &str = "2026-11-24T09:59:00.2Z [error    ] Internal Server Error: /api/v1/identities/ [django.request] status_code=500\n\
         Traceback (most recent call last):\n  \
         File \"/usr/local/lib/python3.11/site-packages/django/core/handlers/base.py\", line 197, in _get_response\n    \
         response = wrapped_callback(request)\n  \
         File \"/app/environments/sdk/services.py\", line 73, in get_persisted_identity_and_traits\n    \
         return Identity.objects.get_or_create()\n\
         django.db.utils.IntegrityError: null value in column \"COLUMN\" of relation \"environments_identity\" violates not-null constraint\n";

    #[rstest]
    #[case::while_the_rollout_waits("2.260.0", "2.265.0", "system_traits", Code::ReleaseBehindSchema)]
    #[case::of_the_new_release("2.265.0", "2.265.0", "system_traits", Code::RequestsFailing)]
    #[case::of_another_column("2.260.0", "2.265.0", "created_date", Code::RequestsFailing)]
    #[case::nothing_was_migrated("2.260.0", "2.260.0", "system_traits", Code::RequestsFailing)]
    fn a_known_step_is_the_cause_of_requests_that_fail(
        #[case] serving: &str,
        #[case] migrated: &str,
        #[case] column: &str,
        #[case] expected: Code,
    ) {
        let now = empty_observation().now;
        let log = FAILED.replace("COLUMN", column).repeat(6);
        let found = diagnose_log(Component::Api, None, "log of pod api-1", log.as_bytes());
        let found = found.into_iter().map(|(_, diagnosis)| LogFinding {
            read: now,
            happened: now,
            of_connection: false,
            diagnosis,
        });
        let reading = LogReading {
            pod: "api-1".to_owned(),
            container: "api".to_owned(),
            component: Component::Api,
            run: Run::Sample(now),
            at: now,
            found: found.collect(),
        };
        let pod = PodSummary {
            name: "api-1".to_owned(),
            component: Some(Component::Api),
            version: Some(serving.to_owned()),
            phase: PodPhase::Running,
            ready: true,
            ..PodSummary::default()
        };
        let observation = Observation {
            api: Some(WorkloadState {
                release: serving.parse().ok(),
                ..fixtures::rolled_out("flagsmith-api".to_owned(), 1)
            }),
            jobs: vec![JobState {
                release: migrated.parse().ok(),
                outcome: JobOutcome::Complete,
                ..JobState::default()
            }],
            pods: vec![pod],
            pod_logs: PodLogFindings { logs: vec![reading], warnings: Vec::new() },
            ..empty_observation()
        };
        let found = diagnose(&installation(&spec(json!({ "version": migrated }))), &observation);
        let of_requests = [Code::RequestsFailing, Code::ReleaseBehindSchema];
        let codes: Vec<Code> =
            found.iter().map(|it| it.code).filter(|code| of_requests.contains(code)).collect();
        assert_eq!(codes, [expected], "{found:#?}");
    }
}
