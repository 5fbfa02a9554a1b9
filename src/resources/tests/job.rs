//! What the migration Job runs, and what its script makes of a failure.

use std::{fs, process::Command};

use rstest::rstest;
use serde_json::{Value, json};

use super::{before_an_upgrade, plan};
use crate::{
    fixtures::{empty_observation, installation, spec},
    flagsmith::failures,
    migration::Action,
    model::{Code, child::Kind},
    observe::{Observation, Preflight},
    resources::build,
    validate::{RollbackOrder, RollbackPlan},
};

/// The Job that is made for a fresh installation of this specification.
fn job(changes: Value, observation: &Observation) -> Value {
    let installation = installation(&spec(changes));
    let children = build(&installation, &plan(&installation, observation));
    let job = children.into_iter().find(|child| child.kind == Kind::Job);
    job.unwrap().body
}

fn container(job: &Value) -> &Value {
    job.pointer("/spec/template/spec/containers/0").unwrap()
}

fn variable<'a>(job: &'a Value, name: &str) -> Option<&'a str> {
    let variables = container(job)["env"].as_array().unwrap();
    variables.iter().find(|it| it["name"] == name)?["value"].as_str()
}

fn url(name: &str) -> Value {
    json!({ "secretKeyRef": { "name": name, "key": "url" } })
}

