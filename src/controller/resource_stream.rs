//! The `FlagsmithDeployments` of every namespace of the scope, as one stream of events.
//!
//! The library's store takes a complete list for the whole world: the list of one namespace would drop the objects
//! of all others. Here the first lists of all namespaces become one, and every later one becomes the changes that
//! it shows, with what was deleted while the watch was interrupted.

use std::collections::{BTreeMap, BTreeSet};

use futures::{Stream, StreamExt as _, stream, stream::select_all};
use kube::{
    Api, Client, ResourceExt as _,
    core::{ObjectMeta, error_boundary::InvalidObject},
    runtime::{
        WatchStreamExt as _, watcher as watch,
        watcher::{self, Event},
    },
};

use super::guarded_resource::GuardedResource;
use crate::{observe::Scope, runtime::client::PAGE_SIZE};

/// The events of all `FlagsmithDeployments` in a scope, with pauses after failures.
pub(super) fn resource_stream(
    client: &Client,
    scope: &Scope,
) -> impl Stream<Item = Result<Event<GuardedResource>, watcher::Error>> + Send + 'static {
    let streams: Vec<_> = scope
        .each()
        .into_iter()
        .enumerate()
        .map(|(source, namespace)| {
            let api: Api<GuardedResource> = namespace.map_or_else(
                || Api::all(client.clone()),
                |namespace| Api::namespaced(client.clone(), namespace),
            );
            watch(api, watcher::Config::default().page_size(PAGE_SIZE))
                .default_backoff()
                .map(move |event| (source, event))
                .boxed()
        })
        .collect();
    let mut merge = Merge::new(streams.len());
    select_all(streams).flat_map(move |(source, event)| {
        stream::iter(match event {
            Ok(event) => merge.step(source, event).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    })
}

/// Namespace and name.
type Key = (String, String);

/// One watch.
#[derive(Default)]
struct Source {
    /// The uid of each object that is known.
    known: BTreeMap<Key, String>,
    /// Whether a list is under way, and what it has named so far. A watch may last for ever, and would name everything.
    listing: bool,
    listed: BTreeSet<Key>,
    /// Whether its first list is complete.
    complete: bool,
}

/// Makes the events of one world out of those of several namespaces.
struct Merge {
    sources: Vec<Source>,
    begun: bool,
    done: bool,
    /// Deletions from before the end of the first lists.
    late: Vec<Event<GuardedResource>>,
}

impl Merge {
    fn new(sources: usize) -> Self {
        Self {
            sources: std::iter::repeat_with(Source::default).take(sources).collect(),
            begun: false,
            done: false,
            late: Vec::new(),
        }
    }

    fn step(&mut self, source: usize, event: Event<GuardedResource>) -> Vec<Event<GuardedResource>> {
        let mut events = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            events.push(Event::Init);
        }
        let Some(known) = self.sources.get_mut(source) else {
            return events;
        };
        match event {
            Event::Init => {
                known.listing = true;
                known.listed.clear();
            }
            Event::InitApply(object) | Event::Apply(object) => {
                let (key, uid) = (key(&object), object.uid().unwrap_or_default());
                if known.listing {
                    known.listed.insert(key.clone());
                }
                // Another one of the same name: its predecessor was deleted while the watch was interrupted.
                let before = known.known.insert(key.clone(), uid.clone());
                if let Some(before) = before.filter(|before| *before != uid) {
                    self.deleted(tombstone(key.0, key.1, before), &mut events);
                }
                events.push(if self.done { Event::Apply(object) } else { Event::InitApply(object) });
            }
            Event::Delete(object) => {
                known.known.remove(&key(&object));
                self.deleted(object, &mut events);
            }
            Event::InitDone => {
                (known.complete, known.listing) = (true, false);
                let listed = std::mem::take(&mut known.listed);
                let gone: Vec<_> = known.known.extract_if(.., |key, _| !listed.contains(key)).collect();
                for ((namespace, name), uid) in gone {
                    self.deleted(tombstone(namespace, name, uid), &mut events);
                }
                if !self.done && self.sources.iter().all(|source| source.complete) {
                    self.done = true;
                    events.push(Event::InitDone);
                    events.append(&mut self.late_deletions());
                }
            }
        }
        events
    }

    /// Of what has not come back since: a deletion is by name, and would take the new one away.
    fn late_deletions(&mut self) -> Vec<Event<GuardedResource>> {
        let mut late = std::mem::take(&mut self.late);
        late.retain(|event| match event {
            Event::Delete(object) => {
                let key = key(object);
                !self.sources.iter().any(|source| source.known.contains_key(&key))
            }
            _ => true,
        });
        late
    }

    fn deleted(&mut self, object: GuardedResource, events: &mut Vec<Event<GuardedResource>>) {
        let event = Event::Delete(object);
        if self.done {
            events.push(event);
        } else {
            self.late.push(event);
        }
    }
}

