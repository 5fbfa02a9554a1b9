//! Lines of one source to events: which lines belong together, also when others come in between.

use super::event::{Event, Exception, Level, Link, MESSAGE_LIMIT, Origin, Place, append_line, clip};
use super::json::{self, Json, JsonRecord};
use super::leaves::Layout;
use super::record::{self, Record, split_logger};
use super::time::Moment;
use super::traceback::{Line, classify, continues_message, is_well_known};

/// The most lines that an open event may see before it is given up as unfinished. Flagsmith's longest traceback
/// has about 120 lines; the rest is room for other processes' lines in between.
const PATIENCE: u32 = 2_000;

/// Gathers the lines of one source into events.
#[derive(Debug)]
pub(crate) struct Grouper {
    source: u16,
    open: Option<Open>,
    /// A traceback that had not ended when another process's record came.
    waiting: Option<Open>,
}

#[derive(Debug)]
struct Open {
    event: Event,
    part: Part,
    link: Link,
    /// Where the traceback that is being read has come to.
    place: Option<Place>,
    /// How many lines have come since it began.
    lines: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// In the message of a record.
    Message,
    /// Between `Traceback` and the exception.
    Frames,
    /// In the message of an exception.
    Exception,
    /// Behind a complete traceback: a connector may follow.
    Between,
}

impl Grouper {
    /// A grouper of the source with this index.
    pub(crate) const fn new(source: u16) -> Self {
        Self { source, open: None, waiting: None }
    }

    /// Whether an event is unfinished, so that the next lines have to be seen whatever they are.
    pub(crate) const fn is_open(&self) -> bool {
        self.open.is_some() || self.waiting.is_some()
    }

    /// Takes the next line of the source; `stamp` is the collector's time.
    pub(crate) fn line(
        &mut self,
        number: u64,
        text: &str,
        stamp: Option<Moment>,
        sink: &mut impl FnMut(Event),
    ) {
        self.expire(sink);
        let mut text = text;
        while let Some((progress, rest)) = split_progress(text) {
            if !self.in_frames() {
                self.close(sink);
            }
            sink(self.plain(number, progress, stamp));
            if rest.is_empty() {
                return;
            }
            text = rest;
            if let Some(Json::Record(record)) = json::read(text, &Layout::default()) {
                return self.json(number, *record, stamp, sink);
            }
        }
        match record::read(text) {
            Some(record) => self.record(number, &record, stamp, sink),
            None => self.text(number, text, stamp, sink),
        }
    }

    /// Takes a record in JSON, which is an event of its own; `stamp` is the collector's time.
    pub(crate) fn json_record(
        &mut self,
        number: u64,
        record: JsonRecord,
        stamp: Option<Moment>,
        sink: &mut impl FnMut(Event),
    ) {
        self.expire(sink);
        self.json(number, record, stamp, sink);
    }

    /// Ends what is open: the log is over.
    pub(crate) fn finish(&mut self, sink: &mut impl FnMut(Event)) {
        self.close(sink);
        if let Some(waiting) = self.waiting.take() {
            sink(waiting.event);
        }
    }

    fn expire(&mut self, sink: &mut impl FnMut(Event)) {
        for slot in [&mut self.open, &mut self.waiting] {
            if let Some(open) = slot {
                open.lines += 1;
                if open.lines > PATIENCE
                    && let Some(expired) = slot.take()
                {
                    sink(expired.event);
                }
            }
        }
    }

