//! Labels and annotations of an object that may have none.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub(super) fn annotation<'a>(metadata: Option<&'a ObjectMeta>, key: &str) -> Option<&'a str> {
    lookup(metadata?.annotations.as_ref(), key)
}

pub(super) fn label<'a>(metadata: Option<&'a ObjectMeta>, key: &str) -> Option<&'a str> {
    lookup(metadata?.labels.as_ref(), key)
}

fn lookup<'a>(map: Option<&'a BTreeMap<String, String>>, key: &str) -> Option<&'a str> {
    map?.get(key).map(String::as_str)
}
