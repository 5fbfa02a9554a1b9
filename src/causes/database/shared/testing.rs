//! What the tests of several causes of this family share.

use crate::{
    causes::{
        diagnose_log,
        log::{
            failure::{Failure, Stage},
            rule::Rule,
            testing::recognise,
        },
    },
    fixtures::{database, empty_observation},
    model::{Code, Component, Diagnosis},
    observe::{DatabaseProbe, Observation, ProbeFailure, ProbeFailureKind},
};

pub(crate) use crate::fixtures::HOSTILE;

/// What psycopg raises where no connection was made.
pub(crate) const OPERATIONAL: &str = "psycopg2.OperationalError";

/// What a command has of a hostile host: a message ends its name at the first quotation mark.
pub(crate) fn host_of(name: &str) -> &'static str {
    if name.contains('"') { "x" } else { "HOST" }
}

/// What all rules together make of a failure: the cause and the variant of this one's rule.
pub(crate) fn read<V: Copy + PartialEq + Sync>(
    rule: &Rule<V>,
    stage: Stage,
    class: &str,
    message: &str,
) -> Option<(Code, V)> {
    let (code, details) = recognise(stage, class, message)?;
    Some((code, rule.variant(&details)?))
}

/// The remedies for a log with this failure.
pub(crate) fn remedy(class: &str, message: &str) -> String {
    let log = format!(
        "Traceback (most recent call last):\n  File \"/x/y.py\", line 1, in f\n{class}: {message}\n\n"
    );
    let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
    assert!(!found.is_empty(), "{log}");
    found.into_iter().map(|(_, it)| it.remedy.to_string()).collect()
}

/// Whether a failure is one of the PostgreSQL driver for this rule.
pub(crate) fn is_recognised<V: Copy + PartialEq + Sync>(
    rule: &Rule<V>,
    stage: Stage,
    class: &str,
    message: &str,
) -> bool {
    rule.read(&Failure::new(class, message, Component::Api, stage)).is_some()
}

/// What the operator's connection showed.
pub(crate) fn observed(kind: ProbeFailureKind, message: &str) -> Observation {
    Observation {
        database: DatabaseProbe::Failed(ProbeFailure { kind, message: message.to_owned() }),
        secrets: crate::observe::Secrets {
            database: crate::observe::SecretState::Present(database()),
            ..empty_observation().secrets
        },
        ..empty_observation()
    }
}

/// The only diagnosis of an observation.
pub(crate) fn only(observation: &Observation) -> Diagnosis {
    let installation = crate::fixtures::installation(&crate::fixtures::minimal());
    let found = crate::causes::diagnose(&installation, observation);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}
