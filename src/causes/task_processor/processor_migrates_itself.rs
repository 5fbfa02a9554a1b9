//! The task processor migrates the database.

use super::shared::{
    deployments::{Deployments, is_starting},
    diagnosis::diagnosis,
};
use crate::{causes::prelude::*, validate::Change};

/// What starts a task processor that neither migrates nor, in any release since 2.170.0, fails to work.
const WORK: &[&str] = &["start", "task-processor"];

pub(crate) static CAUSE: Cause = Cause {
    in_logs: Some(in_logs),
    applies: Applies::Observed,
    check: Some(|context| migrates(context).into_iter().collect()),
    ..Cause::warning(Component::TaskProcessor, include_str!("processor_migrates_itself.md"))
};

/// What makes it a risk.
#[derive(Clone, Copy)]
enum Risk {
    /// The task processor's release is newer than the API's.
    Newer,
    /// There are several task processors.
    Several,
    /// Nothing is known of either.
    Possible,
}

fn message(migrates: &str, risk: Risk) -> String {
    let risk = match risk {
        Risk::Newer => "It migrates to a release that is newer than the API's.",
        Risk::Several => "Its pods race each other.",
        Risk::Possible => {
            "Several replicas migrate at the same time, and a newer tag migrates the database under an older API."
        }
    };
    format!("The task processor {migrates}: \"run-task-processor\" migrates since Flagsmith 2.178.0. {risk}")
}

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    if evidence.component != Component::TaskProcessor {
        return None;
    }
    // In the output of Compose another service migrates: that one never comes up.
    let is_processor =
        |source: u16| evidence.sources.len() == 1 || evidence.life(source).is_some_and(|life| life.up > 0);
    let (_, (location, count)) = evidence.tasks.migrated.iter().find(|(source, _)| is_processor(**source))?;
    let migrations = if *count == 1 { "one migration".to_owned() } else { format!("{count} migrations") };
    let explained = Explanation::new(
        Code::TaskProcessorMigratesItself,
        message(&format!("applied {migrations} at its start"), Risk::Possible),
        "Start it with the args [\"start\", \"task-processor\"] and command [\"flagsmith\"] (2.170.0 and later), and \
         migrate in one Job before.",
    );
    Some(Finding::new(explained, vec![location.clone()]))
}

fn migrates(context: &Context<'_>) -> Option<Draft> {
    let Deployments { api, processor, .. } = Deployments::of(context)?;
    let (processor, container) = processor?;
    if !container.migrates() {
        return None;
    }
    let newer = api.release.is_some() && processor.release > api.release && !is_starting(context.observation);
    let (risk, severity) = if newer {
        (Risk::Newer, Severity::Warning)
    } else if processor.desired > 1 {
        (Risk::Several, Severity::Warning)
    } else {
        (Risk::Possible, Severity::Info)
    };
    Some(diagnosis(
        Code::TaskProcessorMigratesItself,
        severity,
        message("migrates the database at every start", risk),
        vec![format!(
            "Deployment {}: command {:?}, {} pods",
            processor.name, container.command, processor.desired
        )],
        context.installation.managed_by.change(&[Change::Start(Component::TaskProcessor, WORK)]),
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::{
            diagnose_log,
            task_processor::shared::testing::{STARTS, UP, of_chart, tagged},
        },
        fixtures::CHART_WITH_PROCESSOR,
        model::{Code, Component, Severity},
    };

    #[rstest]
    #[case(CHART_WITH_PROCESSOR.to_owned(), Some(Severity::Info))]
    #[case(CHART_WITH_PROCESSOR.replace("replicas: 1", "replicas: 2"), Some(Severity::Warning))]
    #[case(tagged("api", "2.260.0"), Some(Severity::Warning))]
    #[case(CHART_WITH_PROCESSOR.replace("[\"run-task-processor\"]", "[\"start\",\"task-processor\"]"), None)]
    fn a_processor_that_migrates(#[case] manifest: String, #[case] expected: Option<Severity>) {
        let found = of_chart("acme", &manifest);
        let severity =
            found.iter().find(|it| it.code == Code::TaskProcessorMigratesItself).map(|it| it.severity);
        assert_eq!(severity, expected);
    }

    /// In the output of Compose: the processor itself migrates, or a service beside it does.
    #[rstest]
    #[case("tasks-1", &[Code::TaskProcessorMigratesItself])]
    #[case("migrate-1", &[])]
    fn who_migrates_is_told_by_the_service(#[case] service: &str, #[case] expected: &[Code]) {
        let log = format!(
            "{service} | Operations to perform:\n{service} |   Applying users.0001_initial... OK\ntasks-1 | {UP}tasks-1 | {STARTS}"
        );
        let found = diagnose_log(Component::TaskProcessor, None, "log", log.as_bytes());
        let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
        assert_eq!(codes, expected);
    }
}