    fn in_frames(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.part == Part::Frames)
    }

    fn close(&mut self, sink: &mut impl FnMut(Event)) {
        if let Some(open) = self.open.take() {
            sink(open.event);
        }
    }

    fn plain(&self, number: u64, text: &str, stamp: Option<Moment>) -> Event {
        let mut event = Event::new(number, self.source, Origin::Plain);
        // Its own time, as records have it, before that of what carried it: the two clocks may differ.
        event.time = Moment::read_access(text).or(stamp);
        clip(text, MESSAGE_LIMIT).clone_into(&mut event.message);
        event
    }

    fn json(&mut self, number: u64, record: JsonRecord, stamp: Option<Moment>, sink: &mut impl FnMut(Event)) {
        // A record in one line does not end a traceback that another process is printing.
        let mut event = Event::new(number, self.source, Origin::Record);
        event.time = record.time.or(stamp);
        event.pid = record.pid;
        event.level = record.level;
        event.logger = record.logger;
        clip(record.message.trim_end(), MESSAGE_LIMIT).clone_into(&mut event.message);
        if let Some(traceback) = record.traceback {
            read_traceback(&mut event, &traceback);
        }
        if !matches!(&self.open, Some(open) if open.part != Part::Message) {
            self.close(sink);
        }
        sink(event);
    }

    fn record(
        &mut self,
        number: u64,
        record: &Record<'_>,
        stamp: Option<Moment>,
        sink: &mut impl FnMut(Event),
    ) {
        if self.in_frames() {
            if let Some(older) = self.waiting.take() {
                sink(older.event);
            }
            self.waiting = self.open.take();
        }
        self.close(sink);
        let mut event = Event::new(number, self.source, Origin::Record);
        event.time = record.time.or(stamp);
        event.pid = record.pid;
        event.level = Some(record.level);
        record.logger.unwrap_or_default().clone_into(&mut event.logger);
        clip(record.message, MESSAGE_LIMIT).clone_into(&mut event.message);
        // The message is a traceback itself: what follows belongs to it, whatever its level.
        let part = if classify(record.message) == Line::Start { Part::Frames } else { Part::Message };
        // A complete record of normal work has neither more lines nor a traceback.
        if part == Part::Message && record.logger.is_some() && record.level < Level::Warning {
            return sink(event);
        }
        self.open = Some(Open { event, part, link: Link::First, place: None, lines: 0 });
    }

    fn text(&mut self, number: u64, text: &str, stamp: Option<Moment>, sink: &mut impl FnMut(Event)) {
        let line = classify(text);
        if self.resume(&line, text) {
            self.close(sink);
            self.open = self.waiting.take();
        }
        let Some(open) = &mut self.open else {
            return self.unopened(number, text, line, stamp, sink);
        };
        match (open.part, line) {
            (Part::Message | Part::Between, Line::Start) if open.takes_traceback() => {
                open.part = Part::Frames;
                open.place = None;
            }
            (Part::Frames, Line::Frame) => open.frame(text),
            (Part::Frames, Line::Exception { class, message }) => open.exception(number, class, message),
            (Part::Frames, Line::Blank | Line::Other) => {
                if line == Line::Other {
                    sink(self.plain(number, text, stamp));
                }
            }
            (Part::Exception | Part::Between, _)
                if open.lists_checks()
                    && line != Line::Start
                    && !text.starts_with("System check identified") =>
            {
                if let Some(exception) = open.event.chain.last_mut()
                    && line != Line::Blank
                {
                    append_line(&mut exception.message, text.trim());
                }
            }
            (Part::Exception, Line::Blank) => open.part = Part::Between,
            (Part::Between | Part::Message, Line::Blank) => {}
            (Part::Exception | Part::Between, Line::Connector(connector)) => {
                open.link = connector;
                open.part = Part::Between;
            }
            (Part::Exception, _) if continues_message(text) && line != Line::Start => {
                if let Some(exception) = open.event.chain.last_mut() {
                    append_line(&mut exception.message, text.trim());
                }
            }
            (Part::Message, Line::Frame | Line::Other | Line::Exception { .. })
                if open.continue_message(text) => {}
            _ => {
                self.close(sink);
                self.unopened(number, text, line, stamp, sink);
            }
        }
    }

    /// Whether the line belongs to the traceback that another record interrupted.
    fn resume(&self, line: &Line<'_>, text: &str) -> bool {
        let interrupted = self.waiting.is_some();
        match (line, &self.open) {
            (Line::Frame, Some(open)) => {
                interrupted
                    && open.part == Part::Message
                    && (text.starts_with("  File \"") || text.starts_with("    "))
            }
            (Line::Exception { .. }, Some(open)) => interrupted && open.part == Part::Message,
            (Line::Frame | Line::Exception { .. }, None) => interrupted,
            _ => false,
        }
    }

    fn unopened(
        &mut self,
        number: u64,
        text: &str,
        line: Line<'_>,
        stamp: Option<Moment>,
        sink: &mut impl FnMut(Event),
    ) {
        let mut event = Event::new(number, self.source, Origin::Traceback);
        event.time = stamp;
        let mut open = Open { event, part: Part::Frames, link: Link::First, place: None, lines: 0 };
        match line {
            Line::Start => {
                // What comes before it in the same line is another program's unfinished line.
                if let Some((before, _)) = text.split_once("Traceback")
                    && !before.trim().is_empty()
                {
                    sink(self.plain(number, before.trim(), stamp));
                }
            }
            Line::Exception { class, message } if is_well_known(class) => {
                open.exception(number, class, message);
            }
            Line::Connector(connector) => {
                open.link = connector;
                open.part = Part::Between;
            }
            // The log begins within the traceback of a worker that Gunicorn has aborted: the last frame says so.
            Line::Frame if text.trim_end().ends_with(", in handle_abort") => open.frame(text),
            Line::Blank | Line::Frame => return,
            Line::Exception { .. } | Line::Other => return sink(self.plain(number, text, stamp)),
        }
        self.open = Some(open);
    }
}

