//! This release's run-task-processor never runs a task.

use super::shared::{deployments::Deployments, diagnosis::diagnosis, sql};
use crate::{
    causes::prelude::*,
    flagsmith::{self, Release, env},
    validate::Change,
};

/// The verb that never runs a task in some releases.
const VERB: &str = "run-task-processor";

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::in_logs(&[Code::TasksFailing]),
        Explains::everywhere(consequences::WITHOUT_PROCESSOR),
    ],
    log: &[&LOG],
    applies: Applies::Observed,
    check: Some(|context| broken(context).into_iter().collect()),
    ..Cause::critical(Component::TaskProcessor, include_str!("processor_release_broken.md"))
};

static LOG: Rule<()> = Rule {
    precedence: 205,
    signatures: &[Signature::of_words((), &["Attempt to run tasks in a non-task-processor environment"])],
    details: |_, ()| Some(FailureDetails::default()),
    explain,
    is_over: None,
};

/// Flagsmith 2.253.0 to 2.259.0 look for the literal argument `task-processor` (flagsmith-common 3.12.0).
fn message(release: Option<Release>) -> String {
    let of = release.map_or_else(String::new, |release| format!(" of Flagsmith {release}"));
    format!(
        "The task processor{of} picks tasks up and never runs one: started with \"{VERB}\", it does not know that it is a \
         task processor. That is a defect of 2.253.0 to 2.259.0. The pod looks healthy, and every task that it has picked \
         up stays locked."
    )
}

/// `workaround` and `upgrade` as the owner does them; where the owner is not known, the upgrade needs no more words.
fn remedy(workaround: &str, upgrade: Option<&str>) -> String {
    let upgrade = upgrade.map_or_else(String::new, |upgrade| format!(" The upgrade: {upgrade}."));
    format!(
        "Until you upgrade to {} or later: {workaround}.{upgrade} Tasks that are locked already stay so; with the \
         processor stopped: {}",
        flagsmith::VERB_RUNS_NO_TASK.end,
        sql::UNLOCK
    )
}

fn explain(_: &LogEvidence, _: &Occurrence, (): ()) -> Explanation {
    Explanation::new(
        Code::TaskProcessorReleaseBroken,
        message(None),
        remedy("start it with the args [\"start\", \"task-processor\"], or set RUN_BY_PROCESSOR=true", None),
    )
}

fn broken(context: &Context<'_>) -> Option<Draft> {
    let (state, container) = Deployments::of(context)?.processor?;
    let release = state.release.filter(|release| flagsmith::VERB_RUNS_NO_TASK.contains(release))?;
    if !container.runs(VERB) || !container.environment.lacks(env::RUN_BY_PROCESSOR) {
        return None;
    }
    let fixed = flagsmith::VERB_RUNS_NO_TASK.end.to_string();
    let managed_by = &context.installation.managed_by;
    let workaround =
        managed_by.change(&[Change::Env(Component::TaskProcessor, env::RUN_BY_PROCESSOR, "true")]);
    let upgrade = managed_by
        .change(&[Change::Tag(Component::Api, &fixed), Change::Tag(Component::TaskProcessor, &fixed)]);
    Some(diagnosis(
        Code::TaskProcessorReleaseBroken,
        Severity::Critical,
        message(Some(release)),
        vec![format!(
            "Deployment {}: image tag {release}, command {:?}; RUN_BY_PROCESSOR is not set",
            state.name, container.command
        )],
        remedy(&workaround, Some(&upgrade)),
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::{
            log::{failure::Stage, testing::recognise},
            task_processor::shared::testing::{first, lacks, of_chart},
        },
        fixtures::CHART_WITH_PROCESSOR,
        model::{Code, Severity},
    };

    #[test]
    fn recognises() {
        let said = "Attempt to run tasks in a non-task-processor environment";
        let (code, details) = recognise(Stage::Serve, "AssertionError", said).unwrap();
        assert_eq!((code, details.object), (Code::TaskProcessorReleaseBroken, None));
    }

    #[rstest]
    #[case("2.253.0", true)]
    #[case("2.259.0", true)]
    #[case("2.260.0", false)]
    #[case("2.250.0", false)]
    fn a_release_whose_processor_never_works(#[case] release: &str, #[case] expected: bool) {
        let manifest = CHART_WITH_PROCESSOR.replace("2.265.0", release);
        let found = of_chart("acme", &manifest);
        if expected {
            let broken = first(&found, Code::TaskProcessorReleaseBroken);
            assert_eq!(broken.severity, Severity::Critical);
            assert!(
                broken.remedy.contains("--set-string 'taskProcessor.extraEnv.RUN_BY_PROCESSOR=true'"),
                "{broken:?}"
            );
            let workaround = manifest.replace("name: LOG_FORMAT", "name: RUN_BY_PROCESSOR");
            lacks(&of_chart("acme", &workaround), Code::TaskProcessorReleaseBroken);
            let started = manifest.replace("[\"run-task-processor\"]", "[\"start\",\"task-processor\"]");
            lacks(&of_chart("acme", &started), Code::TaskProcessorReleaseBroken);
        } else {
            lacks(&found, Code::TaskProcessorReleaseBroken);
        }
    }
}
