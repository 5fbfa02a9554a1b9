//! An operator runs, and looks after other namespaces.

use crate::{
    causes::prelude::*,
    model::{Diagnosis, shell},
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    ..Cause::warning(Component::Operator, include_str!("namespace_not_watched.md"))
};

/// That the operator whose Lease is `lease`, in the namespace `of`, looks after `watched` and not after `namespace`.
#[must_use]
pub fn namespace_not_watched(namespace: &str, of: &str, lease: &str, watched: &[String]) -> Diagnosis {
    let all: Vec<&str> = watched.iter().map(String::as_str).chain([namespace]).collect();
    Diagnosis::from(Draft {
        message: format!(
            "The operator in namespace {of} does not look after namespace {namespace}: nothing that is changed in the resource \
             happens, and its status stays as it is."
        ),
        evidence: vec![format!("Lease {of}/{lease}: its holder looks after {} only", watched.join(", "))],
        remedy: format!(
            "Add the namespace to those of the operator: helm upgrade {0} charts/flagsmith-operator --namespace {1} \
             --reuse-values --set 'watch.namespaces={{{2}}}'",
            shell::name(lease, "RELEASE"),
            shell::name(of, "NAMESPACE"),
            shell::within_quotes(&all.join(","), "NAMESPACES"),
        ),
        ..Code::NamespaceNotWatched.draft()
    })
}
