//! Every remedy can be followed as it stands. What any test of this crate has diagnosed is held against this, so a new cause
//! is covered by its own tests.

use std::{
    collections::HashSet,
    sync::{LazyLock, Mutex, PoisonError},
};

use kube::CustomResourceExt as _;
use rstest::rstest;
use serde_json::{Value, json};

use super::remedy_language::{commands, shell_words, without_commands};
use crate::{
    api::FlagsmithDeployment,
    causes::{
        diagnose, diagnose_log,
        migrations::shared::testing::{good, with_preflight},
        task_processor::shared::testing::{recurring, runs, with_queue},
    },
    fixtures::{self, CHART_DEFAULT, CHART_WITH_PROCESSOR, objects, observed, resource, spec},
    flagsmith::env,
    model::{Code, Component, Diagnosis},
    observe::{LogFinding, LogReading, Observation, PodLogFindings, Preflight, Run, database::Recurring},
    validate::{Installation, ManagedBy, validate},
};

/// The specification's schema as the API server has it.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(FlagsmithDeployment::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
});

/// The values of the official chart that may be set, in either version.
static VALUES: LazyLock<[Value; 2]> = LazyLock::new(|| {
    [
        include_str!("../../../tests/official-chart/values.yaml"),
        include_str!("../../../tests/official-chart/values-0.82.yaml"),
    ]
    .map(|text| serde_saphyr::from_str(text).unwrap())
});

/// What the commands set that `tests/chart/check` follows on both versions of the chart.
static FOLLOWED: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let followed = include_str!("../../../tests/fixtures/official-chart/remedies.txt").lines();
    let commands: Vec<Vec<String>> = followed.flat_map(|line| commands(line, "helm")).collect();
    let options = commands.iter().flat_map(|words| words.windows(2));
    options
        .filter(|it| it[0].starts_with("--set"))
        .flat_map(|it| settings(&it[1], it[0] == "--set"))
        .filter_map(|setting| Some(form(setting.split_once('=')?.0).to_owned()))
        .collect()
});

/// What was held already: simulations diagnose the same thousands of times.
static HELD: LazyLock<Mutex<HashSet<(bool, String)>>> = LazyLock::new(Mutex::default);

/// Stops where a remedy of these diagnoses cannot be followed.
pub(crate) fn hold(installation: &Installation, found: &[Diagnosis]) {
    let of_operator = installation.managed_by.is_operator();
    for diagnosis in found {
        let new = HELD
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((of_operator, diagnosis.remedy.to_string()));
        if !new {
            continue;
        }
        let problems = problems(&installation.managed_by, &diagnosis.remedy);
        assert!(
            problems.is_empty(),
            "the remedy of {} cannot be followed: {problems:#?}\n{}",
            diagnosis.code,
            diagnosis.remedy
        );
    }
}

fn problems(managed_by: &ManagedBy, remedy: &str) -> Vec<String> {
    let mut problems: Vec<String> =
        commands(remedy, "kubectl").iter().filter_map(|command| kubectl(command).err()).collect();
    problems.extend(commands(remedy, "helm").iter().filter_map(|command| helm(command).err()));
    if managed_by.is_operator() {
        let prose = without_commands(remedy);
        problems.extend(refused_variables(&prose));
        problems.extend(fields(&prose).into_iter().filter_map(|(path, value)| {
            accepted(&path, value.as_deref()).err().map(|why| format!("{path}: {value:?}: {why}"))
        }));
    }
    problems
}

// --- fields of the resource -----------------------------------------------------------------------------------------------

/// Variables that the operator computes are refused in `env`; the key of a Secret may have such a name.
fn refused_variables(prose: &str) -> Vec<String> {
    let is_of_name = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_';
    let mut before = "";
    let mut found = Vec::new();
    for word in prose.split_whitespace() {
        for name in word.split(|it| !is_of_name(it)) {
            if env::decided_by(name).is_some() && !matches!(before, "key" | "key:") && !word.contains('/') {
                found.push(format!("{name} is refused in env"));
            }
        }
        before = word;
    }
    // What the operator does itself is named, not advised.
    if prose.contains("The operator sets ") {
        found.clear();
    }
    found
}

