//! A tree of lines, drawn as `tree` draws directories.

use std::fmt::Write as _;

/// A line with what hangs below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    text: String,
    children: Vec<Node>,
}

impl Node {
    /// A line.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), children: Vec::new() }
    }

    /// The same with lines below it.
    pub(super) fn with(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }

    /// The whole tree, a line break at the end of each line.
    pub(super) fn draw(&self) -> String {
        let mut text = String::new();
        self.draw_below(&mut text, "", "");
        text
    }

    fn draw_below(&self, text: &mut String, first: &str, rest: &str) {
        let _ = writeln!(text, "{first}{}", self.text);
        for (index, child) in self.children.iter().enumerate() {
            if index + 1 < self.children.len() {
                child.draw_below(text, &format!("{rest}├─ "), &format!("{rest}│  "));
            } else {
                child.draw_below(text, &format!("{rest}└─ "), &format!("{rest}   "));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn branches_hang_where_they_belong() {
        let tree = Node::new("a").with([Node::new("b").with([Node::new("c")]), Node::new("d")]);
        assert_eq!(tree.draw(), "a\n├─ b\n│  └─ c\n└─ d\n");
    }
}
