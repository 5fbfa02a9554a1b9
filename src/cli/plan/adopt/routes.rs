//! Ingresses and `HTTPRoutes`: which hosts and paths lead where, and which of the two entrances each becomes. Pure.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    facts::{Facts, is_nothing, is_of_tools},
    live::{Live, at, items, leads_to, text},
};
use crate::{
    api::{EntranceSpec, ExposureSpec, HttpRouteSpec, IngressSpec, ProxySpec},
    flagsmith,
    model::{Component, child::Kind},
};

/// The name of the chart's ports, and of the operator's.
const HTTP: &str = "http";

/// One host and path, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// "*" for every host.
    pub(super) host: String,
    /// Without a slash at its end, but for the root.
    pub(super) path: String,
    /// The component, and how the path is matched; what cannot be said in these words is in the second.
    pub(super) to: (Option<Component>, String),
}

/// Which entrance each object becomes: `false` everything, `true` the API only. What finds no place is not listed.
pub(super) type Places<'a> = Vec<(&'a Live, bool)>;

/// The ways of an Ingress or an `HTTPRoute`.
pub(super) fn ways(object: &Live, leads: &dyn Fn(&str) -> Option<Component>) -> Vec<Way> {
    let mut ways = Vec::new();
    let body = &object.body;
    if object.kind == Kind::Ingress {
        for rule in items(body, "/spec/rules") {
            for path in items(rule, "/http/paths") {
                let to = leads(text(path, "/backend/service/name"));
                let kind = at_port(text(path, "/pathType"), at(path, "/backend/service/port"));
                ways.push(way(text(rule, "/host"), text(path, "/path"), to, &kind));
            }
        }
        return ways;
    }
    let mut hosts: Vec<&str> = items(body, "/spec/hostnames").filter_map(Value::as_str).collect();
    if hosts.is_empty() {
        hosts.push("");
    }
    let anything = [json!({ "path": { "type": "PathPrefix", "value": "/" } })];
    for rule in items(body, "/spec/rules") {
        let backend = items(rule, "/backendRefs").next().unwrap_or(&Value::Null);
        let to = leads(text(backend, "/name"));
        let mut matches: Vec<&Value> = items(rule, "/matches").collect();
        if matches.is_empty() {
            matches.extend(&anything);
        }
        for found in matches {
            // What the API server fills in where no type is said.
            let kind = found.pointer("/path/type").and_then(Value::as_str).unwrap_or("PathPrefix");
            let kind = kind.replace("PathPrefix", "Prefix");
            let mut kind = at_port(&kind, &json!({ "number": backend["port"] }));
            let others = found.as_object().map_or(0, |it| it.keys().filter(|key| *key != "path").count());
            let several = items(rule, "/backendRefs").count() > 1;
            if others > 0 || several || !is_plain(backend) {
                kind = format!("{kind} with conditions");
            }
            ways.extend(hosts.iter().map(|host| way(host, text(found, "/path/value"), to, &kind)));
        }
    }
    ways
}

/// Whether a backend is a Service and nothing more: no filters, no share of the requests, of this namespace.
fn is_plain(backend: &Value) -> bool {
    let plain = |(key, value): (&String, &Value)| match key.as_str() {
        "name" | "port" => true,
        "group" => value == "",
        "kind" => value == "Service",
        "weight" => *value == 1,
        _ => value.is_null(),
    };
    backend.as_object().into_iter().flatten().all(plain)
}

/// How a path is matched, and the port that it leads to where that is not Flagsmith's own, by its number or by its name.
fn at_port(kind: &str, port: &Value) -> String {
    let own = [flagsmith::HTTP_PORT, flagsmith::FRONTEND_PORT].map(i64::from);
    match (port["number"].as_i64(), port["name"].as_str()) {
        (Some(other), _) if !own.contains(&other) => format!("{kind} at port {other}"),
        (None, Some(other)) if other != HTTP => format!("{kind} at port {other}"),
        _ => kind.to_owned(),
    }
}

fn way(host: &str, path: &str, to: Option<Component>, kind: &str) -> Way {
    let path = path.trim_end_matches('/');
    Way {
        host: if host.is_empty() { "*".to_owned() } else { host.to_owned() },
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        to: (to, kind.to_owned()),
    }
}

