//! One investigation: any number of logs of one component in, diagnoses out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufRead, Read};

use jiff::Timestamp;

use super::{
    access::{is_good_probe, is_of_a_client},
    evidence::{LogEvidence, LogLocation},
    finding::Finding,
    findings, rules,
};
use crate::flagsmith::WorkerClass;
use crate::logs::clean::clean;
use crate::logs::event::{Event, clip};
use crate::logs::form::{Form, LOOK, Lines, Raw};
use crate::logs::group::Grouper;
use crate::logs::lines::Ahead;
use crate::logs::peel::{Content, peel};
use crate::logs::prefilter::Prefilter;
use crate::logs::time::Moment;
use crate::model::{Component, Diagnosis, Draft};

/// The most sources (pods, Compose services, files) that are kept apart; further ones share the last place.
const SOURCES: usize = 256;

/// The longest line that is put together from those a runtime has cut, in bytes.
const LONGEST: usize = 64 * 1024;
/// The largest log that is turned round, in bytes; of a larger one the oldest part is left out.
const LARGEST: u64 = 128 * 1024 * 1024;

/// A log that was read.
#[derive(Debug)]
struct Input {
    name: String,
    /// What its numbers count: `line`, or `record` where many of them stand on one line.
    unit: &'static str,
}

/// Gathers the logs of one component.
#[derive(Debug)]
pub struct Investigation {
    case: LogEvidence,
    /// Whether evidence gives line numbers: those of a running pod's log are gone at the next look.
    numbered: bool,
    needles: Prefilter,
    inputs: Vec<Input>,
    /// Of inputs that were turned round, the number in the file of each line in the order of time.
    turned: HashMap<u16, Vec<u64>>,
    sources: HashMap<(u16, String), u16>,
    groupers: Vec<Grouper>,
    /// The source that was asked for last: lines of one source come in a row.
    latest: (u16, String, usize),
}

/// Diagnoses the log of a pod's container; `name` stands for it in the evidence. Pure: the same bytes give the same
/// answer. The log of a migration Job has component [`Component::Migrations`]. `regime` is how Gunicorn's workers handle
/// requests, where that is known: a log that does not begin with their start does not say it. Each diagnosis comes with
/// the time of the last line that shows it, where the lines have times.
///
/// ```
/// use flagsmith_operator::{causes::diagnose_log, model::{Code, Component}};
///
/// let log = br#"django.db.utils.OperationalError: connection to server at "db" (10.0.0.7), port 5432 failed: FATAL:  database "flags" does not exist"#;
/// let found = diagnose_log(Component::Api, None, "pod/api", log);
/// assert_eq!(found[0].1.code, Code::DatabaseNotFound);
/// assert!(diagnose_log(Component::Api, None, "pod/api", b"").is_empty());
/// ```
#[must_use]
pub fn diagnose_log(
    component: Component,
    regime: Option<WorkerClass>,
    name: &str,
    log: &[u8],
) -> Vec<(Option<Timestamp>, Diagnosis)> {
    let mut investigation = Investigation { numbered: false, ..Investigation::new(component) };
    investigation.case.workers.regime = regime;
    // The kubelet hands out what the process wrote. Bytes in memory can always be read.
    let _ = investigation.read_form(name, &Form::default(), log);
    investigation.dated()
}

/// Diagnoses one log as the command line does.
#[cfg(test)]
pub(crate) fn read_one(component: Component, log: impl BufRead) -> io::Result<Vec<Diagnosis>> {
    let mut investigation = Investigation::new(component);
    investigation.read("", log)?;
    Ok(investigation.conclude())
}

impl Investigation {
    /// An investigation without logs.
    #[must_use]
    pub fn new(component: Component) -> Self {
        Self {
            case: LogEvidence::new(component, rules::recognise),
            numbered: true,
            needles: Prefilter::new(),
            inputs: Vec::new(),
            turned: HashMap::new(),
            sources: HashMap::new(),
            groupers: Vec::new(),
            latest: (0, String::new(), usize::MAX),
        }
    }

    /// Reads one log to its end, in whatever form it is; `name` stands before the line numbers in evidence, unless it is
    /// empty.
    pub fn read(&mut self, name: &str, mut log: impl BufRead) -> io::Result<()> {
        // However the reader cuts the log, the same beginning is looked at.
        let mut start = Vec::new();
        log.by_ref().take(LOOK).read_to_end(&mut start)?;
        let form = Form::of(&start);
        self.read_form(name, &form, start.as_slice().chain(log))
    }

