//! How the form of a log is found, with bytes and lines around and between that are none of it.

use std::{fs, path::Path};

use flagsmith_operator::{causes::Investigation, model::Component};
use proptest::{prelude::*, sample::Index};

use crate::{
    engine::{changes, fuzz},
    forms::FORMS,
    logs::{LONGEST, SAMPLE, WORDS},
    support::busy,
};

/// Lines that other programs write beside those of Flagsmith: a proxy, a cache, a browser's console, a terminal.
const OTHERS: &[&str] = &[
    r#"10.42.0.1 - - [28/Nov/2026:03:00:00 +0000] "GET /assets/app.js HTTP/1.1" 304 0 "-" "Mozilla/5.0 (X11)""#,
    "1:M 28 Nov 2026 03:00:00.118 * Background saving terminated with success",
    r#"{"level":"info","ts":1795889386.1,"caller":"controller/controller.go:114","msg":"synced","took":"12ms"}"#,
    "I1128 03:00:00.118000       1 reflector.go:351] Caches populated for *v1.Pod from informers.go:160",
    r#"time="2026-11-28T03:00:00Z" level=info msg="Configuration loaded from file" file=/etc/traefik.yaml"#,
    "Nov 28 03:00:00 node-1 kernel: [12345.678901] eth0: renamed from veth1a2b3c4",
    "ubuntu@bastion:~$ kubectl logs deploy/flagsmith-api",
    "",
    "----",
    "03:00:00.118 [main] INFO  o.s.b.w.e.tomcat.TomcatWebServer - Tomcat started on port(s): 8080 (http)",
];

/// A sample that shows a trouble, or none.
struct Sample {
    name: String,
    component: Component,
    lines: Vec<String>,
}

fn samples() -> Vec<Sample> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let table = fs::read_to_string(fixtures.join("expected.tsv")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(|row| {
        let mut cells = row.split('\t');
        let name = cells.next().unwrap().to_owned();
        let component = match cells.next().unwrap() {
            "migration" => Component::Migrations,
            "task-processor" => Component::TaskProcessor,
            "frontend" => Component::Frontend,
            _ => Component::Api,
        };
        let log = fs::read(fixtures.join(format!("logs/{name}.log"))).unwrap();
        let lines = String::from_utf8_lossy(&log).lines().map(str::to_owned).collect();
        Sample { name, component, lines }
    })
    .collect()
}

/// The causes of a log, as the command line finds them.
fn causes(component: Component, log: &[u8]) -> Vec<&'static str> {
    let mut investigation = Investigation::new(component);
    investigation.read("", log).unwrap();
    investigation.conclude().iter().map(|it| it.code.as_str()).collect()
}

/// Forms with bytes in, out and around: nothing panics, and the time is that of a log of this length.
#[test]
#[ignore = "ten minutes; part of `make fuzz`"]
fn forms() {
    let samples = samples();
    let ends: Vec<Vec<u8>> = samples
        .iter()
        .map(|sample| {
            let log = sample.lines.join("\n").into_bytes();
            log[log.len().saturating_sub(SAMPLE)..].to_vec()
        })
        .collect();
    let formed = (any::<Index>(), any::<Index>()).prop_map(move |(sample, form)| {
        let lines = &sample.get(&samples).lines;
        let mut length = 0;
        let fits = |line: &&String| {
            length += line.len() + 1;
            length < SAMPLE
        };
        let last: Vec<String> = lines.iter().rev().take_while(fits).cloned().collect();
        form.get(FORMS).1(&last.into_iter().rev().collect::<Vec<_>>())
    });
    fuzz("forms", &changes(formed, ends, WORDS), |log| {
        let begun = busy();
        causes(Component::Api, &log);
        let took = busy().saturating_sub(begun);
        prop_assert!(took < LONGEST, "{took:?} for {} bytes", log.len());
        Ok(())
    });
}

/// Another program's line, or one that nobody can read.
fn other() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(OTHERS).prop_map(str::to_owned),
        1 => "[ -~]{0,100}",
        1 => "\\PC{0,60}",
    ]
}

/// A trouble is found whatever stands before and behind its lines, and healthy lines stay healthy.
#[test]
#[ignore = "ten minutes; part of `make fuzz`"]
fn lines_of_others() {
    let samples: Vec<Sample> = samples().into_iter().filter(|it| it.lines.len() >= 10).collect();
    let input = (
        any::<Index>(),
        any::<Index>(),
        prop::collection::vec(other(), 0..8),
        prop::collection::vec(other(), 0..8),
    );
    fuzz("lines of others", &input, |(sample, form, before, behind)| {
        let sample = sample.get(&samples);
        let (form, make) = form.get(FORMS);
        let formed = make(&sample.lines);
        // What has another number of bytes for a character cannot have lines of others around it.
        if form.starts_with("UTF-") {
            return Ok(());
        }
        let mut log = before.join("\n").into_bytes();
        log.push(b'\n');
        log.extend_from_slice(&formed);
        log.push(b'\n');
        log.extend(behind.join("\n").bytes());
        let alone = causes(sample.component, &formed);
        let found = causes(sample.component, &log);
        prop_assert_eq!(found.first(), alone.first(), "{} as {}", sample.name, form);
        Ok(())
    });
}
