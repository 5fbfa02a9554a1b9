//! The forms in which people have logs: what each product makes of the lines that a container printed.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// A name, and what makes a log's lines into bytes.
pub type Form = (&'static str, fn(&[String]) -> Vec<u8>);

const POD: &str = "flagsmith-api-6c9f7c7d5b-x2x9z";
/// The first line was written so many seconds after 1970, each further one a millisecond later.
const BEGIN: i64 = 1_795_889_386;

fn stamp(index: usize) -> String {
    let at = jiff::Timestamp::from_millisecond(BEGIN * 1_000 + i64::try_from(index).unwrap()).unwrap();
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

fn nanoseconds(index: usize) -> String {
    format!("{BEGIN}{:09}", index * 1_000_000)
}

/// Each line on its own.
fn each(lines: &[String], form: impl Fn(usize, &str) -> String) -> Vec<u8> {
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        text.push_str(&form(index, line));
        text.push('\n');
    }
    text.into_bytes()
}

fn objects(lines: &[String], form: impl Fn(usize, &str) -> Value) -> Vec<Value> {
    lines.iter().enumerate().map(|(index, line)| form(index, line)).collect()
}

fn json_lines(lines: &[String], form: impl Fn(usize, &str) -> Value) -> Vec<u8> {
    each(lines, |index, line| form(index, line).to_string())
}

fn compact(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

fn pretty(document: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(document).unwrap();
    text.push(b'\n');
    text
}

/// The record that a line is, where it is one in JSON.
fn record(line: &str) -> Option<Value> {
    serde_json::from_str::<Value>(line).ok().filter(Value::is_object)
}

fn grafana(lines: &[String]) -> Value {
    let mut entries = objects(
        lines,
        |index, line| json!({"line": line, "timestamp": nanoseconds(index), "fields": {"app": "flagsmith-api", "pod": POD}}),
    );
    entries.reverse();
    json!(entries)
}

fn loki(lines: &[String]) -> Value {
    let mut values = objects(lines, |index, line| json!([nanoseconds(index), line]));
    values.reverse();
    let stream = json!({"app": "flagsmith", "container": "flagsmith-api", "pod": POD, "stream": "stderr"});
    json!({"status": "success", "data": {
        "resultType": "streams",
        "result": [{"stream": stream, "values": values}],
        "stats": {"summary": {"bytesProcessedPerSecond": 3_150_000, "execTime": 0.008}},
    }})
}

fn elasticsearch(lines: &[String]) -> Value {
    let hits = objects(lines, |index, line| {
        json!({
            "_index": "logs-2026.11.28", "_id": format!("aB3{index:05}"), "_score": null,
            "_source": {
                "@timestamp": stamp(index), "message": line, "stream": "stderr",
                "kubernetes": {"pod": {"name": POD}, "labels": {"app": "flagsmith"}}, "tags": ["k8s", "prod"],
            },
            "sort": [BEGIN * 1_000 + i64::try_from(index).unwrap()],
        })
    });
    json!({"took": 5, "timed_out": false, "_shards": {"total": 1, "successful": 1},
        "hits": {"total": {"value": hits.len(), "relation": "eq"}, "max_score": null, "hits": hits}})
}

fn azure_record(index: usize, line: &str) -> Value {
    json!({
        "TableName": "PrimaryResult", "TimeGenerated": stamp(index), "PodNamespace": "flagsmith", "PodName": POD,
        "ContainerName": "flagsmith-api", "LogSource": "stderr", "LogMessage": line,
    })
}

fn azure_tables(lines: &[String]) -> Value {
    let rows = objects(lines, |index, line| json!([stamp(index), POD, "stderr", line]));
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
    json!({"tables": [{"name": "PrimaryResult", "columns": [
        column("TimeGenerated", "datetime"), column("PodName", "string"), column("LogSource", "string"),
        column("LogMessage", "string"),
    ], "rows": rows}]})
}

fn datadog(lines: &[String]) -> Value {
    let data = objects(lines, |index, line| {
        json!({"id": format!("AwAAAY{index:06}"), "type": "log", "attributes": {
            "timestamp": stamp(index), "status": "info", "service": "flagsmith", "host": "node-3", "message": line,
            "tags": ["env:prod", format!("pod_name:{POD}"), "kube_container_name:flagsmith-api"], "attributes": {},
        }})
    });
    json!({"data": data, "meta": {"elapsed": 132, "status": "done", "page": {"after": "eyJhZnRlciI6IkF3QUFBWH"}}})
}

fn cloudwatch(lines: &[String]) -> Value {
    let events = objects(lines, |index, line| {
        let at = BEGIN * 1_000 + i64::try_from(index).unwrap();
        json!({"logStreamName": "flagsmith/api/0123abcd", "timestamp": at, "message": line, "ingestionTime": at + 900,
            "eventId": format!("3687213{index:08}")})
    });
    json!({"events": events, "searchedLogStreams": []})
}

fn cloud_logging_record(index: usize, line: &str) -> Value {
    let mut entry = json!({
        "insertId": format!("q1w2e3{index:04}"),
        "labels": {"k8s-pod/app": "flagsmith"},
        "logName": "projects/p/logs/stderr",
        "receiveTimestamp": stamp(index + 900),
        "resource": {"labels": {"container_name": "flagsmith-api", "pod_name": POD}, "type": "k8s_container"},
        "severity": "ERROR",
        "timestamp": stamp(index),
    });
    match record(line) {
        Some(record) => entry["jsonPayload"] = record,
        None => entry["textPayload"] = json!(line),
    }
    entry
}

fn cloud_logging(lines: &[String]) -> Value {
    let mut entries = objects(lines, cloud_logging_record);
    entries.reverse();
    json!(entries)
}

fn splunk(lines: &[String]) -> Vec<Value> {
    objects(lines, |index, line| {
        json!({"_time": stamp(index), "host": "node-3", "source": "/var/log/containers/flagsmith.log",
            "sourcetype": "kube:container", "_raw": line})
    })
}

fn otlp(lines: &[String]) -> Value {
    let records = objects(
        lines,
        |index, line| json!({"timeUnixNano": nanoseconds(index), "severityText": "INFO", "body": {"stringValue": line}}),
    );
    json!({"resourceLogs": [{
        "resource": {"attributes": [{"key": "k8s.pod.name", "value": {"stringValue": POD}}]},
        "scopeLogs": [{"scope": {}, "logRecords": records}],
    }]})
}

/// RFC 4180: quoted where it has to be.
fn cell(text: &str) -> String {
    if text.contains(['"', ',', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn escaped(line: &str) -> String {
    let line = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    line.replace('"', "&quot;").replace('\'', "&#x27;")
}

/// As a terminal of so many columns shows it, and as what is copied out of it has it.
fn wrapped(lines: &[String], columns: usize) -> Vec<u8> {
    each(lines, |_, line| {
        let characters: Vec<char> = line.chars().collect();
        let pieces: Vec<String> = characters.chunks(columns).map(|piece| piece.iter().collect()).collect();
        pieces.join("\n")
    })
}

/// `fold -s`: at blanks, where there are any.
fn folded(lines: &[String], columns: usize) -> Vec<u8> {
    each(lines, |_, line| {
        let mut pieces = Vec::new();
        let mut rest: Vec<char> = line.chars().collect();
        while rest.len() > columns {
            let blank = rest[..columns].iter().rposition(|character| *character == ' ');
            let after = rest.split_off(blank.map_or(columns, |blank| blank + 1));
            pieces.push(std::mem::replace(&mut rest, after).into_iter().collect::<String>());
        }
        pieces.push(rest.into_iter().collect());
        pieces.join("\n")
    })
}

fn text_box(lines: &[String], columns: usize) -> Vec<u8> {
    let mut text = format!("┌{}┐\n", "─".repeat(columns + 2));
    for line in lines {
        let padding = " ".repeat(columns.saturating_sub(line.chars().count()));
        let _ = writeln!(text, "│ {line}{padding} │");
    }
    let _ = writeln!(text, "└{}┘", "─".repeat(columns + 2));
    text.into_bytes()
}

fn widest(lines: &[String]) -> usize {
    lines.iter().map(|line| line.chars().count()).max().unwrap_or_default()
}

fn reversed(lines: &[String]) -> Vec<String> {
    lines.iter().rev().cloned().collect()
}

fn wide(lines: &[String], mark: bool, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let text = lines.join("\r\n") + "\r\n";
    let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
    units.flat_map(bytes).collect()
}

/// Every form.
pub const FORMS: &[Form] = &[
    ("kubectl --timestamps", |lines| each(lines, |at, line| format!("{} {line}", stamp(at)))),
    ("kubectl --prefix", |lines| each(lines, |_, line| format!("[pod/{POD}/flagsmith-api] {line}"))),
    ("kubectl, both", |lines| {
        each(lines, |at, line| format!("[pod/{POD}/flagsmith-api] {} {line}", stamp(at)))
    }),
    ("Docker Compose", |lines| each(lines, |_, line| format!("flagsmith-1  | {line}"))),
    ("container runtime", |lines| each(lines, |at, line| format!("{} stderr F {line}", stamp(at)))),
    ("stern", |lines| each(lines, |_, line| format!("{POD} flagsmith-api {line}"))),
    ("journald", |lines| each(lines, |_, line| format!("Nov 22 16:02:25 node-1 flagsmith[4711]: {line}"))),
    ("journald, ISO", |lines| {
        each(lines, |_, line| format!("2026-11-22T16:02:25+0000 node-1 flagsmith[4711]: {line}"))
    }),
    ("syslog, RFC 5424", |lines| {
        each(lines, |at, line| format!("<14>1 {} node-1 flagsmith 4711 - - {line}", stamp(at)))
    }),
    ("Heroku", |lines| each(lines, |at, line| format!("{} app[web.1]: {line}", stamp(at)))),
    ("aws logs tail", |lines| each(lines, |at, line| format!("{} ecs/flagsmith/0123abcd {line}", stamp(at)))),
    ("logcli", |lines| {
        each(lines, |at, line| format!("{} {{app=\"flagsmith\", pod=\"{POD}\"}} {line}", stamp(at)))
    }),
    ("Fly", |lines| each(lines, |at, line| format!("{} app[148ed193b51938] fra [info] {line}", stamp(at)))),
    ("Fly, without a blank", |lines| {
        each(lines, |at, line| format!("{} app[148ed193b51938] fra [info]{line}", stamp(at)))
    }),
    ("Fly, release command", |lines| {
        let mut text = b"==> Release command detected: migrate\n\n--> This release will not be available until the release command succeeds.\n\t Starting instance\n".to_vec();
        text.extend(each(lines, |_, line| format!("\t {line}")));
        text
    }),
    ("Argo CD", |lines| each(lines, |_, line| format!("{POD} {line}"))),
    ("Argo CD, with a colon", |lines| each(lines, |_, line| format!("{POD}: {line}"))),
    ("indented by 2", |lines| each(lines, |_, line| format!("  {line}"))),
    ("indented by 4", |lines| each(lines, |_, line| format!("    {line}"))),
    ("indented by a tab", |lines| each(lines, |_, line| format!("\t{line}"))),
    ("indented, blank lines bare", |lines| {
        each(lines, |_, line| if line.is_empty() { String::new() } else { format!("    {line}") })
    }),
    ("list items", |lines| each(lines, |_, line| format!("- {line}"))),
    ("numbered list", |lines| each(lines, |at, line| format!("{}. {line}", at + 1))),
    ("YAML block", |lines| {
        let mut text = b"apiVersion: v1\ndata:\n  api.log: |\n".to_vec();
        text.extend(each(lines, |_, line| format!("    {line}").trim_end().to_owned()));
        text
    }),
    ("quoted", |lines| each(lines, |_, line| format!("> {line}"))),
    ("quoted, trimmed", |lines| each(lines, |_, line| format!("> {line}").trim_end().to_owned())),
    ("in a box", |lines| text_box(lines, widest(lines))),
    ("in an open box", |lines| each(lines, |_, line| format!("│ {line}"))),
    ("grep -n", |lines| each(lines, |at, line| format!("{}:{line}", at + 1))),
    ("grep -Hn", |lines| each(lines, |at, line| format!("logs/api.log:{}:{line}", at + 1))),
    ("cat -n", |lines| each(lines, |at, line| format!("{:6}\t{line}", at + 1))),
    ("numbered with a bar", |lines| each(lines, |at, line| format!("{:5} | {line}", at + 1))),
    ("Docker's json-file", |lines| {
        json_lines(
            lines,
            |at, line| json!({"log": format!("{line}\n"), "stream": "stderr", "time": stamp(at)}),
        )
    }),
    ("Fluent Bit", |lines| {
        json_lines(lines, |_, line| json!({"date": 1.5, "log": line, "kubernetes": {"pod_name": POD}}))
    }),
    ("Filebeat", |lines| {
        json_lines(lines, |at, line| json!({"@timestamp": stamp(at), "message": line, "stream": "stdout"}))
    }),
    ("journald, JSON", |lines| {
        json_lines(lines, |_, line| json!({"__REALTIME_TIMESTAMP": "1", "MESSAGE": line, "PRIORITY": "3"}))
    }),
    ("logcli, JSON lines", |lines| {
        json_lines(lines, |at, line| json!({"labels": {"pod": POD}, "line": line, "timestamp": stamp(at)}))
    }),
    ("Cloud Logging, JSON lines", |lines| json_lines(lines, cloud_logging_record)),
    ("Azure, JSON lines", |lines| json_lines(lines, azure_record)),
    ("log_message", |lines| {
        json_lines(lines, |at, line| json!({"ts": stamp(at), "container": "api", "log_message": line}))
    }),
    ("Splunk's export", |lines| {
        let results = splunk(lines);
        json_lines(lines, |at, _| json!({"preview": false, "offset": at, "result": results[at]}))
    }),
    ("Datadog, JSON lines", |lines| {
        json_lines(lines, |at, line| {
            json!({"id": format!("AwAA{at:05}"), "content": {"timestamp": stamp(at), "tags": ["env:prod"],
                "host": "node-3", "service": "flagsmith", "message": line, "attributes": {}}})
        })
    }),
    ("jq -c", |lines| json_lines(lines, |_, line| json!(line))),
    ("jq -c, pairs", |lines| json_lines(lines, |at, line| json!([stamp(at), line]))),
    ("jq", |lines| {
        let mut text = Vec::new();
        for value in objects(lines, |at, line| json!({"time": stamp(at), "stream": "stderr", "text": line})) {
            text.extend(pretty(&value));
        }
        text
    }),
    ("list of strings", |lines| pretty(&json!(lines))),
    ("Grafana, compact", |lines| compact(&grafana(lines))),
    ("Grafana, pretty", |lines| pretty(&grafana(lines))),
    ("Loki, compact", |lines| compact(&loki(lines))),
    ("Loki, pretty", |lines| pretty(&loki(lines))),
    ("Elasticsearch, compact", |lines| compact(&elasticsearch(lines))),
    ("Elasticsearch, pretty", |lines| pretty(&elasticsearch(lines))),
    ("Azure, pretty", |lines| pretty(&json!(objects(lines, azure_record)))),
    ("Azure, tables", |lines| compact(&azure_tables(lines))),
    ("Azure, tables, pretty", |lines| pretty(&azure_tables(lines))),
    ("Datadog, compact", |lines| compact(&datadog(lines))),
    ("Datadog, pretty", |lines| pretty(&datadog(lines))),
    ("CloudWatch, compact", |lines| compact(&cloudwatch(lines))),
    ("CloudWatch, pretty", |lines| pretty(&cloudwatch(lines))),
    ("Cloud Logging, compact", |lines| compact(&cloud_logging(lines))),
    ("Cloud Logging, pretty", |lines| pretty(&cloud_logging(lines))),
    ("Splunk, compact", |lines| compact(&json!({"preview": false, "results": splunk(lines)}))),
    ("OpenTelemetry", |lines| compact(&otlp(lines))),
    ("CSV of one column", |lines| {
        let mut text = b"message\n".to_vec();
        text.extend(each(lines, |_, line| cell(line)));
        text
    }),
    ("CSV of three columns", |lines| {
        let mut text = b"\"date\",\"host\",\"message\"\n".to_vec();
        text.extend(each(lines, |at, line| {
            format!("\"{}\",\"node3\",\"{}\"", stamp(at), line.replace('"', "\"\""))
        }));
        text
    }),
    ("CSV of semicolons", |lines| {
        each(lines, |at, line| format!("\"{}\";\"{POD}\";\"{}\"", stamp(at), line.replace('"', "\"\"")))
    }),
    ("CSV, newest first", |lines| {
        let rows: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(at, line)| format!("{},\"{}\"", stamp(at), line.replace('"', "\"\"")))
            .collect();
        each(&reversed(&rows), |_, row| row.to_owned())
    }),
    ("HTML-escaped", |lines| each(lines, |_, line| escaped(line))),
    ("wrapped at 100 columns", |lines| wrapped(lines, 100)),
    ("folded at 100 columns", |lines| folded(lines, 100)),
    ("wrapped at 80 columns in a box", |lines| {
        let text = String::from_utf8(wrapped(lines, 80)).unwrap();
        text_box(&text.lines().map(str::to_owned).collect::<Vec<_>>(), 80)
    }),
    ("double-spaced", |lines| each(lines, |_, line| format!("{line}\n"))),
    ("newest first", |lines| each(&reversed(lines), |_, line| line.to_owned())),
    ("newest first, stamped", |lines| {
        let stamped: Vec<String> =
            lines.iter().enumerate().map(|(at, line)| format!("{} {line}", stamp(at))).collect();
        each(&reversed(&stamped), |_, line| line.to_owned())
    }),
    ("UTF-8 with a mark", |lines| {
        let mut text = b"\xEF\xBB\xBF".to_vec();
        text.extend(each(lines, |_, line| format!("{line}\r")));
        text
    }),
    ("UTF-16 LE with a mark", |lines| wide(lines, true, u16::to_le_bytes)),
    ("UTF-16 BE with a mark", |lines| wide(lines, true, u16::to_be_bytes)),
    ("UTF-16 LE", |lines| wide(lines, false, u16::to_le_bytes)),
    ("UTF-16 BE", |lines| wide(lines, false, u16::to_be_bytes)),
    ("Latin-1", |lines| {
        let text = lines.join("\n") + "\n";
        text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect()
    }),
];
