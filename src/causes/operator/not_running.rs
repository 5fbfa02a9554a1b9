//! Nobody renews the operator's Lease.

use jiff::Timestamp;

use crate::{
    causes::prelude::*,
    model::{Diagnosis, shell},
};

pub(crate) static CAUSE: Cause =
    Cause { needs_person: true, ..Cause::warning(Component::Operator, include_str!("not_running.md")) };

/// The Lease of an operator that looks after a namespace, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrenewed {
    /// The Lease's namespace: the operator's own.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// When it was renewed, or given back, last.
    pub renewed: Option<Timestamp>,
}

/// That nobody looks after `namespace`; `lease` is the one that nobody renews, where there is one.
#[must_use]
pub fn not_running(namespace: &str, lease: Option<&Unrenewed>) -> Diagnosis {
    let (evidence, remedy) = match lease {
        Some(lease) => (
            format!(
                "Lease {}/{}: {}",
                lease.namespace,
                lease.name,
                lease
                    .renewed
                    .map_or_else(|| "never renewed".to_owned(), |time| format!("last renewed {time:.0}"))
            ),
            format!(
                "See why its pods do not run: kubectl -n {} get pods -l app.kubernetes.io/name=flagsmith-operator",
                shell::name(&lease.namespace, "NAMESPACE")
            ),
        ),
        None => (
            "no Lease in the cluster has the label app.kubernetes.io/name=flagsmith-operator".to_owned(),
            "Install the operator, or see why its pods do not run: kubectl get pods --all-namespaces -l \
             app.kubernetes.io/name=flagsmith-operator"
                .to_owned(),
        ),
    };
    Diagnosis::from(Draft {
        message: format!(
            "No operator looks after namespace {namespace}: nothing that is changed in the resource happens, and nothing that \
             breaks is restored."
        ),
        evidence: vec![evidence],
        remedy,
        ..Code::OperatorNotRunning.draft()
    })
}
