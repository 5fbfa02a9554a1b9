//! Files that `make generate` writes must be what the source says, and what docs/security.md refers to must be there.

use std::{fs, process::Command};

/// What the binary prints, and where `make generate` keeps it.
const FILES: &[(&str, &[&str])] = &[
    ("crd", &["crds/flagsmithdeployments.yaml", "charts/flagsmith-operator/files/crd.yaml"]),
    ("api", &["docs/api.md"]),
    ("causes", &["docs/causes.md"]),
    ("cli", &["docs/cli.md"]),
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
