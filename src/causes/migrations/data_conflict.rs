//! Existing rows do not allow the change.

use crate::causes::{
    log::failure::first_quoted,
    migrations::shared::snippets::{MIGRATE, stopped},
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    ..Cause::critical(Component::Migrations, include_str!("data_conflict.md"))
};

/// What the rows violate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Duplicate,
    Null,
    Reference,
    Check,
    Value,
    Encoding,
    /// Triggers of the same transaction that are still to run.
    Pending,
}

const fn of_class(variant: Variant, class: &'static [&'static str]) -> Signature<Variant> {
    Signature::of(variant).only_database().class(class).stage(MIGRATE)
}

static LOG: Rule<Variant> = Rule {
    precedence: 460,
    signatures: &[
        of_class(Variant::Duplicate, &["UniqueViolation"]),
        of_class(Variant::Null, &["NotNullViolation"]),
        of_class(Variant::Reference, &["ForeignKeyViolation"]),
        of_class(Variant::Check, &["CheckViolation", "ExclusionViolation"]),
        of_class(
            Variant::Value,
            &[
                "StringDataRightTruncation",
                "NumericValueOutOfRange",
                "InvalidTextRepresentation",
                "DatatypeMismatch",
                "CannotCoerce",
                "InvalidDatetimeFormat",
                "DatetimeFieldOverflow",
                "IntegrityError",
                "DataError",
            ],
        ),
        of_class(Variant::Encoding, &["UntranslatableCharacter", "CharacterNotInRepertoire"]),
        of_class(Variant::Pending, &["ObjectInUse"]),
    ],
    details,
    explain,
    is_over: None,
};

#[allow(clippy::unnecessary_wraps, reason = "the form of every rule: others decline")]
fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    let mut lines = failure.message.lines();
    let detail = lines.find_map(|line| line.split_once("DETAIL:").map(|(_, detail)| detail.trim()));
    Some(FailureDetails {
        object: first_quoted(failure.message).map(str::to_owned),
        detail: detail.or_else(|| failure.message.lines().next()).map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let object = occurrence.details.object.as_deref().unwrap_or("a constraint");
    let detail = occurrence.details.detail.as_deref().unwrap_or_default();
    let (what, remedy) = match variant {
        Variant::Duplicate => (
            format!("rows that are there break the rule \"{object}\" that values must be unique ({detail})"),
            "Find the duplicates with the columns of that message: SELECT COLUMNS, count(*) FROM TABLE GROUP BY COLUMNS \
             HAVING count(*) > 1; keep one of each (after a backup), then migrate again.",
        ),
        Variant::Null => (
            format!("column \"{object}\" has rows without a value, and the migration makes it mandatory"),
            "Find them: SELECT * FROM TABLE WHERE COLUMN IS NULL; give them a value or delete them (after a backup), then migrate again.",
        ),
        Variant::Reference => (
            format!("rows refer to others that do not exist ({detail})"),
            "Find the orphans with the columns of that message, delete or correct them (after a backup), then migrate again. They come \
             from deletions by hand or a partial restore.",
        ),
        Variant::Encoding => (
            format!("the database's encoding cannot hold a character that is needed ({detail})"),
            "Move to a database in UTF8: pg_dump, CREATE DATABASE NAME ENCODING 'UTF8' TEMPLATE template0; then restore and migrate again.",
        ),
        Variant::Pending => (
            format!("a table is in use by the same transaction ({detail})"),
            "Run the migration again; if it fails the same way, run the release before this one first, then this one.",
        ),
        Variant::Check | Variant::Value => (
            format!("the data that is there does not fit the change ({detail})"),
            "Correct the rows that the message names (after a backup), then migrate again.",
        ),
    };
    Explanation::new(
        Code::MigrationDataConflict,
        stopped(evidence, occurrence, &format!("cannot be applied: {what}. Nothing of it was applied")),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{LOG, Variant};
    use crate::{
        causes::log::{failure::Stage, testing::recognise},
        model::Code::MigrationDataConflict,
    };

    #[rstest]
    #[case(
        "psycopg2.errors.UniqueViolation",
        "could not create unique index \"a_uniq\"\nDETAIL:  Key (email)=(x) is duplicated.",
        Variant::Duplicate
    )]
    #[case(
        "psycopg2.errors.NotNullViolation",
        "column \"c\" of relation \"t\" contains null values",
        Variant::Null
    )]
    #[case(
        "psycopg2.errors.ForeignKeyViolation",
        "insert or update on table \"t\" violates foreign key constraint \"fk\"",
        Variant::Reference
    )]
    #[case(
        "psycopg2.errors.StringDataRightTruncation",
        "value too long for type character varying(10)",
        Variant::Value
    )]
    #[case(
        "psycopg2.errors.UntranslatableCharacter",
        "character with byte sequence 0xe2 in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"",
        Variant::Encoding
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] variant: Variant) {
        let (code, details) = recognise(Stage::Migrate, class, message).unwrap();
        assert_eq!((code, LOG.variant(&details)), (MigrationDataConflict, Some(variant)));
    }
}