    fn read_form(&mut self, name: &str, form: &Form, log: impl BufRead) -> io::Result<()> {
        let input = u16::try_from(self.inputs.len()).unwrap_or(u16::MAX);
        let unit = if form.counts_records { "record" } else { "line" };
        self.inputs.push(Input { name: name.to_owned(), unit });
        if !form.newest_first {
            let mut reading = Reading::new(self, input, form);
            form.read(log, &mut reading)?;
            reading.finish();
            return Ok(());
        }
        let lines = oldest_first(form, log.take(LARGEST))?;
        self.turned.insert(input, lines.iter().map(|line| line.number).collect());
        let mut reading = Reading::new(self, input, form);
        for (number, line) in (1..).zip(&lines) {
            reading.line(Raw {
                number,
                source: &line.source,
                time: line.time,
                bytes: &line.bytes,
                tells: None,
            });
        }
        reading.finish();
        Ok(())
    }

    /// What was found, the most likely cause first; empty for healthy logs.
    #[must_use]
    pub fn conclude(self) -> Vec<Diagnosis> {
        self.dated().into_iter().map(|(_, diagnosis)| diagnosis).collect()
    }

    fn dated(self) -> Vec<(Option<Timestamp>, Diagnosis)> {
        let component = self.case.component;
        let dated = |finding: Finding| {
            let last = finding.evidence.iter().filter_map(|location| location.time).max();
            let diagnosis = Diagnosis::from(Draft {
                code: finding.explained.code,
                severity: finding.severity(),
                component,
                evidence: self.evidence(&finding),
                message: finding.explained.message,
                remedy: finding.explained.remedy,
            });
            (last.and_then(Moment::timestamp), diagnosis)
        };
        findings::conclude(&self.case).into_iter().map(dated).collect()
    }

    fn evidence(&self, finding: &Finding) -> Vec<String> {
        let input = |location: &LogLocation| self.inputs.get(usize::from(location.input));
        let name = |location: &LogLocation| {
            let name = input(location).map(|input| input.name.as_str());
            name.filter(|name| !name.is_empty() && (self.inputs.len() > 1 || !self.numbered))
        };
        let unit = |location: &LogLocation| input(location).map_or("line", |input| input.unit);
        let line = |location: &LogLocation| {
            let at = usize::try_from(location.line).unwrap_or_default();
            let number = self.turned.get(&location.input).and_then(|numbers| numbers.get(at.checked_sub(1)?));
            number.copied().unwrap_or(location.line)
        };
        finding
            .evidence
            .iter()
            .map(|location| match name(location) {
                Some(name) if self.numbered => {
                    format!("{name} {} {}: {}", unit(location), line(location), location.excerpt())
                }
                Some(name) => format!("{name}: {}", location.excerpt()),
                None => format!("{} {}: {}", unit(location), line(location), location.excerpt()),
            })
            .collect()
    }

    fn source(&mut self, input: u16, name: &str) -> u16 {
        // Mostly there is no name. By `perf`, to compare nothing with nothing took a tenth of the time of a log of
        // tracebacks: an empty `String` has no address that can be read, and glibc's memcmp for AVX-512 seems to try.
        let (of, latest, index) = (self.latest.0, self.latest.1.as_str(), self.latest.2);
        let is_same = of == input && (latest.is_empty() && name.is_empty() || latest == name);
        if is_same && index < self.groupers.len() {
            return u16::try_from(index).unwrap_or_default();
        }
        let source = self.look_up(input, name);
        self.latest = (input, name.to_owned(), usize::from(source));
        source
    }

    fn look_up(&mut self, input: u16, name: &str) -> u16 {
        if let Some(source) = self.sources.get(&(input, name.to_owned())) {
            return *source;
        }
        let next = self.groupers.len();
        if next >= SOURCES {
            return u16::try_from(SOURCES - 1).unwrap_or_default();
        }
        let source = u16::try_from(next).unwrap_or_default();
        self.sources.insert((input, name.to_owned()), source);
        self.groupers.push(Grouper::new(source));
        self.case.add_source(input);
        source
    }
}

/// A line of a log that is turned round.
struct Kept {
    number: u64,
    source: String,
    time: Option<Moment>,
    bytes: Vec<u8>,
}

impl Kept {
    fn of(raw: Raw<'_>) -> Self {
        Self { number: raw.number, source: raw.source.to_owned(), time: raw.time, bytes: raw.bytes.to_vec() }
    }
}

/// The lines of a log in the order of time.
fn oldest_first(form: &Form, log: impl BufRead) -> io::Result<Vec<Kept>> {
    let mut lines = Vec::new();
    form.read(log, &mut |raw: Raw<'_>| lines.push(Kept::of(raw)))?;
    lines.reverse();
    Ok(lines)
}

/// The state of reading one log.
struct Reading<'a> {
    investigation: &'a mut Investigation,
    input: u16,
    form: &'a Form,
    /// How many groupers have an unfinished event: then every line has to be looked at.
    open: usize,
    /// The number of troubles when a request was last seen to succeed after one.
    watching: u64,
    /// The beginning of a line that a container runtime has cut.
    cut: String,
    /// The last line, where it was not looked at.
    last: Option<Kept>,
}

