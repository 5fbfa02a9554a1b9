//! The migration was killed for lack of memory.

use crate::{
    api::Circumstance,
    causes::{
        cause::{Cause, Explains},
        described,
        log::{
            evidence::{LogEvidence, Occurrence},
            failure::{Failure, FailureDetails},
            finding::Explanation,
            rule::{Rule, Signature},
            timeline::ProcessTimeline,
        },
        migrations::shared::snippets::{MIGRATE, stopped},
    },
    model::{Code, Component},
};

pub(crate) static CAUSE: Cause = Cause {
    cured_by: Some(Circumstance::MemoryLimit),
    explains: &[
        Explains::in_logs(&[Code::TaskProcessorMigratesItself]),
        Explains::everywhere(&[Code::MigrationsPending]),
        Explains::same_component(&[Code::MigrationFailed]),
    ],
    log: &[&LOG],
    in_logs: Some(|logs| {
        let migrates = logs.component == Component::Migrations;
        migrates.then(|| described::out_of_memory(logs, Code::MigrationOutOfMemory))?
    }),
    ..Cause::critical(Component::Migrations, include_str!("out_of_memory.md"))
};

/// Who noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Docker Compose: the container ended with SIGKILL, for whatever reason.
    Container,
    /// Python, which was given no more.
    Python,
    /// A shell, or Kubernetes: the kernel ended it.
    Kernel,
}

static LOG: Rule<Variant> = Rule {
    precedence: 470,
    signatures: &[
        Signature::of_words(Variant::Container, &["exited with code 137"]).stage(MIGRATE),
        Signature::of(Variant::Python).class(&["MemoryError"]).stage(MIGRATE),
        Signature::of_words(Variant::Kernel, &["Killed"]).stage(MIGRATE),
    ],
    details,
    explain,
    is_over: Some(|_, timeline, occurrence| is_over(timeline, occurrence)),
};

/// A shell that waits for the process says `line 12:    34 Killed    flagsmith migrate`.
fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    let line = failure.message.trim();
    let known = match variant {
        Variant::Container => failure.is_killed_container(),
        Variant::Python => true,
        Variant::Kernel => {
            let said = line == "Killed"
                || line.contains(": ") && (line.contains(" Killed ") || line.ends_with(" Killed"));
            failure.class.is_empty() && said || line.contains("OOMKilled")
        }
    };
    known.then(FailureDetails::default)
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    const RAISE: &str = "the memory limit of the migration's container (a data migration may need more than 1 GiB on large tables)";
    const INSPECT: &str = "docker inspect -f '{{.State.OOMKilled}}' CONTAINER";
    const REASON: &str = "kubectl get pod POD -o jsonpath='{.status.containerStatuses[0].lastState.terminated.reason}' says OOMKilled.";
    let (how, remedy) = match variant {
        Variant::Container => (
            "was ended with SIGKILL (exit status 137): by the kernel when it goes over its memory limit, or by a person who stopped or \
             killed the container",
            format!("If it was not stopped by hand, raise {RAISE}; then migrate again. Confirm: {INSPECT}"),
        ),
        Variant::Python => {
            ("got no more memory", format!("Raise {RAISE}, then migrate again. Confirm: {REASON}"))
        }
        Variant::Kernel => (
            "was ended by the kernel (SIGKILL), which nearly always means that it went over its memory limit",
            format!("Raise {RAISE}, then migrate again. Confirm: {REASON}"),
        ),
    };
    Explanation::new(Code::MigrationOutOfMemory, stopped(evidence, occurrence, how), remedy)
}

/// A container that was told to stop, or that did not migrate, was not short of memory.
fn is_over(timeline: &ProcessTimeline, occurrence: &Occurrence) -> Option<bool> {
    let is_container = LOG.variant(&occurrence.details) == Some(Variant::Container);
    is_container.then(|| !timeline.died_of_a_kill())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::log::{failure::Stage, testing::code},
        model::Code::{self, *},
    };

    #[rstest]
    #[case("MemoryError", "", Some(MigrationOutOfMemory))]
    #[case("", "Killed", Some(MigrationOutOfMemory))]
    #[case(
        "",
        "./scripts/run-docker.sh: line 12:    34 Killed                  python manage.py migrate",
        Some(MigrationOutOfMemory)
    )]
    #[case("", "Killed by nobody", None)]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Option<Code>) {
        assert_eq!(code(Stage::Migrate, class, message), expected);
    }
}
