//! Migrations of a newer release are being undone.

use crate::{
    causes::prelude::*,
    migration::{Direction, direction},
};

pub(crate) static CAUSE: Cause = Cause {
    check: Some(check),
    ..Cause::warning(Component::Migrations, include_str!("rollback_loses_data.md"))
};

/// Said before the migrations are undone, and while they are.
fn check(context: &Context<'_>) -> Vec<Draft> {
    let Direction::Back(plan) = direction(context.installation, context.observation) else {
        return Vec::new();
    };
    let (from, to) = (plan.from, plan.to);
    let order = plan.away().map_or_else(
        || format!("Pods of {to} serve before that, so that no request is lost."),
        |why| {
            format!(
                "{to} is started afterwards, and the API is away until its pods are ready, because {why}."
            )
        },
    );
    vec![Draft {
        message: format!(
            "The migrations of {from} are being undone: what was stored in the tables and columns that they made is lost. {order}"
        ),
        evidence: vec![format!("spec.migrations.rollback confirms it: from {from} to {to}")],
        remedy: format!(
            "To stay at {from} instead: remove spec.migrations.rollback and set spec.version to {from}; what was undone by then is \
             applied again, empty."
        ),
        ..Code::RollbackLosesData.draft()
    }]
}
