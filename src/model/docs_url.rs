//! Where the documentation is read: the site that `make docs` builds.

use std::{fmt, str::FromStr};

use url::Url;

use super::Code;

/// The address of the documentation, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocsUrl(String);

/// A page that messages point to, by the name of its file in `docs/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// How an installation of the official chart is moved.
    Adopt,
    /// Every field of the resource.
    Api,
    /// Every cause, each with an anchor.
    Causes,
}

/// An address at which no documentation can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the http or https address of the documentation without ? and #, such as {PROJECT}")]
pub struct InvalidDocsUrl;

/// The project's own page: the `homepage` of Cargo.toml.
const PROJECT: &str = env!("CARGO_PKG_HOMEPAGE");

impl DocsUrl {
    /// The address of a page.
    #[must_use]
    pub fn page(&self, page: Page) -> String {
        let name = match page {
            Page::Adopt => "adopt",
            Page::Api => "api",
            Page::Causes => "causes",
        };
        format!("{self}/{name}.html")
    }

    /// The address of what is written of a cause.
    #[must_use]
    pub fn cause(&self, code: Code) -> String {
        format!("{}#{}", self.page(Page::Causes), code.as_str().to_ascii_lowercase())
    }
}

impl Default for DocsUrl {
    fn default() -> Self {
        Self(PROJECT.to_owned())
    }
}

impl FromStr for DocsUrl {
    type Err = InvalidDocsUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| InvalidDocsUrl)?;
        let usable = ["http", "https"].contains(&url.scheme())
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if usable { Ok(Self(url.as_str().trim_end_matches('/').to_owned())) } else { Err(InvalidDocsUrl) }
    }
}

impl fmt::Display for DocsUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://docs.example.com", "https://docs.example.com")]
    #[case("https://docs.example.com/", "https://docs.example.com")]
    #[case(
        "http://docs.example.com:8000/flagsmith-operator/",
        "http://docs.example.com:8000/flagsmith-operator"
    )]
    fn an_address_is_read(#[case] text: &str, #[case] expected: &str) {
        let docs: DocsUrl = text.parse().unwrap();
        assert_eq!(docs.cause(Code::TaskQueueStalled), format!("{expected}/causes.html#taskqueuestalled"));
    }

    #[rstest]
    #[case("docs.example.com")]
    #[case("docs/causes.md")]
    #[case("file:///usr/share/doc")]
    #[case("https://docs.example.com/?page=1")]
    #[case("https://docs.example.com/#top")]
    #[case("https://user:word@docs.example.com/")]
    fn what_leads_to_no_page_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<DocsUrl>(), Err(InvalidDocsUrl));
    }

    #[test]
    fn the_projects_own_is_one() {
        assert_eq!(PROJECT.parse(), Ok(DocsUrl::default()));
    }

    /// What the book has: its pages by the names of their files, and a heading for each cause.
    #[test]
    fn every_address_leads_to_a_page_and_a_heading() {
        let file = |address: &str| {
            let name = address.strip_prefix(PROJECT).unwrap().replace(".html", ".md");
            std::fs::read_to_string(format!("{}/docs{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        let docs = DocsUrl::default();
        for page in [Page::Adopt, Page::Api] {
            assert!(file(&docs.page(page)).starts_with("# "), "{page:?}");
        }
        let causes = file(&docs.page(Page::Causes));
        let anchors: Vec<String> = causes
            .lines()
            .filter_map(|line| line.strip_prefix("### "))
            .map(|heading| format!("#{}", heading.to_ascii_lowercase()))
            .collect();
        for code in Code::ALL {
            let address = docs.cause(*code);
            assert!(anchors.iter().any(|anchor| address.ends_with(anchor)), "{address}");
        }
    }
}
