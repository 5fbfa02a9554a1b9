use rstest::rstest;
use serde_json::{Value, json};

use super::check;
use crate::{
    causes::{
        diagnose,
        gunicorn::shared::testing::{codes, env, made, observed_with},
    },
    fixtures::{installation, spec},
    model::{Code, Component},
};

#[rstest]
#[case(json!([".example.com"]), &[])]
#[case(json!(["flags.example.com"]), &[])]
#[case(json!(["*"]), &[])]
#[case(json!(["example.com", "localhost"]), &[Code::AllowedHostsRejected])]
fn hosts_that_django_refuses(#[case] allowed: Value, #[case] expected: &[Code]) {
    let installation = installation(&spec(json!({
        "django": { "allowedHosts": allowed },
        "exposure": { "hosts": ["flags.example.com"], "ingress": {}, "proxy": { "name": "traefik" } },
    })));
    assert_eq!(
        codes(&check(&installation, &made(&installation, &|_| {}))),
        expected
    );
}

#[rstest]
#[case::another(
    false,
    "api.example.com, localhost",
    Some("DJANGO_ALLOWED_HOSTS=api.example.com")
)]
#[case::the_same(false, "flags.example.com", None)]
#[case::every(false, "*", None)]
#[case::the_frontend_asks(true, "api.example.com", None)]
fn hosts_of_the_ingress_that_django_refuses(
    #[case] through_frontend: bool,
    #[case] allowed: &'static str,
    #[case] expected: Option<&str>,
) {
    let (installation, mut observation) = observed_with(&env("DJANGO_ALLOWED_HOSTS", allowed), &|ingress| {
        ingress["spec"]["rules"][0]["host"] = json!("flags.example.com");
    });
    observation.front.through_frontend = through_frontend;
    let found = diagnose(&installation, &observation);
    let refused = found
        .iter()
        .find(|it| (it.code, it.component) == (Code::AllowedHostsRejected, Component::Exposure));
    assert_eq!(refused.is_some(), expected.is_some(), "{found:#?}");
    if let (Some(refused), Some(expected)) = (refused, expected) {
        assert!(
            refused.remedy.contains(expected) && refused.remedy.contains("flags.example.com"),
            "{refused:#?}"
        );
    }
}
