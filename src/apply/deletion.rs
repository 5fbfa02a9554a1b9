//! Deletes what an installation has no use for any more.

use std::sync::Arc;

use kube::api::{DeleteParams, Preconditions};

use super::{Applied, Applier, Error, removable};
use crate::{
    decide::Plan,
    model::{Refused, child::Kind},
    observe::{Watched, index::Snapshot},
    validate::Installation,
};

impl Applier {
    /// Deletes what the plan has no use for any more. Returns the first failure; each is tried.
    pub(super) async fn remove_unwanted(
        &self,
        installation: &Installation,
        plan: &Plan,
        wanted: impl Fn(Kind, &str) -> bool,
        applied: &mut Applied,
    ) -> Result<(), Error> {
        let mut failed = None;
        // Superseded Jobs go first: a crash must not leave one as proof of a migration that was undone since.
        for (kind, snapshot, name) in self.unwanted(installation, plan, wanted) {
            if kind == Kind::Job && self.has_begun(installation, &name).await? {
                continue;
            }
            match self.delete(installation, kind, &name, &snapshot).await {
                Ok(()) => applied.written += 1,
                Err(Error::Refused(why)) => {
                    let component = snapshot.component;
                    applied.refused.push(Refused { kind, name, component, why });
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Owned objects that the specification no longer asks for.
    fn unwanted(
        &self,
        installation: &Installation,
        plan: &Plan,
        wanted: impl Fn(Kind, &str) -> bool,
    ) -> Vec<(Kind, Arc<Snapshot>, String)> {
        let identity = &installation.identity;
        let is_named = |name: &str| name.starts_with(&identity.name);
        let mut found = Vec::new();
        for (key, snapshot) in self.watches.index.owned(&identity.uid) {
            let Watched::Child(kind) = key.kind else { continue };
            if key.namespace != identity.namespace || !is_named(&key.name) || wanted(kind, &key.name) {
                continue;
            }
            let is_deleted = || self.deleted.get(&snapshot.uid).is_some();
            if removable(installation, plan, kind, &key.name) && !is_deleted() {
                found.push((kind, snapshot, key.name.clone()));
            }
        }
        found
    }

    async fn delete(
        &self,
        installation: &Installation,
        kind: Kind,
        name: &str,
        snapshot: &Snapshot,
    ) -> Result<(), Error> {
        let parameters = match kind {
            // The Job must stay visible until its pods are gone: until then its migration may still run.
            Kind::Job => DeleteParams::foreground(),
            _ => DeleteParams::background(),
        };
        let parameters = parameters
            .preconditions(Preconditions { uid: Some(snapshot.uid.clone()), resource_version: None });
        match self.api(installation, kind).delete(name, &parameters).await {
            Ok(_) => {
                self.deleted.put(snapshot.uid.clone(), ());
                tracing::info!(
                    kind = kind.as_str(),
                    name,
                    namespace = installation.identity.namespace,
                    "deleted"
                );
                Ok(())
            }
            // Gone already, or another object has its name by now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