/// The fields that are named, each with the value that is to be set, where one is.
fn fields(prose: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    for (start, _) in prose.match_indices("spec.") {
        let before = prose[..start].chars().next_back();
        if before.is_some_and(|it| it.is_alphanumeric() || "./\"_-".contains(it)) {
            continue;
        }
        let rest = &prose[start + "spec.".len()..];
        let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '.').unwrap_or(rest.len());
        let path = rest[..end].trim_end_matches('.');
        let behind = &rest[path.len()..];
        found.push((path.to_owned(), behind.strip_prefix(": ").map(value)));
    }
    found
}

/// A value in YAML's flow style, up to where the sentence goes on.
fn value(text: &str) -> String {
    let mut depth = 0;
    let mut quoted = false;
    let mut escaped = false;
    let end = text.char_indices().find(|(index, it)| {
        if escaped {
            escaped = false;
            return false;
        }
        match it {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            ' ' | ',' | ';' | ')' if !quoted && depth == 0 => return true,
            '.' if !quoted && depth == 0 => {
                return text[index + 1..].chars().next().is_none_or(char::is_whitespace);
            }
            _ => {}
        }
        false
    });
    text[..end.map_or(text.len(), |(index, _)| index)].to_owned()
}

/// Whether a field is there, and the schema and the operator take that value.
fn accepted(path: &str, value: Option<&str>) -> Result<(), String> {
    let mut schema = &*SCHEMA;
    for part in path.split('.') {
        schema = match &schema["properties"][part] {
            // A map of quantities, such as limits.
            Value::Null if schema["additionalProperties"].is_object() => &schema["additionalProperties"],
            Value::Null => return Err(format!("there is no field {part}")),
            field => field,
        };
    }
    let Some(value) = value else { return Ok(()) };
    let value: Value = serde_saphyr::from_str(value).map_err(|error| error.to_string())?;
    let is = |kind: &str| schema["type"] == kind || schema["x-kubernetes-int-or-string"] == true;
    let fits = match &value {
        Value::Number(_) => is("integer") || is("number"),
        Value::String(_) => is("string"),
        Value::Bool(_) => is("boolean"),
        Value::Array(_) => is("array"),
        Value::Object(_) => is("object"),
        Value::Null => false,
    };
    if !fits {
        return Err(format!("the schema wants {}", schema["type"]));
    }
    let beyond = |limit: &str, is_beyond: fn(f64, f64) -> bool| {
        let (number, limit) = (value.as_f64()?, schema[limit].as_f64()?);
        is_beyond(number, limit).then_some(limit)
    };
    if let Some(limit) = beyond("minimum", |it, least| it < least).or(beyond("maximum", |it, most| it > most))
    {
        return Err(format!("the limit is {limit}"));
    }
    let mut changed = json!({ "spec": fixtures::minimal() });
    let mut place = &mut changed["spec"];
    for part in path.split('.') {
        place = &mut place[part];
    }
    *place = value;
    // What belongs together is advised together: an Ingress has a host.
    if path.starts_with("exposure.") {
        changed["spec"]["exposure"]["hosts"] = json!(["flags.example.com"]);
    }
    validate(&resource(&changed["spec"])).map(drop).map_err(|problems| format!("{problems:?}"))
}

// --- helm -----------------------------------------------------------------------------------------------------------------

/// Whether every value that is set is one of the official chart's.
fn helm(words: &[String]) -> Result<(), String> {
    let at = |index: usize| words.get(index).map(String::as_str);
    match (at(1), at(3)) {
        (Some("upgrade"), Some("flagsmith/flagsmith")) => {}
        (Some("upgrade"), Some("charts/flagsmith-operator")) | (Some("list"), _) | (Some("get"), Some(_)) => {
            return Ok(());
        }
        _ => return Err(format!("no such command of helm: {words:?}")),
    }
    let mut words = words.iter().skip(4);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--namespace" | "--version" | "--values" => {
                words.next().ok_or("an option without its value")?;
            }
            "--reuse-values" => {}
            "--set" | "--set-string" | "--set-json" => {
                let setting = words.next().ok_or("--set without a value")?;
                for one in settings(setting, word == "--set") {
                    set(&one, word == "--set-json")?;
                }
            }
            option if option.starts_with('-') => return Err(format!("no such option of helm: {option}")),
            // The sentence goes on.
            _ => break,
        }
    }
    Ok(())
}

