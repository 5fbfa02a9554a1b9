//! The invariants of docs/architecture.md that the compiler does not hold: which module may use which.
//!
//! Read from the sources: every path in production code that begins with `crate`, `self` or `super` (in `use` and
//! elsewhere) is an arrow from the file that it stands in to the file that defines what it names, through re-exports.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at once where something is not as it must be"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use syn::visit::Visit;

/// Each uses only those before it; docs/architecture.md lists them in the same order.
const ORDER: &[&str] = &[
    "api",
    "proxy",
    "flagsmith",
    "postgres",
    "model",
    "validate",
    "timeouts",
    "logs",
    "runtime",
    "observe",
    "migration",
    "causes",
    "decide",
    "resources",
    "apply",
    "report",
    "controller",
    "cli",
];

#[test]
fn every_arrow_points_backwards() {
    let mut wrong = String::new();
    for ((from, to), names) in tree().arrows() {
        let (Some(from_module), Some(to_module)) = (from.first(), to.first()) else {
            continue;
        };
        let (from_place, to_place) = (place(from_module), place(to_module));
        if to_place > from_place {
            writeln!(
                wrong,
                "{} uses {} ({})",
                from.join("::"),
                to.join("::"),
                names.into_iter().collect::<Vec<_>>().join(", ")
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "arrows against the order:\n{wrong}");
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let arrows = tree().arrows();
    let mut next: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    for (from, to) in arrows.keys() {
        next.entry(from).or_default().insert(to);
    }
    let circles = circles(&next);
    let mut text = String::new();
    for circle in &circles {
        writeln!(text, "circle of {}:", circle.len()).unwrap();
        for from in circle {
            for to in next[*from].iter().filter(|to| circle.contains(*to)) {
                let names: Vec<_> = arrows[&((*from).clone(), (*to).clone())].iter().cloned().collect();
                writeln!(text, "  {} uses {} ({})", from.join("::"), to.join("::"), names.join(", "))
                    .unwrap();
            }
        }
    }
    assert!(circles.is_empty(), "{text}");
}

/// What a test has to set, and where it may be asked for: beside the one place only what must not be guessed, in the files
/// that make it.
const SET_BY_TESTS: &[(&str, &[&str])] = &[
    ("Timestamp::now", &["runtime/clock.rs"]),
    ("SystemTime::now", &[]),
    ("rand::rng", &["runtime/random.rs", "apply/secrets.rs"]),
    ("rand::random", &["runtime/lock_key.rs", "runtime/lease/settings.rs"]),
];

/// Random schedules (tests/chaos) are run again with the same time and the same chance.
#[test]
fn time_and_chance_come_from_one_place() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (call, allowed) in SET_BY_TESTS {
            if production.contains(call) && !allowed.contains(&file.as_str()) {
                wrong.push(format!("{file}: {call}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every file of production code, by its path below `src`, and its text.
fn sources() -> Vec<(String, String)> {
    let (source, mut found) = (root().join("src"), Vec::new());
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if TESTS.contains(&&*path.file_stem().unwrap().to_string_lossy()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(&source).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// The document's list and the list that is checked are one.
#[test]
fn the_order_is_the_documents() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("**Order:**"))
        .expect("docs/architecture.md has a line that begins with **Order:**");
    let named: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
    assert_eq!(named, ORDER);
}

#[test]
fn every_module_has_a_place() {
    let unknown: Vec<String> = tree()
        .files
        .into_keys()
        .filter_map(|module| module.first().cloned())
        .filter(|name| !ORDER.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "not in the order: {unknown:?}");
}

fn place(module: &str) -> usize {
    ORDER
        .iter()
        .position(|known| *known == module)
        .unwrap_or_else(|| panic!("{module} has no place in the order"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A module's path below the crate, for example `["observe", "index"]`; the crate itself is empty.
type Module = Vec<String>;

/// Every module of the crate's production code.
#[derive(Default)]
struct Tree {
    files: BTreeMap<Module, File>,
}

/// What one file has.
#[derive(Default)]
struct File {
    /// Names that it re-exports, with the path that they have there.
    reexports: BTreeMap<String, Vec<String>>,
    /// Modules whose every name it re-exports.
    globs: Vec<Vec<String>>,
    /// Every path that its code uses, absolute.
    paths: BTreeSet<Vec<String>>,
}

/// Files and folders of tests, by name.
const TESTS: &[&str] = &["tests", "testing", "fixtures", "properties", "main"];

fn tree() -> Tree {
    let mut tree = Tree::default();
    tree.read(&root().join("src"), &Vec::new());
    tree
}

/// The modules that a file may name without a path, because they are its own: those in its folder if it is a `mod.rs`,
/// else those in the folder of its name. Rooms of causes are declared by a macro, so the files tell, not the source.
fn below(file: &Path) -> Vec<String> {
    let folder = if file.ends_with("mod.rs") || file.ends_with("lib.rs") {
        file.parent().unwrap().to_owned()
    } else {
        file.with_extension("")
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "mod" && name != "lib")
        .collect()
}

impl Tree {
    /// Reads a folder of sources; what is a test by its name is left out.
    fn read(&mut self, folder: &Path, module: &Module) {
        for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if TESTS.contains(&name.as_str()) || name == "snapshots" {
                continue;
            }
            let mut inner = module.clone();
            if path.is_dir() {
                inner.push(name);
                self.read(&path, &inner);
            } else if path.extension().is_some_and(|it| it == "rs") {
                if !matches!(name.as_str(), "mod" | "lib") {
                    inner.push(name);
                }
                self.read_file(&path, inner);
            }
        }
    }

    fn read_file(&mut self, file: &Path, module: Module) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut reader = Reader { module: module.clone(), file: File::default(), below: below(file) };
        reader.visit_file(&parsed);
        self.files.insert(module, reader.file);
    }

    /// From which file to which, and what is used.
    fn arrows(&self) -> BTreeMap<(Module, Module), BTreeSet<String>> {
        let mut arrows: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for (module, file) in &self.files {
            for path in &file.paths {
                let (to, name) = self.definition(path, 0);
                if to != *module && !to.is_empty() {
                    arrows.entry((module.clone(), to)).or_default().insert(name);
                }
            }
        }
        arrows
    }

    /// The file that defines what a path names, and its name there.
    fn definition(&self, path: &[String], depth: usize) -> (Module, String) {
        let known = (0..=path.len())
            .rev()
            .find(|length| self.files.contains_key(&path[..*length]))
            .unwrap_or_default();
        let (module, rest) = path.split_at(known);
        let file = &self.files[module];
        let Some(name) = rest.first() else {
            return (module.to_vec(), "*".to_owned());
        };
        if depth < 8 {
            if let Some(target) = file.reexports.get(name) {
                return self.definition(target, depth + 1);
            }
            for glob in &file.globs {
                let mut inner = glob.clone();
                inner.push(name.clone());
                if self.files.contains_key(glob) {
                    return self.definition(&inner, depth + 1);
                }
            }
        }
        (module.to_vec(), name.clone())
    }
}

/// Reads one file.
struct Reader {
    module: Module,
    file: File,
    below: Vec<String>,
}

impl Reader {
    /// A path as it is from the crate; `None` where it leads out of the crate or begins with a name in scope.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut at = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            _ => return None,
        };
        for segment in &path[1..] {
            match segment.as_str() {
                "super" => {
                    at.pop()?;
                }
                "self" => {}
                name => at.push(name.to_owned()),
            }
        }
        Some(at)
    }

    fn leaves(tree: &syn::UseTree, before: &[String], found: &mut Vec<(Vec<String>, String)>) {
        let mut path = before.to_vec();
        match tree {
            syn::UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                Self::leaves(&inner.tree, &path, found);
            }
            syn::UseTree::Name(name) => {
                let name = name.ident.to_string();
                let shown =
                    if name == "self" { path.last().cloned().unwrap_or_default() } else { name.clone() };
                path.push(name);
                found.push((path, shown));
            }
            syn::UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                found.push((path, rename.rename.to_string()));
            }
            syn::UseTree::Glob(_) => found.push((path, "*".to_owned())),
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    Self::leaves(item, &path, found);
                }
            }
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'a> Visit<'a> for Reader {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            syn::visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let exported = !matches!(item.vis, syn::Visibility::Inherited);
        let mut found = Vec::new();
        Self::leaves(&item.tree, &[], &mut found);
        for (path, shown) in found {
            // `pub use child::Name` beside `mod child`.
            let local = path.first().is_some_and(|first| self.below.contains(first));
            let absolute = if local {
                Some(self.module.iter().cloned().chain(path).collect())
            } else {
                self.absolute(&path)
            };
            let Some(absolute) = absolute else { continue };
            // What a file passes on of others it uses; what a folder passes on of its own files it only has.
            if !exported || !local {
                self.file.paths.insert(absolute.clone());
            }
            if shown == "*" {
                self.file.globs.push(absolute);
            } else {
                self.file.reexports.insert(shown, absolute);
            }
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let local = segments.len() > 1 && self.below.contains(&segments[0]);
        if local {
            self.file.paths.insert(self.module.iter().cloned().chain(segments).collect());
        } else if let Some(absolute) = self.absolute(&segments).filter(|_| segments.len() > 1) {
            self.file.paths.insert(absolute);
        }
        syn::visit::visit_path(self, path);
    }

    /// What a macro is given is not parsed as code; the paths in it count all the same.
    fn visit_macro(&mut self, item: &'a syn::Macro) {
        let text = item.tokens.to_string().replace(' ', "");
        for start in ["crate::", "super::"] {
            for (at, _) in text.match_indices(start) {
                let path: String = text[at..]
                    .chars()
                    .take_while(|it| it.is_alphanumeric() || matches!(it, '_' | ':'))
                    .collect();
                let segments: Vec<String> =
                    path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
                if let Some(absolute) = self.absolute(&segments) {
                    self.file.paths.insert(absolute);
                }
            }
        }
        syn::visit::visit_macro(self, item);
    }
}

/// Sets of files of which each reaches each other, by Tarjan's algorithm.
fn circles<'a>(next: &BTreeMap<&'a Module, BTreeSet<&'a Module>>) -> Vec<Vec<&'a Module>> {
    struct State<'a, 'b> {
        next: &'b BTreeMap<&'a Module, BTreeSet<&'a Module>>,
        index: BTreeMap<&'a Module, usize>,
        low: BTreeMap<&'a Module, usize>,
        stack: Vec<&'a Module>,
        found: Vec<Vec<&'a Module>>,
    }
    fn visit<'a>(state: &mut State<'a, '_>, node: &'a Module) {
        let number = state.index.len();
        state.index.insert(node, number);
        state.low.insert(node, number);
        state.stack.push(node);
        for to in state.next.get(node).cloned().unwrap_or_default() {
            if !state.index.contains_key(to) {
                visit(state, to);
                let low = state.low[node].min(state.low[to]);
                state.low.insert(node, low);
            } else if state.stack.contains(&to) {
                let low = state.low[node].min(state.index[to]);
                state.low.insert(node, low);
            }
        }
        if state.low[node] == number {
            let at = state.stack.iter().position(|it| *it == node).unwrap();
            let circle = state.stack.split_off(at);
            if circle.len() > 1 {
                state.found.push(circle);
            }
        }
    }
    let mut state =
        State { next, index: BTreeMap::new(), low: BTreeMap::new(), stack: Vec::new(), found: Vec::new() };
    for node in next.keys().copied() {
        if !state.index.contains_key(node) {
            visit(&mut state, node);
        }
    }
    state.found
}
