//! What stands in front of every line and says nothing: an indentation, a line's number, a pod's name, the side of a box.

use super::beginning::{begins, is_beginning};
use super::prefix::strip;
use super::time::Moment;

/// The widest column in front of a line, in bytes.
const WIDEST: usize = 200;
/// The most parts of a column.
const PARTS: usize = 40;
/// How many columns tell what they have in common.
const TELLING: usize = 40;

/// The most lines over a block of indented lines.
const HEADINGS: usize = 6;

/// The sides of boxes and quotations.
const SIDES: [char; 4] = ['>', '|', '│', '┃'];
/// What indents, quotes and lists.
const SIGNS: [char; 8] = [' ', '\t', '>', '|', '│', '┃', '*', '-'];

/// A part of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// The same blanks in every line.
    Blank(String),
    /// Blanks that align a number.
    Blanks,
    /// A number.
    Number,
    /// A date and time.
    Stamp,
    /// The same word in every line.
    Word(String),
    /// Any word.
    AnyWord,
    /// A sign.
    Sign(char),
}

/// A column in front of every line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    parts: Vec<Part>,
    /// The sign at the end of every line: the other side of a box.
    end: Option<char>,
}

/// A line without the column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Framed<'a> {
    /// The words of the column that are not the same in every line: a pod.
    pub source: String,
    /// The time in the column.
    pub time: Option<Moment>,
    /// The line.
    pub text: &'a str,
}

impl Frame {
    /// Learns the column of these lines; `None` where most begin as a process writes them.
    pub(crate) fn learn(lines: &[&str]) -> Option<Self> {
        let mut plain = 0;
        let mut columns: Vec<Vec<Part>> = Vec::new();
        for line in lines {
            if begins(line) {
                plain += 1;
            } else if let Some(parts) = column(line).and_then(parts) {
                columns.push(parts);
            }
            if columns.len() >= TELLING {
                break;
            }
        }
        let signs = Self::of_signs(lines);
        if plain == 0 && columns.is_empty() || signs.as_ref().is_some_and(Self::has_sides) {
            return signs;
        }
        let parts = common(&columns)?;
        let alike = columns.iter().filter(|other| alike(&parts, other)).count();
        let varied = parts.iter().any(|part| matches!(part, Part::AnyWord | Part::Stamp));
        if alike * 5 < (plain + columns.len()) * 3 {
            return None;
        }
        let mut frame = Self { parts, end: None };
        let written: Vec<&&str> = lines.iter().filter(|line| !line.trim().is_empty()).collect();
        let fits = written.iter().filter(|line| frame.strip(line).is_some()).count();
        // One line can begin in many ways with what is a line of a process; not all lines can.
        if fits * 2 < written.len() || varied && alike < 2 && (fits < written.len() || fits < 3) {
            return None;
        }
        frame.end = frame.side(&written);
        Some(frame)
    }

    /// The blanks and signs in front of all lines, of which none begins as those of Flagsmith do.
    fn of_signs(lines: &[&str]) -> Option<Self> {
        let telling = |line: &&&str| line.chars().any(char::is_alphanumeric);
        let written: Vec<&&str> = lines.iter().filter(telling).collect();
        let written = written.get(headings(&written)..)?;
        let first = **written.first()?;
        let signs = first.find(|sign| !SIGNS.contains(&sign)).unwrap_or(first.len());
        let column = written.iter().fold(first.get(..signs)?, |column, line| {
            let same = column.char_indices().zip(line.chars()).find(|((_, one), two)| one != two);
            let end = same.map_or(column.len().min(line.len()), |((at, _), _)| at);
            column.get(..end).unwrap_or_default()
        });
        let parts = parts(column).filter(|parts| !parts.is_empty())?;
        let frame = Self { parts, end: None };
        Some(Self { end: frame.side(written), ..frame })
    }

