//! Migrations stop, or have not run.

mod conflict;
mod data;
mod dependents;
mod graph;
mod locks;
mod other;
mod pending;
mod rights;

pub use other::MIGRATION_FAILED;

use super::rule::Plain;
use crate::model::Code;

/// The causes of this family, the more specific ones first.
pub const CAUSES: &[(Code, Plain)] = &[
    graph::DOWNGRADE_BLOCKED,
    graph::MIGRATION_HISTORY_INCONSISTENT,
    graph::MIGRATION_GRAPH_BROKEN,
    rights::MIGRATION_EXTENSION_UNAVAILABLE,
    rights::MIGRATION_PERMISSION_DENIED,
    locks::MIGRATION_LOCK_TIMEOUT,
    locks::MIGRATION_STATEMENT_TIMEOUT,
    locks::MIGRATION_DEADLOCK,
    conflict::MIGRATION_CONCURRENT,
    dependents::DEPENDENT_OBJECTS,
    conflict::MIGRATION_SCHEMA_CONFLICT,
    data::MIGRATION_DATA_CONFLICT,
    pending::MIGRATIONS_PENDING,
    other::MIGRATION_OUT_OF_MEMORY,
];
