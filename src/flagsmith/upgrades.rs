//! What is known about going from one release to another, as data. Sources: Flagsmith's changelog and issues, and the
//! migrations themselves.

use super::Release;

/// A release that should not be migrated to, and the one that should be instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Defect {
    /// The first release that has it.
    pub since: Release,
    /// The first that does not.
    pub corrected: Release,
    /// What it is, as the end of a sentence that begins with the release.
    pub what: &'static str,
}

/// Something that changes at a release for whoever comes from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The release that brings it.
    pub at: Release,
    /// What it is.
    pub what: &'static str,
    /// What to do about it before the upgrade starts, where there is anything to do.
    pub remedy: Option<&'static str>,
    /// Whether an upgrade that goes past this release stops there.
    pub halt: Option<Halt>,
}

/// Why an upgrade stops at a release that it would go past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Later releases cannot migrate a database that has not been there. None is known at present.
    #[cfg_attr(not(test), expect(dead_code, reason = "no release of Flagsmith needs it yet"))]
    Required,
    /// It makes a long upgrade easier to follow.
    Advised,
}

/// The newest release that was looked at for this file. Of later ones nothing is known, and what is true of it is taken to
/// be true of them.
pub(crate) const NEWEST_KNOWN: Release = Release::new(2, 265, 0);

/// What pods of an older release cannot do on tables that a newer one has migrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incompatibility {
    /// The newest release that is known to lack the migration.
    pub before: Release,
    /// The oldest release that is known to have it.
    pub since: Release,
    /// What older pods cannot do, as the end of a sentence.
    pub what: &'static str,
    /// Words that the error of a request has that fails of it, and that of no other.
    pub sign: &'static str,
}

/// Migrations that the release before them does not get along with.
pub(crate) const INCOMPATIBLE: &[Incompatibility] = &[Incompatibility {
    before: Release::new(2, 260, 0),
    since: Release::new(2, 265, 0),
    what: "store new identities: requests that make one are answered with 500 (identities.0007 makes the column system_traits NOT \
           NULL); everything else works",
    sign: "null value in column \"system_traits\"",
}];

/// Releases with defects in their migrations.
pub(crate) const DEFECTS: &[Defect] = &[
    Defect {
        since: Release::new(2, 234, 0),
        corrected: Release::new(2, 234, 2),
        what: "has a data migration of code references that takes very long on large databases (Flagsmith issue 7555)",
    },
    Defect {
        since: Release::new(2, 244, 0),
        corrected: Release::new(2, 246, 0),
        what: "can fail while it migrates a replicated ClickHouse (Flagsmith issues 7847, 7853, 7863)",
    },
];

/// Changes that an upgrade goes past, the oldest first. docs/upgrade.md has the same list.
pub(crate) const CHANGES: &[Change] = &[
    Change {
        at: Release::new(2, 178, 0),
        what: "run-task-processor migrates the database (the operator does not use it)",
        remedy: None,
        halt: None,
    },
    Change {
        at: Release::new(2, 188, 0),
        what: "DJANGO_DB_CONN_MAX_AGE=-1 closes each connection after its request instead of keeping it",
        remedy: Some("Where spec.env sets it to -1 to keep connections, set a number of seconds."),
        halt: None,
    },
    Change {
        at: Release::new(2, 188, 0),
        what: "migrations of 2.188.0 to 2.223.x create the extension hstore",
        remedy: Some(
            "Let the role that migrates create it, or have an administrator do so: CREATE EXTENSION hstore; upgrading \
             past them to 2.224.0 or later needs neither.",
        ),
        halt: None,
    },
    Change {
        at: Release::new(2, 200, 0),
        what: "a task that runs into its timeout no longer blocks a thread of the task processor forever",
        remedy: None,
        halt: Some(Halt::Advised),
    },
    Change {
        at: Release::new(2, 212, 1),
        what: "PostgreSQL 14 or later is needed",
        remedy: Some("Upgrade the server first; 2.212.0 and older run on it as well."),
        halt: None,
    },
    Change {
        at: Release::new(2, 224, 0),
        what: "the extension hstore is not needed any more",
        remedy: None,
        halt: Some(Halt::Advised),
    },
    Change {
        at: Release::new(2, 234, 2),
        what: "the data migration of code references is fast enough",
        remedy: None,
        halt: Some(Halt::Advised),
    },
    Change {
        at: Release::new(2, 235, 0),
        what: "a ClickHouse is migrated with the database where one is configured",
        remedy: Some(
            "Where CLICKHOUSE_URL or CLICKHOUSE_HOST is set, see that the migration Job reaches it.",
        ),
        halt: None,
    },
    Change {
        at: Release::new(2, 253, 0),
        what: "the image's entrypoint is the flagsmith command; STATSD_* and GUNICORN_KEEP_ALIVE are not read any more",
        remedy: Some(
            "Pods of your own made from the image: start them with \"flagsmith\" and its commands instead of a script. \
             StatsD: use the Prometheus metrics of port 9100.",
        ),
        halt: None,
    },
    Change {
        at: Release::new(2, 259, 0),
        what: "the images run as any user; before they needed their own, 65534",
        remedy: None,
        halt: None,
    },
    Change {
        at: Release::new(2, 260, 0),
        what: "run-task-processor runs tasks again, which 2.253.0 to 2.259.0 did not",
        remedy: None,
        halt: Some(Halt::Advised),
    },
];

