//! Changes as fields of the `FlagsmithDeployment`.

use super::change::{Change, key};
use crate::flagsmith::env;

pub(super) fn field(change: &Change<'_>) -> String {
    match change {
        Change::Replicas(component, pods) => format!("spec.{}.replicas: {pods}", key(*component)),
        Change::Tag(_, tag) => format!("spec.version: \"{tag}\""),
        Change::Memory(component, limit) => {
            format!("spec.{}.resources.limits.memory: {limit}", key(*component))
        }
        // What the operator computes is refused in env.
        Change::Env(component, name, value) => own_field(name).map_or_else(
            || format!("spec.{}.env: [{{name: {name}, value: {}}}]", key(*component), quoted(value)),
            |field| match *name {
                // A list, which the variable has in one text.
                env::DJANGO_ALLOWED_HOSTS => format!("{field}: {}", list(value)),
                _ => format!("{field}: {value}"),
            },
        ),
        Change::NoEnv(component, name) => own_field(name).map_or_else(
            || format!("spec.{}.env without {name}", key(*component)),
            |_| format!("spec.{}.envFrom to sources without {name}", key(*component)),
        ),
        Change::SameAsApi { variable, .. } => format!(
            "{}, and remove {variable} from what envFrom reads",
            own_field(variable).unwrap_or("spec.env")
        ),
        Change::NoCpuLimit(component) => format!("spec.{}.resources.limits without cpu", key(*component)),
        Change::Annotation { key, value, .. } => {
            format!("spec.exposure.ingress.annotations: {{{}: {}}}", quoted(key), quoted(value))
        }
        Change::LeaveReplicas(component) => {
            format!("spec.{0}.autoscaling instead of spec.{0}.replicas", key(*component))
        }
        // The operator starts every component the way that works.
        Change::Start(..)
        | Change::PreStop(..)
        | Change::GracePeriod(..)
        | Change::Liveness(..)
        | Change::EnableTaskProcessor
        | Change::MigrateInJob => {
            "spec.suspend: false, so that the operator restores its own settings".to_owned()
        }
    }
}

/// A text as YAML takes it whatever is in it.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

fn list(value: &str) -> String {
    let items: Vec<String> = value.split(',').map(|item| quoted(item.trim())).collect();
    format!("[{}]", items.join(", "))
}

/// The field that decides a variable, where it is one field.
pub(super) fn own_field(variable: &str) -> Option<&'static str> {
    env::decided_by(variable).filter(|field| field.starts_with("spec.") && !field.contains(' '))
}
