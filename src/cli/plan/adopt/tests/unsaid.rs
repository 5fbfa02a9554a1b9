//! Nothing of an installation is left unsaid: whatever is changed, taken away or added, the page names it.

use std::{collections::BTreeSet, rc::Rc};

use serde_json::{Value, json};

use super::{
    super::{
        DocsUrl, Move, children,
        compare::{Fate, as_live, renamed},
        facts::{self, Facts},
        foresee,
        live::{self, Live},
        page, routes,
    },
    MORE, ROUTE, rich,
};
use crate::{
    fixtures::{CHART_DEFAULT, CHART_WITH_PROCESSOR, chart_0_82, documents, observed, shown},
    model::child::Kind,
    validate::validate,
};

/// The pointers to everything in a value; those of scalars only, or those of all that is in a map or list.
fn pointers(value: &Value, scalars: bool) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (format!("/{}", key.replace('~', "~0").replace('/', "~1")), value))
            .collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (format!("/{index}"), value)).collect()
        }
        _ => Vec::new(),
    };
    let mut found = Vec::new();
    for (key, value) in inner {
        if !scalars || !(value.is_object() || value.is_array() || value.is_null()) {
            found.push(key.clone());
        }
        found.extend(pointers(value, scalars).into_iter().map(|below| format!("{key}{below}")));
    }
    found
}

/// By what an object is found at all: changed, it is another one, or nobody's.
fn is_identity(document: &Value, pointer: &str) -> bool {
    let kind = document["kind"].as_str().unwrap_or_default();
    let is_own = |it: &Value| it.as_str().is_some_and(|name| name.starts_with("flagsmith-"));
    let of_all = [
        "/metadata/name",
        "/kind",
        "/apiVersion",
        "/spec/selector/",
        "/metadata/labels/app.kubernetes.io",
        "/metadata/labels/helm.sh",
    ];
    of_all.iter().any(|prefix| pointer.starts_with(prefix))
        || pointer.starts_with("/spec/template/metadata/labels/app.kubernetes.io")
        || (kind == "HorizontalPodAutoscaler" && pointer.starts_with("/spec/scaleTargetRef"))
        // Which release runs, and which container is Flagsmith's.
        || (kind == "Deployment" && pointer.ends_with("/image"))
        || (pointer.ends_with("/name") && document.pointer(pointer).is_some_and(is_own))
}

/// Everything that is said of an object, in the words of a comparison.
fn said(object: &Live, objects: &[Live]) -> BTreeSet<(String, String)> {
    let facts = if matches!(object.kind, Kind::Ingress | Kind::HttpRoute) {
        routes::facts(object)
    } else {
        facts::of(&object.body)
    };
    let mut said: BTreeSet<(String, String)> =
        facts.into_iter().map(|(path, value)| (path, value.to_string())).collect();
    let leads = |service: &str| live::leads_to(objects, service);
    let ways = routes::ways(object, &leads);
    said.extend(ways.into_iter().map(|way| (format!("{}{}", way.host, way.path), format!("{:?}", way.to))));
    said
}

/// One edit of one document.
struct Edit {
    /// Where, for who reads of a failure.
    place: String,
    edited: Value,
    /// Whether something is there that was not.
    says_more: bool,
}

fn changes(document: &Value) -> Vec<Edit> {
    let pointers = pointers(document, true);
    let own = pointers.into_iter().filter(|pointer| !is_identity(document, pointer));
    own.map(|pointer| {
        let mut edited = document.clone();
        let field = edited.pointer_mut(&pointer).unwrap();
        *field = match &*field {
            Value::String(text) => json!(format!("{text}x")),
            Value::Number(number) => json!(number.as_i64().unwrap() + 7),
            Value::Bool(value) => json!(!value),
            other => other.clone(),
        };
        Edit { place: pointer, edited, says_more: true }
    })
    .collect()
}