fn key(object: &GuardedResource) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// An object of which only its identity is left.
fn tombstone(namespace: String, name: String, uid: String) -> GuardedResource {
    GuardedResource(Err(InvalidObject {
        error: "it was deleted while the watch was interrupted".to_owned(),
        metadata: ObjectMeta {
            namespace: Some(namespace),
            name: Some(name),
            uid: Some(uid),
            ..ObjectMeta::default()
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(namespace: &str, name: &str) -> GuardedResource {
        tombstone(namespace.to_owned(), name.to_owned(), format!("{namespace}-{name}"))
    }

    fn names(events: &[Event<GuardedResource>]) -> Vec<String> {
        events
            .iter()
            .map(|event| match event {
                Event::Init => "Init".to_owned(),
                Event::InitDone => "InitDone".to_owned(),
                Event::InitApply(it) => format!("InitApply {}", it.uid().unwrap()),
                Event::Apply(it) => format!("Apply {}", it.uid().unwrap()),
                Event::Delete(it) => format!("Delete {}", it.uid().unwrap()),
            })
            .collect()
    }

    /// In a year there are many, and no list comes while the watch lasts.
    #[test]
    fn what_came_and_went_is_not_remembered() {
        let mut merge = Merge::new(1);
        merge.step(0, Event::Init);
        merge.step(0, Event::InitDone);
        for number in 0..3 {
            let one = || object("a", &number.to_string());
            assert_eq!(merge.step(0, Event::Apply(one())).len(), 1);
            assert_eq!(merge.step(0, Event::Delete(one())).len(), 1);
        }
        let source = &merge.sources[0];
        assert!(source.known.is_empty() && source.listed.is_empty(), "{:?}", source.listed);
    }

    #[test]
    fn the_first_lists_become_one() {
        let mut merge = Merge::new(2);
        let mut events = merge.step(0, Event::Init);
        events.extend(merge.step(1, Event::Init));
        events.extend(merge.step(0, Event::InitApply(object("a", "x"))));
        events.extend(merge.step(0, Event::InitDone));
        events.extend(merge.step(0, Event::Apply(object("a", "y"))));
        events.extend(merge.step(0, Event::Delete(object("a", "x"))));
        events.extend(merge.step(1, Event::InitApply(object("b", "x"))));
        events.extend(merge.step(1, Event::InitDone));
        assert_eq!(
            names(&events),
            ["Init", "InitApply a-x", "InitApply a-y", "InitApply b-x", "InitDone", "Delete a-x"]
        );
    }

    #[test]
    fn a_later_list_tells_only_what_changed_in_its_namespace() {
        let mut merge = Merge::new(2);
        for (source, namespace) in [(0, "a"), (1, "b")] {
            merge.step(source, Event::Init);
            merge.step(source, Event::InitApply(object(namespace, "x")));
            merge.step(source, Event::InitApply(object(namespace, "y")));
            merge.step(source, Event::InitDone);
        }
        let mut events = merge.step(1, Event::Init);
        events.extend(merge.step(1, Event::InitApply(object("b", "y"))));
        events.extend(merge.step(1, Event::InitDone));
        assert_eq!(names(&events), ["Apply b-y", "Delete b-x"]);
    }

    /// What is remembered goes by the uid: it would stay until the process ends.
    #[test]
    fn one_that_was_deleted_and_made_again_meanwhile_is_another_one() {
        let again = || tombstone("a".to_owned(), "x".to_owned(), "a-x-again".to_owned());
        let mut merge = Merge::new(1);
        merge.step(0, Event::Init);
        merge.step(0, Event::InitApply(object("a", "x")));
        merge.step(0, Event::InitDone);
        let mut events = merge.step(0, Event::Init);
        events.extend(merge.step(0, Event::InitApply(again())));
        events.extend(merge.step(0, Event::InitDone));
        assert_eq!(names(&events), ["Delete a-x", "Apply a-x-again"]);
        assert_eq!(names(&merge.step(0, Event::Apply(again()))), ["Apply a-x-again"]);
    }

    #[test]
    fn one_that_came_back_before_the_end_of_the_first_lists_stays() {
        let again = tombstone("a".to_owned(), "x".to_owned(), "a-x-again".to_owned());
        let mut merge = Merge::new(2);
        merge.step(0, Event::Init);
        merge.step(0, Event::InitApply(object("a", "x")));
        merge.step(0, Event::InitApply(object("a", "y")));
        merge.step(0, Event::InitDone);
        merge.step(0, Event::Delete(object("a", "x")));
        merge.step(0, Event::Delete(object("a", "y")));
        merge.step(0, Event::Apply(again));
        merge.step(1, Event::Init);
        assert_eq!(names(&merge.step(1, Event::InitDone)), ["InitDone", "Delete a-y"]);
    }
}
