//! The upgrade goes over many releases at once.

use crate::{causes::prelude::*, flagsmith::upgrades, migration::Step};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::info(Component::Migrations, include_str!("upgrade_skips_versions.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    // For as long as the way is not behind it, also while the Job runs and after it has failed.
    if !context.installation.managed_by.migrates_first() {
        return Vec::new();
    }
    skipped(context).into_iter().collect()
}

fn skipped(context: &Context<'_>) -> Option<Draft> {
    let (from, to) = (context.observation.newest_migrated()?, context.installation.release);
    let changes = upgrades::skipped(from, to)?;
    if Step::of(context.installation, context.observation).is_some_and(|step| step.path.len() > 1) {
        return None;
    }
    let stops =
        changes.iter().filter(|change| change.halt.is_some() && change.at < to).map(|change| change.at);
    let path: Vec<String> =
        [from].into_iter().chain(stops).chain([to]).map(|release| release.to_string()).collect();
    Some(Draft {
        message: format!(
            "The upgrade from {from} to {to} goes past {} minor releases at once. Flagsmith does not forbid that; every migration on \
             the way runs in one Job.",
            to.minors_since(from).unwrap_or_default()
        ),
        evidence: changes.iter().map(|change| format!("{}: {}", change.at, change.what)).collect(),
        remedy: format!(
            "Take a backup (spec.migrations.backup), and try it on a copy of the database.{}",
            // Without a stop between the two there is nothing to advise.
            if path.len() > 2 {
                format!(
                    " To see where something goes wrong, go in steps, {}: set spec.upgrade.strategy to Stepwise.",
                    path.join(" → ")
                )
            } else {
                String::new()
            }
        ),
        ..Code::UpgradeSkipsVersions.draft()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use crate::{
        causes::{
            diagnose,
            migrations::shared::testing::{good, with_preflight},
        },
        fixtures::{empty_observation, installation, spec},
        model::{Code, Severity},
        observe::{JobOutcome, JobState, Observation, WorkloadState},
    };

    #[rstest]
    #[case::before_it_starts(with_preflight(good()))]
    #[case::while_it_runs(Observation {
        jobs: vec![JobState { outcome: JobOutcome::Active, ..JobState::default() }],
        ..empty_observation()
    })]
    fn a_long_way_is_a_note_with_a_path(#[case] mut observation: Observation) {
        observation.api =
            Some(WorkloadState { migrated: "2.232.0".parse().ok(), ..WorkloadState::default() });
        let found = diagnose(&installation(&spec(json!({ "version": "2.265.0" }))), &observation);
        let note = found.iter().find(|it| it.code == Code::UpgradeSkipsVersions).unwrap();
        assert_eq!(note.severity, Severity::Info);
        assert!(note.remedy.contains("2.232.0 → 2.234.2 → 2.260.0 → 2.265.0"), "{}", note.remedy);
    }
}
