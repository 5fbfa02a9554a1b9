//! Everything that the logs of one investigation showed, in bounded memory: what the rules read.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::access::{Access, is_line};
use super::answers::Answers;
use super::failure::{Failure, FailureDetails, Stage};
use super::gunicorn::Workers;
use super::hosts::Hosts;
pub(crate) use super::location::LogLocation;
use super::pooler::{self, Said};
use super::quoted::{RETRIEVING_CLASS, quoted_exception};
use super::recurring::Recurring;
use super::server::Servers;
use super::tasks::Tasks;
use super::timeline::{HEALTH_QUIET_SECONDS, ProcessTimeline};
use crate::logs::description::Description;
use crate::logs::event::{Event, Level, Origin, Place};
use crate::model::{Code, Component};

/// The most different troubles of one investigation; a real installation has a handful at once.
const SIGHTINGS: usize = 128;
/// The most classified messages that are remembered, so that the same error a million times is read once.
const REMEMBERED: usize = 512;
/// The most names of applied migrations that are remembered; Flagsmith has about 600.
const APPLIED: usize = 20_000;

/// A trouble that was recognised in an exception or a line, once or many times.
#[derive(Clone, Debug)]
pub(crate) struct Occurrence {
    /// What it is a sign of.
    pub code: Code,
    /// The rule that recognised it, as its number.
    pub rule: usize,
    /// What it speaks of.
    pub details: FailureDetails,
    /// What the process was doing.
    pub stage: Stage,
    /// Whose log it is, as an index.
    pub source: u16,
    /// The first time.
    pub first: LogLocation,
    /// The last time.
    pub last: LogLocation,
    /// How many times.
    pub count: u64,
    /// The migration that was being applied at the last time.
    pub migration: Option<String>,
    /// The run of `migrate` it belongs to, by its line.
    pub run: Option<u64>,
    /// The traceback went through the creation of an index that does not lock the table.
    pub concurrent_index: bool,
    /// Where in Flagsmith it was raised, the first time.
    pub place: Option<Place>,
    /// The log begins within its traceback, so that nothing says what it ended.
    pub torn: bool,
    /// The exceptions behind it in its chain, and lines that follow from it.
    pub others: Vec<LogLocation>,
}

/// What a rule recognised.
#[derive(Clone, Debug)]
pub(crate) struct Recognised {
    /// The cause that it is a sign of.
    pub code: Code,
    /// The rule, as its number.
    pub rule: usize,
    /// What it speaks of.
    pub details: FailureDetails,
}

/// Asks the rules of all causes what a failure is a sign of; with `true` only those for what no other rule knows.
pub(crate) type Recognise = fn(&Failure<'_>, bool) -> Option<Recognised>;

/// Whose log a line belongs to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// The file's number.
    pub input: u16,
    /// What it did.
    pub life: ProcessTimeline,
}

/// What an investigation has gathered.
#[derive(Debug)]
pub(crate) struct LogEvidence {
    /// The process whose logs these are.
    pub component: Component,
    /// The sources, by index.
    pub sources: Vec<Source>,
    /// The troubles, in the order of their first sighting.
    pub occurrences: Vec<Occurrence>,
    /// How many times a trouble was seen.
    pub troubles: u64,
    /// What happened to Gunicorn's workers.
    pub workers: Workers,
    /// What happened to tasks.
    pub tasks: Tasks,
    /// Requests refused for their `Host` header.
    pub hosts: Hosts,
    /// What failed in a way that no rule recognises.
    pub recurring: Recurring,
    /// How requests were answered that an access log tells of.
    pub access: Access,
    /// What database servers say of themselves, in a log that has their lines as well.
    pub servers: Servers,
    /// What stands where a log should.
    pub answers: Answers,
    /// What kubectl says of pods and their Events, where that stands there.
    pub described: Description,
    /// Which migration was applied by which run, by a hash of its name.
    applied: HashMap<u64, (u16, u64)>,
    recognise: Recognise,
    remembered: HashMap<u64, Recognised>,
}

impl LogEvidence {
    /// An empty case of a component's logs.
    pub(crate) fn new(component: Component, recognise: Recognise) -> Self {
        Self {
            component,
            recognise,
            sources: Vec::new(),
            occurrences: Vec::new(),
            troubles: 0,
            workers: Workers::default(),
            tasks: Tasks::default(),
            hosts: Hosts::default(),
            recurring: Recurring::default(),
            access: Access::default(),
            servers: Servers::default(),
            answers: Answers::default(),
            described: Description::default(),
            applied: HashMap::new(),
            remembered: HashMap::new(),
        }
    }

