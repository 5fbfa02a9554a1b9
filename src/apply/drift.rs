//! What somebody changed on an object that the operator made.

use serde_json::Value;

use super::diff::covers;

/// Differences that are named; more of them are one person's one edit.
const NAMED: usize = 3;

/// The fields in which `live` is not as `desired`, at most three. Values are shown of annotations only: anything else
/// may hold a secret.
///
/// ```
/// use flagsmith_operator::apply::differences;
/// use serde_json::json;
///
/// let desired = json!({ "spec": { "replicas": 2 } });
/// assert_eq!(differences(&json!({ "spec": { "replicas": 3 } }), &desired), ["spec.replicas"]);
/// ```
#[must_use]
pub fn describe(live: &Value, desired: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(live, desired, "", &mut found);
    found.truncate(NAMED);
    found
        .into_iter()
        .map(|path| {
            let Some(key) = path.strip_prefix("metadata.annotations.") else {
                return path;
            };
            let was = live
                .pointer("/metadata/annotations")
                .and_then(|all| all.get(key))
                .and_then(Value::as_str)
                .map_or_else(|| "was removed".to_owned(), |value| format!("was {value:?}"));
            format!("{key} {was}{}", set_by(live, key))
        })
        .collect()
}

fn walk(live: &Value, desired: &Value, path: &str, found: &mut Vec<String>) {
    if found.len() >= NAMED || covers(live, desired) {
        return;
    }
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            for (key, wanted) in desired {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(live.get(key).unwrap_or(&Value::Null), wanted, &below, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

/// Who set an annotation and when, where managed fields say so.
fn set_by(live: &Value, key: &str) -> String {
    let managers = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let field = format!("f:{key}");
    managers
        .into_iter()
        .flatten()
        .find(|entry| {
            entry
                .pointer("/fieldsV1/f:metadata/f:annotations")
                .is_some_and(|fields| fields.get(&field).is_some())
        })
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default();
            let day = text("time").split('T').next().unwrap_or_default();
            format!(", set by field manager {:?} on {day}", text("manager"))
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_the_annotation_its_value_and_who_set_it() {
        let live = json!({ "metadata": {
            "annotations": { "a.b/c": "10", "own": "x" },
            "managedFields": [{
                "manager": "kubectl-annotate", "time": "2026-11-21T10:00:00Z",
                "fieldsV1": { "f:metadata": { "f:annotations": { "f:a.b/c": {} } } },
            }],
        } });
        let desired = json!({ "metadata": { "annotations": { "a.b/c": "35", "gone": "1" } } });
        assert_eq!(
            describe(&live, &desired),
            ["a.b/c was \"10\", set by field manager \"kubectl-annotate\" on 2026-11-21", "gone was removed",]
        );
    }

    #[test]
    fn shows_no_value_of_another_field() {
        let live =
            json!({ "spec": { "template": { "spec": { "env": [{ "name": "A", "value": "s3cr3t" }] } } } });
        let desired =
            json!({ "spec": { "template": { "spec": { "env": [{ "name": "A", "value": "1" }] } } } });
        assert_eq!(describe(&live, &desired), ["spec.template.spec.env"]);
    }
}
