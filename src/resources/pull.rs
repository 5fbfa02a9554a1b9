//! The Job that has the images of a migration pulled before anything is stopped for it.

use serde_json::{Map, Value, json};

use super::{
    child::child,
    container::security_context,
    job::not_of_a_drained_node,
    pod::{Template, django_volumes},
};
use crate::{
    api::ContainerSettings,
    decide::Pull,
    flagsmith,
    model::{
        Component,
        child::{Child, Kind, marks},
    },
    validate::Installation,
};

/// Its containers do nothing: that one was started is what there is to know. Its pod asks for what the migration's will
/// ask for, so that what no node can take is known as well. It works on no database, so it holds up nobody.
pub(super) fn build(installation: &Installation, pull: &Pull) -> Child {
    let spec = &installation.migrations;
    let settings = ContainerSettings {
        container_security_context: spec.container_security_context.clone(),
        ..ContainerSettings::default()
    };
    let container = |(index, image): (usize, &String)| {
        json!({
            "name": format!("{}{index}", marks::PULL_CONTAINER),
            "image": image,
            "imagePullPolicy": installation.images.pull_policy,
            "command": ["sh", "-c", "exit 0"],
            "resources": spec.resources,
            "securityContext": security_context(&settings),
        })
    };
    // One after the other: together they would ask for more than the migration.
    let mut initial: Vec<Value> = pull.images.iter().enumerate().map(container).collect();
    let last = initial.pop();
    let template = Template {
        component: Component::Migrations,
        release: Some(pull.release),
        settings: &spec.pod,
        secret_hash: None,
        grace_period: None,
        containers: last.into_iter().collect(),
        // For the user's init containers, which run as they will in the migration's pod.
        volumes: django_volumes(installation),
        user: flagsmith::USER,
        initial,
        rest: json!({ "restartPolicy": "Never" }),
    };
    let annotations = Map::from_iter([(marks::OPERATION.to_owned(), Value::from(marks::PULL))]);
    child(
        installation,
        Kind::Job,
        &pull.name,
        Some(Component::Migrations),
        annotations,
        json!({ "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podFailurePolicy": { "rules": [not_of_a_drained_node()] },
            "template": template.build(installation),
        } }),
    )
}
