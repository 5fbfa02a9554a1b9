//! The database has not been migrated to this release.

use crate::{
    causes::{
        log::{
            phrasing,
            timeline::{HEALTH_QUIET_SECONDS, ProcessTimeline},
        },
        migrations::shared::snippets::first_line,
        prelude::*,
    },
    model::shell,
    observe::{ContainerState, JobOutcome},
    validate::Change,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::in_logs(&[Code::TaskProcessorMigratesItself]),
        Explains::in_logs(&[Code::TaskQueueStalled, Code::TasksFailing]),
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(consequences::WITHOUT_API),
    ],
    log: &[&LOG],
    remedy_here: Some(|context, _| {
        if context.installation.managed_by.is_operator() {
            return Some(OPERATOR_RUNS.to_owned());
        }
        nobody_migrates(context)
    }),
    check: Some(check),
    ..Cause::critical(Component::Migrations, include_str!("pending.md"))
};

/// Tables that `createcachetable` makes, not a migration.
const CACHE_TABLES: &[&str] =
    &["environment-documents", "chargebee-objects", "onboarding-request-throttle", "saml_requests_cache"];

/// What a table, column or function that is missing is raised as.
const UNDEFINED: &[&str] = &["UndefinedTable", "UndefinedColumn", "UndefinedFunction"];

/// Everything but `migrate` itself, in which the same words have other causes.
const NOT_MIGRATING: &[Stage] = &[Stage::Wait, Stage::Boot, Stage::Serve];

/// What is left to do where the operator runs the migrations.
const OPERATOR_RUNS: &str = "The operator applies them before it starts pods of a release: see the condition \
     MigrationsApplied, and that spec.suspend is false. Pods that were there before wait until it has.";

const RUN: &str = "Run the migrations of this release once: the args \"migrate\" in a Job with the same image and DATABASE_URL (on Helm \
     jobs.migrateDb.enabled=true or api.enableMigrateDbInitContainer=true; Compose: docker compose run --rm flagsmith migrate). \
     If a migration Job exists, its log says why it stopped: flagsmith-operator diagnose --logs FILE --component migration";

/// How a process meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// It waited before its start.
    Waited,
    /// Its health check says so.
    Health,
    /// A table is missing that is no migration's.
    Cache,
    /// A table, column or function of a migration is missing.
    Schema,
}

static LOG: Rule<Variant> = Rule {
    precedence: 465,
    signatures: &[
        Signature::of_words(Variant::Waited, &["Didn't detect applied migrations for "]),
        Signature::of_words(Variant::Health, &["There are migrations to apply"]),
        Signature::of(Variant::Cache).only_database().class(UNDEFINED).stage(NOT_MIGRATING).any(CACHE_TABLES),
        Signature::of(Variant::Cache)
            .only_database()
            .stage(NOT_MIGRATING)
            .any(CACHE_TABLES)
            .all(&["relation \"", "does not exist"])
            .none(&["FATAL"]),
        Signature::of(Variant::Schema).only_database().class(UNDEFINED).stage(NOT_MIGRATING),
        Signature::of(Variant::Schema)
            .only_database()
            .stage(NOT_MIGRATING)
            .any(&["relation \"", "column ", "function "])
            .all(&["does not exist"])
            .none(&["FATAL"]),
    ],
    details,
    explain,
    is_over: Some(is_over),
};

