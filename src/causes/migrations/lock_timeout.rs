//! The migration waited for a lock and gave up.

use crate::{
    causes::{
        migrations::shared::{
            preflight::witnessed,
            snippets::{BLOCKED, MIGRATE, OLDEST_TRANSACTIONS, left, stopped},
        },
        prelude::*,
    },
    observe::{JobOutcome, OtherSession},
};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    remedy_here: Some(remedy_here),
    check: Some(check),
    ..Cause::critical(Component::Migrations, include_str!("lock_timeout.md"))
};

/// How many times longer the migration is told to wait: enough for a statement that takes half a minute, and requests that
/// queue behind the migration's lock still get an answer within a proxy's timeout.
const LONGER: i32 = 5;

/// Whether it waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// `NOWAIT`.
    NoWait,
    /// As long as `lock_timeout`.
    Timeout,
}

const UNAVAILABLE: &[&str] = &["LockNotAvailable"];

static LOG: Rule<Variant> = Rule {
    precedence: 430,
    signatures: &[
        Signature::of_words(Variant::NoWait, &["could not obtain lock"]).class(UNAVAILABLE).stage(MIGRATE),
        Signature::of(Variant::Timeout).class(UNAVAILABLE).stage(MIGRATE),
        Signature::of_database(Variant::Timeout, &["due to lock timeout"]).stage(MIGRATE),
    ],
    details,
    explain,
    is_over: None,
};

#[allow(clippy::unnecessary_wraps, reason = "the form of every rule: others decline")]
fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    let mut lines = failure.message.lines();
    Some(FailureDetails {
        detail: lines
            .find(|line| line.contains("relation") || line.starts_with("CONTEXT"))
            .map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let how = match variant {
        Variant::NoWait => "needs a lock that another session holds, and does not wait for it",
        Variant::Timeout => {
            "waited for a lock that another session holds, for as long as lock_timeout allows, and gave up"
        }
    };
    Explanation::new(
        Code::MigrationLockTimeout,
        stopped(evidence, occurrence, &format!("{how}; {}", left(occurrence))),
        format!(
            "While it waits, see who holds the lock: {BLOCKED} or the oldest transactions: {OLDEST_TRANSACTIONS} End the holder \
             (SELECT pg_terminate_backend(PID);) or stop the task processor for the upgrade, then migrate again. lock_timeout is set in \
             DATABASE_URL (?options=-c%20lock_timeout%3D…) or for the role."
        ),
    )
}

/// The operator has stopped the task processor already, and sets the limit itself.
fn remedy_here(context: &Context<'_>, _: &Draft) -> Option<String> {
    let installation = context.installation;
    installation.managed_by.is_operator().then(|| {
        format!(
            "While it waits, see who holds the lock: {BLOCKED} or the oldest transactions: {OLDEST_TRANSACTIONS} End the \
             holder (SELECT pg_terminate_backend(PID);), or let the migration wait longer than {} s: set \
             spec.migrations.lockTimeoutSeconds: {}.",
            installation.migrations.lock_timeout_seconds,
            installation.migrations.lock_timeout_seconds.max(1).saturating_mul(LONGER),
        )
    })
}

/// The operator's own migration waits for somebody at this moment.
fn check(context: &Context<'_>) -> Vec<Draft> {
    let observation = context.observation;
    let active = observation.jobs.iter().find(|job| job.outcome == JobOutcome::Active);
    let blockers = observation.preflight().map_or(&[][..], |preflight| &preflight.blockers);
    let (Some(job), Some(first)) = (active, blockers.first()) else {
        return Vec::new();
    };
    let OtherSession { pid, role, relation, .. } = first;
    let ends: Vec<String> = blockers.iter().map(|it| format!("pg_terminate_backend({})", it.pid)).collect();
    vec![Draft {
        severity: Severity::Warning,
        message: format!(
            "The migration of Job {} waits for a lock that session {pid} of role \"{role}\" holds on table {relation}; requests on what \
             it wants to change wait behind it. Where lock_timeout ends the wait, it is tried again.",
            job.name
        ),
        evidence: blockers.iter().map(witnessed).collect(),
        remedy: format!("Wait for it, or end it: SELECT {};", ends.join(", ")),
        ..Code::MigrationLockTimeout.draft()
    }]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{LOG, Variant};
    use crate::{
        causes::log::{failure::Stage, testing::recognise},
        model::Code::MigrationLockTimeout,
    };

    #[rstest]
    #[case("psycopg2.errors.LockNotAvailable", "canceling statement due to lock timeout", Variant::Timeout)]
    #[case(
        "psycopg2.errors.LockNotAvailable",
        "storniere Anfrage wegen Zeitüberschreitung einer Sperre",
        Variant::Timeout
    )]
    #[case("django.db.utils.OperationalError", "canceling statement due to lock timeout", Variant::Timeout)]
    #[case("psycopg2.errors.LockNotAvailable", "could not obtain lock on relation \"t\"", Variant::NoWait)]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] variant: Variant) {
        let (code, details) = recognise(Stage::Migrate, class, message).unwrap();
        assert_eq!((code, LOG.variant(&details)), (MigrationLockTimeout, Some(variant)));
        let elsewhere = recognise(Stage::Serve, class, message);
        assert_ne!(elsewhere.map(|(code, _)| code), Some(MigrationLockTimeout));
    }
}
