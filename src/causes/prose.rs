//! A cause in words, from its Markdown file.

/// The sections of a cause's prose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prose {
    /// What it is, in a few words.
    pub title: &'static str,
    /// What happens, and why.
    pub explanation: &'static str,
    /// Whether it passes by itself.
    pub passes: &'static str,
    /// What confirms or refutes it.
    pub confirm: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

impl Prose {
    /// Reads `# title`, the explanation, and the sections below it. A section that is missing is empty; a test holds
    /// that none is.
    pub(crate) fn read(text: &'static str) -> Self {
        let mut parts = text.split("\n## ");
        let head = parts.next().unwrap_or_default().trim();
        let (title, explanation) = head.split_once('\n').unwrap_or((head, ""));
        let mut prose = Self {
            title: title.trim_start_matches("# ").trim(),
            explanation: explanation.trim(),
            ..Self::default()
        };
        for part in parts {
            let (heading, body) = part.split_once('\n').unwrap_or((part, ""));
            let body = body.trim();
            match heading.trim() {
                "Passes by itself" => prose.passes = body,
                "Confirm" => prose.confirm = body,
                "Do" => prose.remedy = body,
                _ => {}
            }
        }
        prose
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::all;

    #[test]
    fn every_cause_has_every_section_and_no_other() {
        for (code, cause) in all() {
            let headings: Vec<&str> =
                cause.prose.lines().filter(|line| line.starts_with('#')).skip(1).collect();
            assert_eq!(headings, ["## Passes by itself", "## Confirm", "## Do"], "{code}");
            let prose = Prose::read(cause.prose);
            for text in [prose.explanation, prose.passes, prose.confirm, prose.remedy] {
                assert!(text.ends_with(['.', ';', ')', '"']), "{code}: {text:?}");
            }
            assert!(!prose.title.is_empty() && !prose.title.ends_with('.'), "{code}");
        }
    }
}
