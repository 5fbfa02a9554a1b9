//! What is given as a log and is none: what kubectl or Helm say of themselves.

use std::borrow::Cow;

use super::location::LogLocation;
use crate::logs::event::{Event, Origin};

/// What a line is that no process of Flagsmith writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// kubectl's, of a container that has not started: its pod, and what it waits for.
    Waiting { pod: String, reason: String },
    /// kubectl's, of a log that it could not read.
    Refused,
    /// Helm's, of a release.
    Helm,
    /// A list or a description of objects of Kubernetes.
    Objects,
}

/// How kubectl begins what it could not do.
const REFUSALS: [&str; 6] = [
    "Error from server",
    "error: a container name must be specified",
    "error: container ",
    "error: the server doesn't have",
    "unable to retrieve container logs",
    "No resources found in ",
];
/// How Helm begins what it says of a release.
const OF_HELM: [&str; 4] =
    ["Error: UPGRADE FAILED", "Error: INSTALLATION FAILED", "Error: ROLLBACK FAILED", "LAST DEPLOYED: "];
/// What stands at the head of a list of objects.
const OF_OBJECTS: [&str; 2] = ["RESTARTS ", "LAST SEEN "];

/// The first line that is no log's, while nothing was read that a process of Flagsmith wrote.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    is_log: bool,
    first: Option<(Answer, LogLocation)>,
}

impl Answers {
    /// Notes what an event shows.
    pub(crate) fn observe(&mut self, event: &Event, input: u16) {
        if self.is_log {
            return;
        }
        let whole = |class: &str, message: &str| format!("{class}: {message}");
        let text: Cow<'_, str> = match event.origin {
            Origin::Plain => event.message.as_str().into(),
            // `Error: …` could be the last line of a traceback.
            Origin::Traceback if event.is_headless() && event.chain.len() == 1 => {
                event.chain.iter().map(|it| whole(&it.class, &it.message)).collect()
            }
            Origin::Record | Origin::Traceback => {
                self.is_log = true;
                return;
            }
        };
        if self.first.is_none()
            && let Some(answer) = answer(&text)
        {
            let location = LogLocation { message: text.into_owned(), ..LogLocation::of(event, input) };
            self.first = Some((answer, location));
        }
    }

    /// Notes a line of a description of objects, which is no log.
    pub(crate) fn describe(&mut self, line: u64, text: &str, input: u16) {
        if self.first.is_none() && !text.trim().is_empty() {
            let message = text.trim().to_owned();
            let location = LogLocation { input, line, time: None, class: String::new(), message };
            self.first = Some((Answer::Objects, location));
        }
    }

    /// What was given instead of a log, and where that stands.
    pub(crate) fn instead(&self) -> Option<&(Answer, LogLocation)> {
        self.first.as_ref().filter(|_| !self.is_log)
    }
}

fn answer(text: &str) -> Option<Answer> {
    let text = text.trim();
    let begins = |with: &[&str]| with.iter().any(|start| text.starts_with(start));
    if begins(&REFUSALS) {
        let waiting = text.split_once(" is waiting to start: ").and_then(|(before, reason)| {
            let (_, pod) = before.rsplit_once(" in pod \"")?;
            Some(Answer::Waiting { pod: pod.trim_end_matches('"').to_owned(), reason: reason.to_owned() })
        });
        return Some(waiting.unwrap_or(Answer::Refused));
    }
    if begins(&OF_HELM) {
        return Some(Answer::Helm);
    }
    OF_OBJECTS.iter().any(|words| text.contains(words)).then_some(Answer::Objects)
}