/// `--set a=1,b=2` sets two.
fn settings(text: &str, several: bool) -> Vec<String> {
    let assigns =
        |part: &str| part.split('=').next().is_some_and(|key| key.contains('.')) && part.contains('=');
    if several && text.split(',').all(assigns) {
        text.split(',').map(str::to_owned).collect()
    } else {
        vec![text.to_owned()]
    }
}

fn set(setting: &str, json: bool) -> Result<(), String> {
    let (path, value) = setting.split_once('=').ok_or_else(|| format!("{setting} sets nothing"))?;
    if json {
        serde_json::from_str::<Value>(value).map_err(|error| format!("{value}: {error}"))?;
    }
    VALUES.iter().try_for_each(|values| known(path, values))?;
    if !FOLLOWED.contains(form(path)) {
        return Err(format!("no command in tests/fixtures/official-chart/remedies.txt sets {path}"));
    }
    Ok(())
}

/// Whether the chart has that value.
fn known(path: &str, mut values: &Value) -> Result<(), String> {
    let mut opened = false;
    for part in path.replace("\\.", "\u{0}").split('.') {
        match values {
            // Whatever one likes.
            Value::Object(fields) if fields.is_empty() || opened => return Ok(()),
            Value::Object(fields) => {
                opened = matches!(part, "extraEnv" | "lifecycle");
                values = fields.get(part).ok_or_else(|| format!("the chart has no value {path}"))?;
            }
            _ => return Err(format!("the chart has no value {path}")),
        }
    }
    Ok(())
}

/// A value of the chart without the part that one chooses oneself.
fn form(path: &str) -> &str {
    let chosen = ["extraEnv.", "annotations."].iter().find_map(|it| Some(path.find(it)? + it.len()));
    &path[..chosen.unwrap_or(path.len())]
}

// --- kubectl --------------------------------------------------------------------------------------------------------------

/// A command of kubectl: its words, the fewest arguments that it needs, and its options; those that end in `=` have a value.
type Command = (&'static [&'static str], usize, &'static [&'static str]);

const COMMANDS: &[Command] = &[
    (&["get"], 1, &["-l=", "-L=", "-o=", "--show-labels", "--all-namespaces", "-A", "-w"]),
    (&["describe"], 1, &["-l="]),
    (&["run"], 1, &["--rm", "-it", "--image=", "--restart="]),
    (&["delete"], 2, &["-l="]),
    (&["apply"], 0, &["-f=", "--server-side"]),
    (&["create", "secret", "generic"], 1, &["--from-literal=", "--dry-run=", "-o="]),
    (&["create", "service", "externalname"], 1, &["--external-name="]),
    (&["create", "deployment"], 1, &["--image="]),
    (&["create"], 0, &["-f="]),
    (&["scale"], 2, &["--replicas="]),
    (&["set", "env"], 2, &["--from=", "--keys="]),
    (&["set", "resources"], 1, &["--limits="]),
    (&["set", "image"], 2, &[]),
    (&["patch"], 2, &["--type=", "-p="]),
    (&["annotate"], 3, &["--overwrite"]),
    (&["label"], 3, &["--overwrite"]),
    (&["exec"], 1, &["-c=", "-i", "-it"]),
    (&["logs"], 1, &["-f", "--previous", "-c=", "-p", "--tail=", "-l="]),
    (&["rollout", "restart"], 1, &[]),
    (&["rollout", "status"], 1, &[]),
    (&["rollout", "undo"], 1, &[]),
    (&["auth", "can-i"], 0, &["--list", "--as="]),
    (&["top"], 1, &["--containers"]),
];

