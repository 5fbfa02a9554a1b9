//! `diagnose --logs` on output of real processes in real trouble, and in none.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at once where something is not as it must be"
)]

mod forms;
mod matrix;
mod speed;

use assert_cmd::Command;
use regex_lite::Regex;
use rstest::rstest;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

struct Sample {
    name: String,
    component: String,
    causes: Vec<String>,
    mentions: String,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn samples() -> Vec<Sample> {
    let table = std::fs::read_to_string(fixtures().join("expected.tsv")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(|row| {
        let mut cells = row.split('\t').map(str::to_owned);
        let mut cell = || cells.next().unwrap_or_default();
        Sample {
            name: cell(),
            component: cell(),
            causes: cell().split('|').filter(|cause| *cause != "-").map(str::to_owned).collect(),
            mentions: cell(),
        }
    })
    .collect()
}

fn log(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(format!("logs/{name}.log"))).unwrap()
}

/// Runs the binary on a log given by standard input; the exit status and the diagnoses.
fn diagnose(component: &str, log: &[u8]) -> (i32, Vec<Value>) {
    let output = Command::cargo_bin("flagsmith-operator")
        .unwrap()
        .args(["diagnose", "--component", component, "--output", "json", "--logs", "-"])
        .write_stdin(log)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), report["diagnoses"].as_array().unwrap().clone())
}

fn codes(diagnoses: &[Value]) -> Vec<&str> {
    diagnoses.iter().map(|diagnosis| diagnosis["code"].as_str().unwrap()).collect()
}

/// A line that wraps itself again and again is read to its end: the binary ends by itself, with a report.
#[rstest]
#[case::wrappers("{\"log\":")]
#[case::payloads("{\"jsonPayload\":")]
#[case::lists("{\"message\":[")]
#[case::progress("Applying a.0001_x...")]
#[case::loggers("[error    ] FATAL: x [x] ")]
fn a_line_within_a_line_is_read_to_its_end(#[case] unit: &str) {
    let line = unit.repeat(60_000 / unit.len()) + "error\n";
    let (status, _) = diagnose("api", line.repeat(4).as_bytes());
    assert!(status <= 1, "{status}");
}

fn prefix_lines(text: &[u8], prefix: &str) -> Vec<u8> {
    String::from_utf8_lossy(text)
        .lines()
        .fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{prefix}{line}");
            text
        })
        .into_bytes()
}

const STAMP: &str = "2026-11-22T16:02:25.750976123Z";

/// Samples of every shape of lines.
const WRAPPED: &[&str] = &[
    "lock-timeout.generic",
    "refused.json",
    "tp-db-lost.json",
    "tp-failing",
    "api-sync-libpq",
    "api-worker-timeout.json",
    "api-allowed-hosts",
    "race-3",
    "api-ok",
];