    /// Makes room for the next source, of this input.
    pub(crate) fn add_source(&mut self, input: u16) {
        self.sources.push(Source { input, life: ProcessTimeline::default() });
    }

    /// Takes a line of a description of objects into the case.
    pub(crate) fn describe(&mut self, number: u64, text: &str, input: u16) {
        self.answers.describe(number, text, input);
        self.described.observe(number, text, input);
    }

    /// Takes an event into the case.
    pub(crate) fn observe(&mut self, event: &Event) {
        let Some(source) = self.sources.get_mut(usize::from(event.source)) else {
            return;
        };
        let input = source.input;
        if let Some(migration) = source.life.observe(event) {
            let run = source.life.runs.last().map_or(0, |run| run.line);
            if self.applied.len() < APPLIED {
                self.applied.insert(hash(&migration), (event.source, run));
            }
        }
        let torn = event.is_headless() && event.line == source.life.first_line;
        let stopping = source.life.stopping;
        self.answers.observe(event, input);
        self.workers.observe(event, input, stopping);
        self.tasks.observe(event, input, stopping.is_some());
        self.access.observe(event, input);
        self.servers.observe(event, input);
        // Records of normal work show no failure.
        if event.level.is_none_or(|level| level >= Level::Warning) && !is_progress(event) {
            self.hosts.observe(event, input);
            if !self.classify_event(event, input, torn) {
                self.recurring.observe(event, input);
            }
        }
    }

    /// Notes that a request was answered well.
    pub(crate) fn served(&mut self, source: u16, line: u64) {
        if let Some(source) = self.sources.get_mut(usize::from(source)) {
            source.life.served = line;
        }
    }

    /// Whether what a health check or the task loop met last goes on at the end of the logs: nothing came up after it,
    /// and it was not quiet since for longer than those pause.
    pub(crate) fn goes_on(&self, last: &LogLocation) -> bool {
        let mut lives =
            self.sources.iter().filter(|source| source.input == last.input).map(|source| &source.life);
        lives.all(|life| life.up <= last.line && life.seconds_since(last.time) <= HEALTH_QUIET_SECONDS)
    }

    /// The life of a source.
    pub(crate) fn life(&self, source: u16) -> Option<&ProcessTimeline> {
        self.sources.get(usize::from(source)).map(|source| &source.life)
    }

    /// Whether another run than the sighting's applied this migration.
    pub(crate) fn applied_by_another(&self, migration: &str, occurrence: &Occurrence) -> bool {
        self.applied
            .get(&hash(&migration))
            .is_some_and(|(source, run)| *source != occurrence.source || Some(*run) != occurrence.run)
    }

    /// Asks the rules what an event shows, and notes it; whether one of them recognises it.
    fn classify_event(&mut self, event: &Event, input: u16, torn: bool) -> bool {
        let source = self.sources.get(usize::from(event.source));
        let life = source.map(|source| &source.life);
        let migrating = life.is_some_and(ProcessTimeline::is_migrating);
        let run = life.and_then(|life| life.runs.last());
        let migration = run.and_then(|run| run.current.clone());
        let run = run.map(|run| run.line);
        let (stage, parts) = match of_pooler(event) {
            Some(Said::Other) => return false,
            Some(Said::Served) => {
                self.served(event.source, event.line);
                return false;
            }
            Some(Said::Failed(stage, words)) => (stage, vec![Part::of_pooler(event, words)]),
            None => (stage(event, self.component, migrating), parts(event)),
        };
        // What is known has precedence over the end of a chain that is not.
        let known = parts.iter().map(|part| (part, false)).chain(parts.last().map(|part| (part, true)));
        for (part, last_resort) in known {
            let message = telling_attempt(&part.message);
            let mut failure = Failure::new(part.class, message, self.component, stage);
            failure.migration = migration.as_deref();
            failure.service = event.frames.service;
            let Some(recognised) = self.classify(&failure, last_resort) else {
                continue;
            };
            let location = LogLocation {
                input,
                line: part.line,
                time: event.time,
                class: if part.assumed { String::new() } else { part.class.to_owned() },
                message: part.seen.to_owned(),
            };
            let seen = Sighting { recognised, stage, source: event.source, run, migration, torn };
            self.sight(seen, location, || {
                let last = event.last_exception();
                let consequence = last.filter(|last| last.line != part.line || last.class != part.class);
                let consequence = consequence.map(|last| LogLocation {
                    input,
                    line: last.line,
                    time: event.time,
                    class: last.class.clone(),
                    message: last.message.clone(),
                });
                let place = event.chain.iter().rev().find_map(|exception| exception.place.clone());
                (place, event.frames.concurrent_index, consequence)
            });
            // What ends a worker ends no process: Gunicorn replaces it.
            return !(last_resort && event.message.starts_with("Exception in worker process"));
        }
        false
    }

