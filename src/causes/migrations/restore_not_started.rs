//! A restore that the specification asks for does not run.

use crate::{
    api::BackupStatus,
    causes::prelude::*,
    migration::{Hindrance, Restore, restore},
    model::shell,
};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    check: Some(|context| held(context).into_iter().collect()),
    ..Cause::warning(Component::Migrations, include_str!("restore_not_started.md"))
};

fn held(context: &Context<'_>) -> Option<Draft> {
    let (installation, observation) = (context.installation, context.observation);
    let Restore::Held(hindrance) = restore(installation, observation)? else {
        return None;
    };
    let from = &installation.migrations.restore.as_ref()?.from;
    let backups = &observation.previous.backups;
    let identity = &installation.identity;
    let patch = |restore: &str| {
        let (namespace, name) =
            (shell::name(&identity.namespace, "NAMESPACE"), shell::name(&identity.name, "NAME"));
        format!(
            "kubectl -n {namespace} patch fsd {name} --type merge -p '{{\"spec\":{{\"migrations\":{{\"restore\":{restore}}}}}}}'"
        )
    };
    let (why, remedy) = match &hindrance {
        Hindrance::Ignored => (
            "it was there when the operator saw this resource for the first time, so it may have run before, and would lose what \
             was written since"
                .to_owned(),
            format!("If it is still wanted, set it again after this: {}", patch("null")),
        ),
        Hindrance::Unknown => (
            "status.backups has no backup of that name".to_owned(),
            "Name one of status.backups in spec.migrations.restore.from. What the status does not know is restored by hand: \
             docs/upgrade.md, \"Restore a backup\"."
                .to_owned(),
        ),
        Hindrance::Foreign => (
            "it was made by spec.migrations.backup.podTemplate, and only that knows where it is".to_owned(),
            "Restore it in its own way while API and task processor are stopped: docs/upgrade.md, \"Restore a backup\".".to_owned(),
        ),
        Hindrance::Newer(release) => (
            format!("it is of {release}, and {} could not run on it", installation.release),
            format!("Set spec.version to {release} or later in the same change."),
        ),
        Hindrance::Unconfirmed(confirmation) => (
            "it is not confirmed. Everything that was written since the backup would be lost".to_owned(),
            format!(
                "If that is what you want: {}",
                patch(&format!("{{\"confirm\":{}}}", shell::text(confirmation, "HOST:PORT/NAME TIME")))
            ),
        ),
    };
    Some(Draft {
        message: format!("The backup {from} is not restored: {why}."),
        evidence: backups.iter().filter(|backup| backup.name == *from).map(told).collect(),
        remedy,
        ..Code::RestoreNotStarted.draft()
    })
}

/// A backup, as the status has it.
fn told(backup: &BackupStatus) -> String {
    let facts = [
        backup.finished.as_ref().map(|finished| format!("made at {:.0}", finished.0)),
        backup.version.as_ref().map(|version| format!("of {version}")),
        backup.bytes.map(|bytes| format!("{bytes} bytes")),
        backup.volume_claim.as_ref().map(|claim| format!("in volume claim {claim}")),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    format!("status.backups: {}, {}", backup.name, facts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::RestoreSpec, fixtures, observe::SecretState};

    fn said(confirm: Option<&str>, change: fn(&mut BackupStatus)) -> Option<Draft> {
        let mut installation = fixtures::installation(&fixtures::minimal());
        installation.migrations.restore = Some(RestoreSpec {
            from: "b".to_owned(),
            confirm: confirm.map(str::to_owned),
            without_backup: false,
        });
        let mut observation = fixtures::empty_observation();
        observation.secrets.migration_database = SecretState::Present(fixtures::database());
        observation.previous.observed_generation = Some(1);
        let mut backup: BackupStatus = serde_json::from_value(serde_json::json!({
            "name": "b", "finished": "2026-11-30T10:00:00Z", "version": "2.260.0", "volumeClaim": "backups", "bytes": 7,
        }))
        .unwrap();
        change(&mut backup);
        observation.previous.backups = vec![backup];
        held(&Context::new(&installation, &observation))
    }

    #[test]
    fn the_confirmation_can_be_pasted() {
        let found = said(None, |_| {}).unwrap();
        let confirmation = format!("{} 2026-11-30T10:00:00Z", fixtures::database());
        assert!(
            found.remedy.contains(&format!(
                r#"-p '{{"spec":{{"migrations":{{"restore":{{"confirm":"{confirmation}"}}}}}}}}'"#
            )),
            "{}",
            found.remedy
        );
        assert_eq!(
            found.evidence,
            ["status.backups: b, made at 2026-11-30T10:00:00Z, of 2.260.0, 7 bytes, in volume claim backups"]
        );
        assert_eq!(said(Some(&confirmation), |_| {}), None);
    }

    #[test]
    fn a_backup_of_a_newer_release_waits_for_it() {
        let found = said(None, |backup| backup.version = Some("2.999.0".to_owned())).unwrap();
        assert!(
            found.message.contains("it is of 2.999.0, and 2.265.0 could not run on it"),
            "{}",
            found.message
        );
    }
}
