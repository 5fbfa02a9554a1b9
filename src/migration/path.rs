//! The releases at which a database is migrated on its way to the wanted one. Pure.

use std::{collections::BTreeMap, fmt};

use crate::{
    api::UpgradeStrategy,
    flagsmith::{
        Release,
        upgrades::{Change, Halt},
    },
};

/// A release whose migrations get a Job of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// It.
    pub release: Release,
    /// Why it is one.
    pub why: Why,
}

/// Why a database stops at a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Without it the releases after it cannot migrate.
    Required(&'static str),
    /// It makes a long upgrade easier to follow.
    Advised(&'static str),
    /// The user names it in `spec.upgrade.via`.
    Asked,
    /// It is the wanted one.
    Wanted,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required(what) => write!(formatter, "releases after it need it: {what}"),
            Self::Advised(what) => formatter.write_str(what),
            Self::Asked => formatter.write_str("spec.upgrade.via names it"),
            Self::Wanted => formatter.write_str("spec.version"),
        }
    }
}

/// What decides the way besides where it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route<'a> {
    /// Where it ends.
    pub wanted: Release,
    /// Which of the rules count.
    pub strategy: UpgradeStrategy,
    /// The user's own stops.
    pub via: &'a [Release],
    /// What is known of the releases.
    pub rules: &'a [Change],
}

impl Route<'_> {
    /// The stops from a release on, the wanted one last. It is the only one where nothing lies between: on a database that
    /// nobody has migrated, or that is not older.
    ///
    /// Stops of the user's own and those that a rule requires count always; what a rule only advises counts in a stepwise
    /// upgrade. The rest of a way is the way from each of its stops.
    pub(crate) fn from(&self, applied: Option<Release>) -> Vec<Stop> {
        let between =
            |release: Release| applied.is_some_and(|applied| applied < release) && release < self.wanted;
        let mut stops = BTreeMap::new();
        for release in self.via {
            stops.insert(*release, Why::Asked);
        }
        for rule in self.rules {
            match rule.halt {
                Some(Halt::Required) => {
                    stops.insert(rule.at, Why::Required(rule.what));
                }
                Some(Halt::Advised) if self.strategy == UpgradeStrategy::Stepwise => {
                    stops.entry(rule.at).or_insert(Why::Advised(rule.what));
                }
                Some(Halt::Advised) | None => {}
            }
        }
        let stops = stops.into_iter().filter(|(release, _)| between(*release));
        stops
            .map(|(release, why)| Stop { release, why })
            .chain([Stop { release: self.wanted, why: Why::Wanted }])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::flagsmith::upgrades::CHANGES;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    fn named(stops: &[Stop]) -> Vec<String> {
        stops.iter().map(|stop| stop.release.to_string()).collect()
    }

    #[rstest]
    #[case::direct(Some("2.232.0"), UpgradeStrategy::Direct, &[], &["2.265.0"])]
    #[case::by_the_rules(Some("2.232.0"), UpgradeStrategy::Stepwise, &[], &["2.234.2", "2.260.0", "2.265.0"])]
    #[case::by_the_user(Some("2.232.0"), UpgradeStrategy::Direct, &["2.250.0"], &["2.250.0", "2.265.0"])]
    #[case::both(
        Some("2.232.0"),
        UpgradeStrategy::Stepwise,
        &["2.250.0", "2.260.0"],
        &["2.234.2", "2.250.0", "2.260.0", "2.265.0"]
    )]
    #[case::what_lies_elsewhere(Some("2.232.0"), UpgradeStrategy::Direct, &["2.200.0", "2.232.0", "2.265.0", "2.300.0"], &["2.265.0"])]
    #[case::never_down(Some("2.270.0"), UpgradeStrategy::Stepwise, &["2.268.0"], &["2.265.0"])]
    #[case::at_it(Some("2.265.0"), UpgradeStrategy::Stepwise, &[], &["2.265.0"])]
    #[case::an_empty_database(None, UpgradeStrategy::Stepwise, &["2.250.0"], &["2.265.0"])]
    fn goes_by_the_stops(
        #[case] applied: Option<&str>,
        #[case] strategy: UpgradeStrategy,
        #[case] via: &[&str],
        #[case] expected: &[&str],
    ) {
        let via: Vec<Release> = via.iter().map(|text| release(text)).collect();
        let route = Route { wanted: release("2.265.0"), strategy, via: &via, rules: CHANGES };
        assert_eq!(named(&route.from(applied.map(release))), expected);
    }

    fn any_release() -> impl Strategy<Value = Release> {
        (2_u32..4, 0_u32..12, 0_u32..3).prop_map(|(major, minor, patch)| Release::new(major, minor, patch))
    }

    fn any_rule() -> impl Strategy<Value = Change> {
        let halt = prop_oneof![Just(None), Just(Some(Halt::Advised)), Just(Some(Halt::Required))];
        (any_release(), halt).prop_map(|(at, halt)| Change { at, halt, what: "…", remedy: None })
    }

    proptest! {
        /// Whatever the rules and the user's stops, and wherever the database is.
        #[test]
        fn ends_at_what_is_wanted_and_never_goes_down(
            applied in prop::option::of(any_release()),
            wanted in any_release(),
            via in prop::collection::vec(any_release(), 0..6),
            rules in prop::collection::vec(any_rule(), 0..12),
            stepwise in any::<bool>(),
        ) {
            let strategy = if stepwise { UpgradeStrategy::Stepwise } else { UpgradeStrategy::Direct };
            let route = Route { wanted, strategy, via: &via, rules: &rules };
            let path = route.from(applied);
            let (last, stops) = path.split_last().unwrap();
            prop_assert_eq!(last, &Stop { release: wanted, why: Why::Wanted });
            prop_assert!(path.windows(2).all(|two| two[0].release < two[1].release), "{:?}", path);
            prop_assert!(stops.iter().all(|stop| applied.is_some_and(|applied| applied < stop.release)));
            for stop in stops {
                let by_rule = rules.iter().any(|rule| rule.at == stop.release && rule.halt.is_some());
                prop_assert!(via.contains(&stop.release) || by_rule, "nobody names {:?}", stop);
            }
            // No required stop, and none of the user's, is gone past.
            let required = rules.iter().filter(|rule| rule.halt == Some(Halt::Required)).map(|rule| rule.at);
            for needed in required.chain(via.iter().copied()) {
                let between = applied.is_some_and(|applied| applied < needed) && needed < wanted;
                prop_assert_eq!(stops.iter().any(|stop| stop.release == needed), between, "{}", needed);
            }
            // From each stop the way goes on as it was foretold.
            for (index, stop) in stops.iter().enumerate() {
                prop_assert_eq!(route.from(Some(stop.release)), path[index + 1..].to_vec());
            }
        }
    }
}