    fn classify(&mut self, failure: &Failure<'_>, last_resort: bool) -> Option<Recognised> {
        let key = hash(&(
            last_resort,
            failure.class,
            failure.message,
            failure.stage,
            failure.migration,
            failure.service,
        ));
        if let Some(known) = self.remembered.get(&key) {
            return Some(known.clone());
        }
        // To find out that nothing is recognised is quicker than to remember it.
        let found = (self.recognise)(failure, last_resort)?;
        if self.remembered.len() >= REMEMBERED {
            self.remembered.clear();
        }
        self.remembered.insert(key, found.clone());
        Some(found)
    }

    /// Notes a trouble; what is kept of the first time only, `more` gives.
    fn sight(
        &mut self,
        seen: Sighting,
        location: LogLocation,
        more: impl FnOnce() -> (Option<Place>, bool, Option<LogLocation>),
    ) {
        self.troubles += 1;
        let Sighting { recognised: Recognised { code, rule, details }, stage, source, run, migration, torn } =
            seen;
        let known = self.occurrences.iter_mut().find(|known| {
            known.rule == rule
                && known.details == details
                && known.stage == stage
                && known.source == source
                && known.run == run
        });
        if let Some(known) = known {
            known.last = location;
            known.torn = torn;
            known.count += 1;
            known.migration = migration.or_else(|| known.migration.take());
        } else if self.occurrences.len() < SIGHTINGS {
            let (place, concurrent_index, consequence) = more();
            self.occurrences.push(Occurrence {
                code,
                rule,
                details,
                stage,
                source,
                first: location.clone(),
                last: location,
                count: 1,
                migration,
                run,
                concurrent_index,
                place,
                torn,
                others: consequence.into_iter().collect(),
            });
        }
    }
}

/// A trouble, each time that it is seen.
struct Sighting {
    recognised: Recognised,
    stage: Stage,
    source: u16,
    run: Option<u64>,
    migration: Option<String>,
    torn: bool,
}

/// Whether it is Django's word of a migration that it applies or takes back.
fn is_progress(event: &Event) -> bool {
    let message = event.message.trim_start();
    event.origin == Origin::Plain
        && event.chain.is_empty()
        && (message.starts_with("Applying ") || message.starts_with("Unapplying "))
}

struct Part<'a> {
    line: u64,
    class: &'a str,
    message: Cow<'a, str>,
    /// What stands in the log.
    seen: &'a str,
    /// The log does not say the class; the sentence around the message does.
    assumed: bool,
}

impl<'a> Part<'a> {
    /// What a pooler tells is read as what its client, or the pooler as a client of the server, gets.
    fn of_pooler(event: &'a Event, words: Cow<'a, str>) -> Self {
        Self {
            line: event.line,
            class: "OperationalError",
            message: words,
            seen: &event.message,
            assumed: true,
        }
    }
}

fn of_pooler(event: &Event) -> Option<Said<'_>> {
    (event.origin == Origin::Plain).then(|| pooler::read(&event.message)).flatten()
}

/// The exceptions of an event, the origin first; without a traceback, what its message quotes of one.
fn parts(event: &Event) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = event
        .chain
        .iter()
        .map(|exception| Part {
            line: exception.line,
            class: &exception.class,
            message: exception.message.as_str().into(),
            seen: &exception.message,
            assumed: false,
        })
        .collect();
    // What a client wrote is no evidence: `Not Found: /any/words`.
    if parts.is_empty() && !event.is_worded_by_a_client() && !is_line(&event.message) {
        let line = event.line;
        let message = event.message.as_str();
        let (class, message) = quoted_exception(message).unwrap_or(("", message));
        parts.push(Part {
            line,
            class,
            message: message.into(),
            seen: message,
            assumed: class == RETRIEVING_CLASS,
        });
    }
    parts
}

