//! Django's Secret, and the database's schema against the release.

use rstest::rstest;
use serde_json::json;

use super::{codes, of, running};
use crate::causes::diagnose;
use crate::fixtures::{empty_observation, installation, spec};
use crate::model::{Code, Severity};
use crate::observe::SecretState;

#[test]
fn a_generated_secret_is_expected_before_the_first_start_and_a_loss_after_it() {
    let mut observation = empty_observation();
    observation.secrets.django = SecretState::Missing;
    assert_eq!(of(&observation), []);
    let mut observation = running();
    observation.secrets.django = SecretState::Missing;
    let found = of(&observation);
    assert_eq!(codes(&found), [Code::DjangoSecretMissing]);
    assert!(found.first().unwrap().remedy.contains("printenv DJANGO_SECRET_KEY"));
}

#[rstest]
#[case("2.265.0", &[])]
#[case("2.266.0", &[Code::ReleaseNotKnown])]
#[case("2.264.1", &[Code::DowngradeBlocked])]
fn a_release_older_than_the_database(#[case] version: &str, #[case] expected: &[Code]) {
    let installation = installation(&spec(json!({ "version": version })));
    assert_eq!(codes(&diagnose(&installation, &running())), expected);
}

#[test]
fn a_downgrade_is_warned_of_before_it_happens() {
    let spec = |rollback| spec(json!({ "version": "2.260.0", "migrations": { "rollback": rollback } }));
    let unknown = json!({ "from": "2.265.0", "to": "2.260.0" });
    let blocked = diagnose(&installation(&spec(unknown)), &running());
    assert_eq!(codes(&blocked), [Code::DowngradeBlocked]);
    let remedy = &blocked.first().unwrap().remedy;
    assert!(
        remedy.contains("\"rollback\":{\"from\":\"2.265.0\",\"to\":\"2.260.0\",\"appliedAfter\":\"TIME\"}"),
        "{remedy}"
    );
    let known = json!({ "from": "2.265.0", "to": "2.260.0", "appliedAfter": "2026-11-24T03:00:00Z" });
    let warned = diagnose(&installation(&spec(known)), &running());
    assert_eq!(codes(&warned), [Code::RollbackLosesData]);
    assert_eq!(warned.first().unwrap().severity, Severity::Warning);
}
