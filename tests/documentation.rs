//! The documentation holds together: every link and anchor leads somewhere, every page is in the book, and what is named
//! in it exists.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where its premise does not hold, and helpers are no test functions to clippy"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Component, Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use serde_json::Value;

/// One Markdown file.
#[derive(Debug, Default)]
struct Text {
    /// The anchors of its headings.
    anchors: BTreeSet<String>,
    /// Where its links lead, as they are written.
    links: Vec<String>,
    /// What stands in code spans and code blocks.
    code: Vec<String>,
    /// The code blocks that are marked as `sh`.
    commands: Vec<String>,
    /// What would be taken for HTML, but for comments; and what would be set in italics.
    marked_up: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Text {
    fn of(markdown: &str) -> Self {
        let mut text = Self::default();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut heading: Option<String> = None;
        let mut block = None;
        for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap_or_default());
                    let before = seen.entry(anchor.clone()).or_default();
                    text.anchors.insert(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
                    *before += 1;
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    text.links.push(dest_url.into_string());
                }
                Event::Start(Tag::CodeBlock(kind)) => block = Some(kind),
                Event::End(TagEnd::CodeBlock) => block = None,
                Event::Text(words) if block.is_some() => {
                    if matches!(&block, Some(CodeBlockKind::Fenced(kind)) if kind.starts_with("sh")) {
                        text.commands.push(words.to_string());
                    }
                    text.code.push(words.into_string());
                }
                Event::Html(words) | Event::InlineHtml(words) if !words.starts_with("<!--") => {
                    text.marked_up.push(words.into_string());
                }
                Event::Start(Tag::Emphasis) => text.marked_up.push("*".to_owned()),
                Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                    text.code.push(words.into_string());
                }
                Event::Text(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                _ => {}
            }
        }
        text
    }
}

/// The anchor that mdBook, and a repository's web page, give a heading.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|char| match char {
            ' ' => Some('-'),
            '-' | '_' => Some(char),
            char => char.is_alphanumeric().then_some(char),
        })
        .collect()
}

/// Every page of docs/ and of the repository's first folder, by its path in the repository.
fn texts() -> BTreeMap<PathBuf, Text> {
    let pages = ["docs", "."].into_iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let pages = pages.map(|entry| plain(&entry.unwrap().path()));
    let pages = pages.filter(|path| path.extension().is_some_and(|it| it == "md"));
    let pages = pages.map(|path| path.strip_prefix(root()).unwrap().to_owned());
    let texts: BTreeMap<_, _> = pages
        .map(|path| {
            let text = Text::of(&fs::read_to_string(root().join(&path)).unwrap());
            (path, text)
        })
        .collect();
    assert!(texts.len() > 20, "{} files", texts.len());
    texts
}