fn kubectl(words: &[String]) -> Result<(), String> {
    let mut words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    while let Some(place) = words.iter().position(|it| matches!(*it, "-n" | "--namespace")) {
        words.remove(place);
        if place >= words.len() {
            return Err("-n without a namespace".to_owned());
        }
        words.remove(place);
    }
    let (verb, fewest, options) = COMMANDS
        .iter()
        .find(|(verb, ..)| words.starts_with(verb))
        .ok_or_else(|| format!("no such command of kubectl: {words:?}"))?;
    let mut arguments = 0;
    let mut rest = words.iter().skip(verb.len());
    while let Some(word) = rest.next() {
        if *word == "--" {
            arguments += 1;
            break;
        }
        if !word.starts_with('-') || *word == "-" {
            arguments += if word.contains('/') { 2 } else { 1 };
            continue;
        }
        let name = word.split('=').next().unwrap_or_default();
        let takes = |it: &&&str| it.trim_end_matches('=') == name;
        match options.iter().find(takes) {
            Some(option) if option.ends_with('=') && !word.contains('=') => {
                rest.next().ok_or_else(|| format!("{word} without its value"))?;
            }
            Some(_) => {}
            None => return Err(format!("kubectl {} has no option {word}", verb.join(" "))),
        }
    }
    if arguments < *fewest {
        return Err(format!("kubectl {} is not complete: {words:?}", verb.join(" ")));
    }
    Ok(())
}

// --- everything that a log can show ---------------------------------------------------------------------------------------

/// The logs in tests/fixtures, each with the component that wrote it.
fn samples() -> impl Iterator<Item = (Component, &'static str, Vec<u8>)> {
    let table = include_str!("../../../tests/fixtures/expected.tsv");
    let rows = table.lines().filter(|row| !row.starts_with('#') && !row.is_empty());
    rows.map(|row| {
        let mut cells = row.split('\t');
        let (name, component) = (cells.next().unwrap(), cells.next().unwrap());
        let component = match component {
            "migration" => Component::Migrations,
            other => Component::named(other).unwrap(),
        };
        let path = format!("{}/tests/fixtures/logs/{name}.log", env!("CARGO_MANIFEST_DIR"));
        (component, name, std::fs::read(path).unwrap())
    })
}

/// What a pod of that component has logged, in an installation of which nothing else is known.
fn logged(seen: Observation, component: Component, name: &str, log: &[u8]) -> Observation {
    let now = seen.now;
    let found = diagnose_log(component, None, name, log).into_iter().map(|(_, diagnosis)| LogFinding {
        read: now,
        happened: now,
        of_connection: false,
        diagnosis,
    });
    Observation {
        pod_logs: PodLogFindings {
            logs: vec![LogReading {
                pod: "flagsmith-abc".to_owned(),
                container: "flagsmith".to_owned(),
                component,
                run: Run::Failed { restarts: 1 },
                at: now,
                found: found.collect(),
            }],
            warnings: Vec::new(),
        },
        ..seen
    }
}

#[rstest]
#[case::managed(None)]
#[case::by_the_chart(Some(CHART_WITH_PROCESSOR))]
#[case::by_the_chart_alone(Some(CHART_DEFAULT))]
fn what_a_log_shows_can_be_remedied_by_whose_it_is(#[case] manifest: Option<&str>) {
    let (installation, seen) = match manifest {
        None => (fixtures::installation(&fixtures::minimal()), fixtures::empty_observation()),
        Some(manifest) => {
            let (found, seen) =
                observed(if manifest == CHART_DEFAULT { "flagsmith" } else { "acme" }, &objects(manifest));
            (found.installation, seen)
        }
    };
    let mut number = 0;
    for (component, name, log) in samples() {
        // `diagnose` holds each of them.
        number += diagnose(&installation, &logged(seen.clone(), component, name, &log)).len();
    }
    assert!(number > 100, "{number} diagnoses were held");
}

