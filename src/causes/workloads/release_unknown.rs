//! The release of an observed installation is not known.

use crate::causes::prelude::*;

pub(crate) static CAUSE: Cause =
    Cause { check: Some(check), ..Cause::info(Component::Api, include_str!("release_unknown.md")) };

/// An image whose tag is no release, or that is named by a digest: what is known of single releases is not used then.
fn check(context: &Context<'_>) -> Vec<Draft> {
    let Some(api) = context.observation.api.as_ref().filter(|_| context.observation.release_assumed) else {
        return Vec::new();
    };
    let identity = &context.installation.identity;
    // A release of the chart that the command line looks at has no resource.
    let told = if identity.uid.is_empty() {
        "set spec.version of a FlagsmithDeployment that observes it".to_owned()
    } else {
        format!(
            "set it: kubectl -n {} patch fsd {} --type merge -p '{{\"spec\":{{\"version\":\"RELEASE\"}}}}'",
            identity.namespace, identity.name
        )
    };
    vec![Draft {
        message: format!(
            "Which release of Flagsmith runs is not known, so it is taken for {}, the oldest that the operator knows: \
             what goes wrong in later releases only is not named.",
            context.installation.release
        ),
        evidence: vec![format!(
            "Deployment {}: the tag of image {} is no release",
            api.name,
            api.image.as_deref().unwrap_or("(none)")
        )],
        remedy: format!(
            "See which it is: kubectl -n {0} exec deployment/{1} -- python -c \"import urllib.request as r; \
             print(r.urlopen('http://127.0.0.1:8000/version/').read().decode())\"; then {told}, or give the images a tag \
             that names it.",
            identity.namespace, api.name
        ),
        ..Code::ReleaseUnknown.draft()
    }]
}