/// Of several attempts to connect, which libpq puts below each other, the one that tells the reason. With
/// `sslmode=prefer`, the default, libpq tries without TLS what the server refused with TLS; where the server takes
/// only TLS, that second refusal says nothing of the first.
fn telling_attempt(message: &str) -> &str {
    const ATTEMPT: &str = "connection to server ";
    // To the same server again: that is the attempt without TLS, in whatever language the server says so.
    let server = |attempt: &str| attempt.split_once(" failed: ").map(|(server, _)| server.to_owned());
    let unencrypted = |first: &str, second: &str| {
        second.contains("pg_hba.conf")
            && server(second).is_some_and(|again| first.contains(&again))
            && (!second.is_ascii() || second.contains("no encryption") || second.contains("SSL off"))
    };
    if !message.contains('\n') {
        return message;
    }
    let Some(second) =
        message.rfind(ATTEMPT).filter(|start| *start > 0 && message.contains("\nconnection to server "))
    else {
        return message;
    };
    let (first, second) = message.split_at(second);
    if unencrypted(first, second) && !first.contains("pg_hba.conf") && first.contains(ATTEMPT) {
        first.trim_end()
    } else {
        message
    }
}

fn stage(event: &Event, component: Component, migrating: bool) -> Stage {
    if event.message.starts_with("Error was: ")
        || event.logger.ends_with("waitfordb") && event.chain.is_empty()
    {
        Stage::Wait
    } else if event.frames.request || event.frames.thread {
        Stage::Serve
    } else if event.frames.migrate || migrating || component == Component::Migrations {
        Stage::Migrate
    } else if event.origin == Origin::Record && !event.message.starts_with("Exception in worker process") {
        Stage::Serve
    } else {
        Stage::Boot
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::telling_attempt;
    use crate::{
        causes::diagnose_log,
        model::{Code, Component},
    };
    use rstest::rstest;

    const AT: &str = "connection to server at \"db\" (10.0.0.9), port 5432 failed: ";
    const HBA: &str = "FATAL:  no pg_hba.conf entry for host \"10.0.1.4\", user \"u\", database \"d\", ";

    #[rstest]
    #[case::with_tls_the_password(
        format!("{AT}FATAL:  password authentication failed for user \"u\"\n{AT}{HBA}no encryption"),
        "FATAL:  password authentication failed for user \"u\""
    )]
    #[case::in_german(
        format!("{AT}FATAL:  Passwort-Authentifizierung für Benutzer »u« fehlgeschlagen\n{AT}FATAL:  kein pg_hba.conf-Eintrag für Host »10.0.1.4«, Benutzer »u«, Datenbank »d«, keine Verschlüsselung"),
        "FATAL:  Passwort-Authentifizierung für Benutzer »u« fehlgeschlagen"
    )]
    #[case::with_tls_the_database(
        format!("{AT}FATAL:  database \"d\" does not exist\n{AT}{HBA}SSL off"),
        "FATAL:  database \"d\" does not exist"
    )]
    fn first_attempt_tells(#[case] message: String, #[case] said: &str) {
        assert_eq!(telling_attempt(&message), format!("{AT}{said}"));
    }

    #[rstest]
    #[case::once(format!("{AT}{HBA}no encryption"))]
    #[case::refused_both_ways(format!("{AT}{HBA}SSL encryption\n{AT}{HBA}no encryption"))]
    #[case::two_hosts(format!("{AT}Connection refused\n{AT}FATAL:  the database system is starting up"))]
    fn all_attempts_tell(#[case] message: String) {
        assert_eq!(telling_attempt(&message), message);
    }

    /// Processors before 2.160.0 tell what PostgreSQL said without the exception's class.
    #[rstest]
    #[case("connection to server at \"db\", port 5432 failed: Connection refused", Code::DatabaseUnreachable)]
    #[case("server closed the connection unexpectedly", Code::DatabaseConnectionLost)]
    #[case("permission denied for function get_tasks_to_process", Code::DatabaseAccessRejected)]
    #[case("relation \"task_processor_task\" does not exist", Code::MigrationsPending)]
    fn an_old_processors_loop_is_read(#[case] said: &str, #[case] expected: Code) {
        let line = format!("task_processor.threads ERROR    Received error retrieving tasks: {said}\n.\n");
        let found = diagnose_log(Component::TaskProcessor, None, "log", line.repeat(3).as_bytes());
        let codes: Vec<Code> = found.iter().map(|(_, it)| it.code).collect();
        assert_eq!(codes, [expected]);
    }
}
