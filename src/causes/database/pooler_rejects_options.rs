//! The connection pooler refuses a startup parameter.

use super::shared::{ConnectionFailure, before_a_migration, explained, probed};
use crate::{causes::prelude::*, model::shell};

pub(crate) static CAUSE: Cause = Cause {
    is_connection: true,
    explains: &[Explains::everywhere(consequences::WITHOUT_DATABASE)],
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("pooler_rejects_options.md"))
};

/// Which pooler refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// RDS Proxy.
    RdsProxy,
    /// PgBouncer.
    PgBouncer,
}

const OF_PGBOUNCER: &str = "unsupported startup parameter";

static LOG: Rule<Variant> = Rule {
    precedence: 310,
    signatures: &[
        // For the same parameter.
        Signature::of_database(Variant::RdsProxy, &["support command-line options"]),
        Signature::of_words(Variant::PgBouncer, &[OF_PGBOUNCER]),
    ],
    details,
    explain: |evidence, occurrence, variant| explained(evidence, occurrence, variant, words),
    is_over: None,
};

fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    let parameter = match variant {
        Variant::RdsProxy => None,
        Variant::PgBouncer => {
            let (_, rest) = failure.message.split_once(OF_PGBOUNCER)?;
            let rest = rest.trim_start_matches(" in options").trim_start_matches(':');
            Some(rest.lines().next()?.trim().trim_matches('"').to_owned())
        }
    };
    Some(FailureDetails { endpoint: failure.endpoint(), object: parameter, ..FailureDetails::default() })
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let variant = |_, read: Option<Variant>| read.unwrap_or(Variant::PgBouncer);
    let mut found = probed(context, Code::DatabasePoolerRejectsOptions, &LOG, variant, words);
    for diagnosis in &mut found {
        // A pooler that refuses the operator's parameters may well take those of the pods.
        diagnosis.severity = Severity::Warning;
    }
    found.extend(no_lock_timeout(context));
    found
}

fn words(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, endpoint, variable) = (failed.who, failed.endpoint(), failed.variable);
    let parameter = failed.details.object.as_deref().unwrap_or("options");
    let refused = |pooler: &str| {
        format!(
            "{who} is refused by the connection pooler at {endpoint}: {pooler} does not pass on the startup parameter \
             \"{parameter}\"."
        )
    };
    let without = format!(
        "Or remove ?options=… from {variable} and set it for the role: ALTER ROLE ROLE SET lock_timeout = '5s';"
    );
    match failed.variant {
        Variant::RdsProxy => (
            refused("RDS Proxy"),
            format!("Let migrations connect to PostgreSQL itself, not through the proxy. {without}"),
        ),
        Variant::PgBouncer => (
            refused("PgBouncer"),
            format!(
                "Let migrations connect to PostgreSQL itself, not through the pooler. {without} or add {} to the \
                 pooler's ignore_startup_parameters (it then has no effect).",
                shell::name(parameter, "it")
            ),
        ),
    }
}

/// A migration that is due would run without its lock timeout.
fn no_lock_timeout(context: &Context<'_>) -> Option<Draft> {
    let database = &context.installation.database;
    let preflight = before_a_migration(context)?;
    if preflight.takes_options {
        return None;
    }
    let field = if database.migration_url() == database.url() {
        "spec.database.migrationUrlFrom to a URL of PostgreSQL itself"
    } else {
        "the URL in spec.database.migrationUrlFrom to PostgreSQL itself"
    };
    Some(Draft {
        code: Code::DatabasePoolerRejectsOptions,
        severity: Severity::Warning,
        component: Component::Migrations,
        message: "A connection pooler sits between the migration and PostgreSQL and refuses start-up options, so the \
                  migration runs without a lock timeout; indexes that are built concurrently may not work through it \
                  at all."
            .to_owned(),
        evidence: vec![
            "database: connecting with a lock_timeout was refused, connecting without one was not".to_owned(),
        ],
        remedy: format!("Set {field}."),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::{
        database::shared::testing::{HOSTILE, OPERATIONAL, observed, only, read, remedy},
        log::{failure::Stage, testing::recognise},
    };
    use crate::observe::ProbeFailureKind;

    #[rstest]
    #[case("unsupported startup parameter: options", "options")]
    #[case("unsupported startup parameter in options: lock_timeout", "lock_timeout")]
    fn recognises(#[case] said: &str, #[case] parameter: &str) {
        let message = format!("connection to server at \"pgb\", port 6432 failed: FATAL:  {said}");
        let (code, details) = recognise(Stage::Migrate, OPERATIONAL, &message).unwrap();
        assert_eq!(
            (code, LOG.variant(&details), details.object.as_deref()),
            (Code::DatabasePoolerRejectsOptions, Some(Variant::PgBouncer), Some(parameter))
        );
    }

    #[test]
    fn rds_proxy_takes_no_options() {
        let message = "connection to server at \"rds\", port 5432 failed: FATAL:  Feature not supported: RDS Proxy currently doesn’t support command-line options.";
        assert_eq!(
            read(&LOG, Stage::Migrate, OPERATIONAL, message),
            Some((Code::DatabasePoolerRejectsOptions, Variant::RdsProxy))
        );
    }

    #[test]
    fn what_the_operator_is_refused_is_a_warning() {
        let seen = only(&observed(
            ProbeFailureKind::PoolerRejectsOptions,
            "unsupported startup parameter: extra_float_digits",
        ));
        assert_eq!(seen.severity, Severity::Warning);
        assert!(
            seen.remedy.contains("add extra_float_digits to the pooler's ignore_startup_parameters"),
            "{seen:#?}"
        );
    }

    #[test]
    fn a_hostile_parameter_is_not_repeated() {
        for name in HOSTILE {
            let message = format!(
                "connection to server at \"pgb\", port 6432 failed: FATAL:  unsupported startup parameter: {name}"
            );
            let remedy = remedy(OPERATIONAL, &message);
            assert!(!remedy.contains("x;") && !remedy.contains("DROP"), "{remedy}");
        }
    }
}
