//! The database is the embedded one.

use crate::{api::DeletionPolicy, causes::prelude::*, validate::Database};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::info(Component::Database, include_str!("embedded_database_in_use.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    if !matches!(context.installation.database, Database::Embedded { .. }) {
        return Vec::new();
    }
    vec![Draft {
        message: format!(
            "The embedded PostgreSQL is for trying Flagsmith out: a single pod and no backup. Its volume is {} when this \
             resource is deleted.",
            match context.installation.deletion_policy {
                DeletionPolicy::Retain => "kept",
                DeletionPolicy::Delete => "deleted",
            }
        ),
        evidence: vec![format!(
            "spec.database.embedded is set; StatefulSet {}-database",
            context.installation.identity.name
        )],
        remedy: "For production run PostgreSQL yourself and name its URL in spec.database.urlFrom of a new \
                 FlagsmithDeployment."
            .to_owned(),
        ..Code::EmbeddedDatabaseInUse.draft()
    }]
}
