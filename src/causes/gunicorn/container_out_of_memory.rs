//! A container was killed for lack of memory.

use crate::{
    causes::{described, log::phrasing, pods, prelude::*, sigkill},
    flagsmith::OF_A_WORKER,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(consequences::WITHOUT_API),
        Explains::same_component(&[Code::GunicornWorkerOutOfMemory, Code::GunicornWorkerKilled]),
    ],
    log: &[&EXIT_STATUS, &LOG],
    remedy_here: Some(|context, found| context.installation.managed_by.raise_memory(found.component)),
    in_logs: Some(|logs| {
        let serves = logs.component != Component::Migrations;
        serves.then(|| described::out_of_memory(logs, Code::ContainerOutOfMemory))?
    }),
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("container_out_of_memory.md"))
};

/// Who says that there was no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Witness {
    /// Docker Compose, by the exit status alone.
    ExitStatus,
    /// Node.js.
    Node,
    /// Python.
    Python,
    /// A shell or the runtime.
    Killed,
}

/// Of the exit status the timeline of the container tells whether it is one.
static EXIT_STATUS: Plain = Plain {
    precedence: 130,
    words: &["exited with code 137"],
    recognise: |failure| {
        let killed = failure.stage != Stage::Migrate && failure.is_killed_container();
        killed.then(FailureDetails::default)
    },
    explain: |logs, _| explain(logs, Witness::ExitStatus),
    is_over: Some(|_, timeline, _| Some(!timeline.died_of_a_kill())),
};

/// Whoever fails while it migrates has a cause of its own.
const STAGES: &[Stage] = &[Stage::Wait, Stage::Boot, Stage::Serve];

static LOG: Rule<Witness> = Rule {
    precedence: 130,
    signatures: &[
        Signature::of_words(Witness::Node, &["JavaScript heap out of memory"]).stage(STAGES),
        Signature::of(Witness::Python).stage(STAGES).class(&["MemoryError"]),
        Signature::of_words(Witness::Killed, &["Killed"]).stage(STAGES),
    ],
    details,
    explain: |logs: &LogEvidence, _: &Occurrence, witness| explain(logs, witness),
    is_over: None,
};

fn details(failure: &Failure<'_>, witness: Witness) -> Option<FailureDetails> {
    let shown = match witness {
        Witness::ExitStatus | Witness::Node | Witness::Python => true,
        Witness::Killed => sigkill::is_line(failure),
    };
    shown.then(FailureDetails::default)
}

fn explain(logs: &LogEvidence, witness: Witness) -> Explanation {
    let who = phrasing::component(logs.component);
    let more = |raise: &str| {
        format!(
            "{raise} the memory limit of its container, or lower GUNICORN_WORKERS (each process needs {OF_A_WORKER})."
        )
    };
    let (message, remedy) = match witness {
        Witness::Node => (
            "The frontend ended because Node.js had used up its heap.".to_owned(),
            "Raise the memory limit of the frontend's container and set NODE_OPTIONS=--max-old-space-size=(three \
             quarters of it, in MiB)."
                .to_owned(),
        ),
        Witness::Python => (
            format!("{who} got no more memory from its container."),
            more("Raise"),
        ),
        Witness::ExitStatus => (
            format!(
                "{who} was ended with SIGKILL (exit status 137): by the kernel when it goes over its memory limit, \
                 or because the container was stopped or killed."
            ),
            format!(
                "{} Confirm: {}",
                more("Unless it was stopped on purpose, raise"),
                sigkill::CONFIRM_WITH_DOCKER
            ),
        ),
        Witness::Killed => (
            format!(
                "{who} was ended by the kernel (SIGKILL), which nearly always means that it went over its memory \
                 limit."
            ),
            format!(
                "{} Confirm: {} says OOMKilled.",
                more("Raise"),
                sigkill::CONFIRM_WITH_KUBECTL
            ),
        ),
    };
    Explanation::new(Code::ContainerOutOfMemory, message, remedy)
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    pods::diagnoses(context, pods::SERVING, |trouble| {
        pods::out_of_memory(trouble, Code::ContainerOutOfMemory)
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::rule::LogRule;

    #[rstest]
    #[case::python("MemoryError", "", Some(Witness::Python))]
    #[case::node(
        "",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        Some(Witness::Node)
    )]
    #[case::compose("", " exited with code 137", Some(Witness::ExitStatus))]
    #[case::a_shell("", "Killed", Some(Witness::Killed))]
    #[case::a_script(
        "",
        "run-docker.sh: line 12:    34 Killed     flagsmith start api",
        Some(Witness::Killed)
    )]
    #[case::the_kubelet("", "Last state: Terminated, reason OOMKilled", Some(Witness::Killed))]
    #[case::of_a_request("", "Killed the feature", None)]
    #[case::of_an_exception("ValueError", "Killed", None)]
    fn its_witnesses(#[case] class: &str, #[case] message: &str, #[case] expected: Option<Witness>) {
        let at = |stage| {
            let failure = Failure::new(class, message, Component::Api, stage);
            let known = EXIT_STATUS.recognise(&failure).map(|_| Witness::ExitStatus);
            known.or_else(|| {
                let details = LOG.recognise(&failure)?;
                Some(LOG.signatures[usize::from(details.signature)].variant)
            })
        };
        assert_eq!(at(Stage::Serve), expected);
        assert_eq!(at(Stage::Migrate), None, "a migration has a cause of its own");
    }
}
