//! `django_migrations` contradicts itself.

use crate::{causes::prelude::*, postgres::sql::literal};

pub(crate) static CAUSE: Cause = Cause {
    explains: consequences::OF_STOPPED_MIGRATION,
    log: &[&LOG],
    ..Cause::critical(Component::Migrations, include_str!("history_inconsistent.md"))
};

static LOG: Plain = Plain {
    precedence: 410,
    words: &[" is applied before its dependency "],
    recognise,
    explain,
    is_over: None,
};

/// `Migration A is applied before its dependency B on database 'default'.`
fn recognise(failure: &Failure<'_>) -> Option<FailureDetails> {
    if !failure.is(&["InconsistentMigrationHistory"]) {
        return None;
    }
    let (_, rest) = failure.message.split_once("Migration ")?;
    let (applied, rest) = rest.split_once(" is applied before its dependency ")?;
    let dependency = rest.split(' ').next()?;
    let database = rest.split_once("on database '");
    Some(FailureDetails {
        object: Some(applied.to_owned()),
        detail: Some(dependency.to_owned()),
        database: database.and_then(|(_, rest)| rest.split('\'').next()).map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(_: &LogEvidence, occurrence: &Occurrence) -> Explanation {
    let applied = occurrence.details.object.as_deref().unwrap_or("one");
    let dependency = occurrence.details.detail.as_deref().unwrap_or("another");
    let (app, name) = dependency.split_once('.').unwrap_or(("APP", "NAME"));
    Explanation::new(
        Code::MigrationHistoryInconsistent,
        format!(
            "The history in django_migrations contradicts itself: {applied} is recorded as applied, but {dependency}, which has to \
             come before it, is not. No migration was run. It was edited by hand, or only part of it was restored."
        ),
        format!(
            "When the schema has what {dependency} creates, add the missing record: flagsmith migrate --fake refuses in this state, so \
             insert it: INSERT INTO django_migrations (app, name, applied) VALUES ({}, {}, now()); when it has not, restore the backup \
             from before the change.",
            literal(app, "APP"),
            literal(name, "NAME")
        ),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::{
            diagnose_log,
            log::{failure::Stage, testing::code},
        },
        model::{Code::MigrationHistoryInconsistent, Component},
    };

    const CLASS: &str = "django.db.migrations.exceptions.InconsistentMigrationHistory";

    #[test]
    fn recognises() {
        let message = "Migration features.0002_auto_20180530_0724 is applied before its dependency features.0001_initial on database 'default'.";
        assert_eq!(code(Stage::Migrate, CLASS, message), Some(MigrationHistoryInconsistent));
    }

    #[rstest]
    #[case("features.0001_initial", "VALUES ('features', '0001_initial', now());")]
    #[case("a.b',now());DROP/**/TABLE/**/t;--", "VALUES ('a', 'b'',now());DROP/**/TABLE/**/t;--', now());")]
    #[case("a\u{1b}.b", "VALUES ('APP', 'NAME', now());")]
    fn names_are_quoted(#[case] dependency: &str, #[case] expected: &str) {
        let log = format!(
            "{CLASS}: Migration a.c is applied before its dependency {dependency} on database 'default'.\n"
        );
        let found = diagnose_log(Component::Migrations, None, "log", log.as_bytes());
        assert!(found[0].1.remedy.contains(expected), "{}", found[0].1.remedy);
    }
}
