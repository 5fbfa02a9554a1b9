//! The process is told that it is no task processor.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause = Cause {
    explains: &[Explains::everywhere(consequences::WITHOUT_PROCESSOR)],
    log: &[&LOG],
    ..Cause::critical(Component::TaskProcessor, include_str!("processor_mode_off.md"))
};

static LOG: Rule<()> = Rule {
    precedence: 210,
    signatures: &[Signature::of_words((), &["is not supported as an entrypoint. Please use"])],
    details: |_, ()| Some(FailureDetails::default()),
    explain,
    is_over: None,
};

fn explain(_: &LogEvidence, _: &Occurrence, (): ()) -> Explanation {
    Explanation::new(
        Code::TaskProcessorModeOff,
        "The task processor refuses to start because Django's settings say that it is none (TASK_PROCESSOR_MODE is \
         false). The command itself sets RUN_BY_PROCESSOR, from which Flagsmith's settings take it, so these are other \
         settings.",
        "Remove DJANGO_SETTINGS_MODULE from the task processor's environment, or TASK_PROCESSOR_MODE from the own \
         settings module that it names.",
    )
}

#[cfg(test)]
mod tests {
    use crate::{
        causes::log::{failure::Stage, testing::recognise},
        model::Code,
    };

    #[test]
    fn recognises() {
        let (code, details) = recognise(
            Stage::Serve,
            "django.core.exceptions.ImproperlyConfigured",
            "`run-task-processor` is not supported as an entrypoint. Please use `flagsmith start task-processor` instead.",
        )
        .unwrap();
        assert_eq!((code, details.object), (Code::TaskProcessorModeOff, None));
    }
}
