//! Where in a product's JSON the lines of a process stand: found by what stands there, not by the names of fields.

use std::collections::BTreeMap;

use serde_json::Value;

use super::beginning::begins;
use super::documents::To;
use super::event::Level;
use super::prefix::is_pod;
use super::time::Moment;

/// The most fields that are told apart.
const FIELDS: usize = 512;
/// The deepest field that is looked at.
const DEEPEST: usize = 12;
/// The longest array that can be a row: a table of logs has a handful of columns.
const ROW: usize = 32;
/// The most fields that hold lines; a product writes text and JSON to different ones.
const TEXTS: usize = 4;
/// Of so many texts of which none begins as the lines of Flagsmith do, one has a blank at least.
const BLANKS: usize = 2;

/// What stands where in the records of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The way from a document to its records.
    pub records: Vec<To>,
    /// The ways from a record to the line of a process, the likeliest first.
    pub texts: Vec<Vec<To>>,
    /// The way to its time.
    pub time: Option<Vec<To>>,
    /// The way to its pod.
    pub source: Option<Vec<To>>,
}

impl Layout {
    /// The line that a process wrote, in a product's record.
    pub(crate) fn text<'a>(&self, record: &'a Value) -> Option<&'a str> {
        self.texts.iter().find_map(|way| follow(record, way)?.as_str())
    }

    /// When the product says that it was written.
    pub(crate) fn time(&self, record: &Value) -> Option<Moment> {
        moment(follow(record, self.time.as_ref()?)?)
    }

    /// The pod whose line it is.
    pub(crate) fn source<'a>(&self, record: &'a Value) -> Option<&'a str> {
        follow(record, self.source.as_ref()?)?.as_str()
    }

    /// Adds the texts of another layout, for what is wrapped twice.
    pub(crate) fn add(&mut self, inner: Self) {
        for text in inner.texts {
            if self.texts.len() < TEXTS && !self.texts.contains(&text) {
                self.texts.push(text);
            }
        }
        self.time = self.time.take().or(inner.time);
        self.source = self.source.take().or(inner.source);
    }
}

/// What is at the end of a way.
fn follow<'a>(value: &'a Value, way: &[To]) -> Option<&'a Value> {
    way.iter().try_fold(value, |value, step| match step {
        To::Key(key) => value.get(key.as_str()),
        To::Index(index) => value.get(index),
        To::Each => None,
    })
}

fn moment(value: &Value) -> Option<Moment> {
    match value {
        Value::String(text) => Moment::read_alone(text),
        Value::Number(number) => Moment::read_alone(&number.to_string()),
        _ => None,
    }
}

/// Whether an object is a log record of Flagsmith itself: of Python's `logging`, as both of its schemas write it.
pub(crate) fn is_record(object: &serde_json::Map<String, Value>) -> bool {
    let text = |key: &str| object.get(key).is_some_and(Value::is_string);
    text("levelname") || text("logger_name")
}

/// What was seen of one field.
#[derive(Debug, Default)]
struct Field {
    values: usize,
    /// How many begin as lines of a process do.
    begin: usize,
    /// Blanks between words.
    blanks: usize,
    times: usize,
    pods: usize,
    earliest: Option<Moment>,
}

#[derive(Debug, Default)]
struct Seen {
    fields: BTreeMap<Vec<To>, Field>,
    /// Where records of Flagsmith stand.
    records: BTreeMap<Vec<To>, usize>,
    /// Whether a record says how bad it is: then it may be another program's.
    levels: usize,
}

