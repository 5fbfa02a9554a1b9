//! An object that is in the database and should not be, or that is missing. The words alone do not tell another
//! migrator at the same time, a broken history, an index that an interrupted run left, and another database than meant
//! apart: the causes that it can be read this file.

use super::snippets::MIGRATE;
use crate::{
    causes::log::{evidence::Occurrence, rule::Signature},
    model::Code,
};

/// What is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// Objects that Flagsmith did not make depend on what a migration changes.
    Dependents,
    /// What a migration creates exists.
    Exists,
    /// What a migration needs does not exist.
    Missing,
}

/// How a log shows it. SQLSTATE 2BP01 for what is dropped; a column's type that a view reads has only the general 0A000.
pub(crate) static SIGNATURES: &[Signature<Conflict>] = &[
    Signature::of(Conflict::Dependents).class(&["DependentObjectsStillExist"]).stage(MIGRATE),
    Signature::of_database(
        Conflict::Dependents,
        &["because other objects depend on it", "used by a view or rule"],
    )
    .stage(MIGRATE),
    Signature::of(Conflict::Exists)
        .class(&[
            "DuplicateTable",
            "DuplicateColumn",
            "DuplicateObject",
            "DuplicateFunction",
            "DuplicateSchema",
            "DuplicateAlias",
        ])
        .stage(MIGRATE),
    Signature::of_database(Conflict::Exists, &["already exists"]).stage(MIGRATE),
    Signature::of(Conflict::Missing)
        .class(&["UndefinedTable", "UndefinedColumn", "UndefinedObject", "UndefinedFunction"])
        .stage(MIGRATE),
    Signature::of(Conflict::Missing).only_database().stage(MIGRATE).any(&["does not exist"]).none(&["FATAL"]),
    Signature::of_words(Conflict::Missing, &["Found wrong number ("]).stage(MIGRATE),
];

/// What is in the way, where an occurrence is such a conflict.
pub(crate) fn of(occurrence: &Occurrence) -> Option<Conflict> {
    if occurrence.code != Code::MigrationSchemaConflict {
        return None;
    }
    let signature = SIGNATURES.get(usize::from(occurrence.details.signature))?;
    Some(signature.variant)
}

/// The object, by kind and name.
pub(crate) fn object(occurrence: &Occurrence) -> &str {
    occurrence.details.object.as_deref().unwrap_or("an object")
}
