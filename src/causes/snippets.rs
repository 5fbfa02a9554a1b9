//! Commands that causes of several families give to users.

use crate::{model::shell::name, validate::SCALED_TO_ZERO_ANNOTATION};

/// Says that a Deployment is meant to have no pods.
pub(crate) fn intend_no_pods(namespace: &str, deployment: &str) -> String {
    format!(
        "kubectl -n {} annotate deployment {} {SCALED_TO_ZERO_ANNOTATION}=intended",
        name(namespace, "NAMESPACE"),
        name(deployment, "DEPLOYMENT"),
    )
}
