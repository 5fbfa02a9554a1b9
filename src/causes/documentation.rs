//! Every cause in words: the source of `explain CODE` and of `docs/causes.md`.

use std::fmt::Write as _;

use super::{FAMILIES, prose::Prose};
use crate::model::Code;

impl Code {
    /// The cause in words.
    #[must_use]
    pub fn prose(self) -> Prose {
        Prose::read(self.cause().prose)
    }

    /// How much it usually matters, as users read it.
    #[must_use]
    pub fn usual_severity(self) -> &'static str {
        self.cause().severity.as_str()
    }
}

/// The text of `docs/causes.md`.
#[must_use]
pub fn causes_markdown() -> String {
    let mut text = String::from(
        "# Causes\n\n\
         <!-- Generated from src/causes/*/*.md by `make generate`; do not edit. -->\n\n\
         Every cause that the operator and `flagsmith-operator diagnose` name, with what confirms it and what to do. \
         `flagsmith-operator explain CODE` prints the same. ROLE, NAME, POD and the like stand for your own names; \
         SQL is for psql on Flagsmith's database.\n",
    );
    for family in FAMILIES {
        let _ = write!(text, "\n## {}\n", family.title);
        for (code, cause) in family.causes {
            let prose = Prose::read(cause.prose);
            let _ = write!(
                text,
                "\n### {code}\n\n**{}** ({})\n\n{}\n\n- **Passes by itself:** {}\n- **Confirm:** {}\n- **Do:** {}\n",
                prose.title,
                cause.severity.as_str(),
                prose.explanation,
                prose.passes,
                prose.confirm,
                prose.remedy,
            );
        }
    }
    text
}