impl<'a> Reading<'a> {
    const fn new(investigation: &'a mut Investigation, input: u16, form: &'a Form) -> Self {
        Self { investigation, input, form, open: 0, watching: 0, cut: String::new(), last: None }
    }

    /// Whether the next line may belong to the last ones.
    const fn is_within(&self) -> bool {
        self.open > 0 || !self.cut.is_empty()
    }

    fn parse(&mut self, raw: Raw<'_>) {
        let text = clean(raw.bytes);
        let peeled = peel(&text, raw.time, &self.form.wrapping);
        let source = source(raw, &peeled.source);
        let (Content::Text(text), true) = (&peeled.content, peeled.partial || !self.cut.is_empty()) else {
            return self.group(raw.number, &source, peeled.time, peeled.content);
        };
        self.cut.push_str(clip(text, LONGEST.saturating_sub(self.cut.len())));
        if !peeled.partial {
            let whole = std::mem::take(&mut self.cut);
            let content = peel(&whole, peeled.time, &self.form.wrapping).content;
            self.group(raw.number, &source, peeled.time, content);
        }
    }

    fn group(&mut self, number: u64, source: &str, time: Option<Moment>, content: Content<'_>) {
        let source = self.investigation.source(self.input, source);
        let Investigation { case, groupers, .. } = &mut *self.investigation;
        let Some(grouper) = groupers.get_mut(usize::from(source)) else {
            return;
        };
        let was_open = grouper.is_open();
        let mut sink = |event: Event| case.observe(&event);
        match content {
            Content::Record(record) => grouper.json_record(number, *record, time, &mut sink),
            // Several lines where a collector has put them together.
            Content::Text(text) => {
                text.split('\n').for_each(|line| grouper.line(number, line, time, &mut sink));
            }
        }
        match (was_open, grouper.is_open()) {
            (false, true) => self.open += 1,
            (true, false) => self.open = self.open.saturating_sub(1),
            _ => {}
        }
    }

    fn finish(mut self) {
        // The last line tells how long the log went on after the last trouble.
        if let Some(Kept { number, source, time, bytes }) = self.last.take() {
            self.parse(Raw { number, source: &source, time, bytes: &bytes, tells: None });
        }
        let Investigation { case, groupers, .. } = &mut *self.investigation;
        for grouper in groupers {
            grouper.finish(&mut |event| case.observe(&event));
        }
    }
}

impl Lines for Reading<'_> {
    fn look_ahead(&self, bytes: &[u8]) -> Option<Ahead> {
        let Investigation { case, needles, .. } = &*self.investigation;
        let is_awaited = case.access.is_waiting() || case.troubles != self.watching;
        let sees_all = self.is_within() || is_awaited || self.form.describes;
        if sees_all { None } else { needles.look_ahead(bytes) }
    }

    fn line(&mut self, raw: Raw<'_>) {
        let bytes = raw.bytes;
        if self.form.describes {
            self.investigation.case.describe(raw.number, &clean(bytes), self.input);
        }
        let tells = || raw.tells.unwrap_or_else(|| self.investigation.needles.is_match(bytes));
        if self.is_within() || tells() && !is_of_a_client(bytes) {
            self.parse(raw);
            self.last = None;
            return;
        }
        if self.investigation.case.access.is_waiting() && is_good_probe(bytes) {
            self.investigation.case.access.answered_well();
        }
        let troubles = self.investigation.case.troubles;
        if troubles != self.watching && is_success(bytes) {
            self.watching = troubles;
            let text = clean(bytes);
            let peeled = peel(&text, raw.time, &self.form.wrapping);
            let source = self.investigation.source(self.input, &source(raw, &peeled.source));
            self.investigation.case.served(source, raw.number);
        }
        match &mut self.last {
            Some(last) => {
                last.number = raw.number;
                last.time = raw.time;
                if last.source != raw.source {
                    raw.source.clone_into(&mut last.source);
                }
                last.bytes.clear();
                last.bytes.extend_from_slice(bytes);
            }
            None => self.last = Some(Kept::of(raw)),
        }
    }
}

/// Whose line it is: by the list or column that it stands in, and by what is written in front of it.
fn source<'a>(raw: Raw<'_>, peeled: &'a str) -> Cow<'a, str> {
    match (raw.source, peeled) {
        ("", peeled) => Cow::Borrowed(peeled),
        (outer, "") => Cow::Owned(outer.to_owned()),
        (outer, inner) => Cow::Owned(format!("{outer} {inner}")),
    }
}

/// Whether a line is an access record of a request that needs the database and went well.
fn is_success(line: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(line, needle).is_some();
    let answered = has(b"\" 200 ")
        || has(b"\" 201 ")
        || has(b"\" 204 ")
        || has(b"\"status\": \"20")
        || has(b"\"status\":\"20");
    answered && !has(b"/health/liveness") && !has(b"/metrics") && !has(b"/static/")
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod properties;
