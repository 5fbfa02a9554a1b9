//! Something in the database that Flagsmith did not make hangs on what a migration changes: a report's view, a
//! publication, a foreign key of another application.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, Stage};
use crate::causes::log::phrasing::{progress, the_migration};
use crate::causes::log::{finding::Explanation, rule::Plain};
use crate::model::Code;

pub const DEPENDENT_OBJECTS: (Code, Plain) = (
    Code::MigrationSchemaConflict,
    Plain {
        precedence: 450,
        last_resort: false,
        recognise: dependents,
        explain: explain,
        is_over: None,
    },
);

/// SQLSTATE 2BP01 for what is dropped; a column's type that a view reads has only the general 0A000.
fn dependents(failure: &Failure<'_>) -> Option<FailureDetails> {
    let dropped = failure.is(&["DependentObjectsStillExist"])
        || failure.is_database() && failure.says("because other objects depend on it");
    let altered = failure.is_database() && failure.says("used by a view or rule");
    if failure.stage != Stage::Migrate || !(dropped || altered) {
        return None;
    }
    let mut lines = failure.message.lines();
    let refusal = lines.next().unwrap_or_default();
    let detail = lines.find_map(|line| line.trim().split_once(':').map(|(_, rest)| rest.trim()));
    Some(FailureDetails {
        form: "dependents",
        object: Some(refusal.to_owned()),
        detail: detail.map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let refusal = occurrence
        .details
        .object
        .as_deref()
        .unwrap_or("objects depend on it");
    let which = occurrence
        .details
        .detail
        .as_ref()
        .map_or_else(|| "the evidence names the object".to_owned(), Clone::clone);
    Explanation::new(
        Code::MigrationSchemaConflict,
        format!(
            "{} cannot be applied: {refusal} ({which}). No release of Flagsmith makes such an object on its own tables, so it belongs to somebody else, for example to a report. Nothing of this migration was applied.{}",
            the_migration(case, occurrence),
            progress(case, occurrence)
        ),
        "Ask whose object it is. Keep its definition (psql: \\d+ VIEW, or pg_dump --schema-only -t VIEW), drop it, migrate again, and create it anew on the changed table. CASCADE would drop it without keeping the definition.",
    )
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::recognise;
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case(
        "psycopg2.errors.DependentObjectsStillExist",
        "kann Spalte x von Tabelle a nicht löschen, weil andere Objekte davon abhängen\nDETAIL:  Sicht my_report hängt von Spalte x von Tabelle a ab",
        Some("Sicht my_report hängt von Spalte x von Tabelle a ab")
    )]
    #[case(
        "psycopg2.errors.FeatureNotSupported",
        "cannot alter type of a column used by a view or rule\nDETAIL:  rule _RETURN on view my_report depends on column \"name\"",
        Some("rule _RETURN on view my_report depends on column \"name\"")
    )]
    #[case(
        "django.db.utils.InternalError",
        "cannot drop table a because other objects depend on it",
        None
    )]
    fn names_what_depends(#[case] class: &str, #[case] message: &str, #[case] detail: Option<&str>) {
        let (code, details) = recognise(Stage::Migrate, class, message).unwrap();
        assert_eq!(
            (code, details.detail.as_deref()),
            (MigrationSchemaConflict, detail)
        );
    }

    #[rstest]
    #[case(
        "psycopg2.errors.FeatureNotSupported",
        "unimplemented: this syntax",
        MigrationFailed
    )]
    fn other_refusals(#[case] class: &str, #[case] message: &str, #[case] code: Code) {
        assert_eq!(recognise(Stage::Migrate, class, message).unwrap().0, code);
    }
}
