//! Files that `make generate` writes must be what the source says.

use std::{fs, process::Command};

/// What the binary prints, and where `make generate` keeps it.
const FILES: &[(&str, &[&str])] = &[
    (
        "crd",
        &[
            "crds/flagsmithdeployments.yaml",
            "charts/flagsmith-operator/files/crd.yaml",
        ],
    ),
    ("api", &["docs/api.md"]),
    ("causes", &["docs/causes.md"]),
    ("cli", &["docs/cli.md"]),
];

#[test]
fn generated_files_are_up_to_date() {
    for (what, paths) in FILES {
        let output = Command::new(env!("CARGO_BIN_EXE_flagsmith-operator"))
            .args(["generate", what])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "generate {what}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
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
