//! Fields of a status that the API server does not take, because its definition of the resource is older than the
//! operator. It refuses the whole request for one of them.

use serde_json::Value;

/// What the API server says after the path of such a field.
const SAYS: &str = ": field not declared in schema";

/// The fields that a refusal names, as `.status.upgrade` or `.status.diagnoses[0].docs`; none where it is another refusal.
pub(super) fn undeclared(message: &str) -> Vec<String> {
    let before = message.match_indices(SAYS).filter_map(|(end, _)| message.get(..end));
    before
        .filter_map(|text| text.get(text.rfind(".status.")?..))
        // What stands there comes from a server, and is used to say what was left out.
        .filter(|path| path.len() < 200 && !path.contains(char::is_whitespace))
        .map(str::to_owned)
        .collect()
}

/// Takes a field out of an object, in all elements of the lists on its path. Whether there was one.
pub(super) fn remove(object: &mut Value, path: &str) -> bool {
    let path = path.trim_start_matches('.');
    match (object, path.split_once('.')) {
        (Value::Array(elements), _) => {
            let mut removed = false;
            for element in elements {
                removed |= remove(element, path);
            }
            removed
        }
        (Value::Object(fields), Some((name, rest))) => {
            // `diagnoses[0]` is the list of that name.
            let name = name.split_once('[').map_or(name, |(name, _)| name);
            fields.get_mut(name).is_some_and(|inner| remove(inner, rest))
        }
        (Value::Object(fields), None) => fields.remove(path).is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::one(
        "failed to create typed patch object (/flagsmith; operator.flagsmith.com/v1alpha1, Kind=FlagsmithDeployment): \
         .status.components: field not declared in schema",
        &[".status.components"]
    )]
    #[case::several(
        "failed to create typed patch object (a/b; c, Kind=D): errors:\n  .status.upgrade: field not declared in schema\n  \
         .status.diagnoses[0].docs: field not declared in schema",
        &[".status.upgrade", ".status.diagnoses[0].docs"]
    )]
    #[case::another("etcdserver: request is too large", &[])]
    #[case::not_of_the_status(".spec.a: field not declared in schema", &[])]
    fn reads_what_is_refused(#[case] message: &str, #[case] expected: &[&str]) {
        assert_eq!(undeclared(message), expected);
    }

    #[rstest]
    #[case::outermost(".status.a", json!({ "status": { "b": [{ "c": 1, "d": 2 }, { "c": 3 }], "e": { "f": 4 } } }))]
    #[case::in_a_list(".status.b[0].c", json!({ "status": { "a": 0, "b": [{ "d": 2 }, {}], "e": { "f": 4 } } }))]
    #[case::in_a_map(".status.e.f", json!({ "status": { "a": 0, "b": [{ "c": 1, "d": 2 }, { "c": 3 }], "e": {} } }))]
    fn takes_a_field_out(#[case] path: &str, #[case] expected: Value) {
        let mut object =
            json!({ "status": { "a": 0, "b": [{ "c": 1, "d": 2 }, { "c": 3 }], "e": { "f": 4 } } });
        assert!(remove(&mut object, path));
        assert_eq!(object, expected);
        assert!(!remove(&mut object, path), "gone");
    }
}
