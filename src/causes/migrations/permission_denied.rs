//! The migration's role lacks a privilege.

use crate::{
    causes::{
        log::{
            failure::first_quoted,
            phrasing::{at_migration, progress},
        },
        migrations::shared::{
            preflight::before_migration,
            snippets::{MIGRATE, OWN_CREDENTIALS},
        },
        prelude::*,
    },
    observe::{Owner, Preflight},
    postgres::sql::identifier,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Migrations, include_str!("permission_denied.md"))
};

/// How PostgreSQL refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Owner,
    Object,
    Action,
    NewTable,
    NoSchema,
    Other,
}

const REFUSED: &[&str] = &["InsufficientPrivilege"];

static LOG: Rule<Variant> = Rule {
    precedence: 425,
    signatures: &[
        Signature::of_database(Variant::Owner, &["must be owner of "]).stage(MIGRATE),
        Signature::of_database(Variant::Object, &["permission denied for "]).stage(MIGRATE),
        Signature::of_words(Variant::Action, &["permission denied to "]).class(REFUSED).stage(MIGRATE),
        // In any language: for a new table only the schema's CREATE can be missing.
        Signature::of(Variant::NewTable).class(REFUSED).stage(MIGRATE).all(&["CREATE TABLE ", "public"]),
        // PostgreSQL passes over schemas of the search_path that are not there, or that the role may not use.
        Signature::of(Variant::NoSchema).class(&["InvalidSchemaName"]).stage(MIGRATE),
        Signature::of_words(Variant::NoSchema, &["no schema has been selected to create in"]).stage(MIGRATE),
        Signature::of(Variant::Other).class(REFUSED).stage(MIGRATE),
    ],
    details,
    explain,
    is_over: None,
};

const SEARCH_PATH: &str = "any schema of its search_path";

#[allow(clippy::unnecessary_wraps, reason = "the form of every rule: others decline")]
fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    let line = failure.message.lines().next().unwrap_or_default();
    let after = |words: &str| line.split_once(words).map(|(_, object)| object);
    let object = match variant {
        Variant::Owner => after("must be owner of "),
        Variant::Object => after("permission denied for "),
        Variant::Action => after("permission denied to "),
        Variant::NewTable => Some("schema public"),
        Variant::NoSchema => Some(SEARCH_PATH),
        Variant::Other => None,
    };
    let object = object.or_else(|| first_quoted(line));
    let object = object.map(|object| object.trim().trim_end_matches(')').replace("relation ", "table "));
    Some(FailureDetails { object, ..FailureDetails::default() })
}

