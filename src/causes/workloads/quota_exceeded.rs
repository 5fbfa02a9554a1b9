//! The namespace's quota forbids the pod.

use crate::{
    causes::{cause::Cause, consequences, context::Context, described, workloads::shared::replica_failures},
    model::{Code, Component, Draft},
    validate::Change,
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    explains: consequences::OF_NO_START,
    in_logs: Some(|logs| described::refused(logs, Code::QuotaExceeded, is, REMEDY)),
    check: Some(check),
    ..Cause::critical(Component::Api, include_str!("quota_exceeded.md"))
};

/// A container without limits, where a quota counts them.
const UNLIMITED: &str = "must specify";

const REMEDY: &str = "Raise the ResourceQuota of the namespace, or lower replicas or resources.requests.";

fn is(words: &str) -> bool {
    words.contains("exceeded quota")
}

fn check(context: &Context<'_>) -> Vec<Draft> {
    let refused = replica_failures(
        context,
        Code::QuotaExceeded,
        |words| is(words) || unlimited(words).is_some(),
        REMEDY,
    );
    refused.into_iter().map(|it| without_limits(context, it)).collect()
}

/// The containers that have no limits where the quota counts them: raising it would change nothing.
fn unlimited(words: &str) -> Option<&str> {
    let (_, rest) = words.split_once(UNLIMITED)?;
    let (_, names) = rest.split_once(" for: ")?;
    Some(names.split([' ', ';', ')']).next().unwrap_or(names).trim())
}

fn without_limits(context: &Context<'_>, found: Draft) -> Draft {
    let Some(names) = found.evidence.iter().find_map(|line| unlimited(line)).map(str::to_owned) else {
        return found;
    };
    let init = context.observation.api.iter().flat_map(|api| api.init_containers.iter());
    let migrates = init.filter(|it| it.migrates()).any(|it| names.split(',').any(|name| name == it.name));
    let instead = if migrates && !context.installation.managed_by.migrates_first() {
        format!(
            " Or let a Job migrate, of which the namespace's defaults hold as well: {}",
            context.installation.managed_by.change(&[Change::MigrateInJob])
        )
    } else {
        String::new()
    };
    Draft {
        message: format!(
            "{} The namespace's quota counts limits, and these containers have none: {names}. Raising the quota changes nothing.",
            found.message
        ),
        remedy: format!(
            "Give the namespace a LimitRange whose default says what a container without limits gets (kubectl explain \
             limitrange.spec.limits.default), or give them limits.{instead}"
        ),
        ..found
    }
}

#[cfg(test)]
mod tests {
    use super::unlimited;

    #[test]
    fn containers_without_limits_are_named() {
        let words = "pods \"a-api-1\" is forbidden: failed quota: compute: must specify limits.cpu for: migrate-db; limits.memory for: migrate-db";
        assert_eq!(unlimited(words), Some("migrate-db"));
        assert_eq!(unlimited("exceeded quota: compute, requested: limits.cpu=2, used: limits.cpu=19"), None);
    }
}
