//! The migration's database role may not do what the migration needs.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, Stage, first_quoted, quoted_after};
use crate::causes::log::phrasing::{at_migration, identifier, progress};
use crate::causes::log::{finding::Explanation, rule::Plain};
use crate::model::Code;

pub const MIGRATION_PERMISSION_DENIED: (Code, Plain) = (
    Code::MigrationPermissionDenied,
    Plain {
        precedence: 425,
        last_resort: false,
        recognise: permission,
        explain: explain_permission,
        is_over: None,
    },
);
pub const MIGRATION_EXTENSION_UNAVAILABLE: (Code, Plain) = (
    Code::MigrationExtensionUnavailable,
    Plain {
        precedence: 420,
        last_resort: false,
        recognise: extension,
        explain: explain_extension,
        is_over: None,
    },
);

fn permission(failure: &Failure<'_>) -> Option<FailureDetails> {
    let refused = failure.is(&["InsufficientPrivilege"])
        || failure.is_database() && failure.says_any(&["permission denied for ", "must be owner of "]);
    if failure.stage != Stage::Migrate || !refused {
        return None;
    }
    let line = failure.message.lines().next().unwrap_or_default();
    let (form, object) = if let Some((_, object)) = line.split_once("must be owner of ") {
        ("owner", Some(object))
    } else if let Some((_, object)) = line.split_once("permission denied for ") {
        ("denied", Some(object))
    } else if let Some((_, action)) = line.split_once("permission denied to ") {
        ("action", Some(action))
    } else if failure.says("CREATE TABLE ") && line.contains("public") {
        // In any language: for a new table only the schema's CREATE can be missing.
        ("denied", Some("schema public"))
    } else {
        ("", first_quoted(line))
    };
    let object = object.map(|object| object.trim().trim_end_matches(')').replace("relation ", "table "));
    Some(FailureDetails {
        object,
        form,
        ..FailureDetails::default()
    })
}

fn explain_permission(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let at = at_migration(case, occurrence);
    let progress = progress(case, occurrence);
    let object = occurrence
        .details
        .object
        .as_deref()
        .unwrap_or("an object of the database");
    let (kind, name) = object.split_once(' ').unwrap_or(("", object));
    if occurrence.details.form == "action" {
        return Explanation::new(
            Code::MigrationPermissionDenied,
            format!("The migration's database role may not {object}; it stopped{at}.{progress}"),
            "Let the migration connect as a role that may (jobs.migrateDb.databaseUrl in the Helm chart, spec.database.migrationUrlFrom in the operator), or have a superuser do that once and migrate again.",
        );
    }
    let sql = identifier(name);
    let (message, remedy) = match (occurrence.details.form, kind) {
        ("owner", _) => (
            format!("The migration's database role does not own {object}, so it may not alter it; the upgrade stopped{at}.{progress}"),
            format!("As the owner or a superuser (ROLE is the one in DATABASE_URL): ALTER {} {sql} OWNER TO ROLE; or all at once, as the present owner: REASSIGN OWNED BY OLD_ROLE TO ROLE; Or give the migration the owner's credentials (jobs.migrateDb.databaseUrl in the Helm chart, spec.database.migrationUrlFrom in the operator).", kind.to_uppercase()),
        ),
        (_, "schema") => (
            format!("The migration's database role may not create tables in {object}{at}. Since PostgreSQL 15 only the owner of the database may do that by default.{progress}"),
            format!("As the owner of the database (ROLE and NAME are those of DATABASE_URL): GRANT USAGE, CREATE ON SCHEMA {sql} TO ROLE; or ALTER DATABASE NAME OWNER TO ROLE;"),
        ),
        (_, "database") => (
            format!("The migration's database role lacks the CREATE privilege on {object}; it stopped{at}.{progress}"),
            format!("As the owner of the database: GRANT CREATE ON DATABASE {sql} TO ROLE;"),
        ),
        (_, "table" | "sequence" | "view" | "function") => (
            format!("The migration's database role has no privileges for {object}; it stopped{at}. The object belongs to another role.{progress}"),
            format!("Let the migration connect as the owner of the tables (jobs.migrateDb.databaseUrl in the Helm chart, spec.database.migrationUrlFrom in the operator), or hand them over, as a superuser: ALTER {} {sql} OWNER TO ROLE; (all at once: REASSIGN OWNED BY OLD_ROLE TO ROLE;)", kind.to_uppercase()),
        ),
        _ => (
            format!("The migration's database role lacks a privilege for {object}; it stopped{at}.{progress}"),
            "Let the migration connect as the owner of the database and of its tables: \\dt and \\dn+ in psql show who that is.".to_owned(),
        ),
    };
    Explanation::new(Code::MigrationPermissionDenied, message, remedy)
}

