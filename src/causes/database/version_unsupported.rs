//! PostgreSQL is too old for this release.

use super::shared::reachable;
use crate::{
    causes::{log::phrasing::component, prelude::*},
    flagsmith,
};

pub(crate) static CAUSE: Cause = Cause {
    blocks_migration: true,
    needs_person: true,
    explains: &[Explains::everywhere(consequences::WITHOUT_DATABASE)],
    log: &[&LOG],
    check: Some(check),
    ..Cause::critical(Component::Database, include_str!("version_unsupported.md"))
};

/// `server_version_num` is major × 10000 + minor since PostgreSQL 10.
const VERSION_DIVISOR: i32 = 10_000;

static LOG: Plain =
    Plain { precedence: 315, words: &[" or later is required (found "], recognise, explain, is_over: None };

fn recognise(failure: &Failure<'_>) -> Option<FailureDetails> {
    let (needed, rest) = failure.message.split_once(" or later is required (found ")?;
    let found = rest.split(')').next()?.trim().trim_end_matches('.');
    Some(FailureDetails {
        object: Some(needed.trim().to_owned()),
        detail: Some(found.to_owned()),
        ..FailureDetails::default()
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let (message, remedy) = words(
        component(evidence.component),
        "this database",
        occurrence.details.detail.as_deref().unwrap_or("an older version"),
        "this release",
        occurrence.details.object.as_deref().unwrap_or("PostgreSQL 14"),
    );
    Explanation::new(Code::DatabaseVersionUnsupported, message, remedy)
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let Some((identity, version, _)) = reachable(context) else {
        return Vec::new();
    };
    let release = context.installation.release;
    let needed = flagsmith::postgres_minimum(release);
    let (major, minor) = (version / VERSION_DIVISOR, version % VERSION_DIVISOR);
    if u32::try_from(major).unwrap_or_default() >= needed {
        return Vec::new();
    }
    let (message, remedy) = words(
        &format!("Flagsmith {release}"),
        &identity.to_string(),
        &format!("{major}.{minor}"),
        "it",
        &format!("PostgreSQL {needed}"),
    );
    vec![Draft {
        message,
        evidence: vec![format!(
            "server_version_num: {version}; the release brings a Django that refuses older servers"
        )],
        remedy,
        ..Code::DatabaseVersionUnsupported.draft()
    }]
}

fn words(who: &str, database: &str, found: &str, release: &str, needed: &str) -> (String, String) {
    let since = flagsmith::POSTGRES_14_SINCE;
    (
        format!(
            "{who} cannot work with {database}, which is PostgreSQL {found}: {release} needs {needed} or later (its \
             Django refuses older ones since Flagsmith {since})."
        ),
        format!(
            "Upgrade PostgreSQL (pg_upgrade, or the managed database's version upgrade), or stay below Flagsmith \
             {since} until then."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::log::{failure::Stage, testing::recognise};

    #[test]
    fn recognises() {
        let (code, details) = recognise(
            Stage::Migrate,
            "django.db.utils.NotSupportedError",
            "PostgreSQL 14 or later is required (found 13.14).",
        )
        .unwrap();
        assert_eq!(
            (code, details.object.as_deref(), details.detail.as_deref()),
            (Code::DatabaseVersionUnsupported, Some("PostgreSQL 14"), Some("13.14"))
        );
    }
}