/// What is said of an Ingress or `HTTPRoute` besides its ways.
pub(super) fn facts(object: &Live) -> Facts {
    let mut facts = super::facts::of(&object.body);
    facts.retain(|path, _| !["rules", "hostnames"].contains(&path.as_str()));
    if object.kind == Kind::HttpRoute {
        for (index, rule) in items(&object.body, "/spec/rules").enumerate() {
            for (key, value) in rule.as_object().into_iter().flatten() {
                if !["matches", "backendRefs"].contains(&key.as_str()) && !is_nothing(value) {
                    facts.insert(format!("rules[{index}].{key}"), value.clone());
                }
            }
        }
        let parents: Vec<Value> = items(&object.body, "/spec/parentRefs").map(parent).collect();
        facts.insert("parentRefs".to_owned(), Value::from(parents));
    }
    facts
}

/// What a route is attached to, without what the API server fills in.
fn parent(reference: &Value) -> Value {
    let mut parent = reference.clone();
    if let Some(fields) = parent.as_object_mut() {
        let filled_in = [("group", Kind::HttpRoute.group()), ("kind", "Gateway")];
        fields.retain(|key, value| {
            !value.is_null() && !filled_in.iter().any(|(it, given)| it == key && value == given)
        });
    }
    parent
}

/// Which entrance each becomes. What leads to `/` is the dashboard's, with the API behind it; what leads to the API alone,
/// on hosts of its own, is the API's. Hosts of two objects become one entrance only where they are the same.
pub(super) fn places(objects: &[Live]) -> Places<'_> {
    let leads = |service: &str| leads_to(objects, service);
    let routes: Vec<(&Live, Vec<Way>)> = objects
        .iter()
        .filter(|it| matches!(it.kind, Kind::Ingress | Kind::HttpRoute))
        .map(|it| (it, ways(it, &leads)))
        .collect();
    let hosts = |ways: &[Way]| ways.iter().map(|way| way.host.clone()).collect::<BTreeSet<_>>();
    let is_whole = |ways: &[Way]| ways.iter().any(|way| way.path == "/");
    let whole = routes.iter().find(|(_, ways)| is_whole(ways));
    let of_whole = whole.map(|(_, ways)| hosts(ways)).unwrap_or_default();
    let beside = |ways: &[Way]| !ways.is_empty() && hosts(ways).is_disjoint(&of_whole);
    let api = routes.iter().find(|(_, ways)| !is_whole(ways) && beside(ways));
    let of_api = api.map(|(_, ways)| hosts(ways)).unwrap_or_default();
    routes
        .iter()
        .filter_map(|(object, ways)| {
            let own = hosts(ways);
            if !own.is_empty() && own.is_subset(&of_whole) {
                Some((*object, false))
            } else if !own.is_empty() && own.is_subset(&of_api) && !is_whole(ways) {
                Some((*object, true))
            } else {
                None
            }
        })
        .collect()
}

/// The exposure that says so.
pub(super) fn exposure(places: &Places<'_>, proxy: Option<&ProxySpec>) -> Option<ExposureSpec> {
    let one = |api_only: bool| {
        let (object, _) = places.iter().find(|(_, place)| *place == api_only)?;
        Some(entrance(object, proxy))
    };
    match (one(false), one(true)) {
        (None, None) => None,
        (Some(EntranceSpec { hosts, ingress, http_route, proxy }), None) => {
            Some(ExposureSpec { hosts, ingress, http_route, proxy, ..ExposureSpec::default() })
        }
        (frontend, api) => Some(ExposureSpec { api, frontend, ..ExposureSpec::default() }),
    }
}

fn entrance(object: &Live, proxy: Option<&ProxySpec>) -> EntranceSpec {
    let all = ways(object, &|_| None);
    let hosts: BTreeSet<String> = all.into_iter().map(|way| way.host).collect();
    let annotations = items_of(at(&object.body, "/metadata/annotations"));
    let spec = at(&object.body, "/spec");
    let typed = |field: &str| spec.get(field).cloned().unwrap_or_default();
    let is_ingress = object.kind == Kind::Ingress;
    EntranceSpec {
        hosts: hosts.into_iter().collect(),
        proxy: proxy.cloned(),
        ingress: is_ingress.then(|| IngressSpec {
            class_name: spec["ingressClassName"].as_str().map(str::to_owned),
            annotations: annotations.clone(),
            tls: serde_json::from_value(typed("tls")).unwrap_or_default(),
        }),
        http_route: (!is_ingress).then(|| HttpRouteSpec {
            parent_refs: serde_json::from_value(typed("parentRefs")).unwrap_or_default(),
            annotations,
        }),
    }
}

/// The user's own labels or annotations.
pub(super) fn items_of(map: &Value) -> std::collections::BTreeMap<String, String> {
    map.as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !is_of_tools(key) && !key.starts_with("app.kubernetes.io/"))
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
