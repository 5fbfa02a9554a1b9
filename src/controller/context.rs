//! What every pass works with.

use kube::{
    ResourceExt as _,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::guarded_resource::GuardedResource;
use crate::{
    apply::Applier,
    observe::{Observer, watch::Namespaces},
    report::Reporter,
    runtime::{backoff::Failures, lease::Leadership, metrics::Metrics},
};

/// What every pass works with.
pub(super) struct Context {
    /// Every resource as the watch shows it.
    pub(super) resources: Store<GuardedResource>,
    pub(super) observer: Observer,
    /// The namespaces of observed installations, which are watched only while a resource asks for them.
    pub(super) namespaces: Namespaces,
    pub(super) applier: Applier,
    pub(super) reporter: Reporter,
    /// No pass begins while another replica leads.
    pub(super) leading: watch::Receiver<Leadership>,
    /// No pass begins once this is cancelled.
    pub(super) shutdown: CancellationToken,
    /// The passes under way, which a shutdown waits for.
    pub(super) passes: TaskTracker,
    /// How often each object failed in a row.
    pub(super) failures: Failures<String>,
    pub(super) metrics: Metrics,
}

impl Context {
    /// Whether a resource is still there: the same one, not another of its name.
    pub(super) fn has(&self, resource: &GuardedResource) -> bool {
        let stored = self.resources.get(&ObjectRef::from_obj(resource));
        stored.is_some_and(|stored| stored.uid() == resource.uid())
    }

    /// Forgets everything about a resource that is gone.
    pub(super) fn forget(&self, resource: &GuardedResource) {
        let (namespace, name) = (resource.namespace().unwrap_or_default(), resource.name_any());
        let uid = resource.uid().unwrap_or_default();
        self.observer.forget(&uid);
        self.applier.forget(&uid);
        self.namespaces.forget(&namespace, &uid);
        self.reporter.forget(&namespace, &name, &uid);
        self.failures.forget(&format!("{namespace}/{name}"));
        self.count_memories();
    }

    /// Exports how many installations each memory knows.
    pub(super) fn count_memories(&self) {
        for (memory, count) in self.observer.remembers() {
            self.metrics.remembered(memory, count);
        }
        self.metrics.remembered("statuses", self.reporter.remembers());
        self.metrics.remembered("agreed objects", self.applier.remembers());
    }
}
