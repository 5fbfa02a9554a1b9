//! The rows that are there do not allow the change.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, Stage, first_quoted};
use crate::causes::log::phrasing::{progress, the_migration};
use crate::causes::log::{finding::Explanation, rule::Plain};
use crate::model::Code;

pub const MIGRATION_DATA_CONFLICT: (Code, Plain) = (
    Code::MigrationDataConflict,
    Plain {
        precedence: 460,
        last_resort: false,
        recognise: recognise,
        explain: explain,
        is_over: None,
    },
);

fn recognise(failure: &Failure<'_>) -> Option<FailureDetails> {
    if failure.stage != Stage::Migrate || !failure.is_database() {
        return None;
    }
    let form = match failure.kind() {
        "UniqueViolation" => "duplicate",
        "NotNullViolation" => "null",
        "ForeignKeyViolation" => "reference",
        "CheckViolation" | "ExclusionViolation" => "check",
        "StringDataRightTruncation"
        | "NumericValueOutOfRange"
        | "InvalidTextRepresentation"
        | "DatatypeMismatch"
        | "CannotCoerce"
        | "InvalidDatetimeFormat"
        | "DatetimeFieldOverflow"
        | "IntegrityError"
        | "DataError" => "value",
        "UntranslatableCharacter" | "CharacterNotInRepertoire" => "encoding",
        "ObjectInUse" => "pending",
        _ => return None,
    };
    let detail = failure
        .message
        .lines()
        .find_map(|line| line.split_once("DETAIL:").map(|(_, detail)| detail.trim()));
    Some(FailureDetails {
        form,
        object: first_quoted(failure.message).map(str::to_owned),
        detail: detail
            .or_else(|| failure.message.lines().next())
            .map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let the_migration = the_migration(case, occurrence);
    let progress = progress(case, occurrence);
    let object = occurrence.details.object.as_deref().unwrap_or("a constraint");
    let detail = occurrence.details.detail.as_deref().unwrap_or_default();
    let (what, remedy) = match occurrence.details.form {
        "duplicate" => (
            format!("rows that are there break the rule \"{object}\" that values must be unique ({detail})"),
            "Find the duplicates with the columns of that message: SELECT COLUMNS, count(*) FROM TABLE GROUP BY COLUMNS HAVING count(*) > 1; keep one of each (after a backup), then migrate again.",
        ),
        "null" => (
            format!("column \"{object}\" has rows without a value, and the migration makes it mandatory"),
            "Find them: SELECT * FROM TABLE WHERE COLUMN IS NULL; give them a value or delete them (after a backup), then migrate again.",
        ),
        "reference" => (
            format!("rows refer to others that do not exist ({detail})"),
            "Find the orphans with the columns of that message, delete or correct them (after a backup), then migrate again. They come from deletions by hand or a partial restore.",
        ),
        "encoding" => (
            format!("the database's encoding cannot hold a character that is needed ({detail})"),
            "Move to a database in UTF8: pg_dump, CREATE DATABASE NAME ENCODING 'UTF8' TEMPLATE template0; then restore and migrate again.",
        ),
        "pending" => (
            format!("a table is in use by the same transaction ({detail})"),
            "Run the migration again; is it the same, run the release before this one first, then this one.",
        ),
        _ => (
            format!("the data that is there does not fit the change ({detail})"),
            "Correct the rows that the message names (after a backup), then migrate again.",
        ),
    };
    Explanation::new(
        Code::MigrationDataConflict,
        format!("{the_migration} cannot be applied: {what}. Nothing of it was applied.{progress}"),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::recognise;
    use crate::model::Code::MigrationDataConflict;
    use rstest::rstest;

    #[rstest]
    #[case(
        "psycopg2.errors.UniqueViolation",
        "could not create unique index \"a_uniq\"\nDETAIL:  Key (email)=(x) is duplicated.",
        "duplicate"
    )]
    #[case(
        "psycopg2.errors.NotNullViolation",
        "column \"c\" of relation \"t\" contains null values",
        "null"
    )]
    #[case(
        "psycopg2.errors.ForeignKeyViolation",
        "insert or update on table \"t\" violates foreign key constraint \"fk\"",
        "reference"
    )]
    #[case(
        "psycopg2.errors.StringDataRightTruncation",
        "value too long for type character varying(10)",
        "value"
    )]
    #[case(
        "psycopg2.errors.UntranslatableCharacter",
        "character with byte sequence 0xe2 in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"",
        "encoding"
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] form: &str) {
        let (code, details) = recognise(Stage::Migrate, class, message).unwrap();
        assert_eq!((code, details.form), (MigrationDataConflict, form));
    }
}