fn removals(document: &Value) -> Vec<Edit> {
    let all = pointers(document, false);
    let identities: Vec<&String> = all.iter().filter(|pointer| is_identity(document, pointer)).collect();
    let is_free = |pointer: &String| {
        !identities.iter().any(|it| *it == pointer || it.starts_with(&format!("{pointer}/")))
    };
    // Which no API server takes.
    let is_required = |pointer: &&String| pointer.ends_with("/pathType");
    let remove = |pointer: &String| {
        let mut edited = document.clone();
        let (parent, key) = pointer.rsplit_once('/')?;
        match edited.pointer_mut(parent)? {
            Value::Object(map) => map.remove(&key.replace("~1", "/").replace("~0", "~")),
            Value::Array(items) => Some(items.remove(key.parse().ok()?)),
            _ => None,
        }?;
        Some(Edit { place: format!("{pointer} removed"), edited, says_more: false })
    };
    all.iter().filter(|it| is_free(it) && !is_required(it)).filter_map(remove).collect()
}

fn additions(document: &Value) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut edit = |place: &str, change: &dyn Fn(&mut Value)| {
        let mut edited = document.clone();
        change(&mut edited);
        edits.push(Edit { place: format!("{place} added"), edited, says_more: true });
    };
    for part in ["labels", "annotations"] {
        edit(part, &|it| it["metadata"][part]["example.com/added"] = json!("x"));
        if document["kind"] == "Deployment" {
            let pods = format!("{part} of pods");
            edit(&pods, &|it| it["spec"]["template"]["metadata"][part]["example.com/added"] = json!("x"));
        }
    }
    let containers = document.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    for index in 0..containers.map_or(0, Vec::len) {
        edit(&format!("variable of container {index}"), &|it| {
            let container = &mut it["spec"]["template"]["spec"]["containers"][index];
            let mut env = container["env"].as_array().cloned().unwrap_or_default();
            env.push(json!({ "name": "ADDED", "value": "x" }));
            container["env"] = json!(env);
        });
    }
    edits
}

/// An installation, and what is found of it before anything is edited.
struct Base {
    release: &'static str,
    documents: Vec<Value>,
    live: Vec<Live>,
    moved: Rc<Move>,
    page: String,
}

impl Base {
    fn new(release: &'static str, manifest: &str) -> Self {
        let documents = documents(manifest);
        let (live, moved, printed) = looked_at(release, &documents);
        let page = printed();
        Self { release, documents, live, moved, page }
    }

    /// What is wrong with the page of one edit, and how many settings it was about.
    fn check(&self, index: usize, edit: &Edit) -> (usize, Vec<String>) {
        let mut all = self.documents.clone();
        all[index] = edit.edited.clone();
        let kind = all[index]["kind"].as_str().unwrap().to_owned();
        let name = all[index]["metadata"]["name"].as_str().unwrap().to_owned();
        let this = format!("{kind} {name}");
        let (live, moved, printed) = looked_at(self.release, &all);
        let find = |all: &[Live]| all.iter().position(|it| it.kind.as_str() == kind && it.name == name);
        // What leads to nothing of Flagsmith's any more is no part of the installation.
        let (Some(before), Some(after)) = (find(&self.live), find(&live)) else {
            return (0, Vec::new());
        };
        let object = &live[after];
        let (before, after) = (said(&self.live[before], &self.live), said(object, &live));
        let place = format!("{this} {}", edit.place);
        let mut wrong = Vec::new();
        let new: Vec<_> = after.difference(&before).collect();
        if edit.says_more && new.is_empty() && moved.unsaid.is_empty() {
            wrong.push(format!("{place} is not looked at"));
        }
        for (path, _) in &new {
            let difference =
                moved.differences.iter().find(|it| it.object == this && it.path.starts_with(path));
            // A path below one that the operator serves needs no words.
            let served = edit.place.contains("/paths/") || edit.place.contains("/matches");
            let needs_words = edit.says_more && !served && moved.resource.spec == self.moved.resource.spec;
            match difference.map(|it| &it.fate) {
                None if moved.unsaid.is_empty() => wrong.push(format!("{place}: {path} is not named")),
                Some(Fate::Kept) if needs_words => wrong.push(format!("{place}: {path} is kept nowhere")),
                _ => {}
            }
        }
        // What is gone either comes with the operator, which is said, or with nothing.
        let paths: BTreeSet<&String> = after.iter().map(|(path, _)| path).collect();
        let gone: Vec<_> = before.iter().filter(|(path, _)| !paths.contains(path)).collect();
        let built = (!gone.is_empty()).then(|| built(&moved, object, &live)).flatten();
        for (path, _) in &gone {
            let comes_back = built.as_ref().filter(|(_, _, facts)| facts.contains_key(path.as_str()));
            let told = |(kind, name): (Kind, &str)| {
                moved.additions.iter().any(|it| it.kind == kind && it.name == name && it.path == *path)
            };
            if comes_back.is_some_and(|(kind, name, _)| !told((*kind, name))) {
                wrong.push(format!("{place}: {path} comes back unsaid"));
            }
        }
        let edited = new.len() + gone.len();
        // A word less of a command is another command, which is named above.
        let removed = !edit.says_more && new.is_empty() && !gone.is_empty();
        if removed && printed() == self.page {
            wrong.push(format!("{place}: the page is the same"));
        }
        (edited, wrong)
    }
}

