//! What the operator makes and nobody has made before: settings of pods, and whole objects. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    compare::{as_live, renamed},
    computed,
    facts::{self, Facts, OWN},
    live::Live,
    routes::{self, Places},
};
use crate::{
    flagsmith::env,
    model::{
        Component,
        child::{Child, Kind},
    },
    observe::discover::Adoption,
    validate::Installation,
};

/// One setting that the operator makes where there is none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Addition {
    /// The kind and name of the operator's object.
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Empty where the object as a whole is new.
    pub(super) path: String,
    component: Option<Component>,
    value: Value,
    /// The path up to where nothing below it is there.
    shown: String,
}

/// What of the operator's objects is not there. Of what the page asks for otherwise nothing is said here: a database that
/// nothing names, and variables that are moved into a Secret.
pub(super) fn additions(
    objects: &[Live],
    places: &Places<'_>,
    installation: &Installation,
    children: &[Child],
    adoption: &Adoption,
) -> Vec<Addition> {
    let is_told = |path: &str| {
        computed::is_name(path)
            || variable(path).is_some_and(|name| {
                adoption.literals.contains_key(name)
                    || (name == env::DATABASE_URL && adoption.spec.database.is_none())
            })
    };
    let mut all = Vec::new();
    for child in children.iter().filter(|it| it.component != Some(Component::Database)) {
        let (built, there) = sides(child, objects, places, installation);
        let new = |path: &str, value: &Value, shown: String| Addition {
            kind: child.kind,
            name: child.name.clone(),
            path: path.to_owned(),
            component: child.component,
            value: value.clone(),
            shown,
        };
        if there.is_empty() {
            all.push(new("", &Value::Null, String::new()));
            continue;
        }
        let is_there = |path: &str| there.iter().any(|facts| facts.contains_key(path));
        let missing = built.iter().filter(|(path, _)| !is_there(path) && !is_told(path));
        all.extend(missing.map(|(path, value)| new(path, value, up_to(path, &there))));
    }
    all
}

/// The settings of an object of the operator, and those of each object in whose place it comes.
fn sides(
    child: &Child,
    objects: &[Live],
    places: &Places<'_>,
    installation: &Installation,
) -> (Facts, Vec<Facts>) {
    if matches!(child.kind, Kind::Ingress | Kind::HttpRoute) {
        let entrance = installation.entrances().find(|it| it.name(&installation.identity) == child.name);
        let place = entrance.map(crate::validate::Entrance::is_of_api);
        let replaced = places.iter().filter(|(it, of)| it.kind == child.kind && Some(*of) == place);
        return (routes::facts(&as_live(child)), replaced.map(|(it, _)| routes::facts(it)).collect());
    }
    let replaced = objects.iter().filter(|it| it.kind == child.kind && Some(it.component) == child.component);
    let built = renamed(&child.body, Some(child.component.unwrap_or(Component::Api))).0;
    (facts::of(&built), replaced.map(|it| facts::of(&renamed(&it.body, None).0)).collect())
}