/// Releases whose migrations create the extension hstore.
const HSTORE: (Release, Release) = (Release::new(2, 188, 0), Release::new(2, 224, 0));

/// Minor releases that an upgrade may skip without a word: at two or three a week about three months.
const MANY: u32 = 30;

/// The newest migration of the app `task_processor`, and the release that brought it: the part of a database's history
/// that tells its age in every edition.
const TASK_PROCESSOR: &[(&str, Release)] = &[
    ("0013", Release::new(2, 170, 0)),
    ("0014", Release::new(2, 228, 0)),
    ("0015", Release::new(2, 232, 0)),
];

/// Whether the migrations of a release need the extension hstore.
pub(crate) fn needs_hstore(release: Release) -> bool {
    HSTORE.0 <= release && release < HSTORE.1
}

/// The defect of a release's migrations.
pub(crate) fn defect(release: Release) -> Option<&'static Defect> {
    DEFECTS.iter().find(|defect| defect.since <= release && release < defect.corrected)
}

/// What pods of a release cannot do once the database is migrated to a newer one, as far as it is known.
pub(crate) fn incompatible(serving: Release, migrated: Release) -> Option<&'static Incompatibility> {
    INCOMPATIBLE.iter().find(|change| serving <= change.before && change.since <= migrated)
}

/// What an upgrade goes past.
pub(crate) fn passed(from: Release, to: Release) -> impl Iterator<Item = &'static Change> {
    CHANGES.iter().filter(move |change| from < change.at && change.at <= to)
}

/// What an upgrade goes past, when it skips many releases.
pub(crate) fn skipped(from: Release, to: Release) -> Option<Vec<&'static Change>> {
    (to.minors_since(from)? >= MANY).then(|| passed(from, to).collect())
}

/// The release that a database is at least at, by the number of its newest migration of the app `task_processor`.
pub(crate) fn at_least(task_processor: &str) -> Option<Release> {
    TASK_PROCESSOR.iter().rev().find(|(number, _)| task_processor >= *number).map(|(_, release)| *release)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("2.234.0", true)]
    #[case("2.234.1", true)]
    #[case("2.234.2", false)]
    #[case("2.265.0", false)]
    fn knows_defects(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(defect(release(text)).is_some(), expected);
    }

    #[rstest]
    #[case("2.260.0", "2.265.0", true)]
    #[case("2.232.0", "2.266.0", true)]
    #[case("2.250.0", "2.260.0", false)]
    #[case("2.265.0", "2.266.0", false)]
    // Which release between the two brought it is not known.
    #[case("2.261.0", "2.265.0", false)]
    fn knows_what_old_pods_cannot_do(#[case] serving: &str, #[case] migrated: &str, #[case] expected: bool) {
        let known = incompatible(release(serving), release(migrated));
        assert_eq!(known.is_some(), expected);
    }

    #[rstest]
    #[case("2.260.0", "2.265.0", None)]
    #[case("2.235.0", "2.265.0", Some(vec!["2.253.0", "2.259.0", "2.260.0"]))]
    #[case("2.200.0", "2.230.0", Some(vec!["2.212.1", "2.224.0"]))]
    #[case("2.265.0", "2.200.0", None)]
    fn names_what_is_skipped(#[case] from: &str, #[case] to: &str, #[case] expected: Option<Vec<&str>>) {
        let at = |changes: Vec<&Change>| changes.iter().map(|it| it.at.to_string()).collect::<Vec<_>>();
        let expected = expected.map(|it| it.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(skipped(release(from), release(to)).map(at), expected);
    }

    #[rstest]
    #[case("0012", None)]
    #[case("0013", Some("2.170.0"))]
    #[case("0015", Some("2.232.0"))]
    #[case("0021", Some("2.232.0"))]
    fn reads_the_age_of_a_database(#[case] number: &str, #[case] expected: Option<&str>) {
        assert_eq!(at_least(number), expected.map(release));
    }

    #[test]
    fn rules_are_in_order_and_stop_at_sound_releases() {
        assert!(CHANGES.is_sorted_by_key(|change| change.at));
        for change in CHANGES {
            assert!(change.at <= NEWEST_KNOWN, "{}", change.at);
            assert!(change.halt.is_none() || defect(change.at).is_none(), "{}", change.at);
        }
        assert!(INCOMPATIBLE.iter().all(|step| step.since <= NEWEST_KNOWN));
    }

    #[test]
    fn the_documentation_has_every_change_and_remedy() {
        let page = include_str!("../../docs/upgrade.md");
        for change in CHANGES {
            let row = format!("| {} | {} | {} |", change.at, change.what, change.remedy.unwrap_or_default());
            assert!(page.contains(&row), "docs/upgrade.md lacks the row\n{row}");
        }
        for step in INCOMPATIBLE {
            assert!(page.contains(&format!("cannot {}", step.what)), "{}", step.what);
        }
    }

    #[test]
    fn the_extension_is_needed_for_a_while() {
        let needed = ["2.187.0", "2.188.0", "2.223.0", "2.224.0"].map(|it| needs_hstore(release(it)));
        assert_eq!(needed, [false, true, true, false]);
    }
}
