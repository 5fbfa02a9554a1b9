//! Taking secrets out of what goes into the archive.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use serde::Serialize;
use serde_json::Value;

use crate::{flagsmith::env, model::redact::redact};

/// The shortest value of a Secret that is looked for elsewhere: a shorter one is found in any text.
const SHORTEST_SECRET: usize = 6;

/// A file of the archive.
pub(super) struct Entry {
    /// Where in the archive.
    pub(super) path: String,
    /// What is in it.
    pub(super) text: String,
}

/// Takes secrets out of what goes into the archive: what looks like one, and the exact values of the installation's
/// Secrets that the caller may read.
#[derive(Default)]
pub(super) struct Redaction {
    known: BTreeSet<String>,
}

impl Redaction {
    /// Knows the values of these Secrets, as they are and as they stand in a URL.
    pub(super) fn of(secrets: &[Secret]) -> Self {
        let mut known = BTreeSet::new();
        for value in secrets.iter().flat_map(|secret| secret.data.iter().flatten()) {
            let text = String::from_utf8_lossy(&value.1.0).trim().to_owned();
            let password = url::Url::parse(&text).ok().and_then(|url| url.password().map(str::to_owned));
            for part in [Some(text), password].into_iter().flatten() {
                let decoded = percent_encoding::percent_decode_str(&part).decode_utf8_lossy().into_owned();
                known.extend([part, decoded].into_iter().filter(|it| it.len() >= SHORTEST_SECRET));
            }
        }
        Self { known }
    }

    /// A text without them.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = redact(text);
        // The longest first: a URL before the password in it.
        let mut known: Vec<&String> = self.known.iter().collect();
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        for value in known {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), "***");
            }
        }
        text
    }

    /// A file with this text.
    pub(super) fn entry(&self, path: impl Into<String>, text: &str) -> Entry {
        Entry { path: path.into(), text: self.text(text).trim_end().to_owned() + "\n" }
    }

    /// A file with this object.
    pub(super) fn yaml(&self, path: impl Into<String>, object: &impl Serialize) -> Entry {
        let text = serde_json::to_value(object).map_or_else(
            |error| error.to_string(),
            |mut object| {
                mask(&mut object);
                serde_saphyr::to_string(&object).unwrap_or_else(|error| error.to_string())
            },
        );
        self.entry(path, &text)
    }
}

/// Masks the literal values of environment variables but those that are known to be harmless (`name: X, value: Y`), and
/// what follows a flag that names a secret; drops what repeats a whole object as text.
fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("managedFields");
            fields.remove("kubectl.kubernetes.io/last-applied-configuration");
            let variable = fields.get("name").and_then(Value::as_str).map(env::is_harmless);
            if variable == Some(false) && fields.get("value").is_some_and(Value::is_string) {
                fields.insert("value".to_owned(), Value::String("***".to_owned()));
            }
            fields.values_mut().for_each(mask);
        }
        Value::Array(items) => {
            let mut after_secret_flag = false;
            for item in items {
                let flag = item
                    .as_str()
                    .is_some_and(|it| it.starts_with('-') && redact(&format!("{it} x")) != format!("{it} x"));
                if after_secret_flag && item.is_string() {
                    *item = Value::String("***".to_owned());
                } else {
                    mask(item);
                }
                after_secret_flag = flag;
            }
        }
        Value::String(text) => *text = redact(text),
        _ => {}
    }
}