    /// Whether it is drawn: no line of a process begins so.
    fn has_sides(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Sign(sign) if SIDES.contains(sign)))
    }

    /// The sign that the lines end with as well as begin.
    fn side(&self, lines: &[&&str]) -> Option<char> {
        let side = self.parts.iter().find_map(|part| match part {
            Part::Sign(sign) => Some(*sign),
            _ => None,
        })?;
        let closed = lines.iter().filter(|line| line.trim_end().ends_with(side)).count();
        (closed * 4 >= lines.len() * 3).then_some(side)
    }

    /// Whether lines have a right side too, so that blanks at their end are none of theirs.
    pub(crate) const fn is_closed(&self) -> bool {
        self.end.is_some()
    }

    /// Takes the column off a line; `None` where it has another form.
    pub(crate) fn strip<'a>(&self, line: &'a str) -> Option<Framed<'a>> {
        let mut rest = line;
        let mut source = String::new();
        let mut time = None;
        for (at, part) in self.parts.iter().enumerate() {
            let Some(after) = part.strip(rest) else {
                // Editors take blanks off the ends of lines: what is left of the column has nothing behind it.
                let only_blanks = self.parts.get(at..).is_some_and(|left| left.iter().all(Part::is_blank));
                if rest.trim().is_empty() && only_blanks {
                    rest = "";
                    break;
                }
                return None;
            };
            let taken = rest.get(..rest.len() - after.len()).unwrap_or_default();
            match part {
                Part::AnyWord => {
                    source.push_str(taken);
                    source.push(' ');
                }
                Part::Stamp => time = time.or_else(|| Moment::read(taken).map(|(moment, _)| moment)),
                _ => {}
            }
            rest = after;
        }
        if let Some(end) = self.end {
            rest = rest.trim_end().strip_suffix(end).unwrap_or(rest).trim_end();
        }
        Some(Framed { source: source.trim_end().to_owned(), time, text: rest })
    }
}

impl Part {
    const fn is_blank(&self) -> bool {
        matches!(self, Self::Blank(_) | Self::Blanks)
    }

    /// The text behind this part.
    fn strip<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Self::Blank(blank) => text.strip_prefix(blank.as_str()),
            Self::Blanks => Some(text.trim_start_matches([' ', '\t'])),
            Self::Number => {
                let rest = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
                (rest.len() < text.len()).then_some(rest)
            }
            Self::Stamp => Moment::read(text).map(|(_, rest)| rest),
            Self::Word(word) => text.strip_prefix(word.as_str()).filter(|rest| !rest.starts_with(is_word)),
            Self::AnyWord => {
                let rest = text.trim_start_matches(is_word);
                (rest.len() < text.len()).then_some(rest)
            }
            Self::Sign(sign) => text.strip_prefix(*sign),
        }
    }
}

/// How many lines stand over a block that is indented as a whole: keys of YAML, or headings with arrows and lines.
fn headings(lines: &[&&str]) -> usize {
    let heads = lines.iter().take(HEADINGS).take_while(|line| !line.starts_with([' ', '\t'])).count();
    let leads = |line: &&&str| {
        line.trim_end().ends_with(['|', ':']) || line.starts_with("--") || line.starts_with("==")
    };
    if heads.checked_sub(1).and_then(|last| lines.get(last)).is_some_and(leads) { heads } else { 0 }
}

const fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '/')
}

/// What stands in front of the first place of a line at which a line of a process begins. What a collector writes in
/// front of lines is left to the line.
fn column(line: &str) -> Option<&str> {
    let places = line.char_indices().map(|(at, _)| at).skip(1).take_while(|at| *at <= WIDEST);
    let begin = places.into_iter().find(|at| line.get(*at..).is_some_and(is_beginning))?;
    let column = line.get(..begin)?;
    let behind = |at: &usize| {
        let text = line.get(*at..).unwrap_or_default();
        let stripped = strip(text);
        stripped.text.len() < text.len() && stripped.text.len() == line.len() - begin
    };
    let next = |(at, sign): (usize, char)| (!is_word(sign)).then_some(at + sign.len_utf8());
    let start = column.char_indices().filter_map(next).filter(|at| *at < begin).find(behind);
    line.get(..start.unwrap_or(begin))
}

/// The parts of a column.
fn parts(column: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = column;
    while let Some(first) = rest.chars().next() {
        let stamp = first.is_ascii_digit().then(|| Moment::read(rest)).flatten();
        let (part, after) = if let Some((_, after)) = stamp {
            (Part::Stamp, after)
        } else if first == ' ' || first == '\t' {
            let after = rest.trim_start_matches(first);
            (Part::Blank(rest.get(..rest.len() - after.len())?.to_owned()), after)
        } else if is_word(first) {
            let after = rest.trim_start_matches(is_word);
            let word = rest.get(..rest.len() - after.len())?;
            let number = word.trim_end_matches(|digit: char| digit.is_ascii_digit()).is_empty();
            // `12.` and `12-`: a number and a sign.
            let digits = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if number || first.is_ascii_digit() && word.len() == rest.len() - digits.len() + 1 {
                (Part::Number, digits)
            } else {
                (Part::Word(word.to_owned()), after)
            }
        } else {
            (Part::Sign(first), rest.get(first.len_utf8()..)?)
        };
        parts.push(part);
        rest = after;
        if parts.len() > PARTS {
            return None;
        }
    }
    Some(parts)
}