impl Open {
    fn frame(&mut self, text: &str) {
        self.event.frames.note(text);
        if let Some(inner) = Place::read(text, self.place.as_ref()) {
            self.place = Some(inner);
        }
    }

    fn exception(&mut self, line: u64, class: &str, message: &str) {
        let after = if self.event.chain.is_empty() { Link::First } else { self.link };
        self.event.push_exception(Exception {
            line,
            class: clip(class, 200).to_owned(),
            message: clip(message, MESSAGE_LIMIT).to_owned(),
            link: after,
            place: self.place.take(),
        });
        self.part = Part::Exception;
        self.link = Link::First;
    }

    /// Whether a traceback that begins now belongs to this event. What a record of normal work is followed by is
    /// printed by somebody else, mostly by a management command that fails.
    fn takes_traceback(&self) -> bool {
        let event = &self.event;
        self.link != Link::First
            || self.part == Part::Message
                && event.origin == Origin::Record
                && event.level.is_none_or(|level| level >= Level::Warning)
    }

    /// Whether Django lists below what its system check has found, with blank lines between, up to a line that counts.
    fn lists_checks(&self) -> bool {
        let last = self.event.chain.last();
        last.is_some_and(|exception| exception.class.ends_with("SystemCheckError"))
    }

    /// Takes a line into the record's message; false when it is none of it.
    fn continue_message(&mut self, text: &str) -> bool {
        let event = &mut self.event;
        if event.logger.is_empty()
            && event.origin == Origin::Record
            && let Some((more, logger)) = split_logger(text)
        {
            if !more.trim().is_empty() {
                append_line(&mut event.message, more.trim());
            }
            logger.clone_into(&mut event.logger);
            return true;
        }
        let continues = continues_message(text);
        if continues {
            append_line(&mut event.message, text.trim());
        }
        continues
    }
}

/// Splits `  Applying users.0041_x... REST` behind the dots when something other than the outcome follows:
/// Django ends the line only when the migration has ended.
fn split_progress(text: &str) -> Option<(&str, &str)> {
    let trimmed = text.trim_start();
    if trimmed.starts_with("No migrations to apply") || trimmed.starts_with("[ ] ") {
        return Some((trimmed, ""));
    }
    if !(trimmed.starts_with("Applying ") || trimmed.starts_with("Unapplying ")) {
        return None;
    }
    let dots = trimmed.find("...")? + 3;
    let (progress, rest) = trimmed.split_at_checked(dots)?;
    let outcome = rest.trim_start();
    if outcome.starts_with("OK") || outcome.starts_with("FAKED") {
        return Some((trimmed, ""));
    }
    Some((progress, outcome))
}

/// Reads the traceback of a record that has it as one text.
fn read_traceback(event: &mut Event, text: &str) {
    let line = event.line;
    let mut grouper = Grouper::new(event.source);
    let mut sink = |part: Event| {
        if part.chain.is_empty() && part.origin != Origin::Traceback {
            return;
        }
        event.frames = part.frames;
        part.chain.into_iter().for_each(|exception| event.push_exception(exception));
    };
    for part in text.lines() {
        grouper.text(line, part, None, &mut sink);
    }
    grouper.finish(&mut sink);
}

#[cfg(test)]
mod tests;
