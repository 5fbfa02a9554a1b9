//! The task processor has no replicas.

use super::shared::{diagnosis::diagnosis, queue::waiting_anywhere};
use crate::{
    causes::{prelude::*, snippets::intend_no_pods},
    validate::Change,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[Explains::everywhere(consequences::WITHOUT_PROCESSOR)],
    check: Some(|context| scaled_to_zero(context).into_iter().collect()),
    ..Cause::warning(Component::TaskProcessor, include_str!("processor_scaled_to_zero.md"))
};

fn scaled_to_zero(context: &Context<'_>) -> Option<Draft> {
    let installation = context.installation;
    let state = context.observation.task_processor.as_ref()?;
    if installation.task_processor_replicas() > 0 || state.resting {
        return None;
    }
    let managed_by = &installation.managed_by;
    let (set, hint) = match managed_by.field(Component::TaskProcessor, "replicas") {
        Some(field) => (format!("{field} is 0"), String::new()),
        None => (
            format!("Deployment {}: spec.replicas is 0", state.name),
            format!(" If it is intended: {}", intend_no_pods(&installation.identity.namespace, &state.name)),
        ),
    };
    let mut evidence = vec![set];
    evidence.extend(waiting_anywhere(context.observation));
    Some(diagnosis(
        Code::TaskProcessorScaledToZero,
        Severity::Warning,
        "No task processor runs: webhooks, audit log, scheduled changes and clean-ups are queued and wait.",
        evidence,
        format!(
            "{}; the queue is then worked off.{hint}",
            managed_by.change(&[Change::Replicas(Component::TaskProcessor, 1)])
        ),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        causes::{
            diagnose,
            task_processor::shared::testing::{
                HOSTILE, assert_harmless, first, lacks, of_chart, silent, with_queue,
            },
        },
        fixtures::{CHART_WITH_PROCESSOR, installation, objects, observed, spec},
        model::Code,
    };

    #[test]
    fn no_processor_is_told_with_what_waits() {
        let wanted = installation(&spec(json!({ "taskProcessor": { "replicas": 0 } })));
        let mut observation = with_queue(silent);
        observation.pods.clear();
        let found = diagnose(&wanted, &observation);
        let first = found.first().unwrap();
        assert_eq!(first.code, Code::TaskProcessorScaledToZero);
        assert!(first.evidence.iter().any(|line| line.contains("more than 2,000 tasks ready")), "{first:?}");
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn no_pods_are_a_trouble_unless_the_owner_says_so() {
        let sleeping = CHART_WITH_PROCESSOR.replace("replicas: 1", "replicas: 0");
        first(&of_chart("acme", &sleeping), Code::TaskProcessorScaledToZero);
        let intended = sleeping.replace(
            "  labels:\n    helm.sh/chart",
            "  annotations: {operator.flagsmith.com/scaled-to-zero: intended}\n  labels:\n    helm.sh/chart",
        );
        lacks(&of_chart("acme", &intended), Code::TaskProcessorScaledToZero);
    }

    #[test]
    fn a_hostile_name_is_not_repeated_in_a_command() {
        let sleeping = CHART_WITH_PROCESSOR.replace("replicas: 1", "replicas: 0");
        for hostile in HOSTILE {
            let (found, mut observation) = observed("acme", &objects(&sleeping));
            observation.task_processor.as_mut().unwrap().name = (*hostile).to_owned();
            let diagnoses = diagnose(&found.installation, &observation);
            assert_harmless(&first(&diagnoses, Code::TaskProcessorScaledToZero).remedy, "");
        }
    }
}
