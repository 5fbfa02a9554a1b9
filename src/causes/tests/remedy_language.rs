//! Commands in sentences, as a shell would read them.

/// The words of every command of this program in a text.
pub(super) fn commands(text: &str, program: &str) -> Vec<Vec<String>> {
    starts(text, program).map(|start| shell_words(&text[start..])).collect()
}

/// A text without its commands.
pub(super) fn without_commands(text: &str) -> String {
    let mut text = text.to_owned();
    for program in ["kubectl ", "helm "] {
        while let Some(start) = text.find(program) {
            let length = shell_length(&text[start..]);
            text.replace_range(start..start + length, "");
        }
    }
    text
}

/// Where commands of a program begin: not within a word, and not where a sentence only speaks of the program.
fn starts(text: &str, program: &str) -> impl Iterator<Item = usize> {
    let before_ok = |start: usize| {
        let before = text[..start].chars().next_back();
        before.is_none_or(|it| !it.is_alphanumeric() && !"/-_".contains(it))
    };
    let begins = |start: usize| {
        let rest = &text[start + program.len()..];
        rest.starts_with(' ') && !rest.starts_with(" command")
    };
    text.match_indices(program)
        .map(|(start, _)| start)
        .filter(move |start| before_ok(*start) && begins(*start))
        .collect::<Vec<_>>()
        .into_iter()
}

/// The words of a command up to its end: a pipe, `&&`, `;`, a closing parenthesis, or where the sentence goes on.
pub(super) fn shell_words(text: &str) -> Vec<String> {
    read(text).0
}

fn shell_length(text: &str) -> usize {
    read(text).1.max(1)
}

fn read(text: &str) -> (Vec<String>, usize) {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut begun = false;
    let mut quote = None;
    let mut depth = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, it)) = characters.next() {
        match (quote, it) {
            (Some(open), _) if it == open => quote = None,
            (Some('"') | None, '\\') => {
                if let Some((_, escaped)) = characters.next() {
                    word.push(escaped);
                    begun = true;
                }
            }
            (Some(_), _) => word.push(it),
            (None, '\'' | '"') if depth == 0 => {
                quote = Some(it);
                begun = true;
            }
            (None, '$') if characters.peek().is_some_and(|(_, next)| *next == '(') => {
                word.push_str("$(");
                characters.next();
                depth += 1;
                begun = true;
            }
            (None, ')') if depth > 0 => {
                word.push(it);
                depth -= 1;
            }
            (None, _) if depth > 0 => word.push(it),
            (None, '|' | ';' | '&' | ')') => return (finish(words, &word, begun), at),
            (None, ' ') => {
                if begun {
                    let ends = word.ends_with([',', ':'])
                        || (word.ends_with('.')
                            && characters.peek().is_none_or(|(_, next)| next.is_uppercase()));
                    words = finish(words, &std::mem::take(&mut word), true);
                    begun = false;
                    if ends {
                        return (words, at);
                    }
                }
            }
            (None, _) => {
                word.push(it);
                begun = true;
            }
        }
    }
    (finish(words, &word, begun), text.len())
}

fn finish(mut words: Vec<String>, word: &str, begun: bool) -> Vec<String> {
    if begun {
        words.push(word.trim_end_matches(['.', ',', ':']).to_owned());
    }
    words
}