#[allow(clippy::unnecessary_wraps, reason = "the form of every rule: others decline")]
fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    Some(match variant {
        Variant::Waited => {
            let (_, rest) = failure.message.split_once("migrations for ").unwrap_or_default();
            FailureDetails::default().object(rest.split(' ').next().unwrap_or_default())
        }
        Variant::Health => FailureDetails::default(),
        Variant::Cache | Variant::Schema => {
            let line = failure.message.lines().next().unwrap_or_default();
            first_line(line.trim_end_matches(" does not exist"))
        }
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let who = phrasing::component(evidence.component);
    let object = occurrence.details.object.as_deref().unwrap_or_default();
    let (message, remedy) = match variant {
        Variant::Waited => (
            format!(
                "{who} waited {object} s for the database to be migrated to its release and gave up: migrations are pending."
            ),
            RUN,
        ),
        Variant::Health => {
            (format!("{who} runs, but is not ready: the database lacks migrations of its release."), RUN)
        }
        Variant::Cache => (
            format!(
                "{who} misses a cache table: {object} does not exist. \"flagsmith migrate\" without further arguments creates it; \
                 \"migrate APP\" does not."
            ),
            "python manage.py createcachetable",
        ),
        Variant::Schema => (
            format!(
                "{who} runs on a database that has not been migrated to its release: {object} does not exist. \
                 Since Flagsmith 2.170 it does not even start then; the image is not broken."
            ),
            RUN,
        ),
    };
    Explanation::new(Code::MigrationsPending, message, remedy)
}

/// A health check that has not failed for a while has passed. That the database answers again ends no wait for its
/// migrations.
fn is_over(_: &LogEvidence, timeline: &ProcessTimeline, occurrence: &Occurrence) -> Option<bool> {
    if LOG.variant(&occurrence.details) == Some(Variant::Health) {
        let quiet =
            timeline.last_time.zip(occurrence.last.time).map_or(0, |(end, last)| end.seconds_since(last));
        return Some(quiet >= HEALTH_QUIET_SECONDS);
    }
    (occurrence.stage == Stage::Wait).then(|| timeline.caught_up.max(timeline.up) > occurrence.last.line)
}

/// What to do where pods wait for a migration that nobody makes. A hook that Helm runs after the pods are ready would wait for
/// those that wait for it.
fn nobody_migrates(context: &Context<'_>) -> Option<String> {
    let observation = context.observation;
    let containers =
        observation.api.iter().flat_map(|api| api.init_containers.iter().chain(api.containers.iter()));
    let somebody = !observation.jobs.is_empty() || containers.into_iter().any(ContainerState::migrates);
    (!somebody).then(|| {
        format!(
            "Nothing here migrates: there is no migration Job, and no container of the API does it. {}. A Job of your own belongs \
             before the pods, as a pre-upgrade hook: with --wait Helm runs a post-upgrade hook only when they are ready.",
            context.installation.managed_by.change(&[Change::MigrateInJob])
        )
    })
}

/// A Job that migrates while pods of the same release start.
fn check(context: &Context<'_>) -> Vec<Draft> {
    let observation = context.observation;
    if context.installation.managed_by.migrates_first() {
        return Vec::new();
    }
    let active = observation.jobs.iter().find(|job| job.outcome == JobOutcome::Active);
    let beside = active
        .zip(observation.api.as_ref())
        .filter(|(job, api)| !api.rolled_out() && job.release == api.release);
    let diagnosis = beside.map(|(job, api)| Draft {
        code: Code::MigrationsPending,
        severity: Severity::Info,
        component: Component::Migrations,
        message: "The migration Job runs beside the rollout: new pods restart or stay unready until it has finished, old ones serve.".to_owned(),
        evidence: vec![
            format!("Job {}: running", job.name),
            format!("Deployment {}: {} of {} pods of the new template", api.name, api.updated, api.desired),
        ],
        remedy: format!(
            "Nothing to do while it makes progress: kubectl -n {} logs -f job/{}",
            shell::name(&context.installation.identity.namespace, "NAMESPACE"),
            shell::name(&job.name, "NAME")
        ),
    });
    diagnosis.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::nobody_migrates;
    use crate::{
        causes::{
            context::Context,
            log::{failure::Stage, testing::code},
        },
        fixtures,
        model::Code::{self, *},
        observe::JobState,
    };

    /// The official chart migrates in an init container, unless that is taken away.
    #[test]
    fn where_nobody_migrates_that_is_the_remedy() {
        let (found, mut observation) =
            fixtures::observed("flagsmith", &fixtures::objects(fixtures::CHART_DEFAULT));
        let said = |observation: &_| nobody_migrates(&Context::new(&found.installation, observation));
        assert_eq!(said(&observation), None);
        observation.api.as_mut().unwrap().init_containers = [].into();
        let remedy = said(&observation).unwrap();
        assert!(
            remedy.contains("no migration Job") && remedy.contains("jobs.migrateDb.enabled=true"),
            "{remedy}"
        );
        observation.jobs = vec![JobState::default()];
        assert_eq!(said(&observation), None);
    }

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
    #[case(Stage::Serve, "", "unavailable: There are migrations to apply", Some(MigrationsPending))]
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