/// The shortest beginning of a path below which nothing is there.
fn up_to(path: &str, there: &[Facts]) -> String {
    let is_below = |beginning: &str, it: &str| {
        it.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let mut inside = false;
    let ends = path.char_indices().filter(|(_, it)| {
        match it {
            '[' => inside = true,
            ']' => inside = false,
            '.' => return !inside,
            _ => return false,
        }
        *it == '['
    });
    let ends: Vec<usize> = ends.map(|(at, _)| at).collect();
    let mut beginnings = ends.into_iter().filter_map(|end| path.get(..end));
    let is_new = |beginning: &&str| !there.iter().any(|facts| facts.keys().any(|it| is_below(beginning, it)));
    beginnings.find(is_new).unwrap_or(path).to_owned()
}

/// One line for each group of settings; components with the same ones share it.
pub(super) fn lines(additions: &[Addition]) -> Vec<String> {
    let mut groups: BTreeMap<(String, Option<Component>), BTreeSet<String>> = BTreeMap::new();
    for addition in additions {
        let Some((group, item)) = in_words(addition) else { continue };
        let component = addition.component.filter(|_| !addition.path.is_empty());
        groups.entry((group, component)).or_default().insert(item);
    }
    let mut shared: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for ((group, component), items) in groups {
        let items = items.into_iter().collect::<Vec<_>>().join(", ");
        shared.entry((group, items)).or_default().extend(component.map(Component::as_str));
    }
    let line = |((group, items), components): ((String, String), Vec<&str>)| {
        let whose = if components.is_empty() { String::new() } else { components.join(", ") + ": " };
        format!("{whose}{group}: {items}")
    };
    shared.into_iter().map(line).collect()
}

/// The group that a setting belongs to, and how it is shown there; `None` for what says no more than another.
fn in_words(addition: &Addition) -> Option<(String, String)> {
    let Addition { kind, name, path, value, shown, .. } = addition;
    let own = format!("template.spec.containers[{OWN}].");
    let say = |group: &str, item: String| Some((group.to_owned(), item));
    if path.is_empty() {
        return say("objects that were not there", format!("{} {name}", kind.as_str()));
    }
    if let Some(container) = path.strip_prefix(&own) {
        if let Some(variable) = variable(container) {
            return match container.rsplit_once("].").map(|(_, field)| field) {
                Some("name") => None,
                Some("value") => say("variables", format!("{variable}={}", plain(value))),
                _ => say("variables", variable.to_owned()),
            };
        }
        let whole = [("securityContext.", "securityContext of the container"), ("resources.", "resources")];
        for (beginning, group) in whole {
            if let Some(field) = container.strip_prefix(beginning) {
                return say(group, format!("{} {}", field.replace('[', ".").replace(']', ""), plain(value)));
            }
        }
        return say("container", short(path, shown, &own, value));
    }
    if let Some(key) = path.strip_prefix("template.metadata.") {
        return say("labels and annotations of pods", bracketed(key).to_owned());
    }
    if let Some(field) = path.strip_prefix("template.spec.securityContext.") {
        return say("securityContext of pods", format!("{field} {}", plain(value)));
    }
    if path.starts_with("template.spec.") {
        return say("pods", short(path, shown, "template.spec.", value));
    }
    let is_mark = ["labels[", "annotations["].iter().any(|part| path.starts_with(part));
    let item = if is_mark {
        format!("{} {}", path.split('[').next()?, bracketed(path))
    } else {
        short(path, shown, "", value)
    };
    let group = if matches!(kind, Kind::Ingress | Kind::HttpRoute) {
        format!("{} {name}", kind.as_str())
    } else {
        kind.as_str().to_owned()
    };
    Some((group, item))
}

/// The variable that a path is about.
fn variable(path: &str) -> Option<&str> {
    path.split_once("env[").and_then(|(_, rest)| rest.split(']').next())
}

fn bracketed(path: &str) -> &str {
    path.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']')).unwrap_or(path)
}

/// A path without its beginning, up to where nothing is there; with its value where that is all of it.
fn short(path: &str, shown: &str, beginning: &str, value: &Value) -> String {
    // Where nothing is there at all, the first step of the path says enough.
    let rest = shown.strip_prefix(beginning).filter(|rest| !rest.is_empty());
    let step = rest.unwrap_or_else(|| {
        let rest = path.strip_prefix(beginning).unwrap_or(path);
        rest.split(['.', '[']).next().unwrap_or(rest)
    });
    if shown == path { format!("{step} {}", plain(value)) } else { step.to_owned() }
}

/// A value in a line.
fn plain(value: &Value) -> String {
    match value.as_str() {
        Some(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[rstest::rstest]
    #[case("a.c.d", "a.c")]
    #[case("a.b.d", "a.b.d")]
    #[case("x.y", "x")]
    #[case("a.m[k.l].v", "a.m")]
    #[case("p[80].name", "p[80].name")]
    #[case("p[91].name", "p[91]")]
    fn a_path_is_shown_up_to_where_nothing_is(#[case] path: &str, #[case] shown: &str) {
        let there = Facts::from(
            [("a.b.c", 1), ("p[80].port", 2)].map(|(path, value)| (path.to_owned(), json!(value))),
        );
        assert_eq!(up_to(path, &[there]), shown);
    }
}
