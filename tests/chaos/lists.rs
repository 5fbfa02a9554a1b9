//! Lists, in pages as the real server gives them: each page is of the moment of the first one, whatever has happened
//! since, and one that is asked for too late is refused.
//!
//! This is all by which a list may be old: the operator and its client library ask without a `resourceVersion`, which the
//! real server answers with what is newest, from its cache too. What lags behind are watches (`network.rs`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    server::Parsed,
    store::{Refused, Store, refused},
};

/// What is left of the lists that were begun, by the token with which it is asked for.
#[derive(Default)]
pub struct Pages {
    left: BTreeMap<String, Rest>,
}

struct Rest {
    version: u64,
    items: Vec<Value>,
}

impl Pages {
    /// Answers a list of at most so many items; the real server too may give fewer than it is asked for.
    pub fn list(&mut self, store: &Store, request: &Parsed, most: usize) -> Result<Value, Refused> {
        let Rest { version, mut items } = match request.query.get("continue") {
            None => {
                let found = store.all(&request.resource).map(|(_, it)| it);
                let items = found.filter(|it| request.selects(it)).cloned().collect();
                Rest { version: store.version, items }
            }
            // It stays: a page may be asked for again.
            Some(token) => match self.left.get(token) {
                Some(rest) => Rest { version: rest.version, items: rest.items.clone() },
                None => return Err(expired()),
            },
        };
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        if items.len() > most {
            let rest = Rest { version, items: items.split_off(most) };
            let token = self.left.len().to_string();
            metadata["continue"] = json!(token);
            self.left.insert(token, rest);
        }
        Ok(
            json!({ "kind": "List", "apiVersion": request.group_version, "metadata": metadata, "items": items }),
        )
    }
}

/// The past that a page is of is not kept any more.
pub fn expired() -> Refused {
    refused(410, "Expired", "the provided continue parameter is too old to display a consistent list result")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn ask(pages: &mut Pages, store: &Store, query: &str) -> Result<(Vec<Value>, Value), u16> {
        let (parts, ()) = Request::get(format!("/api/v1/pods?{query}")).body(()).unwrap().into_parts();
        let list = pages.list(store, &Parsed::of(&parts, b""), 2).map_err(|refused| refused.code)?;
        let items = list["items"].as_array().unwrap();
        let names = items.iter().map(|it| it["metadata"]["name"].clone()).collect();
        Ok((names, list["metadata"].clone()))
    }

    #[tokio::test]
    async fn a_page_is_of_the_moment_of_the_first() {
        let (mut store, mut pages) = (Store::default(), Pages::default());
        let key = |name: &str| ("pods".to_owned(), "prod".to_owned(), name.to_owned());
        for name in ["a", "b", "c"] {
            store.create(key(name), json!({})).unwrap();
        }
        let (names, metadata) = ask(&mut pages, &store, "limit=2").unwrap();
        assert_eq!(names, ["a", "b"]);
        store.delete(&key("c"), false);
        store.create(key("d"), json!({})).unwrap();
        let next = format!("limit=2&continue={}", metadata["continue"].as_str().unwrap());
        for _ in 0..2 {
            let (names, later) = ask(&mut pages, &store, &next).unwrap();
            assert_eq!(names, ["c"]);
            assert_eq!(later, json!({ "resourceVersion": metadata["resourceVersion"] }));
        }
        let (names, now) = ask(&mut pages, &store, "limit=2").unwrap();
        assert_eq!(names, ["a", "b"]);
        assert_ne!(now["resourceVersion"], metadata["resourceVersion"]);
        assert_eq!(ask(&mut pages, &store, "limit=2&continue=unknown"), Err(410));
    }
}