fn extension(failure: &Failure<'_>) -> Option<FailureDetails> {
    let name = || {
        quoted_after(failure.message, &["extension ", "type "])
            .unwrap_or("hstore")
            .to_owned()
    };
    let form = if failure.says("permission denied to create extension") {
        "denied"
    } else if failure.says_any(&[
        "could not open extension control file",
        "is not available",
        "allow-listed",
        "allowlisted",
        "whitelisted",
    ]) && failure.says("xtension")
    {
        "absent"
    } else if failure.says_any(&["type \"hstore\" does not exist", "hstore type not found"]) {
        "unused"
    } else {
        return None;
    };
    let name = if form == "absent" {
        let file = failure
            .message
            .rsplit('/')
            .next()
            .and_then(|file| file.split(".control").next());
        file.filter(|_| failure.says(".control"))
            .map_or_else(name, str::to_owned)
    } else {
        name()
    };
    Some(FailureDetails::form(form).object(name))
}

fn explain_extension(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let at = at_migration(case, occurrence);
    let name = occurrence.details.object.as_deref().unwrap_or("hstore");
    let (what, remedy) = match occurrence.details.form {
        "denied" => (
            format!("its database role may not create the PostgreSQL extension {name}"),
            format!(
                "As a superuser or the owner of the database, once: CREATE EXTENSION IF NOT EXISTS {name}; or GRANT CREATE ON DATABASE NAME TO ROLE; Then migrate again."
            ),
        ),
        "absent" => (
            format!(
                "the database server does not have the PostgreSQL extension {name}, or does not allow it"
            ),
            format!(
                "Install PostgreSQL's contrib package on the server, or allow {name} in the managed database's settings (Azure: azure.extensions). Then migrate again."
            ),
        ),
        _ => (
            format!("the PostgreSQL extension {name} is not active in this database"),
            format!("As a superuser or the owner of the database: CREATE EXTENSION IF NOT EXISTS {name};"),
        ),
    };
    Explanation::new(
        Code::MigrationExtensionUnavailable,
        format!(
            "The migration stopped{at}: {what}. Flagsmith needs hstore from 2.188.0 to 2.223.x only; 2.224.0 and later need no extension.{}",
            progress(case, occurrence)
        ),
        remedy,
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
        "permission denied for table django_migrations",
        MigrationPermissionDenied,
        "table django_migrations"
    )]
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

    #[rstest]
    #[case(
        "psycopg2.errors.UndefinedFile",
        "could not open extension control file \"/usr/share/postgresql/15/extension/hstore.control\": No such file or directory",
        "hstore"
    )]
    #[case(
        "psycopg2.errors.FeatureNotSupported",
        "extension \"hstore\" is not available\nDETAIL:  Could not open extension control file \"/x/hstore.control\": No such file.",
        "hstore"
    )]
    #[case("psycopg2.errors.UndefinedObject", "type \"hstore\" does not exist", "hstore")]
    fn extensions(#[case] class: &str, #[case] message: &str, #[case] name: &str) {
        let (code, details) = recognise(Stage::Migrate, class, message).unwrap();
        assert_eq!(
            (code, details.object.as_deref()),
            (MigrationExtensionUnavailable, Some(name))
        );
    }
}
