//! One watch, and the index that it fills.

use std::collections::BTreeSet;

use futures::Stream;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher},
};

use super::super::index::{Change, Index, Object, Watched};
use crate::runtime::client::PAGE_SIZE;

/// What a watch of the objects of one kind brings; without a namespace, of the whole cluster.
pub(super) fn events(
    client: &Client,
    kind: Watched,
    namespace: Option<&str>,
    index: &Index,
) -> impl Stream<Item = Result<watcher::Event<Object>, watcher::Error>> + use<> {
    let resource = kind.api_resource();
    let api: Api<Object> = namespace.map_or_else(
        || Api::all_with(client.clone(), &resource),
        |namespace| Api::namespaced_with(client.clone(), namespace, &resource),
    );
    let config = watcher::Config::default().page_size(PAGE_SIZE);
    let config = match index.selector().labels(kind) {
        Some(labels) => config.labels(&labels),
        None => config,
    };
    watcher(api, config).default_backoff()
}

/// Takes the events of one watch into an index.
#[derive(Debug)]
pub(super) struct Follower<'a> {
    index: &'a Index,
    kind: Watched,
    namespace: Option<&'a str>,
    /// What the list under way has named so far.
    listed: BTreeSet<(String, String)>,
    /// The first list has arrived.
    synced: bool,
}

/// What came of an event.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// What has changed. While the first list arrives nobody acts on it, and afterwards everything is looked at once.
    pub(super) changes: Vec<Change>,
    /// The first list is complete.
    pub(super) first_list: bool,
}

impl<'a> Follower<'a> {
    pub(super) const fn new(index: &'a Index, kind: Watched, namespace: Option<&'a str>) -> Self {
        Self { index, kind, namespace, listed: BTreeSet::new(), synced: false }
    }

    pub(super) fn take(&mut self, event: watcher::Event<Object>) -> Followed {
        let mut followed = Followed::default();
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(object) => {
                self.listed.insert((
                    object.metadata.namespace.clone().unwrap_or_default(),
                    object.metadata.name.clone().unwrap_or_default(),
                ));
                let change = self.index.record(self.kind, &object);
                followed.changes.extend(change.filter(|_| self.synced));
            }
            watcher::Event::InitDone => {
                followed.changes = self.index.retain(self.kind, self.namespace, &self.listed);
                self.listed.clear();
                followed.first_list = !std::mem::replace(&mut self.synced, true);
            }
            watcher::Event::Apply(object) => followed.changes.extend(self.index.record(self.kind, &object)),
            watcher::Event::Delete(object) => followed.changes.extend(self.index.forget(self.kind, &object)),
        }
        followed
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;
    use crate::{model::child::Kind, observe::index::Selector};

    const KIND: Watched = Watched::Child(Kind::Deployment);

    fn deployment(name: &str, version: u64) -> Object {
        let body = json!({ "metadata": {
            "name": name, "namespace": "ns", "uid": name, "resourceVersion": version.to_string(),
        } });
        serde_json::from_str(&body.to_string()).unwrap()
    }

    fn names(followed: &Followed) -> Vec<&str> {
        followed.changes.iter().map(|change| change.key.name.as_str()).collect()
    }

    #[test]
    fn the_first_list_is_no_change_and_a_later_one_is() {
        let index = Index::new(Selector::Any, usize::MAX);
        let mut follower = Follower::new(&index, KIND, Some("ns"));
        let mut take = |event| follower.take(event);
        assert!(names(&take(Event::Init)).is_empty());
        assert!(names(&take(Event::InitApply(deployment("a", 1)))).is_empty());
        assert!(names(&take(Event::InitApply(deployment("b", 2)))).is_empty());
        assert!(take(Event::InitDone).first_list);
        assert_eq!(names(&take(Event::Apply(deployment("b", 3)))), ["b"]);
        assert!(names(&take(Event::Apply(deployment("b", 3)))).is_empty(), "an echo");
        take(Event::Init);
        assert!(names(&take(Event::InitApply(deployment("b", 3)))).is_empty());
        assert_eq!(names(&take(Event::InitApply(deployment("c", 4)))), ["c"]);
        let done = take(Event::InitDone);
        assert_eq!((names(&done), done.first_list), (vec!["a"], false));
        assert_eq!(names(&take(Event::Delete(deployment("c", 5)))), ["c"]);
        assert_eq!(index.len(KIND), 1);
    }
}
