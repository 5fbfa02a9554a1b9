//! The API runs tasks itself.

use super::shared::{deployments::Deployments, diagnosis::diagnosis};
use crate::{
    causes::prelude::*,
    flagsmith::env,
    validate::{Change, ManagedBy},
};

/// Functions that are named.
const NAMED: usize = 3;

pub(crate) static CAUSE: Cause = Cause {
    in_logs: Some(in_logs),
    applies: Applies::Observed,
    check: Some(|context| unset(context).into_iter().collect()),
    ..Cause::warning(Component::TaskProcessor, include_str!("task_run_method_unset.md"))
};

/// Who else could run the tasks.
#[derive(Clone, Copy)]
enum Processor {
    /// There is no task processor.
    Absent,
    /// There is one, and it gets no tasks.
    Idle,
    /// The API's log does not say.
    Unknown,
}

fn message(ran: &str, processor: Processor) -> String {
    let idle = match processor {
        Processor::Absent => "",
        Processor::Idle => " The task processor gets none.",
        Processor::Unknown => " A task processor that runs beside it has nothing to do.",
    };
    format!(
        "The API runs its tasks (webhooks, audit log, scheduled changes) in threads of its own, because TASK_RUN_METHOD \
         is not TASK_PROCESSOR.{ran} They are lost when a pod of the API stops, are not retried, and scheduled ones are \
         dropped.{idle}"
    )
}

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    if evidence.component == Component::TaskProcessor {
        return None;
    }
    let mut locations = Vec::new();
    let mut ran = String::new();
    if let Some(unmanaged) = &evidence.tasks.unmanaged {
        let names: Vec<&str> = unmanaged.functions.iter().take(NAMED).map(String::as_str).collect();
        ran = format!(" It ran {} so.", names.join(", "));
        locations.push(unmanaged.first.clone());
    }
    if let Some((location, count)) = &evidence.tasks.dropped {
        let what = if *count == 1 { "A task".to_owned() } else { format!("{count} tasks: what was") };
        ran = format!("{ran} {what} scheduled for later was dropped forever.");
        locations.push(location.clone());
    }
    if locations.is_empty() {
        return None;
    }
    let explained = Explanation::new(
        Code::TaskRunMethodUnset,
        message(&ran, Processor::Unknown),
        "Set TASK_RUN_METHOD=TASK_PROCESSOR on the API (on Helm taskProcessor.enabled=true does it), and run a task \
         processor with the same database and release.",
    );
    Some(Finding::new(explained, locations))
}

fn unset(context: &Context<'_>) -> Option<Draft> {
    let deployments = Deployments::of(context)?;
    let method = deployments.run_method().filter(|method| *method != env::QUEUED)?;
    let managed_by = &context.installation.managed_by;
    let (severity, processor, change, evidence) = match deployments.processor {
        None => (
            Severity::Info,
            Processor::Absent,
            Change::EnableTaskProcessor,
            "there is no task processor".to_owned(),
        ),
        Some((state, _)) if state.desired > 0 => (
            Severity::Warning,
            Processor::Idle,
            match managed_by {
                ManagedBy::Helm { .. } => Change::EnableTaskProcessor,
                _ => Change::Env(Component::Api, env::TASK_RUN_METHOD, env::QUEUED),
            },
            format!("Deployment {}: {} of {} pods ready", state.name, state.ready, state.desired),
        ),
        Some(_) => return None,
    };
    Some(diagnosis(
        Code::TaskRunMethodUnset,
        severity,
        message("", processor),
        vec![deployments.told(method), evidence],
        managed_by.change(&[change]),
    ))
}

#[cfg(test)]
mod tests {
    use crate::{
        causes::task_processor::shared::testing::{first, of_chart},
        fixtures::{CHART_DEFAULT, CHART_WITH_PROCESSOR},
        model::{Code, Severity},
    };

    #[test]
    fn a_processor_that_gets_no_tasks_and_an_api_without_one() {
        let unset = CHART_WITH_PROCESSOR.replace("name: TASK_RUN_METHOD", "name: UNSET");
        let found = of_chart("acme", &unset);
        assert_eq!(first(&found, Code::TaskRunMethodUnset).severity, Severity::Warning);

        let found = of_chart("flagsmith", CHART_DEFAULT);
        assert_eq!(first(&found, Code::TaskRunMethodUnset).severity, Severity::Info, "the chart's default");
    }
}
