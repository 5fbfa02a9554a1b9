//! Tasks are queued and no task processor exists.

use super::shared::{deployments::Deployments, diagnosis::diagnosis};
use crate::{
    causes::prelude::*,
    flagsmith::env,
    validate::{Change, ManagedBy},
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[Explains::everywhere(consequences::WITHOUT_PROCESSOR)],
    applies: Applies::Observed,
    check: Some(|context| missing(context).into_iter().collect()),
    ..Cause::critical(Component::TaskProcessor, include_str!("processor_missing.md"))
};

fn missing(context: &Context<'_>) -> Option<Draft> {
    let deployments = Deployments::of(context)?;
    let method = deployments.run_method()?;
    if method != env::QUEUED || deployments.processor.is_some() {
        return None;
    }
    let managed_by = &context.installation.managed_by;
    let enable = managed_by.change(&[Change::EnableTaskProcessor]);
    // The chart labels what it makes; a task processor of other manifests may only not have been named.
    let (severity, remedy) = match managed_by {
        ManagedBy::Helm { .. } => (Severity::Critical, enable),
        _ => (
            Severity::Warning,
            format!(
                "If there is one, name its Deployment in spec.observe.components.taskProcessor. Otherwise: {enable}"
            ),
        ),
    };
    Some(diagnosis(
        Code::TaskProcessorMissing,
        severity,
        "The API queues its tasks and no task processor takes them: webhooks, audit log and scheduled changes wait for \
         ever.",
        vec![
            deployments.told(method),
            "no Deployment of a task processor belongs to this installation".to_owned(),
        ],
        remedy,
    ))
}

#[cfg(test)]
mod tests {
    use crate::{
        causes::task_processor::shared::testing::{first, of_chart},
        fixtures::CHART_WITH_PROCESSOR,
        model::{Code, Severity},
    };

    #[test]
    fn tasks_that_no_processor_takes() {
        let none = CHART_WITH_PROCESSOR.replace("component: task-processor", "component: something-else");
        let found = of_chart("acme", &none);
        let missing = first(&found, Code::TaskProcessorMissing);
        assert_eq!(missing.severity, Severity::Critical);
        assert!(missing.remedy.ends_with("--set taskProcessor.enabled=true"), "{missing:?}");
    }
}
