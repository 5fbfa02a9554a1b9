//! A sequence has given its last number.

use crate::causes::{
    log::{
        failure::{FailureDetails, first_quoted},
        phrasing::times,
    },
    prelude::*,
};

pub(crate) static CAUSE: Cause =
    Cause { log: &[&LOG], ..Cause::critical(Component::Database, include_str!("sequence_exhausted.md")) };

static LOG: Rule<()> = Rule {
    precedence: 441,
    signatures: &[
        Signature::of(()).only_database().class(&["SequenceGeneratorLimitExceeded"]),
        Signature::of_database(
            (),
            &["reached maximum value of sequence", "reached minimum value of sequence"],
        ),
    ],
    details: |failure, ()| {
        let sequence = first_quoted(failure.message)?;
        let limit =
            failure.message.lines().next().and_then(|line| line.rsplit_once('(')?.1.strip_suffix(')'));
        Some(FailureDetails {
            detail: limit.map(str::to_owned),
            ..FailureDetails::default().object(sequence)
        })
    },
    explain,
    is_over: None,
};

fn explain(_: &LogEvidence, occurrence: &Occurrence, (): ()) -> Explanation {
    let sequence = occurrence.details.object.as_deref().unwrap_or("SEQUENCE");
    let limit = occurrence.details.detail.as_ref().map_or_else(String::new, |limit| format!(" ({limit})"));
    Explanation::new(
        Code::SequenceExhausted,
        format!(
            "Sequence {sequence} has given its last number{limit}: nothing can be added to its table any more. It failed {}.",
            times(occurrence.count)
        ),
        "See which column it serves: \\d TABLE in psql, or SELECT * FROM pg_sequences WHERE last_value >= max_value; Where that \
         column is integer, both become bigint: ALTER TABLE TABLE ALTER COLUMN id TYPE bigint; ALTER SEQUENCE SEQUENCE AS bigint; \
         The first rewrites the table and locks it while it does: in a maintenance window. Where the column is bigint already, the \
         second alone is enough and takes no time.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::log::testing::recognise;

    #[test]
    fn recognises() {
        let message =
            "nextval: reached maximum value of sequence \"task_processor_taskrun_id_seq\" (2147483647)";
        let (code, details) =
            recognise(Stage::Serve, "psycopg2.errors.SequenceGeneratorLimitExceeded", message).unwrap();
        assert_eq!(code, Code::SequenceExhausted);
        assert_eq!(details.object.as_deref(), Some("task_processor_taskrun_id_seq"));
        assert_eq!(details.detail.as_deref(), Some("2147483647"));
    }
}