impl Seen {
    fn look(&mut self, value: &Value, way: &mut Vec<To>) {
        if way.len() > DEEPEST || self.fields.len() >= FIELDS {
            return;
        }
        match value {
            Value::Object(object) if is_record(object) => {
                *self.records.entry(way.clone()).or_default() += 1;
            }
            Value::Object(object) => {
                for (key, value) in object {
                    let level = matches!(key.as_str(), "level" | "severity")
                        && value.as_str().and_then(Level::read).is_some();
                    self.levels += usize::from(level);
                    self.step(value, way, To::Key(key.clone()));
                }
            }
            Value::Array(values) if is_row(values, way.last()) => {
                for (index, value) in values.iter().enumerate() {
                    self.step(value, way, To::Index(index));
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.step(value, way, To::Each)),
            Value::String(_) | Value::Number(_) => self.leaf(value, way),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn step(&mut self, value: &Value, way: &mut Vec<To>, step: To) {
        way.push(step);
        self.look(value, way);
        way.pop();
    }

    fn leaf(&mut self, value: &Value, way: &[To]) {
        let field = self.fields.entry(way.to_vec()).or_default();
        field.values += 1;
        if let Some(moment) = moment(value) {
            field.times += 1;
            field.earliest = Some(field.earliest.map_or(moment, |earliest| earliest.min(moment)));
        } else if let Some(text) = value.as_str() {
            field.begin += usize::from(begins(text));
            field.blanks += text.split_ascii_whitespace().count().saturating_sub(1);
            field.pods += usize::from(is_pod(text));
        }
    }
}

/// Whether an array is a row of a table, and not a list: it has a time, or stands in a list of its like.
fn is_row(values: &[Value], within: Option<&To>) -> bool {
    let scalar = |value: &Value| !matches!(value, Value::Object(_) | Value::Array(_));
    (2..=ROW).contains(&values.len())
        && values.iter().filter(|value| scalar(value)).count() >= 2
        && (within == Some(&To::Each) || values.iter().any(|value| moment(value).is_some()))
}

/// The part of a way that leads to a record.
fn to_record(way: &[To]) -> &[To] {
    let end = way.iter().rposition(|step| *step == To::Each).map_or(0, |at| at + 1);
    way.get(..end).unwrap_or_default()
}

/// Learns from documents what stands where; `None` where they hold no lines of a process. What is no line of Flagsmith's
/// and says how bad it is may be another program's record, unless documents are `exported`.
pub(crate) fn learn(documents: &[Value], exported: bool) -> Option<Layout> {
    let mut seen = Seen::default();
    for document in documents {
        seen.look(document, &mut Vec::new());
    }
    let is_time = |field: &Field| field.times * 2 > field.values;
    let score = |field: &Field| (field.begin, field.blanks);
    let mut texts: Vec<(&Vec<To>, &Field)> =
        seen.fields.iter().filter(|(_, field)| !is_time(field) && field.begin + field.blanks > 0).collect();
    texts.sort_by_key(|(_, field)| std::cmp::Reverse(score(field)));
    let best = texts.first().filter(|(way, field)| {
        let exported = exported || seen.levels == 0 || !to_record(way).is_empty();
        field.begin > 0 || seen.records.is_empty() && exported && field.blanks * BLANKS >= field.values
    });
    let own = seen.records.iter().max_by_key(|(_, count)| **count);
    let records = match (best, own) {
        (Some((way, field)), Some((own, count))) => to_record(if field.values >= *count { way } else { own }),
        (Some((way, _)), None) => to_record(way),
        (None, Some((way, _))) => to_record(way),
        (None, None) => return None,
    };
    let within = |way: &Vec<To>| {
        let rest = way.strip_prefix(records)?;
        (!rest.contains(&To::Each)).then(|| rest.to_vec())
    };
    let begin = best.map_or(0, |(_, field)| field.begin.min(1));
    let texts = texts.iter().filter(|(_, field)| best.is_some() && field.begin >= begin);
    let texts: Vec<Vec<To>> = texts.filter_map(|(way, _)| within(way)).take(TEXTS).collect();
    let fields = || seen.fields.iter().filter_map(|(way, field)| Some((within(way)?, field)));
    let most = fields().map(|(_, field)| field.values).max().unwrap_or_default();
    // Of several times the earliest: what is later is when the line was received.
    let time = fields()
        .filter(|(_, field)| is_time(field) && field.times * 2 > most)
        .min_by_key(|(_, field)| field.earliest);
    let source = fields().find(|(_, field)| field.pods * 2 > most);
    Some(Layout {
        records: records.to_vec(),
        texts: if begin == 0 { texts.into_iter().take(1).collect() } else { texts },
        time: time.map(|(way, _)| way),
        source: source.map(|(way, _)| way),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const LINE: &str = "2026-11-28T18:11:17.212971Z [warning  ] Error was: x [a.b] positional_args=()";

    #[rstest]
    #[case::line(json!({"LogMessage": LINE, "TimeGenerated": "2026-11-28T18:11:17Z", "PodName": "a-long-name-with-words"}), "", "LogMessage", "TimeGenerated")]
    #[case::nested(json!({"offset": 1, "result": {"_raw": LINE, "_time": "2026-11-28T18:06:04.754+00:00"}}), "", "result._raw", "result._time")]
    #[case::list(json!([{"line": LINE, "timestamp": "1795889386604335140"}]), "*", "line", "timestamp")]
    #[case::streams(json!({"data": {"result": [{"stream": {"a": "b"}, "values": [["1795889386604335140", LINE]]}]}}), "data.result.*.values.*", "1", "0")]
    #[case::rows(json!({"tables": [{"columns": [{"name": "a column of words"}], "rows": [["2026-11-28T18:11:17Z", LINE]]}]}), "tables.*.rows.*", "1", "0")]
    #[case::received_later(json!([{"receiveTimestamp": "2026-11-28T18:11:19Z", "textPayload": LINE, "timestamp": "2026-11-28T18:11:17Z"}]), "*", "textPayload", "timestamp")]
    #[case::strings(json!(["Traceback (most recent call last):", "  File \"x\", line 1, in f"]), "*", "", "-")]
    #[case::words(json!({"a": "one two three four", "b": "node-3"}), "", "a", "-")]
    fn text_and_time_are_found(
        #[case] document: Value,
        #[case] records: &str,
        #[case] text: &str,
        #[case] time: &str,
    ) {
        let way = |way: &Vec<To>| {
            let steps = way.iter().map(|step| match step {
                To::Key(key) => key.clone(),
                To::Index(index) => index.to_string(),
                To::Each => "*".to_owned(),
            });
            steps.collect::<Vec<_>>().join(".")
        };
        let layout = learn(&[document], false).unwrap();
        let time_found = layout.time.as_ref().map_or_else(|| "-".to_owned(), way);
        assert_eq!(
            (way(&layout.records), way(&layout.texts[0]), time_found.as_str()),
            (records.to_owned(), text.to_owned(), time)
        );
    }

    #[rstest]
    #[case::health(json!({"DatabaseBackend": "working"}))]
    #[case::of_another_program(json!({"level": "error", "service": "proxy", "message": "Error: context canceled now"}))]
    fn nothing_is_made_of_what_holds_no_lines(#[case] document: Value) {
        assert_eq!(learn(&[document], false), None);
    }

    #[test]
    fn records_of_flagsmith_are_found_where_they_stand() {
        let record = json!({"levelname": "ERROR", "logger_name": "a", "message": "Traceback (most recent call last):"});
        let layout = learn(&[json!([{"jsonPayload": record, "severity": "ERROR"}])], false).unwrap();
        assert_eq!((layout.records, layout.texts.len()), (vec![To::Each], 0));
    }
}
