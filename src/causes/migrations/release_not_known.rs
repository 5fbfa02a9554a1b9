//! The wanted release is newer than what is known of Flagsmith here.

use crate::{
    causes::prelude::*,
    flagsmith::upgrades::{self, NEWEST_KNOWN},
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(|context| check(context).into_iter().collect()),
    ..Cause::info(Component::Migrations, include_str!("release_not_known.md"))
};

/// Said before such a release runs, and while it is rolled out; once it serves there is nothing left to weigh up.
fn check(context: &Context<'_>) -> Option<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    let release = installation.release;
    let api = observation.api.as_ref();
    let serves = api.is_some_and(|api| api.release == Some(release) && api.rolled_out());
    if !installation.managed_by.migrates_first() || release <= NEWEST_KNOWN || serves {
        return None;
    }
    let mut evidence = vec![format!(
        "not checked: whether an upgrade to it has to stop on the way, whether older pods serve on its tables, what it needs of \
         PostgreSQL and of settings beyond {NEWEST_KNOWN}"
    )];
    let known = observation.newest_recorded().map(|from| upgrades::passed(from, NEWEST_KNOWN).count());
    if let Some(known @ 1..) = known {
        evidence.push(format!("up to {NEWEST_KNOWN}: {known} known changes, which plan names"));
    }
    Some(Draft {
        message: format!(
            "This operator knows Flagsmith up to {NEWEST_KNOWN}, and treats {release} as if it were no different."
        ),
        evidence,
        remedy: format!(
            "Read the release notes between {NEWEST_KNOWN} and {release}, and upgrade the operator first where there is a newer one."
        ),
        ..Code::ReleaseNotKnown.draft()
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use crate::{
        causes::diagnose,
        fixtures::{empty_observation, installation, rolled_out, spec},
        model::{Code, Severity},
        observe::WorkloadState,
    };

    #[rstest]
    #[case::known("2.265.0", None, false)]
    #[case::first_install("2.266.0", None, true)]
    #[case::upgrade("2.266.0", Some("2.265.0"), true)]
    #[case::it_serves("2.266.0", Some("2.266.0"), false)]
    fn is_said_until_it_serves(#[case] wanted: &str, #[case] serving: Option<&str>, #[case] expected: bool) {
        let mut observation = empty_observation();
        observation.api = serving.map(|serving| WorkloadState {
            release: serving.parse().ok(),
            ..rolled_out("flagsmith-api".to_owned(), 2)
        });
        let found = diagnose(&installation(&spec(json!({ "version": wanted }))), &observation);
        let note = found.iter().find(|it| it.code == Code::ReleaseNotKnown);
        assert_eq!(note.map(|note| note.severity), expected.then_some(Severity::Info));
    }
}
