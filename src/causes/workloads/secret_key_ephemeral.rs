//! Django's secret key changes.

use crate::{causes::prelude::*, flagsmith::env};

pub(crate) static CAUSE: Cause = Cause {
    in_logs: Some(in_logs),
    remedy_here: Some(|context, _| {
        context.installation.managed_by.is_operator().then(|| {
            "Keep one long random value in the Secret that spec.django.secretKeyFrom names, the same for ever.".to_owned()
        })
    }),
    applies: Applies::Observed,
    check: Some(|context| unset(context).into_iter().collect()),
    ..Cause::warning(Component::Api, include_str!("secret_key_ephemeral.md"))
};

fn unset(context: &Context<'_>) -> Option<Draft> {
    let observation = context.observation;
    let api = observation.api.as_ref()?;
    let container = api.container()?;
    if !container.environment.lacks(env::DJANGO_SECRET_KEY) {
        return None;
    }
    let namespace = &context.installation.identity.namespace;
    let deployments = [Some(api), observation.task_processor.as_ref()].into_iter().flatten();
    let set: Vec<String> = deployments
        .map(|it| {
            format!("kubectl -n {namespace} set env deployment/{} --from=secret/flagsmith-django", it.name)
        })
        .collect();
    Some(Draft {
        message: "Every process of the API makes a secret key of its own at its start: sessions and signed links break at \
                  every restart and between pods."
            .to_owned(),
        evidence: vec![format!(
            "Deployment {}, container {}: DJANGO_SECRET_KEY is not set",
            api.name, container.name
        )],
        remedy: format!(
            "kubectl -n {namespace} create secret generic flagsmith-django \
             --from-literal=DJANGO_SECRET_KEY=\"$(openssl rand -base64 48)\" && {}",
            set.join(" && ")
        ),
        ..Code::SecretKeyEphemeral.draft()
    })
}

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let (location, count) = evidence.hosts.sessions()?;
    let explained = Explanation::new(
        Code::SecretKeyEphemeral,
        format!(
            "{count} sessions had a signature of another secret key: DJANGO_SECRET_KEY is not set (then every process makes \
             its own at start), differs between replicas, or was changed. Users are logged out."
        ),
        "Set DJANGO_SECRET_KEY from a Secret to one long random value, the same for all replicas, and keep it.",
    );
    Some(Finding::new(explained, vec![location.clone()]))
}
