//! The migrations of this release have a known defect.

use crate::{
    causes::{migrations::shared::preflight::before_migration, prelude::*},
    flagsmith::upgrades,
    migration::Step,
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::Migrations, include_str!("release_has_known_defect.md"))
};

fn check(context: &Context<'_>) -> Vec<Draft> {
    let step = before_migration(context).and_then(|_| Step::of(context.installation, context.observation));
    let mut left = step.iter().flat_map(Step::stops_left).map(|stop| stop.release);
    let defect = left.find_map(|release| Some((release, upgrades::defect(release)?)));
    let diagnosis = defect.map(|(release, defect)| {
        let field = if release == context.installation.release {
            "spec.version"
        } else {
            "its place in spec.upgrade.via"
        };
        Draft {
            message: format!("Flagsmith {release} {}.", defect.what),
            evidence: vec![format!("{field} is {release}; it was corrected in {}", defect.corrected)],
            remedy: format!("Set {field} to {} or later.", defect.corrected),
            ..Code::ReleaseHasKnownDefect.draft()
        }
    });
    diagnosis.into_iter().collect()
}
