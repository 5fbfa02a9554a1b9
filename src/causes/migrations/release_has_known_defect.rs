//! The migrations of this release have a known defect.

use crate::{
    causes::{cause::Cause, context::Context, migrations::shared::preflight::before_migration},
    flagsmith::upgrades,
    model::{Code, Component, Draft, Severity},
};

pub(crate) static CAUSE: Cause = Cause {
    severity: Severity::Warning,
    component: Component::Migrations,
    check: Some(check),
    ..Cause::new(include_str!("release_has_known_defect.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let release = context.installation.release;
    let defect = before_migration(context).and_then(|_| upgrades::defect(release));
    let diagnosis = defect.map(|defect| Draft {
        code: Code::ReleaseHasKnownDefect,
        severity: Severity::Warning,
        component: Component::Migrations,
        message: format!("Flagsmith {release} {}.", defect.what),
        evidence: vec![format!(
            "spec.version is {release}; it was corrected in {}",
            defect.corrected
        )],
        remedy: format!("Set spec.version to {} or later.", defect.corrected),
    });
    diagnosis.into_iter().collect()
}