#[rstest]
#[case(json!({ "version": "2.265.0" }), "flagsmith migrate")]
#[case(json!({ "version": "2.252.0" }), "/app/scripts/run-docker.sh migrate")]
#[case(
    json!({ "migrations": { "bootstrap": { "adminEmail": "a@example.com" } } }),
    "sh -c flagsmith migrate && flagsmith bootstrap"
)]
#[case(
    json!({ "database": { "urlFrom": url("db"), "taskProcessorUrlFrom": url("tasks") } }),
    "sh -c flagsmith waitfordb && flagsmith migrate --database default && { [ -z \"$CLICKHOUSE_URL$CLICKHOUSE_HOST\" ] || flagsmith migrate --database clickhouse; } && flagsmith migrate task_processor --database task_processor && flagsmith createcachetable"
)]
#[case(
    json!({ "database": { "urlFrom": url("db"), "taskProcessorUrlFrom": url("tasks"), "analyticsUrlFrom": url("usage") } }),
    "sh -c flagsmith waitfordb && flagsmith migrate --database default && flagsmith migrate --database analytics && { [ -z \"$CLICKHOUSE_URL$CLICKHOUSE_HOST\" ] || flagsmith migrate --database clickhouse; } && flagsmith migrate task_processor --database task_processor && flagsmith createcachetable"
)]
fn runs(#[case] changes: Value, #[case] expected: &str) {
    let job = job(changes, &empty_observation());
    let words: Vec<_> =
        container(&job)["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(words.join(" "), expected);
}

#[test]
fn a_pooler_that_refuses_options_gets_none() {
    let preflight = |takes_options| Observation {
        preflight: Some(Ok(Preflight {
            complete: true,
            takes_options,
            creates_tables: true,
            schema: Some("public".to_owned()),
            connections_allowed: 97,
            ..Preflight::default()
        })),
        ..empty_observation()
    };
    let with = |observation: &Observation, changes| {
        variable(&job(changes, observation), "PGOPTIONS").map(str::to_owned)
    };
    assert_eq!(with(&preflight(true), json!({})).as_deref(), Some("-c lock_timeout=30s"));
    assert_eq!(with(&preflight(false), json!({})), None);
    let off = json!({ "migrations": { "lockTimeoutSeconds": 0 } });
    assert_eq!(with(&preflight(true), off), None);
    let named = job(json!({}), &empty_observation());
    assert_eq!(variable(&named, "PGAPPNAME"), named.pointer("/metadata/name").unwrap().as_str());
}

#[test]
fn what_the_database_was_like_is_written_on_the_job() {
    let mut observation = before_an_upgrade();
    let mut preflight = Preflight { complete: true, takes_options: true, ..Preflight::default() };
    preflight.history.count = 42;
    preflight.history.last_applied = Some(1_764_000_000_123_456);
    observation.preflight = Some(Ok(preflight));
    let job = job(json!({}), &observation);
    let annotations = job.pointer("/metadata/annotations").unwrap();
    assert_eq!(annotations["operator.flagsmith.com/migrated-from"], "2.250.0");
    assert_eq!(annotations["operator.flagsmith.com/migrations-before"], "42");
    assert_eq!(annotations["operator.flagsmith.com/last-applied-before"], "2025-11-24T16:00:00.123456Z");
}

/// Runs the Job's script in a directory of its own, with a command in place of the migration and one in place of
/// `flagsmith`. Returns exit status, termination message, output, and the size of what it kept of that.
fn run(name: &str, migration: &str, flagsmith: &str) -> (i32, String, String, u64) {
    let directory = std::env::temp_dir().join(format!("flagsmith-operator-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let path = |file: &str| directory.join(file).to_str().unwrap().to_owned();
    let script = include_str!("../migrate.sh")
        .replace("/tmp/migrate.log", &path("log"))
        .replace("/dev/termination-log", &path("message"))
        .replace("sleep 10", "sleep 0.01");
    let output = Command::new("sh")
        .args(["-c", &format!("flagsmith() {{ {flagsmith}; }}\n{script}"), "migrate", "sh", "-c", migration])
        .env("FLAGSMITH_OPERATOR_TRANSIENT", failures::TRANSIENT)
        .env("FLAGSMITH_OPERATOR_RACES", failures::RACES)
        .output()
        .unwrap();
    let message = fs::read_to_string(directory.join("message")).unwrap_or_default();
    let kept = fs::metadata(directory.join("log")).unwrap().len();
    fs::remove_dir_all(&directory).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), message, text, kept)
}

/// Runs the script that lists what is to be done, with a command in place of `flagsmith`. Returns exit status and
/// termination message.
fn list(name: &str, flagsmith: &str, killed: u32) -> (i32, String) {
    let directory = std::env::temp_dir().join(format!("flagsmith-operator-{name}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let path = |file: &str| directory.join(file).to_str().unwrap().to_owned();
    fs::write(path("events"), format!("oom 1\noom_kill {killed}\noom_group_kill 0\n")).unwrap();
    let script = include_str!("../plan.sh")
        .replace("/tmp/", &format!("{}/", directory.to_str().unwrap()))
        .replace("/dev/termination-log", &path("message"))
        .replace("/sys/fs/cgroup/memory.events", &path("events"));
    let output = Command::new("sh")
        .args(["-c", &format!("flagsmith() {{ {flagsmith}; }}\n{script}"), "plan"])
        .output()
        .unwrap();
    let message = fs::read_to_string(directory.join("message")).unwrap_or_default();
    fs::remove_dir_all(&directory).unwrap();
    (output.status.code().unwrap(), message)
}

/// A pod whose list was killed for its memory neither goes on nor ends, as long as that container ends with 0.
#[rstest]
#[case::good("plan-good", "echo '= 1'; echo '= users.0041_x'", 0, 0)]
#[case::fails_as_the_migration_will("plan-fails", "false", 0, 0)]
#[case::killed("plan-killed", "sh -c 'kill -9 $$'", 1, 137)]
#[case::a_child_was_killed("plan-child", "echo '= 1'; echo '= users.0041_x'", 1, 137)]
#[case::told_to_end("plan-ended", "sh -c 'kill -15 $$'", 0, 143)]
fn a_list_that_was_killed_ends_the_attempt(
    #[case] name: &str,
    #[case] flagsmith: &str,
    #[case] killed: u32,
    #[case] expected: i32,
) {
    assert_eq!(list(name, flagsmith, killed).0, expected);
}

#[test]
fn a_list_is_what_django_plans_without_the_noise_of_its_shell() {
    let django = "echo '74 objects imported automatically.'; echo '= 2 1:3'; echo '= a.0001'; echo '= b.0002_squashed'";
    assert_eq!(list("plan-list", django, 0), (0, "2 1:3\na.0001\nb.0002_squashed\n".to_owned()));
}

#[test]
fn whichever_container_ends_badly_ends_the_job() {
    let job = job(json!({}), &empty_observation());
    let rules = job.pointer("/spec/podFailurePolicy/rules").and_then(Value::as_array).unwrap();
    let fatal = rules.iter().filter(|rule| rule["action"] == "FailJob");
    let names: Vec<_> = fatal.map(|rule| &rule["onExitCodes"]["containerName"]).collect();
    assert_eq!(names, ["plan", "migrate"]);
}

/// The API server refuses a Job whose rules name a container that it has not: undoing lists nothing beforehand.
#[test]
fn rules_name_the_containers_that_are_there() {
    let installation = installation(&spec(json!({})));
    let mut plan = plan(&installation, &empty_observation());
    plan.migrate.as_mut().unwrap().action = Action::RollBack(RollbackPlan {
        from: "2.266.0".parse().unwrap(),
        to: installation.release,
        applied_after: jiff::Timestamp::UNIX_EPOCH,
        order: RollbackOrder::PodsFirst,
    });
    let job = build(&installation, &plan).into_iter().find(|child| child.kind == Kind::Job).unwrap().body;
    let list = |pointer: &str| job.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let rules =
        list("/spec/podFailurePolicy/rules").filter_map(|rule| rule.pointer("/onExitCodes/containerName"));
    let containers = list("/spec/template/spec/initContainers").chain(list("/spec/template/spec/containers"));
    let containers: Vec<_> = containers.map(|container| &container["name"]).collect();
    let rules: Vec<_> = rules.collect();
    assert_eq!(rules, ["migrate"]);
    assert!(rules.iter().all(|name| containers.contains(name)), "{containers:?}");
}

/// A proxy is there before the plan is made through it, and how it ends is not how the migration ended.
#[test]
fn a_sidecar_of_a_job_is_a_native_one() {
    let proxy = json!({ "name": "proxy", "image": "proxy:1", "restartPolicy": "Always" });
    let migrations = json!({ "pod": { "initContainers": [proxy] } });
    let job = job(json!({ "migrations": migrations }), &empty_observation());
    let initial = job.pointer("/spec/template/spec/initContainers").and_then(Value::as_array).unwrap();
    let names: Vec<_> = initial.iter().map(|container| &container["name"]).collect();
    assert_eq!(names, ["proxy", "plan"]);
    assert_eq!(initial.first().unwrap(), &proxy);
    assert_eq!(job.pointer("/spec/template/spec/containers").unwrap().as_array().unwrap().len(), 1);
}

#[rstest]
#[case("good", "echo fine", "false", 0)]
#[case("lock", "echo 'canceling statement due to lock timeout' >&2; exit 1", "false", 75)]
#[case("rights", "echo 'must be owner of table x' >&2; exit 1", "false", 1)]
#[case("killed", "kill -9 $$", "false", 137)]
#[case("race-lost", "echo 'relation \"x\" already exists' >&2; exit 1", "true", 0)]
#[case("conflict", "echo 'relation \"x\" already exists' >&2; exit 1", "false", 1)]
fn the_script_tells_failures_apart(
    #[case] name: &str,
    #[case] migration: &str,
    #[case] check: &str,
    #[case] expected: i32,
) {
    let (status, ..) = run(name, migration, check);
    assert_eq!(status, expected);
}

#[test]
fn the_script_keeps_the_migration_that_failed_before_the_traceback() {
    let traceback = "for i in $(seq 1 400); do echo \"  File x.py, line $i, in frame\"; done";
    let (status, message, output, _) = run(
        "traceback",
        &format!(
            "echo '  Applying users.0041_x...'; {traceback}; echo 'must be owner of table x' >&2; exit 1"
        ),
        "false",
    );
    assert_eq!(status, 1);
    assert!(message.starts_with("  Applying users.0041_x..."), "{message}");
    assert!(message.trim_end().ends_with("must be owner of table x"), "{message}");
    assert!(message.len() <= 4096, "the kubelet keeps no more: {}", message.len());
    assert!(output.contains("line 1,"), "the whole log is in the pod's log");
}

/// A migration that prints without end must not fill the disk of its node.
#[test]
fn the_script_keeps_the_end_of_a_long_output_and_prints_all_of_it() {
    const LINES: usize = 100_000;
    let (status, message, output, kept) = run(
        "long",
        &format!("seq 1 {LINES}; echo '  Applying users.0041_x...'; echo 'deadlock detected'; exit 1"),
        "false",
    );
    assert_eq!(status, 75);
    assert!(kept <= 256 << 10, "{kept} bytes");
    assert_eq!(output.lines().count(), LINES + 2);
    assert!(message.starts_with("  Applying users.0041_x..."), "{message}");
    assert!(message.trim_end().ends_with("deadlock detected"), "{message}");
}

/// Whether the next attempt may succeed is decided by the same words that the diagnosis reads.
#[test]
fn what_passes_by_itself_agrees_with_the_diagnosis() {
    const PASSING: &[Code] = &[
        Code::DatabaseUnreachable,
        Code::DatabaseHostNotFound,
        Code::DatabaseStarting,
        Code::DatabaseConnectionsExhausted,
        Code::DatabaseConnectionLost,
        Code::MigrationLockTimeout,
        Code::MigrationDeadlock,
    ];
    let table = include_str!("../../../tests/fixtures/expected.tsv");
    let mut observation = 0;
    let mut wrong = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<_> = line.split('\t').collect();
        let [name, "migration", cause, ..] = columns.as_slice() else {
            continue;
        };
        // Something that is no PostgreSQL answers the same the next time.
        if *cause == "-" || *name == "not-postgres" {
            continue;
        }
        let codes: Vec<Code> = cause.split('|').filter_map(Code::named).collect();
        let expected = codes.iter().any(|code| PASSING.contains(code));
        let log = format!("{}/tests/fixtures/logs/{name}.log", env!("CARGO_MANIFEST_DIR"));
        let found = Command::new("sh")
            .args(["-c", "tail -n 60 \"$0\" | grep -qE \"$1\"", &log, failures::TRANSIENT])
            .status()
            .unwrap()
            .success();
        observation += 1;
        if found != expected {
            wrong.push(format!("{name} ({cause}): tried again: {found}"));
        }
    }
    assert!(observation > 40, "{observation} logs");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
