//! What is in the way of a migration, and what only looks like it.

use rstest::rstest;

use crate::{
    causes::{
        diagnose_log,
        log::{
            failure::Stage,
            testing::{code, recognise},
        },
    },
    model::{
        Code::{self, *},
        Component,
    },
};

#[rstest]
#[case(
    "psycopg2.errors.DuplicateTable",
    "relation \"django_content_type\" already exists",
    MigrationSchemaConflict
)]
#[case(
    "psycopg2.errors.DuplicateColumn",
    "column \"x\" of relation \"y\" already exists",
    MigrationSchemaConflict
)]
#[case(
    "psycopg2.errors.DuplicateColumn",
    "Spalte »x« von Relation »y« existiert bereits",
    MigrationSchemaConflict
)]
#[case(
    "psycopg2.errors.UndefinedTable",
    "relation \"task_processor_recurringtask\" does not exist",
    MigrationSchemaConflict
)]
#[case(
    "psycopg2.errors.UndefinedObject",
    "constraint \"c\" of relation \"r\" does not exist",
    MigrationSchemaConflict
)]
#[case(
    "psycopg2.errors.InvalidCursorName",
    "cursor \"_django_curs_140245_sync_1\" does not exist",
    MigrationFailed
)]
#[case("psycopg2.errors.FeatureNotSupported", "unimplemented: this syntax", MigrationFailed)]
fn recognises(#[case] class: &str, #[case] message: &str, #[case] expected: Code) {
    assert_eq!(code(Stage::Migrate, class, message), Some(expected));
}

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
#[case("django.db.utils.InternalError", "cannot drop table a because other objects depend on it", None)]
fn names_what_depends(#[case] class: &str, #[case] message: &str, #[case] detail: Option<&str>) {
    let (code, details) = recognise(Stage::Migrate, class, message).unwrap();
    assert_eq!((code, details.detail.as_deref()), (MigrationSchemaConflict, detail));
}

#[rstest]
#[case("x;curl", "flagsmith migrate APP 0002 --fake;")]
#[case("$(curl)", "flagsmith migrate APP 0002 --fake;")]
#[case("users", "flagsmith migrate users 0002 --fake;")]
fn hostile_names_are_replaced(#[case] app: &str, #[case] expected: &str) {
    let log = format!(
        "Operations to perform:\n  Applying a.0001_x... OK\n  Applying {app}.0002_y...\npsycopg2.errors.DuplicateTable: relation \"t\" already exists\n"
    );
    let found = diagnose_log(Component::Migrations, None, "log", log.as_bytes());
    let (_, first) = found.first().unwrap();
    assert_eq!(first.code, MigrationSchemaConflict);
    assert!(first.remedy.contains(expected), "{}", first.remedy);
}
