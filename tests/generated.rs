//! Files that `make generate` writes must be what the source says, and what docs/security.md refers to must be there.

use std::{fs, process::Command};

/// What the binary prints, and where `make generate` keeps it.
const FILES: &[(&str, &[&str])] = &[
    ("crd", &["crds/flagsmithdeployments.yaml", "charts/flagsmith-operator/files/crd.yaml"]),
    ("api", &["docs/api.md"]),
    ("causes", &["docs/causes.md"]),
    ("cli", &["docs/cli.md"]),
    ("metrics", &["docs/metrics.md"]),
];

#[test]
fn generated_files_are_up_to_date() {
    for (what, paths) in FILES {
        let output =
            Command::new(env!("CARGO_BIN_EXE_flagsmith-operator")).args(["generate", what]).output().unwrap();
        assert!(output.status.success(), "generate {what}: {}", String::from_utf8_lossy(&output.stderr));
        let generated = String::from_utf8(output.stdout).unwrap();
        for path in *paths {
            let kept = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(
                kept == generated,
                "{path} is not what the source says: run \"make generate\" and commit it"
            );
        }
    }
}

/// Alerts and dashboards ask only for what the operator exports, or Flagsmith itself.
#[test]
fn alerts_and_dashboards_ask_for_metrics_that_exist() {
    const OF_FLAGSMITH: [&str; 4] = [
        "flagsmith_http_server_requests_total",
        "flagsmith_http_server_request_duration_seconds_bucket",
        "flagsmith_http_server_request_duration_seconds_sum",
        "flagsmith_task_processor_finished_tasks_total",
    ];
    let page = fs::read_to_string("docs/metrics.md").unwrap();
    for file in ["alerts.yaml", "dashboards/operator.json", "dashboards/installation.json"] {
        let text = fs::read_to_string(format!("charts/flagsmith-operator/files/{file}")).unwrap();
        let metrics: Vec<&str> = text
            .split(|it: char| !it.is_ascii_alphanumeric() && it != '_')
            .filter(|word| word.starts_with("flagsmith_"))
            .collect();
        assert!(metrics.len() > 10, "{file}");
        for metric in metrics {
            let exported = page.contains(&format!("| `{}` |", metric.trim_end_matches("_bucket")));
            assert!(exported || OF_FLAGSMITH.contains(&metric), "{file} asks for {metric}");
        }
    }
}

/// The link of each alert leads to a section, and no section is left over.
#[test]
fn every_alert_has_a_runbook() {
    let alerts = fs::read_to_string("charts/flagsmith-operator/files/alerts.yaml").unwrap();
    let names: Vec<&str> =
        alerts.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect();
    let runbooks = fs::read_to_string("docs/runbooks.md").unwrap();
    let sections: Vec<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(names, sections);
    for name in names {
        assert!(alerts.contains(&format!("runbook_url: RUNBOOKS#{}\n", name.to_lowercase())), "{name}");
    }
}

/// Each promise of docs/security.md names what shows it, as `` `file::test` ``; a check of tests/chart/check by its name.
#[test]
fn every_promise_names_a_test_that_exists() {
    let text = fs::read_to_string("docs/security.md").unwrap();
    let named: Vec<(&str, &str)> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|quoted| quoted.split_once("::"))
        .filter(|(_, test)| !test.is_empty())
        .collect();
    assert!(named.len() > 40, "{} promises are read", named.len());
    for (file, test) in named {
        let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let found = if std::path::Path::new(file).extension().is_some_and(|it| it == "rs") {
            source.contains(&format!("fn {test}("))
        } else {
            source.contains(&format!("'{test}'"))
        };
        assert!(found, "docs/security.md names {file}::{test}, which is not there");
    }
}
