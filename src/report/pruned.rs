//! What the API server has dropped of a status that it accepted: fields that its definition of the resource lacks.

use serde_json::Value;

/// The path of the first field that was sent in `status` and is not in the answer, as `status.upgrade.stops`. Nothing
/// else is compared: another manager's fields may stand in the answer, and lists may have become longer.
pub(super) fn pruned(sent: &Value, answer: &Value) -> Option<String> {
    let status = "status";
    missing(sent.get(status)?, answer.get(status).unwrap_or(&Value::Null), status.to_owned())
}

fn missing(sent: &Value, answer: &Value, path: String) -> Option<String> {
    match (sent, answer) {
        // The server keeps no null.
        (Value::Null, _) => None,
        (_, Value::Null) => Some(path),
        (Value::Object(sent), answer) => sent.iter().find_map(|(name, value)| {
            missing(value, answer.get(name).unwrap_or(&Value::Null), format!("{path}.{name}"))
        }),
        (Value::Array(sent), Value::Array(answer)) => {
            sent.iter().zip(answer).find_map(|(sent, answer)| missing(sent, answer, path.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::the_same(json!({ "a": 1, "b": [{ "c": null }] }), json!({ "a": 1, "b": [{}] }), None)]
    #[case::somebody_elses(json!({ "a": 1 }), json!({ "a": 1, "b": 2 }), None)]
    #[case::outermost(json!({ "upgrade": { "stops": [] } }), json!({ "a": 1 }), Some("status.upgrade"))]
    #[case::nothing_left(json!({ "upgrade": {} }), Value::Null, Some("status"))]
    #[case::within(json!({ "upgrade": { "stops": [] } }), json!({ "upgrade": {} }), Some("status.upgrade.stops"))]
    #[case::of_a_list(
        json!({ "diagnoses": [{ "code": "A", "docs": "u" }] }),
        json!({ "diagnoses": [{ "code": "A" }] }),
        Some("status.diagnoses.docs")
    )]
    fn names_what_the_answer_lacks(
        #[case] sent: Value,
        #[case] answer: Value,
        #[case] expected: Option<&str>,
    ) {
        let of = |status| json!({ "metadata": {}, "status": status });
        assert_eq!(pruned(&of(sent), &of(answer)).as_deref(), expected);
    }
}