/// `docs/../README.md` is `README.md`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn every_link_leads_somewhere() {
    let texts = texts();
    let mut dead = Vec::new();
    let mut number = 0;
    for (path, text) in &texts {
        let folder = path.parent().unwrap();
        for link in text.links.iter().filter(|link| !link.contains("://")) {
            number += 1;
            let (file, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(file, it)| (file, Some(it)));
            let target = if file.is_empty() { path.clone() } else { plain(&folder.join(file)) };
            let there = match (anchor, texts.get(&target)) {
                (Some(anchor), Some(text)) => text.anchors.contains(anchor),
                (Some(_), None) => false,
                // A page of the book has no link out of it: the site has its pictures, not the rest of the repository.
                (None, known) => {
                    let apart = folder == Path::new("") || target.starts_with("docs/pictures");
                    known.is_some() || apart && root().join(&target).exists()
                }
            };
            if !there {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(number > 100, "{number} links are read");
    assert!(dead.is_empty(), "these lead nowhere:\n{}", dead.join("\n"));
}

#[test]
fn every_page_is_in_the_book() {
    let texts = texts();
    let summary = &texts[Path::new("docs/SUMMARY.md")];
    let listed: BTreeSet<PathBuf> = summary.links.iter().map(|link| Path::new("docs").join(link)).collect();
    let pages: BTreeSet<PathBuf> = texts
        .keys()
        .filter(|path| path.starts_with("docs") && !path.ends_with("SUMMARY.md"))
        .cloned()
        .collect();
    assert_eq!(listed, pages);
}

/// Files that pages show, and every sample on the page of samples.
#[test]
fn what_is_included_is_there() {
    let mut included = BTreeSet::new();
    for path in texts().keys() {
        let text = read(path.to_str().unwrap());
        for file in text.split("{{#include ").skip(1) {
            let file = plain(&path.parent().unwrap().join(file.split_once("}}").unwrap().0));
            assert!(root().join(&file).is_file(), "{}: there is no {}", path.display(), file.display());
            included.insert(file);
        }
    }
    for entry in fs::read_dir(root().join("deploy")).unwrap() {
        let sample = Path::new("deploy").join(entry.unwrap().file_name());
        if sample.extension().is_some_and(|it| it == "yaml") {
            assert!(included.contains(&sample), "no page shows {}", sample.display());
        }
    }
}

/// Prose of causes is written for a terminal too: what Markdown would take for its own would be lost on the page.
#[test]
fn nothing_in_the_prose_of_causes_is_taken_for_markup() {
    let texts = texts();
    for page in ["docs/causes.md", "docs/api.md"] {
        assert_eq!(texts[Path::new(page)].marked_up, Vec::<String>::new(), "{page}");
    }
}

/// An end-to-end test runs the commands of docs/getting-started.md; those of the README's quick start are the same.
#[test]
fn the_quick_start_is_what_getting_started_runs() {
    let texts = texts();
    let quick = &texts[Path::new("README.md")].commands;
    let tried = &texts[Path::new("docs/getting-started.md")].commands;
    for step in
        ["kind load", "helm install", "kubectl apply -f deploy/flagsmith-embedded", "kubectl port-forward"]
    {
        let block =
            quick.iter().find(|block| block.contains(step)).unwrap_or_else(|| panic!("README.md: no {step}"));
        assert!(tried.contains(block), "docs/getting-started.md does not have this of README.md:\n{block}");
    }
}

/// Cargo.toml says where the documentation and the source are; the chart's are the same.
#[test]
fn the_chart_names_the_same_home_and_source() {
    let chart = read("charts/flagsmith-operator/Chart.yaml");
    assert!(chart.contains(concat!("\nhome: ", env!("CARGO_PKG_HOMEPAGE"), "\n")), "{chart}");
    assert!(chart.contains(concat!("\nsources: [", env!("CARGO_PKG_REPOSITORY"), "]\n")), "{chart}");
    let changes = read("CHANGELOG.md");
    assert!(changes.contains(concat!("]: ", env!("CARGO_PKG_REPOSITORY"), "/releases/tag/v")), "{changes}");
}

#[test]
fn every_proxy_has_its_row() {
    let page = read("docs/exposure.md");
    let mut number = 0;
    for file in fs::read_dir(root().join("src/proxy")).unwrap() {
        let source = fs::read_to_string(file.unwrap().path()).unwrap();
        // The first name in a file with a row is the proxy's own; those of annotations follow.
        let row = source.split_once("PROXY: Proxy = Proxy {").and_then(|(_, row)| row.split('"').nth(1));
        if let Some(name) = row {
            number += 1;
            assert!(page.contains(&format!("| `{name}`")), "docs/exposure.md has no row for {name}");
        }
    }
    assert!(number > 10, "{number} proxies are read");
}

/// What pages ask Prometheus for is on the page of all metrics.
#[test]
fn every_metric_exists() {
    const FAMILIES: [&str; 3] = ["flagsmith_operator_", "flagsmith_deployment_", "flagsmith_task_queue_"];
    let metrics = read("docs/metrics.md");
    let mut number = 0;
    for path in texts().keys() {
        for code in &Text::of(&read(path.to_str().unwrap())).code {
            let words = code.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
            for word in words.filter(|word| FAMILIES.iter().any(|family| word.starts_with(family))) {
                number += 1;
                assert!(metrics.contains(&format!("`{word}`")), "{}: {word}", path.display());
            }
        }
    }
    assert!(number > 30, "{number} names are read");
}

/// Fields of Kubernetes' own objects that pages speak of.
const FOREIGN: &[&str] = &["status.containerStatuses", "status.parents", "spec.replicas"];

/// What pages call `spec.…` or `status.…` is a field of the resource.
#[test]
fn every_field_exists() {
    let crd: Value = serde_saphyr::from_str(&read("crds/flagsmithdeployments.yaml")).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut unknown = Vec::new();
    let mut number = 0;
    for path in texts().keys() {
        for name in names(&read(path.to_str().unwrap())) {
            number += 1;
            if !is_field(schema, name) && !FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
                unknown.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(number > 100, "{number} names are read");
    assert!(unknown.is_empty(), "the resource has no such field:\n{}", unknown.join("\n"));
}

/// Paths of fields in a text.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|it: char| !it.is_ascii_alphanumeric() && !".[]".contains(it))
        .map(|word| word.trim_matches('.'))
        .filter(|word| word.starts_with("spec.") || word.starts_with("status."))
}

fn is_field(schema: &Value, name: &str) -> bool {
    let mut at = schema;
    // Items of lists are named by [] or [0].
    for part in name.split('.').map(|part| part.split('[').next().unwrap_or_default()) {
        if at["x-kubernetes-preserve-unknown-fields"] == true || at.get("additionalProperties").is_some() {
            return true;
        }
        let within = if at["items"].is_object() { &at["items"] } else { at };
        at = &within["properties"][part];
        if at.is_null() {
            return false;
        }
    }
    true
}
