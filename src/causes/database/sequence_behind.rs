//! The sequence of a table's ids is behind the table.

use crate::{
    causes::{
        log::{
            failure::{FailureDetails, first_quoted},
            phrasing::{component, progress, the_migration, times, within},
        },
        prelude::*,
    },
    postgres::sql,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    ..Cause::critical(Component::Database, include_str!("sequence_behind.md"))
};

/// Ends the name that PostgreSQL gives to a primary key; a number follows where that was taken.
const PRIMARY_KEY: &str = "_pkey";

/// Ids come from a sequence, one after the other, whoever asks: no two processes get the same.
static LOG: Rule<()> = Rule {
    precedence: 440,
    signatures: &[
        Signature::of(()).only_database().class(&["UniqueViolation"]).any(&[PRIMARY_KEY]),
        Signature::of_database((), &["duplicate key value violates unique constraint"]).all(&[PRIMARY_KEY]),
    ],
    details,
    explain,
    is_over: None,
};

fn details(failure: &Failure<'_>, (): ()) -> Option<FailureDetails> {
    let constraint = first_quoted(failure.message)?;
    let (table, number) = constraint.rsplit_once(PRIMARY_KEY)?;
    let of_id = number.bytes().all(|byte| byte.is_ascii_digit()) && id(failure.message).is_some();
    // An index that cannot be built has found two rows with the same id: those are wrong.
    let of_id = of_id && !failure.says("could not create unique index");
    of_id.then(|| FailureDetails::default().object(table))
}

/// The id of `Key (id)=(5) already exists.`, in any language; others are made by whoever inserts them.
fn id(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("(id)=(")?;
    rest.split_once(')')?.0.parse().ok()
}

/// Sets each sequence of the schema behind its table.
const EVERY_SEQUENCE: &str = "SELECT format('SELECT setval(%L, (SELECT max(%I) FROM %I.%I));', \
     pg_get_serial_sequence(format('%I.%I', table_schema, table_name), column_name), column_name, table_schema, table_name) FROM \
     information_schema.columns WHERE table_schema = 'public' AND pg_get_serial_sequence(format('%I.%I', table_schema, \
     table_name), column_name) IS NOT NULL \\gexec";

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, (): ()) -> Explanation {
    let table = occurrence.details.object.as_deref().unwrap_or("the table");
    let of_migration = occurrence.stage == Stage::Migrate;
    let what = if of_migration {
        format!(
            "{} stopped: the next id of table {table} is one that the table has already.{}",
            the_migration(evidence, occurrence),
            progress(evidence, occurrence)
        )
    } else {
        format!(
            "Whatever {} adds to table {table} fails ({}): the next id is one that the table has already.",
            within(component(evidence.component)),
            times(occurrence.count)
        )
    };
    let name = sql::identifier(table, "TABLE");
    let explained = Explanation::new(
        Code::SequenceBehind,
        format!(
            "{what} The sequence that gives the ids is behind its table, as a restore of data alone or logical replication leaves \
             it; the rows are right."
        ),
        format!(
            "Set the sequence: SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name})); \
             Others will be behind as well; in psql, for all of them: {EVERY_SEQUENCE} Then do again what failed. Delete or change no \
             rows; flagsmith migrate --fake would fail in the same way."
        ),
    );
    if of_migration { explained } else { explained.with(Severity::Warning) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::testing::{code, recognise};

    const UNIQUE: &str = "psycopg2.errors.UniqueViolation";

    #[rstest]
    #[case(
        "duplicate key value violates unique constraint \"django_migrations_pkey\"\nDETAIL:  Key (id)=(5) already exists.",
        "django_migrations"
    )]
    #[case(
        "duplicate key value violates unique constraint \"features_feature_pkey1\"\nDETAIL:  Key (id)=(12) already exists.",
        "features_feature"
    )]
    #[case(
        "doppelter Schlüsselwert verletzt Unique-Constraint »auth_group_pkey«\nDETAIL:  Schlüssel »(id)=(5)« existiert bereits.",
        "auth_group"
    )]
    fn recognises(#[case] message: &str, #[case] table: &str) {
        for stage in [Stage::Migrate, Stage::Serve] {
            let (code, details) = recognise(stage, UNIQUE, message).unwrap();
            assert_eq!((code, details.object.as_deref()), (Code::SequenceBehind, Some(table)));
        }
    }

    /// Values that others chose, and names that must be unique.
    #[rstest]
    #[case(
        "duplicate key value violates unique constraint \"users_email_key\"\nDETAIL:  Key (email)=(x) already exists."
    )]
    #[case(
        "duplicate key value violates unique constraint \"api_keys_pkey\"\nDETAIL:  Key (id)=(4f0c2a) already exists."
    )]
    #[case(
        "duplicate key value violates unique constraint \"cache_pkey\"\nDETAIL:  Key (cache_key)=(7) already exists."
    )]
    #[case("could not create unique index \"a_pkey\"\nDETAIL:  Key (id)=(1) is duplicated.")]
    fn is_none(#[case] message: &str) {
        assert_ne!(code(Stage::Serve, UNIQUE, message), Some(Code::SequenceBehind));
        assert_ne!(
            code(Stage::Migrate, "psycopg2.errors.UniqueViolation", message),
            Some(Code::SequenceBehind)
        );
    }
}
