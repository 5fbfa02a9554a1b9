//! The Secrets that hold the URLs of databases.

use crate::{
    causes::context::Context,
    model::Component,
    observe::SecretState,
    postgres::DatabaseIdentity,
    validate::{Database, SecretKey},
};

/// The form of a `DATABASE_URL`.
pub(crate) const WRITTEN_AS: &str = "postgresql://USER:PASSWORD@HOST:5432/NAME";

/// Where the URL of a database comes from.
pub(crate) struct Source<'a> {
    /// What was found there.
    pub(crate) state: &'a SecretState<DatabaseIdentity>,
    /// The key of the Secret.
    pub(crate) key: &'a SecretKey,
    /// What names it: a field, or the environment of a component.
    pub(crate) place: String,
}

/// Every Secret with the URL of a database that the operator reads.
pub(crate) fn sources<'a>(context: &Context<'a>) -> Vec<Source<'a>> {
    let (installation, observation) = (context.installation, context.observation);
    let managed_by = &installation.managed_by;
    let database = &installation.database;
    let secrets = &observation.secrets;
    // Before the first start the operator is about to make the Secret of its own database.
    let is_embedded = matches!(database, Database::Embedded { .. });
    let is_expected = secrets.database == SecretState::Missing
        && is_embedded
        && observation.embedded_database.is_none()
        && !observation.has_run();
    let mut sources = Vec::new();
    if !is_expected {
        sources.push(Source {
            state: &secrets.database,
            key: database.url(),
            place: managed_by.place("spec.database.urlFrom", Component::Api),
        });
    }
    if database.migration_url() != database.url() {
        sources.push(Source {
            state: &secrets.migration_database,
            key: database.migration_url(),
            place: managed_by.place("spec.database.migrationUrlFrom", Component::Migrations),
        });
    }
    if let (Some(key), Some(state)) = (database.task_processor_url(), &secrets.task_processor_database) {
        sources.push(Source {
            state,
            key,
            place: managed_by.place("spec.database.taskProcessorUrlFrom", Component::TaskProcessor),
        });
    }
    // Of a database in parts the user knows the Secrets of its parts.
    for source in &mut sources {
        let missing = secrets.missing_parts.iter().find(|missing| missing.url == *source.key);
        if let Some(missing) = missing {
            (source.key, source.place) = (&missing.key, missing.field.clone());
        }
    }
    sources
}
