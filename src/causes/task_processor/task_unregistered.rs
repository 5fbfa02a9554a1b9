//! A task is unknown to the task processor's release.

use super::shared::sql;
use crate::causes::{
    log::{failure::quoted_after, phrasing},
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing]),
        Explains::everywhere(&[Code::TasksStuckLocked]),
    ],
    log: &[&LOG],
    ..Cause::critical(Component::TaskProcessor, include_str!("task_unregistered.md"))
};

static LOG: Plain = Plain {
    precedence: 220,
    words: &["No task registered with identifier"],
    recognise,
    explain,
    is_over: None,
};

fn recognise(failure: &Failure<'_>) -> Option<FailureDetails> {
    let (_, rest) = failure.message.split_once("No task registered with identifier")?;
    let name = quoted_after(failure.message, &["identifier ", "identifier: "]).or_else(|| {
        rest.trim_start_matches([':', ' ', '\'', '"']).split(['\'', '"', ' ', '\n', '\\']).next()
    });
    // The class puts its arguments into a tuple: `("… identifier '%s'. …", 'tasks.x')`.
    let name = name
        .filter(|name| !name.contains('%'))
        .or_else(|| failure.message.trim_end_matches(')').trim_end_matches('\'').rsplit('\'').next());
    Some(FailureDetails::default().object(name.unwrap_or_default().trim_end_matches('.')))
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = phrasing::component(evidence.component);
    let task = occurrence.details.object.as_deref().unwrap_or_default();
    Explanation::new(
        Code::TaskUnregistered,
        format!(
            "{who} picked up a task \"{task}\" that its release does not know: the API that queued it is newer. Up to ten \
             tasks that were picked up together stay locked each time."
        ),
        remedy(task),
    )
}

fn remedy(task: &str) -> String {
    format!(
        "Run the same release for the API and the task processor (on Helm set api.image.tag and taskProcessor.image.tag; \
         the second does not follow the first). Then, with the processor stopped: {} A task of a release that is gone: {}",
        sql::UNLOCK,
        sql::delete(task)
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::remedy;
    use crate::{
        causes::{
            log::{failure::Stage, testing},
            task_processor::shared::testing::{HOSTILE, assert_harmless, literal},
        },
        model::Code,
    };

    #[rstest]
    #[case("No task registered with identifier 'tasks.new_one'. Ensure your task is decorated.")]
    #[case("No task registered with identifier: tasks.new_one")]
    #[case(
        "(\"No task registered with identifier '%s'. Ensure your task is decorated with @register_task_handler.\", 'tasks.new_one')"
    )]
    fn recognises(#[case] message: &str) {
        let class = "task_processor.exceptions.TaskProcessingError";
        let (code, details) = testing::recognise(Stage::Serve, class, message).unwrap();
        assert_eq!((code, details.object.as_deref()), (Code::TaskUnregistered, Some("tasks.new_one")));
    }

    #[test]
    fn a_hostile_name_is_a_text_in_sql() {
        for hostile in HOSTILE {
            assert_harmless(&remedy(hostile), &literal(hostile));
        }
    }
}
