//! What Helm waits for when a chart contains a `FlagsmithDeployment`. Helm 3 knows the kinds that Kubernetes brings, and
//! takes any other for ready; Helm 4 reads conditions.

use std::{
    fs,
    process::{Command, Output},
    time::{Duration, Instant},
};

use crate::{
    kubectl::{helm, pointer, require_cluster},
    migrations::resource,
    namespace::{NEW, Namespace, demo, step},
    operator::{self, SYSTEM},
};

/// A first start, on two busy cores.
const TIMEOUT: &str = "5m";
/// Long before that.
const FAILS: Duration = Duration::from_mins(4);

#[test]
#[ignore = "five minutes, and Helm 4: make trial-helm"]
fn helm_4_waits_until_it_is_ready_and_helm_3_does_not() {
    require_cluster();
    operator::installed();
    step("Helm 4 goes on with what Helm 3 installed, and tests it", || {
        let chart = ["upgrade", "flagsmith-operator", "charts/flagsmith-operator", "--namespace", SYSTEM];
        said(
            &helm4(&[&chart[..], &["--reset-then-reuse-values", "--wait", "--timeout", TIMEOUT]].concat()),
            true,
        );
        let tested = helm4(&["test", "flagsmith-operator", "--namespace", SYSTEM]);
        said(&tested, true);
    });
    step("Helm 3 returns at once", || {
        let namespace = Namespace::new("helm-three");
        let chart = chart(&demo(NEW));
        helm(&install(&namespace, &chart));
        assert_ne!(namespace.condition("Ready"), "True");
        namespace.remove();
    });
    step("Helm 4 returns when it is Ready", || {
        let namespace = Namespace::new("helm-four");
        let chart = chart(&demo(NEW));
        said(&helm4(&install(&namespace, &chart)), true);
        let fsd = namespace.fsd();
        assert_eq!(namespace.condition("Ready"), "True", "{fsd:#}");
        assert_eq!(pointer(&fsd, "/status/observedGeneration"), pointer(&fsd, "/metadata/generation"));
        namespace.remove();
    });
    step("Helm 4 fails as soon as the migration has", || {
        let namespace = Namespace::new("helm-fails");
        let instruction =
            "    env: [{name: TESTBED_MIGRATIONS, value: \"testbed.0002=permission-denied\"}]\n";
        let chart = chart(&resource(NEW, instruction));
        let begun = Instant::now();
        let error = said(&helm4(&install(&namespace, &chart)), false);
        assert!(begun.elapsed() < FAILS && error.contains("Failed"), "{:?}: {error}", begun.elapsed());
        assert_eq!(namespace.codes().first().map(String::as_str), Some("MigrationPermissionDenied"));
        namespace.remove();
    });
    operator::uninstall();
}

/// A chart with nothing but this resource.
fn chart(resource: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("templates")).unwrap();
    fs::write(folder.path().join("Chart.yaml"), "apiVersion: v2\nname: flags\nversion: 0.1.0\n").unwrap();
    fs::write(folder.path().join("templates/flagsmith.yaml"), resource).unwrap();
    folder
}

fn install<'a>(namespace: &Namespace, chart: &'a tempfile::TempDir) -> Vec<&'a str> {
    let chart = chart.path().to_str().unwrap();
    vec!["install", "flags", chart, "--namespace", namespace.name(), "--wait", "--timeout", TIMEOUT]
}

fn helm4(arguments: &[&str]) -> Output {
    let program = std::env::var("HELM4").unwrap_or_else(|_| panic!("HELM4 names a Helm 4: make trial-helm"));
    Command::new(program).args(arguments).output().unwrap()
}

/// What it printed, if it ended as it should.
fn said(output: &Output, succeeds: bool) -> String {
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert_eq!(output.status.success(), succeeds, "{said}");
    said
}
