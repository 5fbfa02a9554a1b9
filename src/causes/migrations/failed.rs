//! The migration failed for another reason.

use crate::{
    causes::{
        log::failure::{CURSOR, OF_SESSION},
        migrations::shared::{
            job::{self, FailedJob, failed, goes_on, severity},
            snippets::{ISSUES, MIGRATE, OWN_CREDENTIALS, first_line, stopped},
        },
        pods::last_words,
        prelude::*,
    },
    model::shell,
};

pub(crate) static CAUSE: Cause = Cause {
    gives_way: GivesWay::InLogs,
    needs_person: true,
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Migrations, include_str!("failed.md"))
};

/// Wrappers that only repeat what was said before, or that end a process in good order.
const NOT_A_CAUSE: &[&str] =
    &["InFailedSqlTransaction", "TransactionManagementError", "SystemExit", "KeyboardInterrupt", "HTTPError"];

/// What is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Something of the session is missing that the migration had made.
    Session,
    /// Helm, which waited for the migration's Job and says no more than that.
    Helm,
    /// A check of the settings, which Django makes first.
    SystemCheck,
    /// Nothing but the exception.
    Unknown,
}

const REPEATED: &[&str] = &["current transaction is aborted", "Failed to connect to DB within"];

static LOG: Rule<Variant> = Rule {
    precedence: 900,
    signatures: &[
        Signature::of_words(
            Variant::Helm,
            &["timed out waiting for the condition", "context deadline exceeded", "hooks failed"],
        )
        .class(&["Error"])
        .stage(MIGRATE),
        Signature::of(Variant::Session).class(OF_SESSION).stage(MIGRATE).none(REPEATED),
        Signature::of_database(Variant::Session, &[CURSOR])
            .stage(MIGRATE)
            .all(&["does not exist"])
            .none(REPEATED),
        Signature::of(Variant::SystemCheck).class(&["SystemCheckError"]).stage(MIGRATE).none(REPEATED),
        Signature::of(Variant::Unknown).stage(MIGRATE).none(REPEATED),
    ],
    details,
    explain,
    is_over: None,
};

fn details(failure: &Failure<'_>, variant: Variant) -> Option<FailureDetails> {
    if failure.class.is_empty() || failure.is(NOT_A_CAUSE) {
        return None;
    }
    let named = |line: &str| {
        let text = format!("{}: {line}", failure.kind());
        FailureDetails::default().object(text.trim_end_matches(": "))
    };
    let mut lines = failure.message.lines();
    let first = lines.next().unwrap_or_default();
    Some(match variant {
        Variant::Session | Variant::Helm => first_line(first),
        Variant::SystemCheck => {
            // Warnings are listed as well; the numbers of errors have an E.
            let error = lines.find(|line| line.contains('(') && line.contains(".E"));
            named(error.map_or(first, |error| error.trim_start_matches("?: ")))
        }
        Variant::Unknown => {
            let hint = lines.find_map(|line| line.trim().strip_prefix("HINT:"));
            FailureDetails { detail: hint.map(|hint| hint.trim().to_owned()), ..named(first) }
        }
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let what = occurrence.details.object.as_deref();
    let what = what.map_or("an error", |what| what.trim_end_matches('.'));
    let (how, remedy) = match variant {
        Variant::Session => (
            format!(
                "failed: {what}, although this connection had made it. A connection pooler in transaction mode gives each transaction \
                 another session of the server"
            ),
            format!(
                "Let migrations connect to PostgreSQL itself, not through the pooler ({OWN_CREDENTIALS}), or through a pool with \
                 pool_mode = session."
            ),
        ),
        Variant::Helm => (
            format!("has not ended well as far as Helm knows: {what}. That says neither why nor what was applied: its Job may still be running"),
            "See whether it still runs and what it says: kubectl get jobs,pods; then kubectl logs job/NAME --tail=100. Let it end before \
             anything is repeated; a longer --timeout only waits longer. What it says tells what to do."
                .to_owned(),
        ),
        Variant::SystemCheck | Variant::Unknown => {
            let hint = occurrence.details.detail.as_ref();
            let hint = hint.map_or_else(String::new, |hint| format!("PostgreSQL's own hint: {hint} "));
            (
                format!("failed with an error that this tool does not know: {what}"),
                format!(
                    "{hint}Read the traceback in the log from the line given. Nothing of this migration was applied, unless it builds an \
                     index CONCURRENTLY. Search for the message in Flagsmith's issues: {ISSUES}"
                ),
            )
        }
    };
    Explanation::new(Code::MigrationFailed, stopped(evidence, occurrence, &how), remedy)
}

/// A Job that has failed, where neither its log nor Kubernetes says why.
fn check(context: &Context<'_>) -> Vec<Draft> {
    let diagnosis = match failed(context) {
        Some(job) if job.reason == "DeadlineExceeded" || job.cause(context).is_some() => None,
        Some(job) => Some(unexplained(context, &job)),
        None => gone(context),
    };
    diagnosis.into_iter().collect()
}

fn unexplained(context: &Context<'_>, job: &FailedJob<'_>) -> Draft {
    let installation = context.installation;
    Draft {
        code: Code::MigrationFailed,
        severity: severity(context),
        component: Component::Migrations,
        message: format!("The migration to {} has failed.{}", context.due(), goes_on(context)),
        evidence: [job.evidence(context)]
            .into_iter()
            .chain(last_words(context.observation, Component::Migrations))
            .collect(),
        remedy: format!(
            "Read its log: kubectl -n {} logs job/{} --tail=100. When the cause is repaired, run it again: {}",
            shell::name(&installation.identity.namespace, "NAMESPACE"),
            shell::name(&job.job.name, "NAME"),
            job.run_again(context)
        ),
    }
}

/// The Job is gone, and nothing was written down but that it failed.
fn gone(context: &Context<'_>) -> Option<Draft> {
    let installation = context.installation;
    let record = job::recorded(context).filter(|_| job::remembered(context).is_none())?;
    let name = record.job.as_deref().unwrap_or_default();
    Some(Draft {
        message: format!("The migration to {} has failed.{}", context.due(), goes_on(context)),
        evidence: vec![format!("status.migration: Job {name} has failed; it is gone, and its log with it")],
        remedy: format!(
            "Run it again to see why: {}",
            installation.managed_by.run_job_again(&installation.identity, name)
        ),
        ..Code::MigrationFailed.draft()
    })
}

#[cfg(test)]
mod tests;
