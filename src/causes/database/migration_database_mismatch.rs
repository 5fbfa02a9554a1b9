//! `migrationUrlFrom` names another database than `urlFrom`: the Job would migrate one, and the pods find the other as it
//! was.

use super::shared::WRITTEN_AS;
use crate::{
    causes::prelude::*,
    observe::{SecretState, database::Comparison},
    validate::{Database, SecretKey},
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("migration_database_mismatch.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    found(context).into_iter().collect()
}

fn found(context: &Context<'_>) -> Option<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    let comparison = observation.migration_database.as_ref()?;
    let Database::External { migration_url: Some(key), .. } = &installation.database else {
        return None;
    };
    let (SecretState::Present(pods), SecretState::Present(migrations)) =
        (&observation.secrets.database, &observation.secrets.migration_database)
    else {
        return None;
    };
    let SecretKey { name, key } = key;
    let namespace = &installation.identity.namespace;
    let remedy = format!(
        "Correct the key {key} of Secret {namespace}/{name}, which spec.database.migrationUrlFrom names: {WRITTEN_AS} with the \
         host, port and name of the database in spec.database.urlFrom and the role that owns the tables. Past a pooler the \
         host may be the server's own. If one role does both, remove migrationUrlFrom."
    );
    let evidence = format!("urlFrom: {pods}; migrationUrlFrom: {migrations}");
    let draft = |severity, message: String, evidence, remedy| Draft {
        code: Code::MigrationDatabaseMismatch,
        severity,
        component: Component::Database,
        message,
        evidence,
        remedy,
    };
    match comparison {
        Comparison::Same => None,
        Comparison::Different => Some(draft(
            Severity::Critical,
            "spec.database.migrationUrlFrom leads to another database than spec.database.urlFrom: the migration would change \
             that one, and the pods would find theirs as it was. It is not started."
                .to_owned(),
            vec![
                evidence,
                "the servers' system identifiers, or the databases' object identifiers, differ".to_owned(),
            ],
            remedy,
        )),
        Comparison::Unknown(why) if pods.name != migrations.name => Some(draft(
            Severity::Critical,
            format!(
                "spec.database.migrationUrlFrom names the database {:?}, and spec.database.urlFrom {:?}: the migration is not \
                 started before it is known that they are one.",
                migrations.name, pods.name
            ),
            vec![evidence, why.clone()],
            remedy,
        )),
        Comparison::Unknown(why) => Some(draft(
            Severity::Info,
            "It could not be compared whether spec.database.migrationUrlFrom leads to the database of spec.database.urlFrom: \
             they name the same database on two hosts, which is right past a pooler and wrong otherwise."
                .to_owned(),
            vec![evidence, why.clone()],
            "If both hosts lead to one server, nothing needs to be done. Otherwise correct the URL in \
             spec.database.migrationUrlFrom."
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::{
        causes::diagnose,
        fixtures::{database, empty_observation, installation, spec},
        postgres::DatabaseIdentity,
    };

    fn unknown() -> Comparison {
        Comparison::Unknown("refused".to_owned())
    }

    #[rstest]
    #[case::plain(None, "flags", None)]
    #[case::behind_a_pooler(Some(Comparison::Same), "flags", None)]
    #[case::an_alias_of_a_pooler(Some(Comparison::Same), "alias", None)]
    #[case::of_somebody_else(Some(Comparison::Different), "flags", Some(Severity::Critical))]
    #[case::not_compared(Some(unknown()), "flags", Some(Severity::Info))]
    #[case::another_name(Some(unknown()), "other", Some(Severity::Critical))]
    fn one_database(
        #[case] comparison: Option<Comparison>,
        #[case] name: &str,
        #[case] expected: Option<Severity>,
    ) {
        let source = |name: &str| json!({ "secretKeyRef": { "name": name, "key": "DATABASE_URL" } });
        let spec =
            spec(json!({ "database": { "urlFrom": source("db"), "migrationUrlFrom": source("owner") } }));
        let mut observation = empty_observation();
        observation.migration_database = comparison;
        observation.secrets.migration_database = SecretState::Present(DatabaseIdentity {
            host: "pg.other".to_owned(),
            name: name.to_owned(),
            ..database()
        });
        let found = diagnose(&installation(&spec), &observation);
        let found = found.iter().find(|it| it.code == Code::MigrationDatabaseMismatch);
        assert_eq!(found.map(|it| it.severity), expected, "{found:?}");
    }
}
