//! The migrations of this release have a known defect.

use crate::{
    causes::{migrations::shared::preflight::before_migration, prelude::*},
    flagsmith::upgrades,
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::Migrations, include_str!("release_has_known_defect.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let release = context.installation.release;
    let defect = before_migration(context).and_then(|_| upgrades::defect(release));
    let diagnosis = defect.map(|defect| Draft {
        message: format!("Flagsmith {release} {}.", defect.what),
        evidence: vec![format!("spec.version is {release}; it was corrected in {}", defect.corrected)],
        remedy: format!("Set spec.version to {} or later.", defect.corrected),
        ..Code::ReleaseHasKnownDefect.draft()
    });
    diagnosis.into_iter().collect()
}
