//! The image's Python cannot import what Flagsmith needs.

use crate::causes::{
    log::{failure::quoted_after, phrasing::component},
    prelude::*,
};

pub(crate) static CAUSE: Cause = Cause {
    explains: &[
        Explains::same_component(consequences::WITHOUT_START),
        Explains::from_api(consequences::WITHOUT_API),
        Explains::same_component(&[Code::MigrationFailed, Code::GunicornWorkersFailing]),
    ],
    log: &[&LIBRARIES, &LOG],
    ..Cause::critical(Component::Api, include_str!("image_cannot_import.md"))
};

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// A shared library, or a version of one.
    Library,
    /// The module that `DJANGO_SETTINGS_MODULE` names.
    Settings,
    /// A package.
    Module,
    /// A name in a package of another version.
    Name,
}

/// Where it is more than one request.
const STARTING: &[Stage] = &[Stage::Migrate, Stage::Boot];

/// What the dynamic linkers of glibc and musl say, to Python or by themselves.
const LINKER: &[&str] = &[
    "cannot open shared object file",
    "Error loading shared library",
    "Error relocating ",
    "undefined symbol: ",
    "invalid ELF header",
    "wrong ELF class",
    "' not found (required by ",
    "failed to map segment from shared object",
];

static LIBRARIES: Rule<Variant> = Rule {
    precedence: 145,
    signatures: &[
        Signature::of_words(Variant::Library, LINKER).class(&["ImportError", "OSError", ""]).stage(STARTING),
        Signature::of_words(Variant::Library, &["Error loading psycopg2 or psycopg module"])
            .class(&["ImproperlyConfigured"])
            .stage(STARTING),
    ],
    details,
    explain,
    is_over: None,
};

/// Asked only of what no other rule knows: a package that is missing may be a class of workers that was chosen.
static LOG: Rule<Variant> = Rule {
    precedence: 895,
    signatures: &[
        Signature::of_words(Variant::Settings, &["No module named '"])
            .class(&["ModuleNotFoundError", "ImportError"])
            .also(&["settings"])
            .stage(STARTING),
        Signature::of_words(Variant::Module, &["No module named "])
            .class(&["ModuleNotFoundError", "ImportError"])
            .stage(STARTING),
        Signature::of(Variant::Name).class(&["ImportError"]).stage(STARTING),
    ],
    details,
    explain,
    is_over: None,
};

#[expect(clippy::unnecessary_wraps, reason = "the form of a rule's function")]
fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    let line = failure.message.lines().next().unwrap_or_default();
    let object = quoted_after(line, &["No module named ", "cannot import name "]);
    Some(FailureDetails {
        detail: Some(line.trim_end_matches('.').to_owned()),
        object: object.map(str::to_owned),
        ..FailureDetails::default()
    })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let who = component(evidence.component);
    let said = occurrence.details.detail.as_deref().unwrap_or_default();
    let name = occurrence.details.object.as_deref().unwrap_or("it");
    let (message, remedy) = match variant {
        Variant::Library => (
            format!(
                "{who} cannot start: its image lacks a shared library, or has it in another version than Python needs: {said}."
            ),
            "Use the released image as it is. In an image of your own install the library in the last stage of the build as well (libpq5 for \
             psycopg2 on Debian, libpq on Alpine), and build wheels on the same distribution that runs them: those for glibc do not work \
             with musl. A volume over the image's folders hides what is in them.",
        ),
        Variant::Settings => (
            format!("{who} cannot start: the settings module {name} does not exist in its image."),
            "Set DJANGO_SETTINGS_MODULE=app.settings.production, or remove it: that is what the image has.",
        ),
        Variant::Module => (
            format!("{who} cannot start: its image has no Python package {name}."),
            "Use the released image of this version as it is. Where code or settings of your own need that package, build an image on top of \
             Flagsmith's that installs it; a volume over /app or over the packages' folder hides what the image has. PYTHONPATH and \
             PYTHONHOME should not be set.",
        ),
        Variant::Name => (
            format!("{who} cannot start: code in its image does not fit the packages there: {said}."),
            "Use the released image of this version as it is: something installed, upgraded or mounted over it does not belong to this release. \
             Pin what an image of your own installs to the versions that Flagsmith's has (pip freeze).",
        ),
    };
    Explanation::new(Code::ImageCannotImport, message, remedy)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::log::testing::code;

    #[rstest]
    #[case("ImportError", "libpq.so.5: cannot open shared object file: No such file or directory")]
    #[case(
        "ImportError",
        "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /x/_psycopg.so)"
    )]
    #[case("ImportError", "Error relocating /x/_psycopg.so: __memcpy_chk: symbol not found")]
    #[case(
        "",
        "Error loading shared library libpython3.13.so.1.0: No such file or directory (needed by /usr/bin/python3)"
    )]
    #[case(
        "",
        "python: error while loading shared libraries: libpython3.13.so.1.0: cannot open shared object file: No such file or directory"
    )]
    #[case("django.core.exceptions.ImproperlyConfigured", "Error loading psycopg2 or psycopg module")]
    #[case("ModuleNotFoundError", "No module named 'health_check.plugins'")]
    #[case("ModuleNotFoundError", "No module named 'app.settings.prod'")]
    #[case("ImportError", "cannot import name 'url' from 'django.conf.urls' (/x/urls/__init__.py)")]
    fn told(#[case] class: &str, #[case] message: &str) {
        for stage in [Stage::Boot, Stage::Migrate] {
            assert_eq!(code(stage, class, message), Some(Code::ImageCannotImport));
        }
        assert_ne!(code(Stage::Serve, class, message), Some(Code::ImageCannotImport));
    }
}
