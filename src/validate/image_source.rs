//! Where an image comes from: a repository, and its tag and digest where they are not the release.

use crate::flagsmith::Release;

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// Characters of a tag.
const TAG_LENGTH: usize = 128;

/// Tags that mean another image from one day to the next.
const MOVING: &[&str] = &["latest", "main", "master", "edge", "nightly", "stable"];

/// `repository`, `repository:tag`, `repository@sha256:digest` or `repository:tag@sha256:digest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ImageSource<'a> {
    /// Without tag and digest.
    pub(super) repository: &'a str,
    /// A tag that is not the release.
    pub(super) tag: Option<&'a str>,
    /// `sha256:` and hexadecimal digits.
    pub(super) digest: Option<&'a str>,
}

impl<'a> ImageSource<'a> {
    /// Takes a source apart. A colon before a slash is that of a port.
    pub(super) fn of(source: &'a str) -> Self {
        let (named, digest) =
            source.split_once('@').map_or((source, None), |(named, digest)| (named, Some(digest)));
        let tagged = named.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        let (repository, tag) = tagged.map_or((named, None), |(repository, tag)| (repository, Some(tag)));
        Self { repository, tag, digest }
    }

    /// Why it cannot be the source of images of a release.
    pub(super) fn problem(&self, source: &str, wanted: Option<Release>) -> Option<(String, &'static str)> {
        const FORMS: &str = "Write a repository, its tag is spec.version; or repository:TAG, repository@sha256:DIGEST or \
                             both, of the image of that release. A digest is 64 hexadecimal digits in lower case.";
        let sound = is_repository(self.repository)
            && self.tag.is_none_or(is_tag)
            && self.digest.is_none_or(is_digest);
        if !sound {
            return Some((format!("{source:?} is no repository, with or without a tag and a digest"), FORMS));
        }
        let tag = self.tag?;
        if MOVING.contains(&tag) {
            return Some((
                format!("the tag {tag:?} means another image from one day to the next"),
                "Name a tag that stays, or remove it: migrations belong to one release.",
            ));
        }
        let named: Release = tag.parse().ok()?;
        (wanted != Some(named)).then(|| {
            (
                format!("the tag {tag} is another release than spec.version"),
                "Remove the tag, spec.version is the tag of every image without one.",
            )
        })
    }
}

fn is_digest(digest: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digest.strip_prefix("sha256:").is_some_and(|it| it.len() == DIGITS && it.bytes().all(is_digit))
}

fn is_tag(tag: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let first = tag.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first && tag.len() <= TAG_LENGTH && tag.bytes().all(allowed)
}

/// A colon may stand before a port only, which a path follows.
fn is_repository(repository: &str) -> bool {
    let last = repository.rsplit('/').next().unwrap_or_default();
    let edge = |edge: Option<char>| edge.is_some_and(|edge| edge.is_ascii_alphanumeric());
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._-/:".contains(character);
    !last.contains(':')
        && edge(repository.chars().next())
        && edge(repository.chars().last())
        && repository.chars().all(allowed)
}
