//! The database is starting up, stopping, or recovering.

use super::shared::{ConnectionFailure, embedded_starting, explained, probed, with_endpoint};
use crate::{causes::prelude::*, model::shell, postgres::phrases::Phrase};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    is_connection: true,
    passes_by_itself: true,
    explains: &[Explains::everywhere(consequences::WITHOUT_DATABASE)],
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("starting.md"))
};

/// Between which states the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Starting up.
    Starting,
    /// Shutting down.
    Stopping,
    /// Recovering from a crash.
    Recovery,
    /// Up, and without connections yet.
    NotYet,
    /// One of them: the server's words do not tell which.
    Unknown,
}

static LOG: Rule<Variant> = Rule {
    precedence: 340,
    signatures: &[
        Signature::of_phrase(Variant::Starting, Phrase::StartingUp),
        Signature::of_phrase(Variant::Stopping, Phrase::ShuttingDown),
        Signature::of_phrase(Variant::Stopping, Phrase::AdminTerminated).all(&["connection to server "]),
        Signature::of_phrase(Variant::Recovery, Phrase::InRecovery),
        Signature::of_phrase(Variant::NotYet, Phrase::NotYetAccepting),
        Signature::of_database(Variant::NotYet, &["system is not accepting connections"]),
        Signature::of(Variant::NotYet).only_database().class(&["CannotConnectNow"]),
    ],
    details: with_endpoint,
    explain: |evidence, occurrence, variant| explained(evidence, occurrence, variant, words),
    is_over: None,
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    if let Some(why) = embedded_starting(context) {
        return vec![embedded(context, why)];
    }
    let variant = |_, read: Option<Variant>| read.unwrap_or(Variant::Unknown);
    probed(context, Code::DatabaseStarting, &LOG, variant, words)
}

fn words(failed: &ConnectionFailure<'_, Variant>) -> (String, String) {
    let (who, endpoint) = (failed.who, failed.endpoint());
    match failed.variant {
        Variant::Starting if failed.stage == Stage::Serve || failed.namespace.is_some() => (
            format!(
                "{who} cannot connect: PostgreSQL{} is starting up again and takes no connections yet.",
                failed.at()
            ),
            "Find out who restarted it (maintenance window, eviction of its pod, failover, crash) in PostgreSQL's own \
             log; it passes by itself, after a crash only when the write-ahead log is replayed."
                .to_owned(),
        ),
        Variant::Starting => (
            format!(
                "{who} came before its database was ready: PostgreSQL at {endpoint} is starting up and takes no \
                 connections yet."
            ),
            "Wait and start again; it passes by itself, after a crash only when the write-ahead log is replayed. Lasts \
             it longer than a few minutes, look at PostgreSQL's own log."
                .to_owned(),
        ),
        Variant::Stopping => (
            format!(
                "{who} cannot connect: PostgreSQL at {endpoint} is shutting down, for a restart or for good."
            ),
            "Find out who stops it (maintenance window, eviction of its pod, failover) and wait for it to come back."
                .to_owned(),
        ),
        Variant::Recovery => (
            format!("{who} cannot connect: PostgreSQL at {endpoint} is recovering from a crash."),
            "Wait; then look in PostgreSQL's own log for what crashed it (often memory: the kernel ends a backend and \
             the server restarts)."
                .to_owned(),
        ),
        Variant::NotYet => (
            format!(
                "{who} cannot connect: PostgreSQL at {endpoint} does not accept connections yet; it may be a standby \
                 that has not caught up, or one without hot_standby."
            ),
            format!(
                "Point {} at the primary, or wait until recovery has reached a consistent state.",
                failed.variable
            ),
        ),
        Variant::Unknown => (
            format!("{who} cannot connect: PostgreSQL at {endpoint} is starting or stopping."),
            "Wait if it was just restarted: the operator tries again every few seconds. Otherwise look at PostgreSQL's \
             own log."
                .to_owned(),
        ),
    }
}

/// Only until it is up, and no alarm: what keeps its pod from running is told by the pod's own problems.
fn embedded(context: &Context<'_>, why: &str) -> Draft {
    let identity = &context.installation.identity;
    Draft {
        code: Code::DatabaseStarting,
        severity: Severity::Info,
        component: Component::Database,
        message: format!("The embedded PostgreSQL is starting: {why}."),
        evidence: vec![format!("StatefulSet {}-database", identity.name)],
        remedy: format!(
            "Nothing to do for a minute or two; then see kubectl -n {} describe pod {}-database-0",
            shell::name(&identity.namespace, "NAMESPACE"),
            shell::name(&identity.name, "NAME")
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::database::shared::testing::{OPERATIONAL, observed, only, read};
    use crate::observe::ProbeFailureKind;

    #[rstest]
    #[case("the database system is starting up", Variant::Starting)]
    #[case("das Datenbanksystem startet", Variant::Starting)]
    #[case("the database system is shutting down", Variant::Stopping)]
    #[case("terminating connection due to administrator command", Variant::Stopping)]
    #[case("the database system is in recovery mode", Variant::Recovery)]
    #[case(
        "the database system is not yet accepting connections\nDETAIL:  Consistent recovery state has not been yet reached.",
        Variant::NotYet
    )]
    fn recognises(#[case] said: &str, #[case] expected: Variant) {
        let message = format!("connection to server at \"db\", port 5432 failed: FATAL:  {said}");
        assert_eq!(read(&LOG, Stage::Serve, OPERATIONAL, &message), Some((Code::DatabaseStarting, expected)));
    }

    #[rstest]
    #[case("the database system is shutting down", "is shutting down, for a restart")]
    #[case("in its own words", "is starting or stopping")]
    fn the_operator_reads_the_servers_words(#[case] said: &str, #[case] message: &str) {
        let seen = only(&observed(ProbeFailureKind::Starting, said));
        assert!(seen.message.contains(message), "{seen:#?}");
    }
}