/// Whether two columns are the same but for their words and numbers.
fn alike(one: &[Part], other: &[Part]) -> bool {
    let same = |(one, other): (&Part, &Part)| {
        one.is_blank() && other.is_blank()
            || matches!((one, other), (Part::Word(_) | Part::AnyWord, Part::Word(_) | Part::AnyWord))
            || one == other
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

/// What most columns have in common.
fn common(columns: &[Vec<Part>]) -> Option<Vec<Part>> {
    let count = |column: &Vec<Part>| columns.iter().filter(|other| alike(column, other)).count();
    let typical = columns.iter().max_by_key(|column| count(column))?;
    let mut merged = typical.clone();
    for other in columns.iter().filter(|other| alike(typical, other)) {
        let last = merged.len() - 1;
        for (at, (part, new)) in merged.iter_mut().zip(other).enumerate() {
            if part == new {
                continue;
            }
            *part = match (&*part, new) {
                // What is more in some lines is theirs.
                (Part::Blank(one), Part::Blank(two)) if at == last => {
                    Part::Blank(if one.len() < two.len() { one } else { two }.clone())
                }
                (Part::Blank(_) | Part::Blanks, _) => Part::Blanks,
                (Part::Word(_), _) => Part::AnyWord,
                (same, _) => same.clone(),
            };
        }
    }
    // A number that was aligned has fewer blanks where it is longer.
    if let Some(Part::Blank(_)) = merged.first()
        && merged.get(1) == Some(&Part::Number)
        && let Some(first) = merged.first_mut()
    {
        *first = Part::Blanks;
    }
    Some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const LINES: [&str; 6] = [
        "2026-11-22T15:40:56.927275Z [error    ] Internal Server Error: /x [django.request] status_code=500",
        "Traceback (most recent call last):",
        "  File \"/app/x.py\", line 1, in f",
        "    return x",
        "",
        "ValueError: no",
    ];

    #[rstest]
    #[case::blanks(|_, line: &str| format!("  {line}"))]
    #[case::tab(|_, line: &str| format!("\t{line}"))]
    #[case::trimmed(|_, line: &str| format!("    {line}").trim_end().to_owned())]
    #[case::quoted(|_, line: &str| format!("> {line}").trim_end().to_owned())]
    #[case::list(|_, line: &str| format!("- {line}"))]
    #[case::numbered_list(|at, line: &str| format!("{}. {line}", at + 7))]
    #[case::grep(|at, line: &str| format!("{}:{line}", at + 7))]
    #[case::grep_with_a_file(|at, line: &str| format!("logs/api.1.log:{}:{line}", at + 7))]
    #[case::cat(|at, line: &str| format!("{:6}\t{line}", at + 7))]
    #[case::bar(|at, line: &str| format!("{:3} | {line}", at + 7))]
    #[case::side(|_, line: &str| format!("│ {line}"))]
    #[case::the_box(|_, line: &str| format!("│ {line:120} │"))]
    #[case::fly(|_, line: &str| format!("2026-11-28T18:31:04Z app[148ed193b51938] fra [info] {line}"))]
    #[case::pod(|_, line: &str| format!("flagsmith-api-6c9f7c7d5b-x2x9z: {line}"))]
    fn a_column_is_taken_off(#[case] form: fn(usize, &str) -> String) {
        let lines: Vec<String> = LINES.iter().enumerate().map(|(at, line)| form(at, line)).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let frame = Frame::learn(&lines).unwrap();
        let stripped: Vec<&str> = lines.iter().map(|line| frame.strip(line).unwrap().text).collect();
        assert_eq!(stripped, LINES);
    }

    #[test]
    fn a_collectors_prefix_behind_it_stays() {
        let lines = LINES.map(|line| format!("7:[pod/a/b] 2026-11-28T18:31:04Z {line}"));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let frame = Frame::learn(&lines).unwrap();
        assert!(frame.strip(lines[0]).unwrap().text.starts_with("[pod/a/b] 2026"));
    }

    #[test]
    fn pods_are_told_apart() {
        let lines = ["a-1: ", "b-2: "].map(|pod| format!("{pod}{}", LINES[0]));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let frame = Frame::learn(&lines).unwrap();
        assert_eq!(frame.strip(lines[1]).unwrap().source, "b-2");
    }

    #[rstest]
    #[case::none(&LINES)]
    #[case::progress(&["Running migrations:", "  Applying a.0001_x...Traceback (most recent call last):", "  File \"x\", line 1"])]
    #[case::one_in_many(&["x: {\"a\": 1}", "Traceback (most recent call last):", "  File \"x\", line 1"])]
    #[case::prose(&["a: {\"b\": 1}", "some other text", "and one more", "and another one"])]
    fn no_column(#[case] lines: &[&str]) {
        assert_eq!(Frame::learn(lines), None);
    }
}