/// What the role may not do.
#[derive(Clone, Copy, Debug)]
enum Lack<'a> {
    /// To do something, in PostgreSQL's words.
    Action,
    /// To use any schema of its `search_path`.
    AnySchema,
    /// To create in a schema.
    Schema(&'a str),
    /// To create in a database.
    Database(&'a str),
    /// To alter an object of another role.
    Ownership(&'static str, &'a str),
    /// To alter tables of this role.
    TablesOf(&'a Owner),
    /// To use an object of another role.
    Use(&'static str, &'a str),
    /// To read what was applied.
    History,
    /// Something that only the message names.
    Other,
}

impl<'a> Lack<'a> {
    /// What a log names: `table users_ffadminuser`.
    fn named(variant: Variant, object: &'a str) -> Self {
        let (kind, name) = object.split_once(' ').unwrap_or(("", object));
        match (variant, kind) {
            (Variant::Action, _) => Self::Action,
            (Variant::NoSchema, _) => Self::AnySchema,
            (Variant::Owner, kind) => {
                keyword(kind).map_or(Self::Other, |keyword| Self::Ownership(keyword, name))
            }
            (_, "schema") => Self::Schema(name),
            (_, "database") => Self::Database(name),
            (_, kind) => keyword(kind).map_or(Self::Other, |keyword| Self::Use(keyword, name)),
        }
    }

    /// The statement that gives it to a role.
    fn grant(self, role: &str) -> Option<String> {
        Some(match self {
            Self::AnySchema => format!("GRANT USAGE, CREATE ON SCHEMA public TO {role};"),
            Self::Schema(schema) => {
                format!("GRANT USAGE, CREATE ON SCHEMA {} TO {role};", identifier(schema, "SCHEMA"))
            }
            Self::Database(database) => {
                format!("GRANT CREATE ON DATABASE {} TO {role};", identifier(database, "DATABASE"))
            }
            Self::Ownership(kind, name) | Self::Use(kind, name) => {
                format!("ALTER {kind} {} OWNER TO {role};", identifier(name, "NAME"))
            }
            Self::TablesOf(owner) => {
                format!("REASSIGN OWNED BY {} TO {role};", identifier(&owner.name, "OLD_ROLE"))
            }
            Self::History => {
                format!("GRANT SELECT, INSERT, UPDATE, DELETE ON django_migrations TO {role};")
            }
            Self::Action | Self::Other => return None,
        })
    }
}

/// The SQL keyword of a kind of object that has an owner.
fn keyword(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "table" => "TABLE",
        "sequence" => "SEQUENCE",
        "view" => "VIEW",
        "function" => "FUNCTION",
        "schema" => "SCHEMA",
        "database" => "DATABASE",
        "index" => "INDEX",
        "type" => "TYPE",
        _ => return None,
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let at = at_migration(evidence, occurrence);
    let progress = progress(evidence, occurrence);
    let object = occurrence.details.object.as_deref().unwrap_or("an object of the database");
    let lack = Lack::named(variant, object);
    let grant = lack.grant("ROLE").unwrap_or_default();
    let (message, remedy) = match lack {
        Lack::Action => (
            format!("may not {object}; it stopped{at}"),
            format!("Let the migration connect as a role that may ({OWN_CREDENTIALS}), or have a superuser do that once and migrate again."),
        ),
        Lack::Ownership(..) => (
            format!("does not own {object}, so it may not alter it; the upgrade stopped{at}"),
            format!(
                "As the owner or a superuser (ROLE is the one in DATABASE_URL): {grant} or all at once, as the present owner: \
                 REASSIGN OWNED BY OLD_ROLE TO ROLE; Or give the migration the owner's credentials ({OWN_CREDENTIALS})."
            ),
        ),
        Lack::Schema(_) => (
            format!("may not create tables in {object}{at}. Since PostgreSQL 15 only the owner of the database may do that by default"),
            format!("As the owner of the database (ROLE and NAME are those of DATABASE_URL): {grant} or ALTER DATABASE NAME OWNER TO ROLE;"),
        ),
        Lack::Database(_) => (
            format!("lacks the CREATE privilege on {object}; it stopped{at}"),
            format!("As the owner of the database: {grant}"),
        ),
        Lack::Use(..) => (
            format!("has no privileges for {object}; it stopped{at}. The object belongs to another role"),
            format!(
                "Let the migration connect as the owner of the tables ({OWN_CREDENTIALS}), or hand them over, as a superuser: \
                 {grant} (all at once: REASSIGN OWNED BY OLD_ROLE TO ROLE;)"
            ),
        ),
        Lack::AnySchema => (
            format!(
                "finds no schema to create tables in{at}: each schema of its search_path is missing, or the role may not \
                 use it"
            ),
            format!(
                "See which, as the role in DATABASE_URL: SHOW search_path; and \\dn+ in psql. Then as the owner of the \
                 database (ROLE and NAME are those of DATABASE_URL): {grant} or ALTER ROLE ROLE IN DATABASE NAME RESET \
                 search_path;"
            ),
        ),
        Lack::TablesOf(_) | Lack::History | Lack::Other => (
            format!("lacks a privilege for {object}; it stopped{at}"),
            "Let the migration connect as the owner of the database and of its tables: \\dt and \\dn+ in psql show who that is.".to_owned(),
        ),
    };
    Explanation::new(
        Code::MigrationPermissionDenied,
        format!("The migration's database role {message}.{progress}"),
        remedy,
    )
}

/// What the role lacks, seen before a migration starts.
fn check(context: &Context<'_>) -> Vec<Draft> {
    let Some(preflight) = before_migration(context) else {
        return Vec::new();
    };
    let lacks = lacks(preflight);
    if lacks.is_empty() {
        return Vec::new();
    }
    let role = &preflight.role;
    let grants: Vec<String> = lacks.iter().filter_map(|lack| lack.grant(&identifier(role, "ROLE"))).collect();
    vec![Draft {
        message: format!(
            "The database role \"{role}\" may not change the schema as a migration does; the migration has not been started."
        ),
        evidence: lacks.iter().filter_map(|lack| witnessed(*lack, role)).collect(),
        remedy: format!(
            "In this database, as a superuser: {} Or let the migration connect as the role that may: spec.database.migrationUrlFrom.",
            grants.join(" ")
        ),
        ..Code::MigrationPermissionDenied.draft()
    }]
}

fn lacks(preflight: &Preflight) -> Vec<Lack<'_>> {
    let schema = match &preflight.schema {
        None => Some(Lack::AnySchema),
        Some(schema) => (!preflight.creates_tables).then_some(Lack::Schema(schema)),
    };
    let history = preflight.history_unreadable.then_some(Lack::History);
    schema.into_iter().chain(history).chain(preflight.owners.iter().map(Lack::TablesOf)).collect()
}

/// What was seen of it in the database.
fn witnessed(lack: Lack<'_>, role: &str) -> Option<String> {
    Some(match lack {
        Lack::AnySchema => format!("database: role \"{role}\" may use no schema of its search_path"),
        Lack::Schema(schema) => format!("database: role \"{role}\" has no CREATE on schema {schema}"),
        Lack::History => format!("database: role \"{role}\" may not read django_migrations"),
        Lack::TablesOf(Owner { name, tables, example }) => {
            let others = match tables {
                1 => String::new(),
                count => format!(" (and {} more of Flagsmith's tables)", count - 1),
            };
            format!(
                "database: {example}{others} is owned by \"{name}\"; the migration connects as \"{role}\""
            )
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
