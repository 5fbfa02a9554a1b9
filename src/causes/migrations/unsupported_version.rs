//! This version of Flagsmith is not supported here.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    log: &[&LOG],
    ..Cause::critical(Component::Migrations, include_str!("unsupported_version.md"))
};

/// What the image does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The command `flagsmith`.
    Cli,
    /// The argument of its entry point.
    Verb,
}

static LOG: Rule<Variant> = Rule {
    precedence: 120,
    signatures: &[
        Signature::of_words(
            Variant::Cli,
            &["executable file not found in $PATH", "flagsmith: not found", "flagsmith: command not found"],
        )
        .all(&["flagsmith"]),
        Signature::of_words(Variant::Verb, &["ERROR: unrecognised command"]),
    ],
    details: |_, _| Some(FailureDetails::default()),
    explain,
    is_over: None,
};

fn explain(_: &LogEvidence, _: &Occurrence, variant: Variant) -> Explanation {
    let (what, since) = match variant {
        Variant::Cli => ("the command \"flagsmith\"", "2.170.0"),
        Variant::Verb => ("the command that it is started with", "2.51.0"),
    };
    Explanation::new(
        Code::UnsupportedVersion,
        format!("The image does not know {what}: it is older than {since}."),
        "Use an image of 2.170.0 or later, or the args of the older one: [\"serve\"], [\"migrate\"], [\"run-task-processor\"] with the \
         image's own entry point.",
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{LOG, Variant};
    use crate::{
        causes::log::{failure::Stage, testing::recognise},
        model::Code::UnsupportedVersion,
    };

    #[rstest]
    #[case("exec: \"flagsmith\": executable file not found in $PATH: unknown", Variant::Cli)]
    #[case("ERROR: unrecognised command 'start'", Variant::Verb)]
    fn recognises(#[case] message: &str, #[case] variant: Variant) {
        let (code, details) = recognise(Stage::Boot, "", message).unwrap();
        assert_eq!((code, LOG.variant(&details)), (UnsupportedVersion, Some(variant)));
    }
}
