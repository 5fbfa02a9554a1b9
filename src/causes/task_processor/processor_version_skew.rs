//! API and task processor run different releases.

use super::shared::{
    deployments::{Deployments, is_starting},
    diagnosis::diagnosis,
};
use crate::{
    causes::prelude::*,
    validate::{Change, ManagedBy},
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[Explains::everywhere(&[Code::TaskUnregistered, Code::TasksStuckLocked])],
    applies: Applies::Observed,
    check: Some(|context| skew(context).into_iter().collect()),
    ..Cause::warning(Component::TaskProcessor, include_str!("processor_version_skew.md"))
};

fn skew(context: &Context<'_>) -> Option<Draft> {
    let Deployments { api, processor, .. } = Deployments::of(context)?;
    let (processor, _) = processor?;
    let (of_api, of_processor) = (api.release?, processor.release?);
    if of_api == of_processor || is_starting(context.observation) {
        return None;
    }
    // The newer one may have migrated already, so the older one follows.
    let newest = of_api.max(of_processor).to_string();
    let (behind, consequence) = if of_api < of_processor {
        (Component::Api, "the task processor may migrate the database under the older API")
    } else {
        (
            Component::TaskProcessor,
            "a task that only the newer API knows leaves up to ten tasks locked forever",
        )
    };
    let managed_by = &context.installation.managed_by;
    let reason = match managed_by {
        ManagedBy::Helm { .. } => " The chart's taskProcessor.image.tag does not follow api.image.tag.",
        _ => "",
    };
    Some(diagnosis(
        Code::TaskProcessorVersionSkew,
        Severity::Warning,
        format!("API and task processor run different releases: {consequence}.{reason}"),
        vec![
            format!("Deployment {}: image tag {of_api}", api.name),
            format!("Deployment {}: image tag {of_processor}", processor.name),
        ],
        managed_by.change(&[Change::Tag(behind, &newest)]),
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::{
            diagnose,
            task_processor::shared::testing::{first, lacks, of_chart, tagged},
        },
        fixtures::{objects, observed},
        model::{Code, Component, PodPhase},
        observe::PodSummary,
    };

    #[rstest]
    #[case("api", "2.260.0", "--set api.image.tag=2.265.0")]
    #[case("task-processor", "2.260.0", "--set taskProcessor.image.tag=2.265.0")]
    fn components_of_different_releases(#[case] older: &str, #[case] release: &str, #[case] remedy: &str) {
        let found = of_chart("acme", &tagged(older, release));
        let skew = first(&found, Code::TaskProcessorVersionSkew);
        assert!(skew.remedy.ends_with(remedy), "{skew:?}");
        assert!(skew.evidence.iter().any(|it| it.ends_with(release)), "{skew:?}");
    }

    #[test]
    fn releases_are_compared_once_both_have_run() {
        let (found, mut observation) = observed("acme", &objects(&tagged("task-processor", "2.999.0")));
        let installation = found.installation;
        observation.pods = vec![PodSummary {
            component: Some(Component::TaskProcessor),
            phase: PodPhase::Pending,
            ..PodSummary::default()
        }];
        lacks(&diagnose(&installation, &observation), Code::TaskProcessorVersionSkew);
        observation.pods[0].started = Some(observation.now);
        first(&diagnose(&installation, &observation), Code::TaskProcessorVersionSkew);
    }
}
