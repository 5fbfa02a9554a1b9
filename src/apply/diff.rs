//! Whether a live object already is as it should be.

use serde_json::{Map, Value};

/// Maps whose values are Kubernetes quantities, which the server may write in another form than it was given.
const QUANTITIES: &[&str] =
    &["limits", "requests", "sizeLimit", "divisor", "storage", "cpu", "memory", "ephemeral-storage"];

/// Whether `live` has everything that `desired` says. What others added does not matter: they own it.
///
/// Elements of a list are found by their `name`, as server-side apply merges them; lists without names must agree
/// element by element.
///
/// ```
/// use flagsmith_operator::apply::covers;
/// use serde_json::json;
///
/// let desired = json!({ "spec": { "replicas": 2, "resources": { "limits": { "memory": "1Gi" } } } });
/// let live = json!({ "spec": { "replicas": 2, "paused": false, "resources": { "limits": { "memory": "1024Mi" } } } });
/// assert!(covers(&live, &desired));
/// assert!(!covers(&json!({ "spec": { "replicas": 3 } }), &desired));
/// ```
#[must_use]
pub fn covers(live: &Value, desired: &Value) -> bool {
    covers_at(live, desired, false)
}

fn covers_at(live: &Value, desired: &Value, quantity: bool) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => covers_map(live, desired, quantity),
        (Value::Array(live), Value::Array(desired)) => covers_list(live, desired),
        (Value::String(live), Value::String(desired)) if quantity => {
            live == desired
                || matches!((parse(live), parse(desired)), (Some(live), Some(desired)) if live.total_cmp(&desired).is_eq())
        }
        // Go's omitempty leaves out what equals nothing.
        (Value::Null, desired) => is_zero(desired),
        (live, desired) => live == desired,
    }
}

fn covers_map(live: &Map<String, Value>, desired: &Map<String, Value>, quantity: bool) -> bool {
    desired.iter().all(|(key, value)| {
        covers_at(
            live.get(key).unwrap_or(&Value::Null),
            value,
            quantity || QUANTITIES.contains(&key.as_str()),
        )
    })
}

fn covers_list(live: &[Value], desired: &[Value]) -> bool {
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    let named = !desired.is_empty() && desired.iter().all(|element| name(element).is_some());
    if named {
        return desired.iter().all(|wanted| {
            live.iter().any(|found| name(found) == name(wanted) && covers_at(found, wanted, false))
        });
    }
    live.len() == desired.len()
        && live.iter().zip(desired).all(|(live, desired)| covers_at(live, desired, false))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_zero),
    }
}

/// The value of a quantity, for comparison only: two forms of one quantity give the same number.
fn parse(text: &str) -> Option<f64> {
    const SUFFIXES: &[(&str, f64)] = &[
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|number| (number, *factor)))
        .unwrap_or((text, 1.0));
    // Milli-units, rounded: 0.1 and 100m must be equal.
    number.parse::<f64>().ok().map(|number| (number * factor * 1e3).round())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({"a": 1, "added": 2}), json!({"a": 1}), true)]
    #[case(json!({"a": 2}), json!({"a": 1}), false)]
    #[case(json!({}), json!({"a": {"b": ""}, "c": false, "d": []}), true)]
    #[case(json!({}), json!({"a": "x"}), false)]
    #[case(json!({}), json!({"a": 0}), true)]
    #[case(json!({}), json!({"a": 1}), false)]
    #[case(json!({"limits": {"cpu": "1m"}}), json!({"limits": {"cpu": "2m"}}), false)]
    #[case(json!({"limits": {"cpu": "1"}}), json!({"limits": {"cpu": "1000m"}}), true)]
    #[case(json!({"limits": {"memory": "1Gi"}}), json!({"limits": {"memory": "1024Mi"}}), true)]
    #[case(json!({"limits": {"memory": "2Gi"}}), json!({"limits": {"memory": "1024Mi"}}), false)]
    #[case(json!({"label": "1"}), json!({"label": "1000m"}), false)]
    #[case(json!({"env": [{"name": "X"}, {"name": "A", "value": "1"}]}), json!({"env": [{"name": "A", "value": "1"}]}), true)]
    #[case(json!({"env": [{"name": "A", "value": "2"}]}), json!({"env": [{"name": "A", "value": "1"}]}), false)]
    #[case(json!({"env": []}), json!({"env": [{"name": "A", "value": ""}]}), false)]
    #[case(json!({"args": ["a", "b"]}), json!({"args": ["a"]}), false)]
    #[case(json!({"args": ["a"]}), json!({"args": ["b"]}), false)]
    fn compares(#[case] live: Value, #[case] desired: Value, #[case] expected: bool) {
        assert_eq!(covers(&live, &desired), expected);
    }
}
