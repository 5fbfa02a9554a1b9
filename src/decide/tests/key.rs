//! What a key depends on, and what it is used for.

use jiff::Timestamp;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    api::MigrationOperation,
    fixtures::{database, installation, minimal, spec},
    postgres::{DatabaseIdentity, DatabaseUrl},
    validate::{Installation, MigrationKey, RollbackOrder, RollbackPlan},
};

fn key(installation: &Installation, database: &DatabaseIdentity) -> MigrationKey {
    MigrationKey::migrate(installation, installation.release, database)
}

fn of_url(url: &str) -> MigrationKey {
    key(&installation(&minimal()), &DatabaseUrl::parse(url).unwrap().identity)
}

/// The key is part of names in clusters: another one for the same input would migrate every installation again.
#[test]
fn is_stable() {
    let installation = installation(&minimal());
    let key = key(&installation, &database());
    assert_eq!(key.as_str(), "cb6cc9151d");
    assert_eq!(key.job_name(&installation, MigrationOperation::Migrate), "flagsmith-migrate-cb6cc9151d");
}

#[rstest]
#[case(json!({"version": "2.265.1"}))]
#[case(json!({"images": {"api": "registry.example.com/flagsmith-api"}}))]
fn depends_on_the_image(#[case] changes: Value) {
    let changed = installation(&spec(changes));
    assert_ne!(key(&changed, &database()), key(&installation(&minimal()), &database()));
}

#[rstest]
#[case("postgresql://app:secret@db2.prod:5432/flags")]
#[case("postgresql://app:secret@db.prod:5433/flags")]
#[case("postgresql://app:secret@db.prod:5432/flags2")]
fn depends_on_the_database(#[case] url: &str) {
    assert_ne!(of_url(url), of_url("postgresql://app:secret@db.prod:5432/flags"));
}

/// The same words in two namespaces name two servers, and several words in one namespace name one.
#[test]
fn a_host_is_one_of_its_namespace() {
    let of = |namespace: &str, host: &str| {
        let mut installation = installation(&minimal());
        installation.identity.namespace = namespace.to_owned();
        let url = format!("postgresql://app@{host}/flags");
        key(&installation, &DatabaseUrl::parse(&url).unwrap().identity)
    };
    assert_ne!(of("a", "pg"), of("b", "pg"));
    for host in ["PG", "pg.a", "pg.a.svc", "pg.a.svc.cluster.local"] {
        assert_eq!(of("a", host), of("a", "pg"), "{host}");
        assert_eq!(of("b", "pg.a.svc"), of("a", "pg"), "{host}");
    }
}

#[rstest]
#[case("postgresql://app:rotated@db.prod:5432/flags")]
#[case("postgresql://owner:secret@db.prod:5432/flags")]
#[case("postgresql://app:secret@db.prod/flags")]
#[case("postgres://app@db.prod:5432/flags?sslmode=require")]
fn does_not_depend_on_credentials(#[case] url: &str) {
    assert_eq!(of_url(url), of_url("postgresql://app:secret@db.prod:5432/flags"));
}

#[rstest]
#[case(json!({"env": [{"name": "LOG_LEVEL", "value": "DEBUG"}]}))]
#[case(json!({"images": {"frontend": "registry.example.com/frontend"}}))]
#[case(json!({"api": {"replicas": 7}, "migrations": {"activeDeadlineSeconds": 60}}))]
fn does_not_depend_on_other_settings(#[case] changes: Value) {
    let changed = installation(&spec(changes));
    assert_eq!(key(&changed, &database()), key(&installation(&minimal()), &database()));
}

#[test]
fn each_retry_is_another_job_of_the_same_key() {
    let mut installation = installation(&minimal());
    let key = key(&installation, &database());
    let mut names = vec![key.job_name(&installation, MigrationOperation::Migrate)];
    for retry in ["1", "2", "2026-11-23T01:00:00Z"] {
        installation.retry = Some(retry.to_owned());
        assert_eq!(self::key(&installation, &database()), key);
        names.push(key.job_name(&installation, MigrationOperation::Migrate));
    }
    let mut distinct = names.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
}

#[test]
fn a_rollback_has_a_key_of_its_own_for_each_moment() {
    let installation = installation(&minimal());
    let rollback = |from: &str, second: i64| RollbackPlan {
        from: from.parse().unwrap(),
        to: installation.release,
        applied_after: Timestamp::from_second(second).unwrap(),
        order: RollbackOrder::PodsFirst,
    };
    let key = |rollback: RollbackPlan| MigrationKey::roll_back(&installation, &rollback, &database());
    let keys = [
        key(rollback("2.266.0", 1)),
        key(rollback("2.266.0", 2)),
        key(rollback("2.267.0", 1)),
        self::key(&installation, &database()),
    ];
    for (index, key) in keys.iter().enumerate() {
        assert!(keys.iter().skip(index + 1).all(|other| other != key), "{keys:?}");
    }
    let name = keys[0].job_name(&installation, MigrationOperation::RollBack);
    assert_eq!(name, format!("flagsmith-rollback-{}", keys[0]));
}

proptest! {
    #[test]
    fn job_names_are_dns_labels(name in "[a-z]([-a-z0-9]{0,38}[a-z0-9])?", retry in proptest::option::of("\\PC{0,80}")) {
        let mut installation = installation(&minimal());
        installation.identity.name = name;
        installation.retry = retry;
        // The longest verb.
        let name = key(&installation, &database()).job_name(&installation, MigrationOperation::RollBack);
        prop_assert!(name.len() <= 63, "{}", name);
        prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
        prop_assert!(!name.ends_with('-'));
    }
}
