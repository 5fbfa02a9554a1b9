//! Migrations of others on the same database.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    index::{JobSeen, controller},
    job::JobOutcome,
};
use crate::{model::child::marks, validate::Identity};

/// Of these Jobs the oldest one of another installation that migrates or dumps the database with this label, in words
/// for the owner of this one.
///
/// The label is a keyed hash ([`crate::runtime::lock_key`]): who can write it has had it from the operator. A Job counts
/// only while a `FlagsmithDeployment` controls it, and Kubernetes collects those whose owner does not exist.
pub(crate) fn external_migration<'a>(
    jobs: impl IntoIterator<Item = &'a JobSeen>,
    label: &str,
    own: &Identity,
) -> Option<String> {
    let external = |job: &&JobSeen| {
        let owner = controller(&job.metadata);
        is_active(job, label) && owner.is_some_and(|uid| uid != own.uid)
    };
    jobs.into_iter()
        .filter(external)
        .min_by_key(|job| {
            let metadata = &job.metadata;
            (since(metadata), metadata.namespace.clone(), metadata.name.clone())
        })
        .map(|job| describe(&job.metadata, own))
}

/// Whether a Job with this label holds up others.
pub(crate) fn is_active(job: &JobSeen, label: &str) -> bool {
    let labels = job.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(marks::DATABASE)).map(String::as_str) == Some(label)
        && controller(&job.metadata).is_some()
        && job.state.outcome == JobOutcome::Active
}

/// A Job or pod that works on the same database, and since when. What happens in another namespace is told without its
/// names: whoever may name a database would learn who else uses it.
pub(crate) fn describe(object: &ObjectMeta, own: &Identity) -> String {
    let what = if object.namespace.as_ref() == Some(&own.namespace) {
        let name = object.name.as_deref().unwrap_or_default();
        let owner = object.labels.as_ref().and_then(|labels| labels.get(marks::INSTANCE));
        match owner {
            Some(owner) => format!("{name} of FlagsmithDeployment {owner}"),
            None => name.to_owned(),
        }
    } else {
        "that of a FlagsmithDeployment in another namespace".to_owned()
    };
    match since(object) {
        Some(since) => format!("{what}, since {since:.0}"),
        None => what,
    }
}

fn since(object: &ObjectMeta) -> Option<Timestamp> {
    object.creation_timestamp.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{installation, minimal};

    const LABEL: &str = "5f0c";

    /// A running Job of another installation in another namespace, changed.
    fn job(pointer: &str, value: Value) -> JobSeen {
        let mut job = json!({ "metadata": {
            "name": "flagsmith-migrate-1", "namespace": "team-b", "creationTimestamp": "2026-11-29T02:11:04Z",
            "labels": { marks::DATABASE: LABEL, marks::INSTANCE: "other" },
            "ownerReferences": [{
                "apiVersion": "operator.flagsmith.com/v1alpha1", "kind": "FlagsmithDeployment", "name": "other",
                "uid": "u-2", "controller": true,
            }],
        }, "spec": { "suspend": false, "template": {} }, "status": { "conditions": [] } });
        *job.pointer_mut(pointer).unwrap() = value;
        JobSeen::from(&serde_json::from_value(job).unwrap())
    }

    fn found(job: &JobSeen) -> Option<String> {
        external_migration([job], LABEL, &installation(&minimal()).identity)
    }

    #[rstest]
    #[case::suspended("/spec/suspend", json!(true), true)]
    #[case::of_another_database("/metadata/labels/operator.flagsmith.com~1database", json!("dd8df58dcc"), false)]
    #[case::of_nobody("/metadata/ownerReferences", json!([]), false)]
    #[case::of_something_else("/metadata/ownerReferences/0/apiVersion", json!("apps/v1"), false)]
    #[case::not_controlled("/metadata/ownerReferences/0/controller", json!(false), false)]
    #[case::own("/metadata/ownerReferences/0/uid", json!("b9b0b7a6"), false)]
    #[case::complete("/status/conditions", json!([{ "type": "Complete", "status": "True" }]), false)]
    #[case::failed("/status/conditions", json!([{ "type": "Failed", "status": "True" }]), false)]
    fn counts(#[case] pointer: &str, #[case] value: Value, #[case] expected: bool) {
        assert_eq!(found(&job(pointer, value)).is_some(), expected);
    }

    #[test]
    fn names_are_told_in_their_own_namespace_only() {
        let told = found(&job("/spec/suspend", json!(false))).unwrap();
        assert_eq!(told, "that of a FlagsmithDeployment in another namespace, since 2026-11-29T02:11:04Z");
        let told = found(&job("/metadata/namespace", json!("prod"))).unwrap();
        assert_eq!(told, "flagsmith-migrate-1 of FlagsmithDeployment other, since 2026-11-29T02:11:04Z");
    }

    #[test]
    fn the_oldest_is_told() {
        let older = job("/metadata/creationTimestamp", json!("2026-11-29T01:00:00Z"));
        let jobs = [job("/spec/suspend", json!(false)), older];
        let told = external_migration(&jobs, LABEL, &installation(&minimal()).identity).unwrap();
        assert!(told.ends_with("since 2026-11-29T01:00:00Z"), "{told}");
    }
}
