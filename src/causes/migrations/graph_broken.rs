//! The image's migrations do not fit together.

use crate::causes::{migrations::shared::snippets::first_line, prelude::*};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    ..Cause::critical(Component::Migrations, include_str!("graph_broken.md"))
};

/// What is wrong with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Parent,
    Leaves,
    Circle,
    File,
}

static LOG: Rule<Variant> = Rule {
    precedence: 415,
    signatures: &[
        Signature::of(Variant::Parent).class(&["NodeNotFoundError"]),
        Signature::of_words(Variant::Parent, &["nonexistent parent node"]),
        Signature::of_words(Variant::Leaves, &["Conflicting migrations detected"]),
        Signature::of(Variant::Circle).class(&["CircularDependencyError"]),
        Signature::of(Variant::File).class(&["BadMigrationError"]),
    ],
    details: |failure, _| Some(first_line(failure.message)),
    explain,
    is_over: None,
};

fn explain(_: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let what = occurrence.details.object.as_deref().unwrap_or_default();
    let why = match variant {
        Variant::Parent => {
            "The image's migrations are incomplete: one of them builds on another that is not in the image"
        }
        Variant::Leaves => "The image has two migrations of one app that both claim to be its last",
        Variant::Circle => "The image's migrations depend on each other in a circle",
        Variant::File => "The image has a migration file that Django cannot use",
    };
    Explanation::new(
        Code::MigrationGraphBroken,
        format!("{why} ({what}). No migration was run."),
        "This is in the image, not in the database: run a released image without added or removed migration files \
         (docker.flagsmith.com/flagsmith/flagsmith-api:X.Y.Z); a custom build has to be rebased on the release.",
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{LOG, Variant};
    use crate::{
        causes::log::{failure::Stage, testing::recognise},
        model::Code::MigrationGraphBroken,
    };

    #[rstest]
    #[case(
        "django.db.migrations.exceptions.NodeNotFoundError",
        "Migration users.0045_x dependencies reference nonexistent parent node ('users', '0044_y')",
        Variant::Parent
    )]
    #[case(
        "CommandError",
        "Conflicting migrations detected; multiple leaf nodes in the migration graph: (0045_a, 0045_fork in users).",
        Variant::Leaves
    )]
    fn recognises(#[case] class: &str, #[case] message: &str, #[case] variant: Variant) {
        let (code, details) = recognise(Stage::Migrate, class, message).unwrap();
        assert_eq!((code, LOG.variant(&details)), (MigrationGraphBroken, Some(variant)));
    }
}