/// What is found, what a move would come to, and the page of it, where it is wanted.
fn looked_at<'a>(
    release: &'a str,
    documents: &[Value],
) -> (Vec<Live>, Rc<Move>, impl Fn() -> String + use<'a>) {
    let (found, _) = observed(release, &shown(documents));
    let moved = Rc::new(foresee(&found, release, "prod", documents));
    let (live, told) = (live::of(documents, &found), Rc::clone(&moved));
    (live, moved, move || page(&found, &told, release, "prod", &DocsUrl::default()).unwrap())
}

/// What the operator makes instead of an object, by the specification that is printed.
fn built(moved: &Move, object: &Live, live: &[Live]) -> Option<(Kind, String, Facts)> {
    let mut resource = moved.resource.clone();
    resource.metadata.uid = Some("uid".to_owned());
    let installation = validate(&resource).ok()?.managed()?;
    let is_route = matches!(object.kind, Kind::Ingress | Kind::HttpRoute);
    let name = if is_route {
        let places = routes::places(live);
        let (_, api_only) = places.iter().find(|(it, _)| it.kind == object.kind && it.name == object.name)?;
        let entrance = installation.entrances().find(|it| it.is_of_api() == *api_only)?;
        entrance.name(&installation.identity)
    } else {
        installation.child(object.component.as_str())
    };
    let child = children(&installation).into_iter().find(|it| it.kind == object.kind && it.name == name)?;
    let facts = if is_route {
        routes::facts(&as_live(&child))
    } else {
        facts::of(&renamed(&child.body, Some(object.component)).0)
    };
    Some((object.kind, name, facts))
}

/// Whatever one field of the chart's objects is changed to, and whatever is taken away or added, the page names it; and
/// what it calls kept is in the specification.
#[rstest::rstest]
fn no_edit_is_left_unsaid(
    #[values("default", "0.81", "0.82", "HTTPRoute")] chart: &str,
    #[values("change", "remove", "add")] what: &str,
) {
    let base = match chart {
        "default" => Base::new("flagsmith", CHART_DEFAULT),
        "0.81" => Base::new("acme", &rich()),
        "0.82" => Base::new("acme", &(chart_0_82() + MORE)),
        _ => Base::new("acme", &(CHART_WITH_PROCESSOR.to_owned() + ROUTE)),
    };
    let (edits, least): (fn(&Value) -> Vec<Edit>, _) = match what {
        "change" => (changes, 70),
        "remove" => (removals, 80),
        _ => (additions, 15),
    };
    let (mut checked, mut wrong) = (0, Vec::new());
    for (index, document) in base.documents.iter().enumerate() {
        let is_compared =
            |it: &Live| document["kind"] == it.kind.as_str() && document["metadata"]["name"] == it.name;
        if base.live.iter().any(is_compared) {
            for edit in edits(document) {
                let (count, found) = base.check(index, &edit);
                checked += count;
                wrong.extend(found);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > least, "only {checked} settings were edited");
}
