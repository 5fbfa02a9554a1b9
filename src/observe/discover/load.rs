//! From the index of a namespace to the objects that may concern one installation. Only these are decoded: a namespace
//! may have thousands of others.

use std::{collections::BTreeSet, sync::Arc};

use kube::{
    ResourceExt as _,
    core::{Selector as Labels, SelectorExt as _},
};
use serde::de::DeserializeOwned;

use super::{
    objects::Objects,
    select::{JOB_NAME, may_be_deployment, may_be_job},
};
use crate::{
    model::child::Kind,
    observe::index::{Index, Snapshot, Watched},
    validate::Selection,
};

/// The objects of a namespace that may concern an installation. Without `http_routes` the cluster has no such kind.
pub(crate) fn objects(index: &Index, namespace: &str, selection: &Selection, http_routes: bool) -> Objects {
    let of = |kind| Source { index, kind, namespace };
    let child = |kind| of(Watched::Child(kind));
    let mut objects = Objects {
        deployments: child(Kind::Deployment)
            .parsed(|name, snapshot| may_be_deployment(selection, name, &snapshot.labels())),
        jobs: child(Kind::Job).parsed(|name, snapshot| may_be_job(selection, name, &snapshot.labels())),
        services: child(Kind::Service).all(),
        ingresses: child(Kind::Ingress).all(),
        autoscalers: child(Kind::HorizontalPodAutoscaler).all(),
        routes: http_routes.then(|| child(Kind::HttpRoute).all()),
        ..Objects::default()
    };
    let selectors: Vec<Labels> = objects
        .deployments
        .iter()
        .filter_map(|it| Labels::try_from(it.spec.as_ref()?.selector.clone()).ok())
        .collect();
    let jobs: BTreeSet<String> = objects.jobs.iter().map(|job| job.name_any()).collect();
    objects.pods = of(Watched::Pod).parsed(|_, snapshot| {
        let labels = snapshot.labels();
        let of_job = labels.get(JOB_NAME).is_some_and(|job| jobs.contains(job));
        of_job || selectors.iter().any(|selector| selector.matches(&labels))
    });
    objects
}

/// The objects of one kind in a namespace.
struct Source<'a> {
    index: &'a Index,
    kind: Watched,
    namespace: &'a str,
}

impl Source<'_> {
    fn all<T: DeserializeOwned>(&self) -> Vec<Arc<T>> {
        self.parsed(|_, _| true)
    }

    fn parsed<T: DeserializeOwned>(&self, wanted: impl Fn(&str, &Snapshot) -> bool) -> Vec<Arc<T>> {
        self.index
            .in_namespace(self.kind, self.namespace)
            .into_iter()
            .filter(|(name, snapshot)| wanted(name, snapshot))
            .filter_map(|(_, snapshot)| snapshot.parse().map(Arc::new))
            .collect()
    }
}
