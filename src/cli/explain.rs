//! `explain CODE`: what a cause means, what confirms it, what to do.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::docs::DocsArgs;
use crate::model::{Code, DocsUrl};

/// Exit status of a code that does not exist, as clap's for bad usage.
const UNKNOWN: u8 = 2;
/// The most names that are suggested for a typing error.
const SUGGESTIONS: usize = 3;

/// The arguments of `explain`.
#[derive(Args, Clone, Debug)]
pub(super) struct ExplainArgs {
    /// The code of a cause, without it all are listed
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
    #[command(flatten)]
    docs: DocsArgs,
}

/// Prints the entry of a cause, or all causes.
pub(super) fn run(args: &ExplainArgs) -> ExitCode {
    let Some(name) = args.code.as_deref().map(str::trim) else {
        let _ = io::stdout().lock().write_all(list().as_bytes());
        return ExitCode::SUCCESS;
    };
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str().eq_ignore_ascii_case(name)) {
        let _ = io::stdout().lock().write_all(explanation(*code, &args.docs.docs_url).as_bytes());
        return ExitCode::SUCCESS;
    }
    let near = suggestions(name);
    let hint = if near.is_empty() {
        format!("{} explain lists all causes", super::context::program())
    } else {
        format!("similar: {}", near.join(", "))
    };
    let _ = writeln!(io::stderr(), "error: there is no cause named \"{name}\"; {hint}");
    ExitCode::from(UNKNOWN)
}

fn explanation(code: Code, docs: &DocsUrl) -> String {
    let prose = code.prose();
    format!(
        "{} ({})\n  {}\n\n{}\n\n  passes by itself  {}\n  confirm           {}\n  do                {}\n  docs              {}\n",
        code,
        code.usual_severity().to_lowercase(),
        prose.title,
        prose.explanation,
        prose.passes,
        prose.confirm,
        prose.remedy,
        docs.cause(code),
    )
}

fn list() -> String {
    let width = Code::ALL.iter().map(|code| code.as_str().len()).max().unwrap_or(0);
    Code::ALL.iter().fold(String::new(), |mut list, code| {
        let _ = std::fmt::Write::write_fmt(
            &mut list,
            format_args!("{:width$}  {}\n", code.as_str(), code.prose().title),
        );
        list
    })
}

/// Codes with that text in their name, or those that differ in few letters.
fn suggestions(name: &str) -> Vec<&'static str> {
    let name = name.to_ascii_lowercase();
    let mut near: Vec<(usize, &str)> = Code::ALL
        .iter()
        .map(|code| code.as_str())
        .filter_map(|code| {
            let lower = code.to_ascii_lowercase();
            if name.len() > 2 && lower.contains(&name) {
                return Some((0, code));
            }
            let distance = distance(&name, &lower);
            (distance <= code.len() / 3).then_some((distance, code))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(SUGGESTIONS).map(|(_, code)| code).collect()
}

/// Levenshtein's distance: how many letters to change, add or leave out.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.chars()) {
            let cost = if a == b { diagonal } else { 1 + diagonal.min(*cell).min(left) };
            diagonal = std::mem::replace(cell, cost);
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", "", 0)]
    #[case("abc", "", 3)]
    #[case("kitten", "sitting", 3)]
    #[case("flaw", "lawn", 2)]
    fn distances(#[case] from: &str, #[case] to: &str, #[case] expected: usize) {
        assert_eq!(distance(from, to), expected);
    }

    #[test]
    fn typing_errors_are_understood() {
        assert_eq!(suggestions("DatabaseUnreachabel").first(), Some(&"DatabaseUnreachable"));
        assert!(suggestions("deadlock").contains(&"MigrationDeadlock"));
        assert_eq!(suggestions("xyzxyzxyz"), Vec::<&str>::new());
    }
}
