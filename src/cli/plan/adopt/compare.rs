//! What the operator would make, held against what is there: each setting is kept, computed by the operator, or lost. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    computed::{self, Subject},
    facts::{self, Facts, OWN},
    live::{Live, items, leads_to, text},
    routes::{self, Places, Way},
};
use crate::{
    model::{
        Component,
        child::{Child, Kind},
    },
    observe::discover::{Literal, flagsmith_container},
    validate::Installation,
};

/// What becomes of a setting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// Nothing in the specification says it.
    Lost,
    /// The operator decides it; why.
    Computed(String),
    /// What the operator makes says the same.
    Kept,
}

/// One setting of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    pub(super) object: String,
    pub(super) fate: Fate,
    pub(super) path: String,
}

/// Every setting of what is there.
pub(super) fn compare(
    objects: &[Live],
    places: &Places<'_>,
    installation: &Installation,
    children: &[Child],
    moved: &BTreeMap<String, Literal>,
) -> Vec<Difference> {
    let comparison = Comparison { objects, places, installation, children, moved };
    let mut all: Vec<Difference> = objects.iter().flat_map(|it| comparison.object(it)).collect();
    all.sort();
    all
}

/// What the hosts of a specification would get that they do not have: the dashboard's hosts serve everything.
pub(super) fn added(
    objects: &[Live],
    places: &Places<'_>,
    installation: &Installation,
    children: &[Child],
) -> Vec<String> {
    let comparison = Comparison { objects, places, installation, children, moved: &BTreeMap::new() };
    let mut known: Vec<Way> = Vec::new();
    for (object, _) in places {
        known.extend(routes::ways(object, &|service| leads_to(objects, service)));
    }
    let mut new: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for way in [false, true].into_iter().flat_map(|api_only| comparison.built_ways(api_only)) {
        let there = covering(&known, &way.host, &way.path).is_some_and(|it| it.to.0 == way.to.0);
        if !there {
            new.entry(way.host).or_default().insert(way.path);
        }
    }
    new.into_iter()
        .map(|(host, paths)| format!("host {host}: {}", paths.into_iter().collect::<Vec<_>>().join(", ")))
        .collect()
}

struct Comparison<'a> {
    objects: &'a [Live],
    places: &'a Places<'a>,
    installation: &'a Installation,
    children: &'a [Child],
    moved: &'a BTreeMap<String, Literal>,
}

