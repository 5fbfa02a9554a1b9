//! Log records in JSON: Flagsmith's two schemas, Gunicorn's, and collectors' wrappers around lines.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::event::Level;
use super::leaves::{Layout, is_record};
use super::time::Moment;

/// A log record in JSON, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonRecord {
    /// When it was written.
    pub time: Option<Moment>,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// Its level; `None` in an access record of older releases.
    pub level: Option<Level>,
    /// Its logger; empty when not written.
    pub logger: String,
    /// The message, possibly of several lines.
    pub message: String,
    /// The traceback as text.
    pub traceback: Option<String>,
    /// The HTTP status of an access record.
    pub status: Option<u16>,
    /// The pod that a collector names; empty when none does.
    pub source: String,
}

/// What a line that looks like JSON is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    /// A log record.
    Record(Box<JsonRecord>),
    /// A line in a collector's wrapper.
    Wrapped {
        /// The line within, possibly several.
        line: String,
        /// When the collector received it.
        time: Option<Moment>,
        /// The pod that the collector names.
        source: String,
    },
}

/// The deepest object in which a product puts a record that is JSON itself.
const DEEPEST: usize = 8;

/// Reads a line that is JSON, whose lines stand where the layout of its log says; a record that was cut gives what is
/// left of it.
pub(crate) fn read(text: &str, layout: &Layout) -> Option<Json> {
    let text = text.trim();
    if *layout != Layout::default()
        && text.starts_with(['{', '[', '"'])
        && let Ok(value) = serde_json::from_str::<Value>(text)
        && let Some(found) = of_product(&value, layout)
    {
        return Some(found);
    }
    if !text.starts_with('{') {
        return None;
    }
    let fields = serde_json::from_str::<Fields<'_>>(text).ok().or_else(|| Fields::salvage(text))?;
    let time = || fields.read_time();
    if let Some(line) = &fields.log {
        return Some(wrapped(line, time(), ""));
    }
    let time = time();
    // A record of Flagsmith has a level and a logger: what has neither is a collector's wrapper. Some collectors add a
    // level that they have guessed.
    let answered = |status: &Cow<'_, str>| status.parse::<u16>().is_ok();
    let bare = fields.level.is_none() && !fields.status.as_ref().is_some_and(answered) || fields.collected;
    if bare
        && fields.logger.is_none()
        && fields.pid.is_none()
        && fields.traceback.is_none()
        && let Some(line) = &fields.message
    {
        return Some(wrapped(line, time, ""));
    }
    record(fields, time, "")
}

fn wrapped(line: &str, time: Option<Moment>, source: &str) -> Json {
    Json::Wrapped { line: line.trim_end_matches('\n').to_owned(), time, source: source.to_owned() }
}

/// What stands in a product's record: a record of Flagsmith, as an object of its own, or a line.
fn of_product(value: &Value, layout: &Layout) -> Option<Json> {
    let source = layout.source(value).unwrap_or_default();
    if let Some(object) = own(value, 0) {
        let fields = Fields::deserialize(object).ok()?;
        let time = fields.read_time().or_else(|| layout.time(value));
        return record(fields, time, source);
    }
    let line = layout.text(value)?;
    Some(wrapped(line, layout.time(value), source))
}

/// The record of Flagsmith within a value.
fn own(value: &Value, depth: usize) -> Option<&Value> {
    let object = value.as_object().filter(|_| depth < DEEPEST)?;
    if is_record(object) { Some(value) } else { object.values().find_map(|value| own(value, depth + 1)) }
}

fn record(fields: Fields<'_>, time: Option<Moment>, source: &str) -> Option<Json> {
    let level = fields.level.as_deref().and_then(Level::read);
    let message = fields.message.or(fields.event);
    if message.is_none() && level.is_none() && fields.traceback.is_none() {
        return None;
    }
    Some(Json::Record(Box::new(JsonRecord {
        source: source.to_owned(),
        time,
        pid: fields.pid.as_deref().and_then(|pid| pid.parse().ok()),
        level,
        logger: fields.logger.unwrap_or_default().into_owned(),
        message: message.unwrap_or_default().into_owned(),
        status: fields.status.as_deref().and_then(|status| status.parse().ok()),
        traceback: fields
            .traceback
            .filter(|traceback| traceback.contains('\n') || traceback.contains(": "))
            .map(Cow::into_owned),
    })))
}

