//! The installed resource definition is older than the operator.

use crate::{causes::prelude::*, model::Diagnosis};

pub(crate) static CAUSE: Cause =
    Cause { needs_person: true, ..Cause::warning(Component::Operator, include_str!("crd_outdated.md")) };

/// That the API server takes a status only without `field`, a path such as `.status.upgrade`.
pub(crate) fn crd_outdated(field: &str) -> Diagnosis {
    Diagnosis::from(Draft {
        message: "The definition of FlagsmithDeployment in this cluster is older than the operator: fields of the status that it \
                  lacks are left out, and those of a specification that it lacks the API server drops or refuses."
            .to_owned(),
        evidence: vec![format!("the API server does not take {field}: field not declared in schema")],
        remedy: format!(
            "Apply the definition of this operator's version, {0}: helm upgrade with the chart of that version (its crds.enabled is \
             on unless something else manages the definition), or crds/flagsmithdeployments.yaml of release {0}: kubectl apply \
             --server-side --force-conflicts -f crds/flagsmithdeployments.yaml",
            env!("CARGO_PKG_VERSION"),
        ),
        ..Code::CrdOutdated.draft()
    })
}