#[test]
fn every_sample_gets_the_right_cause() {
    let mut wrong = String::new();
    for sample in samples() {
        let (status, diagnoses) = diagnose(&sample.component, &log(&sample.name));
        let found = codes(&diagnoses);
        let right = match found.first() {
            Some(first) => status == 1 && sample.causes.iter().any(|cause| cause == first),
            None => status == 0 && sample.causes.is_empty(),
        };
        let text = serde_json::to_string(&diagnoses).unwrap().replace("\\\"", "\"");
        if !right || !Regex::new(&sample.mentions).unwrap().is_match(&text) {
            let _ = writeln!(
                wrong,
                "{}: {found:?} instead of {:?} with /{}/",
                sample.name, sample.causes, sample.mentions
            );
        }
        // One trouble is one diagnosis.
        if found.len() > 1 {
            let _ = writeln!(wrong, "{}: more than one diagnosis: {found:?}", sample.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[rstest]
#[case::kubectl_stamps("2026-11-22T16:02:25.750976123Z ")]
#[case::kubectl_pod("[pod/flagsmith-5d/flagsmith] ")]
#[case::kubectl_both("[pod/flagsmith-5d/flagsmith] 2026-11-22T16:02:25.750976123Z ")]
#[case::compose("flagsmith-1  | ")]
#[case::runtime("2026-11-22T16:02:25.750976123Z stderr F ")]
#[case::stern("flagsmith-api-5d8f6b7c9-x2x9z flagsmith-api ")]
#[case::journald("Nov 22 16:02:25 node-1 flagsmith[4711]: ")]
#[case::journald_iso("2026-11-22T16:02:25+0000 node-1 flagsmith[4711]: ")]
#[case::rfc5424("<11>1 2026-11-22T16:02:25Z node-1 flagsmith 4711 - - ")]
#[case::heroku("2026-11-22T16:02:25.750976+00:00 app[web.1]: ")]
#[case::cloudwatch("2026-11-22T16:02:25.750976+00:00 ecs/flagsmith/0123abcd ")]
#[case::logcli("2026-11-22T16:02:25Z {app=\"flagsmith\", pod=\"api-1\"} ")]
fn collectors_prefixes_do_not_matter(#[case] prefix: &str) {
    for name in
        ["lock-timeout.generic", "refused.generic", "tp-db-lost.json", "api-sync-libpq", "race-3", "api-ok"]
    {
        let sample = samples().into_iter().find(|sample| sample.name == name).unwrap();
        let (_, plain) = diagnose(&sample.component, &log(name));
        let (_, prefixed) = diagnose(&sample.component, &prefix_lines(&log(name), prefix));
        assert_eq!(codes(&plain), codes(&prefixed), "{name}");
    }
}

/// Each line in the JSON of a collector.
#[rstest]
#[case::docker(|line: &str| json!({"log": format!("{line}\n"), "stream": "stderr", "time": STAMP}))]
#[case::fluent_bit(|line: &str| json!({"date": 1.5, "log": line, "kubernetes": {"pod_name": "api-1"}}))]
#[case::elastic(|line: &str| json!({"@timestamp": STAMP, "message": line, "stream": "stdout"}))]
#[case::journald(|line: &str| json!({"__REALTIME_TIMESTAMP": "1", "MESSAGE": line, "PRIORITY": "3"}))]
#[case::loki(|line: &str| json!({"labels": {"pod": "api-1"}, "line": line, "timestamp": STAMP}))]
#[case::google(|line: &str| match serde_json::from_str::<Value>(line) {
    Ok(record @ Value::Object(_)) => json!({"jsonPayload": record, "timestamp": STAMP, "severity": "ERROR"}),
    _ => json!({"textPayload": line, "timestamp": STAMP, "severity": "ERROR"}),
})]
fn collectors_wrappers_do_not_matter(#[case] wrap: fn(&str) -> Value) {
    for name in WRAPPED {
        let sample = samples().into_iter().find(|sample| sample.name == *name).unwrap();
        let (_, plain) = diagnose(&sample.component, &log(name));
        let text = log(name);
        let lines: Vec<String> =
            String::from_utf8_lossy(&text).lines().map(|line| wrap(line).to_string()).collect();
        let (_, wrapped) = diagnose(&sample.component, lines.join("\n").as_bytes());
        assert_eq!(codes(&plain), codes(&wrapped), "{name}");
    }
}

/// The container runtime writes a long line in pieces.
#[test]
fn lines_that_a_runtime_has_cut_are_put_together() {
    for name in WRAPPED {
        let sample = samples().into_iter().find(|sample| sample.name == *name).unwrap();
        let (_, plain) = diagnose(&sample.component, &log(name));
        let mut cut = Vec::new();
        for line in log(name).split(|byte| *byte == b'\n') {
            let (before, after) = line.split_at(line.len() / 2);
            for (mark, piece) in [("P", before), ("F", after)] {
                cut.extend_from_slice(format!("{STAMP} stderr {mark} ").as_bytes());
                cut.extend_from_slice(piece);
                cut.push(b'\n');
            }
        }
        assert_eq!(codes(&plain), codes(&diagnose(&sample.component, &cut).1), "{name}");
    }
}

#[test]
fn line_ends_and_rubbish_do_not_matter() {
    for sample in samples() {
        let original = log(&sample.name);
        let (_, plain) = diagnose(&sample.component, &original);
        let mut other = Vec::from(*b"\xff\xfe\0\x01 rubbish \x1b[2J\r\n");
        other[0] = 0xC3;
        for line in original.split(|byte| *byte == b'\n') {
            other.extend_from_slice(line);
            other.extend_from_slice(b"\r\n");
        }
        let (_, changed) = diagnose(&sample.component, &other);
        assert_eq!(codes(&plain), codes(&changed), "{}", sample.name);
    }
}

#[test]
fn evidence_names_the_line() {
    for name in ["lock-timeout.generic", "wrong-password.json", "disk-full"] {
        let text = String::from_utf8(log(name)).unwrap();
        let (_, diagnoses) = diagnose("migration", text.as_bytes());
        for evidence in diagnoses[0]["evidence"].as_array().unwrap() {
            let evidence = evidence.as_str().unwrap();
            let number: usize =
                evidence.strip_prefix("line ").unwrap().split(':').next().unwrap().parse().unwrap();
            let line = text.lines().nth(number - 1).unwrap();
            let class = evidence.split(": ").nth(1).unwrap().split(" / ").next().unwrap();
            assert!(line.contains(class), "{name}: {evidence}\n{line}");
        }
    }
}

#[test]
fn report_has_every_field() {
    let (_, diagnoses) = diagnose("migration", &log("lock-timeout.json"));
    let first = &diagnoses[0];
    assert_eq!(first["severity"], "Critical");
    assert_eq!(first["component"], "migrations");
    assert_eq!(first["docs"], concat!(env!("CARGO_PKG_HOMEPAGE"), "/causes.html#migrationlocktimeout"));
    for field in ["message", "remedy"] {
        assert!(first[field].as_str().unwrap().len() > 20);
    }
}

#[test]
fn unreadable_file_and_bad_usage_end_with_2() {
    let run = |arguments: &[&str]| {
        Command::cargo_bin("flagsmith-operator").unwrap().args(arguments).output().unwrap()
    };
    let missing = run(&["diagnose", "--logs", "/nonexistent/x.log", "--component", "api"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nonexistent/x.log"));
    for arguments in [
        &["diagnose", "--component", "api"][..],
        &["diagnose", "--logs", "-", "--component", "nobody"],
        &["explain", "NoSuchCause"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn explain_knows_every_code_in_any_case() {
    let output = Command::cargo_bin("flagsmith-operator")
        .unwrap()
        .args(["explain", "migrationLOCKtimeout"])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("MigrationLockTimeout (critical)"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("flagsmith-operator"))
        .arg("explain")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn several_logs_are_one_investigation() {
    // The race's winner proves that its losers lost a race.
    let path = |name: &str| fixtures().join(format!("logs/{name}.log"));
    let output = Command::cargo_bin("flagsmith-operator")
        .unwrap()
        .args(["diagnose", "--component", "migration", "--output", "json", "--logs"])
        .args([path("race-1"), path("race-2"), path("race-3")])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let diagnoses = report["diagnoses"].as_array().unwrap();
    assert_eq!(codes(diagnoses), ["MigrationConcurrent"]);
    assert!(diagnoses[0]["evidence"].to_string().contains("race-3.log line"));
}