/// Keys that collectors add to what a process wrote.
const COLLECTORS: &[&str] =
    &["kubernetes", "container", "container_name", "pod", "pod_name", "stream", "ddtags"];

#[derive(Debug, Default)]
struct Fields<'a> {
    timestamp: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    message: Option<Cow<'a, str>>,
    event: Option<Cow<'a, str>>,
    level: Option<Cow<'a, str>>,
    logger: Option<Cow<'a, str>>,
    pid: Option<Cow<'a, str>>,
    traceback: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    log: Option<Cow<'a, str>>,
    /// It has what only a collector of logs adds.
    collected: bool,
}

impl<'a> Fields<'a> {
    fn read_time(&self) -> Option<Moment> {
        let stamp = self.timestamp.as_deref().or(self.time.as_deref())?;
        Moment::read(stamp).map(|(moment, _)| moment)
    }

    fn slot(&mut self, key: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match key {
            "timestamp" | "asctime" | "@timestamp" | "TimeStamp" => &mut self.timestamp,
            "time" => &mut self.time,
            "message" | "msg" => &mut self.message,
            "event" => &mut self.event,
            "levelname" | "level" | "severity" => &mut self.level,
            "logger_name" | "logger" | "name" => &mut self.logger,
            "pid" | "process_id" | "process" => &mut self.pid,
            "exc_info" | "exception" | "exc_text" | "stack_trace" => &mut self.traceback,
            "status" => &mut self.status,
            // Docker and Fluent Bit, journald, Loki, Google Cloud Logging, Azure: the line that a process wrote.
            "log" | "MESSAGE" | "line" | "textPayload" | "Log" => &mut self.log,
            _ => return None,
        })
    }

    /// What can be read of a record without its end: every finished `"key": "value"`, and an unfinished last value.
    fn salvage(text: &str) -> Option<Self> {
        let mut fields = Self::default();
        let mut found = false;
        let mut rest = text;
        while let Some(start) = rest.find('"') {
            let (key, after) = string(rest.get(start..)?);
            let Some(value) = after.trim_start().strip_prefix(':') else {
                rest = after;
                continue;
            };
            let value = value.trim_start();
            let (value, after) = if value.starts_with('"') {
                string(value)
            } else {
                let end = value.find([',', '}', ']']).unwrap_or(value.len());
                (value.get(..end)?.trim().to_owned(), value.get(end..)?)
            };
            if let Some(slot) = fields.slot(&key) {
                found = true;
                slot.get_or_insert(Cow::Owned(value));
            }
            rest = after;
        }
        found.then_some(fields)
    }
}

