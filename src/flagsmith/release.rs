//! A release number of Flagsmith.

use std::{fmt, str::FromStr};

/// An exact release, `MAJOR.MINOR.PATCH` without a leading "v", as Flagsmith tags its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    major: u32,
    minor: u32,
    patch: u32,
}

/// A text that is not a release number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an exact release such as \"2.265.0\"")]
pub struct InvalidRelease(String);

impl Release {
    /// The release `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// How many minor releases lie between; `None` when the other one is newer or of another major release.
    #[must_use]
    pub const fn minors_since(self, older: Self) -> Option<u32> {
        if self.major != older.major {
            return None;
        }
        self.minor.checked_sub(older.minor)
    }

    /// The release in the tag of an image reference, if the tag is one.
    #[must_use]
    pub fn of_image(image: &str) -> Option<Self> {
        let name = image.split('@').next()?;
        name.rsplit('/').next()?.split_once(':')?.1.parse().ok()
    }
}

impl FromStr for Release {
    type Err = InvalidRelease;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidRelease(text.to_owned());
        let mut parts = text.split('.').map(|part| {
            let canonical =
                part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            if canonical { part.parse().map_err(|_| invalid()) } else { Err(invalid()) }
        });
        let mut next = || parts.next().unwrap_or_else(|| Err(invalid()));
        let release = Self { major: next()?, minor: next()?, patch: next()? };
        if parts.next().is_some() { Err(invalid()) } else { Ok(release) }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("latest")]
    #[case("2.265")]
    #[case("v2.265.0")]
    #[case("2.265.0.1")]
    #[case("2.265.0-rc1")]
    #[case("2.0265.0")]
    #[case("2.+5.0")]
    #[case("2..0")]
    #[case("")]
    #[case("2.265.99999999999999")]
    fn refuses(#[case] text: &str) {
        assert_eq!(text.parse::<Release>(), Err(InvalidRelease(text.to_owned())));
    }

    #[rstest]
    #[case("docker.flagsmith.com/flagsmith/flagsmith-api:2.265.0", Some(Release::new(2, 265, 0)))]
    #[case("localhost:5000/flagsmith-api:2.265.0@sha256:abc", Some(Release::new(2, 265, 0)))]
    #[case("localhost:5000/flagsmith-api", None)]
    #[case("flagsmith-api:latest", None)]
    fn reads_the_tag(#[case] image: &str, #[case] expected: Option<Release>) {
        assert_eq!(Release::of_image(image), expected);
    }

    proptest! {
        #[test]
        fn round_trips_and_orders(a in any::<(u32, u32, u32)>(), b in any::<(u32, u32, u32)>()) {
            let (first, second) = (Release::new(a.0, a.1, a.2), Release::new(b.0, b.1, b.2));
            prop_assert_eq!(first.to_string().parse::<Release>(), Ok(first));
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        }
    }
}
