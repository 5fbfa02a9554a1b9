//! Files that `make generate` writes must be what the source says, what docs/security.md refers to must be there, and
//! what is said in several places must be the same in all.

use std::{fs, process::Command};

/// What the binary prints, and where `make generate` keeps it.
const FILES: &[(&str, &[&str])] = &[
    ("crd", &["crds/flagsmithdeployments.yaml", "charts/flagsmith-operator/files/crd.yaml"]),
    ("api", &["docs/api.md"]),
    ("causes", &["docs/causes.md"]),
    ("cli", &["docs/cli.md"]),
    ("metrics", &["docs/metrics.md"]),
    ("chart-values", &["docs/from-the-chart.md"]),
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

/// What stands between `before` and the next quotation mark or white space, wherever it does.
fn after<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(['"', ' ', '\n', '`', ']']).next()).collect()
}

#[test]
fn one_version_everywhere() {
    let ours = vec![env!("CARGO_PKG_VERSION")];
    for (file, before) in [
        ("charts/flagsmith-operator/Chart.yaml", "\nversion: "),
        ("charts/flagsmith-operator/Chart.yaml", "\nappVersion: "),
        ("Dockerfile", "\nARG VERSION="),
    ] {
        assert_eq!(after(&fs::read_to_string(file).unwrap(), before), ours, "{file}:{before}");
    }
    let changes = fs::read_to_string("CHANGELOG.md").unwrap();
    assert_eq!(after(&changes, "\n## [").first(), ours.first(), "the newest of CHANGELOG.md");
    let pages = fs::read_dir("docs").unwrap().map(|entry| entry.unwrap().path());
    let mut number = 0;
    for page in pages.chain(["README.md".into()]).filter(|page| page.extension().is_some_and(|it| it == "md"))
    {
        for tag in after(&fs::read_to_string(&page).unwrap(), "flagsmith-operator:") {
            if tag.starts_with(|first: char| first.is_ascii_digit()) {
                number += 1;
                assert!(tag.starts_with(ours[0]), "the image's tag {tag} in {}", page.display());
            }
        }
    }
    assert!(number > 5, "{number} tags are read");
}

#[test]
fn one_compiler_everywhere() {
    let toolchain = fs::read_to_string("rust-toolchain.toml").unwrap();
    let ours = after(&toolchain, "channel = \"");
    assert_eq!(ours.len(), 1, "{toolchain}");
    for (file, end) in [
        ("Dockerfile", "-slim-bookworm"),
        (".github/workflows/ci.yaml", "-bookworm"),
        (".devcontainer/Dockerfile", "-bookworm"),
    ] {
        let text = fs::read_to_string(file).unwrap();
        assert_eq!(after(&text, "docker.io/library/rust:"), [format!("{}{end}", ours[0])], "{file}");
    }
}

/// A tag of an action can be moved by whoever owns it; the workflow of releases has the right to write.
#[test]
fn actions_are_pinned_by_commit() {
    let mut number = 0;
    for entry in fs::read_dir(".github/workflows").unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for used in text.lines().filter_map(|line| line.split_once("uses: ").map(|(_, used)| used)) {
            number += 1;
            let (commit, version) =
                used.split_once('@').and_then(|(_, it)| it.split_once(" # v")).unwrap_or_default();
            assert!(
                commit.len() == 40
                    && commit.chars().all(|it| it.is_ascii_hexdigit())
                    && version.split('.').count() == 3,
                "{used} is not pinned as NAME@COMMIT # vX.Y.Z"
            );
        }
    }
    assert!(number > 20, "{number} actions are read");
}

/// What the workflows run exists.
#[test]
fn workflows_make_targets_that_exist() {
    let makefile = fs::read_to_string("Makefile").unwrap();
    let mut number = 0;
    for file in ["ci.yaml", "release.yaml", "security.yaml"] {
        let text = fs::read_to_string(format!(".github/workflows/{file}")).unwrap();
        let mut targets = after(&text, "make ");
        targets.retain(|target| target.starts_with(|first: char| first.is_ascii_lowercase()));
        let parts = text.lines().filter_map(|line| line.trim().strip_prefix("part: ["));
        targets.extend(parts.flat_map(|parts| parts.trim_end_matches(']').split(", ")));
        for target in targets {
            number += 1;
            assert!(makefile.contains(&format!("\n{target}:")), "{file}: there is no make {target}");
        }
    }
    assert!(number > 9, "{number} targets are read");
}

/// Each field that a value of the official chart is said to go to is in the definition.
#[test]
fn the_charts_values_go_to_fields_that_exist() {
    let text = fs::read_to_string("crds/flagsmithdeployments.yaml").unwrap();
    let definition: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let page = fs::read_to_string("docs/from-the-chart.md").unwrap();
    let mut fields = 0;
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let place = row.split(" | ").nth(2).unwrap();
        let Some((path, _)) = place.strip_prefix("`spec.").and_then(|path| path.split_once('`')) else {
            continue;
        };
        fields += 1;
        let mut schema = &root["properties"]["spec"];
        for part in path.split('.') {
            schema = &schema["properties"][part];
            assert!(schema.is_object(), "there is no field {path} ({row})");
        }
    }
    assert!(fields > 200, "{fields}");
}