impl Comparison<'_> {
    fn object(&self, live: &Live) -> Vec<Difference> {
        if matches!(live.kind, Kind::Ingress | Kind::HttpRoute) {
            return self.route(live);
        }
        let name = self.installation.child(live.component.as_str());
        let built = self.built(live.kind, &name);
        let (body, own) = renamed(&live.body, None);
        let wanted = built.map(|it| renamed(it, Some(live.component)).0);
        let wanted = wanted.as_ref().map(facts::of).unwrap_or_default();
        let subject = Subject {
            kind: live.kind,
            component: live.component,
            body: &body,
            moved: self.moved,
            scaled: self
                .objects
                .iter()
                .any(|it| it.kind == Kind::HorizontalPodAutoscaler && it.component == live.component),
        };
        let shown = |path: String| match &own {
            Some(own) => path.replace(&format!("containers[{OWN}]"), &format!("containers[{own}]")),
            None => path,
        };
        facts::of(&body)
            .into_iter()
            .map(|(path, value)| {
                let fate = fate(&wanted, &path, &value, || computed::reason(&subject, &path, &value));
                Difference { object: named(live), fate, path: shown(path) }
            })
            .collect()
    }

    fn route(&self, live: &Live) -> Vec<Difference> {
        let place =
            self.places.iter().find(|(object, _)| object.name == live.name && object.kind == live.kind);
        let place = place.map(|(_, api_only)| *api_only);
        let entrance = self.installation.entrances().find(|it| Some(it.is_of_api()) == place);
        let built = entrance.and_then(|it| {
            self.children
                .iter()
                .find(|child| child.kind == live.kind && child.name == it.name(&self.installation.identity))
        });
        let wanted = built.map(as_live).as_ref().map(routes::facts).unwrap_or_default();
        let of_facts = routes::facts(live).into_iter().map(|(path, value)| {
            let fate = fate(&wanted, &path, &value, || {
                computed::of_route(&path).filter(|_| place.is_some()).map(str::to_owned)
            });
            Difference { object: named(live), fate, path }
        });
        let built = place.map(|api_only| self.built_ways(api_only)).unwrap_or_default();
        let whole = self.installation.entrances().any(|it| !it.is_of_api());
        let ways = routes::ways(live, &|service| leads_to(self.objects, service));
        let of_ways = ways.into_iter().map(|way| {
            let plain = ["Prefix", "ImplementationSpecific", ""].contains(&way.to.1.as_str());
            let there = covering(&built, &way.host, &way.path).is_some_and(|it| it.to.0 == way.to.0);
            let admin = way.to.0 == Some(Component::Api)
                && (way.path.starts_with("/admin") || way.path.starts_with("/static/admin"));
            let fate = if there && plain && way.to.0.is_some() {
                Fate::Kept
            } else if plain && admin && place == Some(true) && whole {
                Fate::Computed("it exists on the dashboard's hosts only".to_owned())
            } else {
                Fate::Lost
            };
            let kind = if plain { String::new() } else { format!(" ({})", way.to.1) };
            Difference { object: named(live), fate, path: format!("{}{}{kind}", way.host, way.path) }
        });
        of_facts.chain(of_ways).collect()
    }

    fn built(&self, kind: Kind, name: &str) -> Option<&Value> {
        self.children.iter().find(|child| child.kind == kind && child.name == name).map(|child| &child.body)
    }

    fn built_ways(&self, api_only: bool) -> Vec<Way> {
        let entrances = self.installation.entrances().filter(|it| it.is_of_api() == api_only);
        let names: Vec<String> = entrances.map(|it| it.name(&self.installation.identity)).collect();
        let routes = self.children.iter().filter(|child| {
            matches!(child.kind, Kind::Ingress | Kind::HttpRoute) && names.contains(&child.name)
        });
        let component = |service: &str| {
            [Component::Api, Component::Frontend]
                .into_iter()
                .find(|it| service == self.installation.child(it.as_str()))
        };
        routes.flat_map(|child| routes::ways(&as_live(child), &component)).collect()
    }
}

fn fate(wanted: &Facts, path: &str, value: &Value, why: impl FnOnce() -> Option<String>) -> Fate {
    if wanted.get(path) == Some(value) { Fate::Kept } else { why().map_or(Fate::Lost, Fate::Computed) }
}

fn named(live: &Live) -> String {
    format!("{} {}", live.kind.as_str(), live.name)
}

pub(super) fn as_live(child: &Child) -> Live {
    Live {
        kind: child.kind,
        name: child.name.clone(),
        component: child.component.unwrap_or(Component::Api),
        body: child.body.clone(),
    }
}

/// What serves a path of a host: the longest path that it is below.
fn covering<'a>(ways: &'a [Way], host: &str, path: &str) -> Option<&'a Way> {
    let below = |prefix: &str| {
        prefix == "/" || path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
    };
    ways.iter().filter(|way| way.host == host && below(&way.path)).max_by_key(|way| way.path.len())
}

/// An object whose Flagsmith container has one name, whoever made it, and the name that it has.
pub(super) fn renamed(body: &Value, made_for: Option<Component>) -> (Value, Option<String>) {
    const CONTAINERS: &str = "/spec/template/spec/containers";
    let containers = || items(body, CONTAINERS);
    let own = if let Some(component) = made_for {
        containers().position(|it| it["name"] == component.as_str())
    } else {
        let all: Vec<(&str, Option<&str>)> =
            containers().map(|it| (text(it, "/name"), it["image"].as_str())).collect();
        flagsmith_container(false, all.into_iter())
    };
    let mut body = body.clone();
    let list = body.pointer_mut(CONTAINERS).and_then(Value::as_array_mut);
    let container = list.zip(own).and_then(|(list, own)| list.get_mut(own)?.as_object_mut());
    let name = container.and_then(|it| it.insert("name".to_owned(), json!(OWN)));
    (body, name.and_then(|name| name.as_str().map(str::to_owned)))
}