// --- that this test can fail ----------------------------------------------------------------------------------------------

#[rstest]
#[case("Set GUNICORN_THREADS=2 or more.", 1)]
#[case("Set spec.api.gunicorn.threads: 2 or more.", 0)]
#[case("Set spec.api.gunicorn.threads: many.", 1)]
#[case("Set spec.api.gunicorn.thread: 2.", 1)]
#[case("Set spec.django.allowedHosts: *.", 1)]
#[case("Set spec.django.allowedHosts: [\"*\"].", 0)]
#[case("Set spec.api.env: [{name: GUNICORN_TIMEOUT, value: \"9\"}].", 2)]
#[case("Set spec.api.resources.limits.memory: 1Gi, or so.", 0)]
#[case("Look: kubectl -n prod get pods -l a=b. Then wait.", 0)]
#[case("Look: kubectl -n prod gett pods.", 1)]
#[case("Scale: kubectl scale deployment x --replica=1", 1)]
#[case("kubectl -n prod annotate fsd x a/b=\"$(date +%s)\" --overwrite", 0)]
#[case("kubectl annotate fsd x", 1)]
fn what_cannot_be_followed_is_found(#[case] remedy: &str, #[case] expected: usize) {
    let found = problems(&ManagedBy::Operator, remedy);
    assert_eq!(found.len(), expected, "{found:?}");
}

#[rstest]
#[case(
    "helm upgrade acme flagsmith/flagsmith --namespace prod --reuse-values --set taskProcessor.replicacount=1",
    0
)]
#[case(
    "helm upgrade acme flagsmith/flagsmith --namespace prod --reuse-values --set taskprocessor.replicas=1",
    1
)]
#[case("helm upgrade acme flagsmith/flagsmith --reuse-values --set-json 'api.args=[\"start\"]'", 0)]
#[case("helm upgrade acme flagsmith/flagsmith --reuse-values --set-json 'api.args=[start]'", 1)]
fn what_the_chart_does_not_have_is_found(#[case] command: &str, #[case] expected: usize) {
    let helm = ManagedBy::Helm { release: "acme".to_owned(), chart: None, namespace: "prod".to_owned() };
    let found = problems(&helm, command);
    assert_eq!(found.len(), expected, "{found:?} in {:?}", shell_words(command));
}

#[test]
fn the_smallest_specification_is_accepted() {
    validate(&resource(&spec(json!({})))).unwrap();
}

// --- a remedy for many objects covers all of them -------------------------------------------------------------------------

#[test]
fn a_remedy_for_many_covers_all() {
    let names: Vec<String> = (0..15).map(|number| format!("tasks.number_{number}_of_many")).collect();
    let indexes: Vec<String> = names.iter().map(|name| name.replace("tasks.", "idx_")).collect();
    let (disabled, given_up) = (names.clone(), names.clone());
    let queues = [
        with_queue(move |queue| {
            queue.recurring = Some(disabled.iter().map(|name| switched_off(name)).collect());
        }),
        with_queue(move |queue| {
            queue.runs = given_up.iter().map(|name| runs(name, 9, 3, true)).collect();
            queue.given_up = given_up.iter().map(|name| (name.clone(), 3)).collect();
        }),
    ];
    let invalid = with_preflight(Preflight { invalid_indexes: indexes.clone(), ..good() });
    let installation = fixtures::installation(&fixtures::minimal());
    let cases = queues
        .into_iter()
        .zip([Code::RecurringTasksDisabled, Code::TasksFailing])
        .map(|(seen, code)| (seen, code, &names))
        .chain([(invalid, Code::InvalidIndexLeft, &indexes)]);
    for (seen, code, objects) in cases {
        let found = diagnose(&installation, &seen);
        let remedy = &found.iter().find(|it| it.code == code).unwrap().remedy;
        for object in objects {
            assert!(remedy.contains(object.as_str()), "{code} forgets {object}: {remedy}");
        }
    }
}

fn switched_off(name: &str) -> Recurring {
    Recurring { disabled: true, failures: 4, ..recurring(name, 1) }
}