/// Reads a JSON string at the beginning of `text`, to its end or to the end of the text.
fn string(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, text.get(index + 1..).unwrap_or_default()),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'u')) => {
                    let digits: String = characters.by_ref().take(4).map(|(_, digit)| digit).collect();
                    value.push(
                        u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).unwrap_or('\u{fffd}'),
                    );
                }
                Some((_, other)) => value.push(other),
                None => break,
            },
            other => value.push(other),
        }
    }
    (value, "")
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<Scalar<'de>>()? {
                    // Google Cloud Logging puts a record that is JSON itself below its own fields, Elasticsearch any.
                    if matches!(key.0.as_deref(), Some("jsonPayload" | "_source")) {
                        let inner = map.next_value::<Fields<'de>>()?;
                        fields = Fields { timestamp: inner.timestamp.or(fields.timestamp), ..inner };
                        continue;
                    }
                    fields.collected |= key.0.as_deref().is_some_and(|key| COLLECTORS.contains(&key));
                    match key.0.as_deref().and_then(|key| fields.slot(key)) {
                        Some(slot) => {
                            let value = map.next_value::<Scalar<'de>>()?.0;
                            if slot.is_none() {
                                *slot = value;
                            }
                        }
                        None => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A string, or a number or truth value as one; anything nested is not looked at, a list of lines is joined.
struct Scalar<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
                Ok(Scalar(Some(Cow::Borrowed(value))))
            }
            fn visit_str<E>(self, value: &str) -> Result<Scalar<'de>, E> {
                Ok(Scalar(Some(Cow::Owned(value.to_owned()))))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
                Ok(Scalar(Some(Cow::Owned(value.to_string()))))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
                Ok(Scalar(Some(Cow::Owned(value.to_string()))))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
                Ok(Scalar(Some(Cow::Owned(value.to_string()))))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Scalar<'de>, E> {
                Ok(Scalar(None))
            }
            fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
                Ok(Scalar(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar<'de>, A::Error> {
                let mut lines = Vec::new();
                while let Some(item) = items.next_element::<Scalar<'de>>()? {
                    lines.extend(item.0.map(Cow::into_owned));
                }
                Ok(Scalar(Some(Cow::Owned(lines.join("\n")))))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn record(text: &str) -> JsonRecord {
        match read(text, &Layout::default()) {
            Some(Json::Record(record)) => *record,
            other => panic!("no record: {other:?}"),
        }
    }

    #[rstest]
    #[case::current(r#"{"timestamp": "2026-11-22T16:02:30.869248Z", "message": "WORKER TIMEOUT (pid:4711)", "levelname": "CRITICAL", "logger_name": "gunicorn.error", "pid": 4619, "thread_name": "MainThread"}"#)]
    #[case::older(r#"{"levelname": "CRITICAL", "message": "WORKER TIMEOUT (pid:4711)", "timestamp": "2026-11-22 16:02:30,869", "logger_name": "gunicorn.error", "process_id": 4619}"#)]
    #[case::cut(r#"{"timestamp": "2026-11-22T16:02:30.869248Z", "message": "WORKER TIMEOUT (pid:4711)", "levelname": "CRITICAL", "logger_name": "gunicorn.error", "pid": 4619, "thread_na"#)]
    fn reads_schema(#[case] text: &str) {
        let record = record(text);
        assert_eq!(record.message, "WORKER TIMEOUT (pid:4711)");
        assert_eq!((record.level, record.pid), (Some(Level::Critical), Some(4619)));
        assert_eq!(
            (record.logger.as_str(), record.time.map(|time| time.to_string())),
            ("gunicorn.error", Some("2026-11-22T16:02:30Z".to_owned()))
        );
    }

    #[test]
    fn cut_traceback_is_kept_as_far_as_it_goes() {
        let record = record(
            "{\"message\": \"m\", \"exc_info\": \"Traceback\\n  File \\\"x\\\"\\npsycopg2.OperationalError: serv",
        );
        assert_eq!(
            record.traceback.as_deref(),
            Some("Traceback\n  File \"x\"\npsycopg2.OperationalError: serv")
        );
    }

    #[test]
    fn access_record_has_its_status() {
        let record = record(
            r#"{"time": "2026-11-22T16:02:30+00:00", "path": "/", "status": "200", "levelname": "INFO", "logger_name": "gunicorn.access", "message": "", "environ_variables": {"a": [1]}}"#,
        );
        assert_eq!(record.status, Some(200));
    }

    /// What another program in the pod says is its own record, not a line of Flagsmith's.
    #[test]
    fn record_of_another_program_stays_one() {
        let line =
            r#"{"level": "error", "service": "proxy", "host": "h", "message": "Error: context canceled"}"#;
        assert_eq!(record(line).level, Some(Level::Error));
    }

    #[test]
    fn docker_wrapper_is_unwrapped() {
        let line = r#"{"log":"Traceback (most recent call last):\n","stream":"stderr","time":"2026-11-22T16:02:30.1Z"}"#;
        assert!(
            matches!(read(line, &Layout::default()), Some(Json::Wrapped { line, time: Some(_), .. }) if line == "Traceback (most recent call last):")
        );
    }

    #[rstest]
    #[case::with_a_guessed_level(
        r#"{"timestamp": "2026-11-22T16:02:30Z", "level": "info", "container": "api", "message": "Killed"}"#
    )]
    #[case::datadog(
        r#"{"timestamp": "2026-11-22T16:02:30Z", "status": "error", "service": "api", "message": "Killed"}"#
    )]
    #[case::azure(r#"{"TimeStamp": "2026-11-22T16:02:30", "Log": "Killed"}"#)]
    #[case::elasticsearch(r#"{"_index": "i", "_source": {"@timestamp": "2026-11-22T16:02:30.1Z", "message": "Killed", "kubernetes": {"pod": {"name": "p"}}}}"#)]
    fn wrapper_is_unwrapped(#[case] line: &str) {
        assert!(
            matches!(read(line, &Layout::default()), Some(Json::Wrapped { line, time: Some(_), .. }) if line == "Killed")
        );
    }

    #[rstest]
    #[case::other(r#"{"DatabaseBackend": "working"}"#)]
    #[case::not_json("{nope")]
    #[case::list("[1]")]
    fn is_no_record(#[case] text: &str) {
        assert_eq!(read(text, &Layout::default()), None);
    }
}
