//! The process runs on a database that has not been migrated to its release.

use crate::causes::log::evidence::{LogEvidence, Occurrence};
use crate::causes::log::failure::{Failure, FailureDetails, Stage};
use crate::causes::log::{finding::Explanation, phrasing, rule::Plain};
use crate::model::Code;

pub const MIGRATIONS_PENDING: (Code, Plain) = (
    Code::MigrationsPending,
    Plain {
        precedence: 465,
        last_resort: false,
        recognise: recognise,
        explain: explain,
        is_over: None,
    },
);

/// Tables that `createcachetable` makes, not a migration.
const CACHE_TABLES: &[&str] = &[
    "environment-documents",
    "chargebee-objects",
    "onboarding-request-throttle",
    "saml_requests_cache",
];

fn recognise(failure: &Failure<'_>) -> Option<FailureDetails> {
    if let Some((_, rest)) = failure
        .message
        .split_once("Didn't detect applied migrations for ")
    {
        return Some(FailureDetails::form("waited").object(rest.split(' ').next().unwrap_or_default()));
    }
    if failure.says("There are migrations to apply") {
        return Some(FailureDetails::form("health"));
    }
    if failure.stage == Stage::Migrate || !failure.is_database() {
        return None;
    }
    let missing = failure.is(&["UndefinedTable", "UndefinedColumn", "UndefinedFunction"])
        || failure.says("does not exist")
            && !failure.says("FATAL")
            && failure.says_any(&["relation \"", "column ", "function "]);
    if !missing {
        return None;
    }
    let object = failure
        .message
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches(" does not exist");
    let cache = CACHE_TABLES.iter().any(|table| failure.says(table));
    Some(FailureDetails::form(if cache { "cache" } else { "schema" }).object(object))
}

fn explain(case: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let who = phrasing::component(case.component);
    let object = occurrence.details.object.as_deref().unwrap_or_default();
    let run = "Run the migrations of this release once: the args \"migrate\" in a Job with the same image and DATABASE_URL (on Helm jobs.migrateDb.enabled=true or api.enableMigrateDbInitContainer=true; Compose: docker compose run --rm flagsmith migrate). If a migration Job exists, its log says why it stopped: flagsmith-operator diagnose --logs FILE --component migration";
    let (message, remedy) = match occurrence.details.form {
        "waited" => (
            format!(
                "{who} waited {object} s for the database to be migrated to its release and gave up: migrations are pending."
            ),
            run,
        ),
        "health" => (
            format!("{who} runs, but is not ready: the database lacks migrations of its release."),
            run,
        ),
        "cache" => (
            format!(
                "{who} misses a cache table: {object} does not exist. \"flagsmith migrate\" without further arguments creates it; \"migrate APP\" does not."
            ),
            "python manage.py createcachetable",
        ),
        _ => (
            format!(
                "{who} runs on a database that has not been migrated to its release: {object} does not exist. Since Flagsmith 2.170 it does not even start then; the image is not broken."
            ),
            run,
        ),
    };
    Explanation::new(Code::MigrationsPending, message, remedy)
}

#[cfg(test)]
mod tests {
    use crate::causes::log::failure::Stage;
    use crate::causes::log::testing::code;
    use crate::model::Code::{self, *};
    use rstest::rstest;

    #[rstest]
    #[case(
        Stage::Boot,
        "psycopg2.errors.UndefinedTable",
        "relation \"users_ffadminuser\" does not exist\nLINE 1: SELECT 1",
        Some(MigrationsPending)
    )]
    #[case(
        Stage::Serve,
        "psycopg2.errors.UndefinedColumn",
        "column users_ffadminuser.onboarding_data does not exist",
        Some(MigrationsPending)
    )]
    #[case(
        Stage::Serve,
        "psycopg2.errors.UndefinedFunction",
        "function get_tasks_to_process(integer) does not exist",
        Some(MigrationsPending)
    )]
    #[case(
        Stage::Serve,
        "psycopg2.errors.UndefinedTable",
        "relation \"environment-documents\" does not exist",
        Some(MigrationsPending)
    )]
    #[case(
        Stage::Wait,
        "CommandError",
        "Didn't detect applied migrations for 30 seconds.",
        Some(MigrationsPending)
    )]
    #[case(
        Stage::Serve,
        "",
        "unavailable: There are migrations to apply",
        Some(MigrationsPending)
    )]
    #[case(
        Stage::Migrate,
        "psycopg2.errors.UndefinedTable",
        "relation \"x\" does not exist",
        Some(MigrationSchemaConflict)
    )]
    #[case(
        Stage::Serve,
        "features.models.Feature.DoesNotExist",
        "Feature matching query does not exist.",
        None
    )]
    fn recognises(
        #[case] stage: Stage,
        #[case] class: &str,
        #[case] message: &str,
        #[case] expected: Option<Code>,
    ) {
        assert_eq!(code(stage, class, message), expected);
    }
}
