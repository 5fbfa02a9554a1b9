//! Whether the database answers.

use crate::{
    causes,
    model::{Code, Component},
    observe::{DatabaseProbe, Look, ProbeFailureKind, SecretState},
    report::{
        condition::{
            ConditionStatus::{False, True, Unknown},
            Verdict,
        },
        context::Context,
    },
    validate::Database,
};

/// `server_version_num` is major × 10000 + minor since PostgreSQL 10.
const VERSION_DIVISOR: i32 = 10_000;

pub(super) fn database(context: Context<'_>) -> Verdict {
    let observation = context.observation;
    if let Some(diagnosis) = context.critical(Component::Database) {
        return Verdict::of(diagnosis);
    }
    if matches!(context.installation.database, Database::Embedded { .. })
        && observation.embedded_database.as_ref().is_none_or(|database| database.ready <= 0)
    {
        return Verdict::new(
            False,
            Code::DatabaseStarting.as_str(),
            "the embedded PostgreSQL is not ready yet",
        );
    }
    let used = causes::used_by_pods(observation);
    if observation.secrets.database == SecretState::Unread {
        return if used {
            Verdict::new(True, "ReportedByPods", "ready pods write to it; the operator has not looked itself")
        } else {
            Verdict::new(
                Unknown,
                "NotProbed",
                "the operator does not look into this database; ready pods will show",
            )
        };
    }
    let SecretState::Present(identity) = &observation.secrets.database else {
        return Verdict::new(Unknown, "SecretPending", "the Secret with DATABASE_URL is being made");
    };
    match &observation.database {
        DatabaseProbe::Reachable { version, .. } => Verdict::new(
            True,
            "Reachable",
            format!(
                "PostgreSQL {}.{} answers at {identity}",
                version / VERSION_DIVISOR,
                version % VERSION_DIVISOR
            ),
        ),
        DatabaseProbe::Failed(failure) if failure.kind.is_refusal() => Verdict::new(
            Unknown,
            "ProbeRefused",
            format!("the operator does not look into {identity}: {}", failure.message),
        ),
        DatabaseProbe::Failed(failure) if used => Verdict::new(
            Unknown,
            "ProbeBlocked",
            format!(
                "the operator cannot reach {identity} ({}), but the pods' own readiness says that it works. {}Details of queue and migrations are not available until it can connect from its namespace",
                failure.message,
                kept_out(failure.kind)
            ),
        ),
        DatabaseProbe::NotProbed if used => {
            Verdict::new(True, "ReportedByPods", format!("ready pods write to {identity}"))
        }
        DatabaseProbe::Failed(failure) => Verdict::new(
            Unknown,
            "ProbeBlocked",
            format!(
                "the operator cannot reach {identity} ({}); a NetworkPolicy may keep it out, pods will show",
                failure.message
            ),
        ),
        DatabaseProbe::NotProbed if matches!(observation.look, Look::Pending(_)) => Verdict::new(
            Unknown,
            "ProbePending",
            format!(
                "the operator has not looked into {identity} yet; it looks at a few databases of a namespace at a time"
            ),
        ),
        DatabaseProbe::NotProbed => {
            Verdict::new(Unknown, "NotProbed", "database probes are switched off; ready pods will show")
        }
    }
}

/// What may keep the operator out and not the pods, as a sentence; nothing where it is so for everybody.
const fn kept_out(kind: ProbeFailureKind) -> &'static str {
    match kind {
        ProbeFailureKind::AccessRejected => {
            "pg_hba.conf may let in the pods' addresses and not the operator's. "
        }
        ProbeFailureKind::PoolerRejectsOptions => "The pooler may refuse only how the operator connects. ",
        ProbeFailureKind::Tls => "What the operator trusts may differ from what the pods trust. ",
        kind if kind.may_be_local() => "A NetworkPolicy may keep the operator out. ",
        _ => "",
    }
}
