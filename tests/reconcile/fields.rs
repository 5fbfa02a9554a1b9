//! Every field of a specification there and back: what it changes is written down, and nothing of it is left.
//!
//! The values come from the schema. Where the API server or the operator refuses one, that is written down as well.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    time::{Duration, Instant},
};

use flagsmith_operator::api::{self, FlagsmithDeployment};
use futures::future::join_all;
use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::support::{NAME, Network, Operator, Sandbox, Store, config, converged, difference, merge, run};

/// Installations that are changed at once.
const SANDBOXES: usize = 6;
/// Objects that do not change for so long are what the operator makes of a specification.
const SETTLED: Duration = Duration::from_millis(700);
/// How long a change may take on a busy machine.
const CHANGED: Duration = Duration::from_secs(20);
/// Values of fields by their name: of Kubernetes' own types, where what else may stand inside is its business, and of those
/// for which a rule says more than the schema.
const VALUES: &[(&str, &str)] = &[
    (
        "affinity",
        r#"{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{"matchExpressions":[{"key":"some","operator":"Exists"}]}}]}}"#,
    ),
    ("annotations", r#"{"example.com/some":"some"}"#),
    ("args", r#"["serve"]"#),
    ("behavior", r#"{"scaleDown":{"stabilizationWindowSeconds":60}}"#),
    ("command", r#"["some"]"#),
    ("configMapRef", r#"{"name":"some"}"#),
    ("containerSecurityContext", r#"{"runAsGroup":1000}"#),
    ("dnsPolicy", r#""Default""#),
    ("interval", r#""30s""#),
    ("pullPolicy", r#""Never""#),
    ("sender", r#""flags@example.com""#),
    ("via", r#"["2.253.0"]"#),
    ("dnsConfig", r#"{"options":[{"name":"ndots","value":"2"}]}"#),
    ("env", r#"[{"name":"SOME","value":"some"}]"#),
    ("envFrom", r#"[{"secretRef":{"name":"db","optional":true},"prefix":"SOME_"}]"#),
    ("extraContainers", r#"[{"name":"beside","image":"local/some:1"}]"#),
    ("hostAliases", r#"[{"ip":"192.0.2.2","hostnames":["some.example.com"]}]"#),
    ("imagePullSecrets", r#"[{"name":"some"}]"#),
    ("initContainers", r#"[{"name":"before","image":"local/some:1"}]"#),
    ("labels", r#"{"example.com/some":"some"}"#),
    ("lifecycle", r#"{"preStop":{"sleep":{"seconds":7}}}"#),
    ("livenessProbe", r#"{"tcpSocket":{"port":"http"}}"#),
    ("nodeSelector", r#"{"kubernetes.io/os":"linux"}"#),
    ("podSecurityContext", r#"{"fsGroup":1000}"#),
    ("podTemplate", r#"{"spec":{"containers":[{"name":"own","image":"local/some:1"}]}}"#),
    ("readinessProbe", r#"{"tcpSocket":{"port":"http"}}"#),
    ("resources", r#"{"limits":{"memory":"600Mi"}}"#),
    ("securityContext", r#"{"runAsGroup":1000}"#),
    ("startupProbe", r#"{"tcpSocket":{"port":"http"}}"#),
    ("tolerations", r#"[{"key":"some","operator":"Exists"}]"#),
    (
        "topologySpreadConstraints",
        r#"[{"maxSkew":1,"topologyKey":"some","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{"matchLabels":{"some":"some"}}}]"#,
    ),
    ("volumeMounts", r#"[{"name":"tmp","mountPath":"/some"}]"#),
    ("volumes", r#"[{"name":"some","emptyDir":{}}]"#),
];
/// What has to stand in the specification beside what is below a field.
const BESIDE: &[(&str, &str)] = &[
    ("spec.exposure.ingress", r#"{"exposure":{"hosts":["flags.example.com"]}}"#),
    ("spec.exposure.httpRoute", r#"{"exposure":{"hosts":["flags.example.com"]}}"#),
    ("spec.exposure.hosts", r#"{"exposure":{"ingress":{}}}"#),
    ("spec.exposure.proxy", r#"{"exposure":{"hosts":["flags.example.com"],"ingress":{}}}"#),
    ("spec.exposure.api", r#"{"exposure":{"api":{"hosts":["api.example.com"],"ingress":{}}}}"#),
    ("spec.exposure.frontend", r#"{"exposure":{"frontend":{"hosts":["flags.example.com"],"ingress":{}}}}"#),
    (
        "spec.exposure.edgeProxy",
        r#"{"edgeProxy":{"image":"local/edge-proxy:1","environments":[{"serverSideKeyFrom":{"secretKeyRef":{"name":"db","key":"some"}},"clientSideKeyFrom":{"secretKeyRef":{"name":"db","key":"some"}}}]},"exposure":{"edgeProxy":{"hosts":["edge.example.com"],"ingress":{}}}}"#,
    ),
    ("spec.api.autoscaling", r#"{"api":{"autoscaling":{"maxReplicas":9}}}"#),
    ("spec.frontend.autoscaling", r#"{"frontend":{"autoscaling":{"maxReplicas":9}}}"#),
    ("spec.edgeProxy.autoscaling", r#"{"edgeProxy":{"autoscaling":{"maxReplicas":9}}}"#),
    ("spec.taskProcessor.autoscaling", r#"{"taskProcessor":{"autoscaling":{"maxReplicas":9}}}"#),
    ("spec.integrations.email.sender", r#"{"integrations":{"email":{"smtp":{"host":"smtp.example.com"}}}}"#),
];
/// Fields whose change leaves a trace on purpose, and what it is.
const LASTING: &[(&str, &str)] = &[
    ("spec.version", "a database that was migrated is not taken back by itself"),
    ("spec.database", "another database is migrated, and has a history of its own"),
    ("spec.mode", "an installation that is observed is not the operator's any more"),
];
/// Values of texts, the most special first: the first that a pattern accepts is taken.
const TEXTS: &[&str] = &[
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "2026-01-01T00:00:00Z",
    "2.262.0",
    "smtp.example.com",
    "https://cache.example.com",
    "10m",
    "64Mi",
    "50%",
    "10s",
    "some",
    "Some",
    "SOME",
    "/some",
    "1",
];

#[test]
#[ignore = "five minutes: make trial-fields"]
fn every_field_there_and_back() {
    run(async {
        let crd = serde_json::to_value(api::crd()).unwrap();
        let schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
        let mut leaves = Vec::new();
        find(&schema, &mut Vec::new(), &mut leaves);
        leaves.retain(|leaf| !LASTING.iter().any(|(path, _)| is_below(&text(leaf), path)));
        let only = std::env::var("FIELDS").unwrap_or_default();
        leaves.retain(|leaf| text(leaf).contains(&only));
        println!("{} fields", leaves.len());
        let sandboxes = join_all((0..SANDBOXES).map(|place| async move {
            let sandbox = Sandbox::empty("fields").await;
            // One migrates at a time on one database.
            sandbox.database_secret_of(&format!("flagsmith{place}")).await;
            sandbox
        }))
        .await;
        let namespaces = sandboxes.iter().map(|it| it.namespace.clone()).collect();
        let operator = Operator::start_with(config().await, namespaces, Network::default(), None);
        let (schema, leaves) = (&schema, &leaves);
        let trials = sandboxes.iter().enumerate().map(|(place, sandbox)| async move {
            let installed = sandbox.install(json!({})).await;
            let spec = serde_json::to_value(&installed.spec).unwrap();
            sandbox.ready().await;
            let before = settled(sandbox).await;
            let mut told = Vec::new();
            for leaf in leaves.iter().skip(place).step_by(SANDBOXES) {
                let outcome = there_and_back(sandbox, schema, &spec, &before, leaf).await;
                let outcome = outcome.map(|it| it.replace(&sandbox.namespace, "NAMESPACE"));
                println!("{}: {outcome:?}", text(leaf));
                told.push((text(leaf), outcome));
            }
            told
        });
        let mut told: Vec<_> = join_all(trials).await.into_iter().flatten().collect();
        told.sort();
        let mut table = String::new();
        let mut left = Vec::new();
        for (field, outcome) in told {
            let line = match outcome {
                Ok(changed) => changed,
                Err(why) => {
                    left.push(format!("{field}: {why}"));
                    "left something behind".to_owned()
                }
            };
            writeln!(table, "{field}: {line}").unwrap();
        }
        println!("{table}");
        operator.stop().await;
        for sandbox in sandboxes {
            sandbox.end().await;
        }
        assert!(left.is_empty(), "{} fields: {left:#?}", left.len());
        if only.is_empty() {
            insta::assert_snapshot!(table);
        }
    });
}

/// What a value changes: the objects, or who refuses it and why; an error is what was left of it.
async fn there_and_back(
    sandbox: &Sandbox,
    schema: &Value,
    spec: &Value,
    before: &Store,
    leaf: &[String],
) -> Result<String, String> {
    let api = sandbox.api::<FlagsmithDeployment>();
    let mut refused = String::new();
    for value in 0..2 {
        let mut there = spec.clone();
        // A list of hosts goes with an Ingress or with an HTTPRoute, not with both.
        let field = text(leaf);
        for (_, beside) in BESIDE.iter().filter(|(parent, _)| is_below(&field, parent)) {
            merge(&mut there, serde_json::from_str(beside).unwrap());
        }
        if field.contains(".httpRoute.") {
            let exposure = there["exposure"].as_object_mut().unwrap();
            exposure.values_mut().filter_map(Value::as_object_mut).for_each(|it| drop(it.remove("ingress")));
        }
        insert(schema, leaf, &mut there, value);
        if there == *spec {
            continue;
        }
        let patch = replace(&there);
        let changed = match api.patch(NAME, &PatchParams::default(), &patch).await {
            Ok(changed) => changed,
            Err(kube::Error::Api(status)) => {
                refused = format!("refused by the API server: {}", short(&status.message));
                continue;
            }
            Err(error) => return Err(format!("{error}")),
        };
        let now = settled(sandbox).await;
        let after = sandbox.installation().await;
        let conditions = after.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
        let invalid = conditions.iter().find(|it| it.reason == "InvalidSpec" && it.type_ == "Ready");
        let refused_child =
            after.status.iter().flat_map(|it| &it.diagnoses).find(|it| it.code == "AdmissionDenied");
        let changes = match (invalid, refused_child) {
            (Some(it), _) => format!("refused by the operator: {}", short(&it.message)),
            (None, Some(it)) => {
                format!(
                    "refused by the API server as an object: {}",
                    short(it.evidence.first().map_or("", String::as_str))
                )
            }
            (None, None) => names(before, &now),
        };
        if changed.metadata.generation.is_none() {
            return Err("it has no generation".to_owned());
        }
        api.patch(NAME, &PatchParams::default(), &replace(spec)).await.map_err(|it| it.to_string())?;
        let back = Instant::now();
        loop {
            let left = difference(before, &settled(sandbox).await);
            if left.is_empty() && converged(&sandbox.installation().await) {
                return Ok(changes);
            }
            if back.elapsed() > CHANGED {
                return Err(format!("{changes}; left: {left:?}"));
            }
        }
    }
    if refused.is_empty() {
        return Ok("has no other value".to_owned());
    }
    Ok(refused)
}

fn replace(spec: &Value) -> Patch<FlagsmithDeployment> {
    let operations = json!([{ "op": "replace", "path": "/spec", "value": spec }]);
    Patch::Json(serde_json::from_value(operations).unwrap())
}

/// The children, once the newest specification has been looked at and nothing changes any more.
async fn settled(sandbox: &Sandbox) -> Store {
    let begun = Instant::now();
    let mut last = Store::new();
    let mut since = Instant::now();
    loop {
        let installation = sandbox.installation().await;
        let seen = installation.status.as_ref().and_then(|it| it.observed_generation);
        let mut now = sandbox.store().await;
        // Jobs of attempts come and go; what is wanted is in the other objects.
        now.retain(|name, _| !name.starts_with("FlagsmithDeployment ") && !name.starts_with("Job "));
        // Kubernetes counts rollouts.
        for object in now.values_mut() {
            object["metadata"]["annotations"]["deployment.kubernetes.io/revision"].take();
        }
        let conditions = installation.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
        let is = |kind: &str| conditions.iter().any(|it| it.type_ == kind && it.status == "True");
        let under_way = is("Reconciling") && !is("Stalled");
        if now != last || seen != installation.metadata.generation || under_way {
            since = Instant::now();
        }
        last = now;
        if since.elapsed() > SETTLED || begun.elapsed() > CHANGED {
            return last;
        }
        sleep(SETTLED / 4).await;
    }
}

/// The objects that differ.
fn names(before: &Store, now: &Store) -> String {
    let changed: BTreeSet<&str> = before
        .keys()
        .chain(now.keys())
        .filter(|name| before.get(*name) != now.get(*name))
        .map(String::as_str)
        .collect();
    if changed.is_empty() {
        return "changes no object".to_owned();
    }
    changed.into_iter().collect::<Vec<_>>().join(", ")
}

fn short(message: &str) -> String {
    let message = message.replace('\n', " ");
    // The name of a pod has a hash of random values in it.
    let rule = ["is forbidden: ", "is invalid: "].iter().find_map(|it| message.split_once(it));
    let rule = rule.map_or(message.as_str(), |(_, rule)| rule);
    rule.chars().take(160).collect()
}

fn text(leaf: &[String]) -> String {
    format!("spec.{}", leaf.join("."))
}

fn is_below(path: &str, parent: &str) -> bool {
    path == parent || path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('.'))
}

fn known(field: &str) -> Option<Value> {
    let (_, value) = VALUES.iter().find(|(name, _)| *name == field)?;
    Some(serde_json::from_str(value).unwrap())
}

/// The paths of what holds a value; `[]` is an item of a list, `{}` one of a map.
fn find(schema: &Value, at: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
    let mut below: Vec<(String, &Value)> = Vec::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        below.push((name.clone(), field));
    }
    for (name, inside) in [("[]", "items"), ("{}", "additionalProperties")] {
        if schema[inside].is_object() {
            below.push((name.to_owned(), &schema[inside]));
        }
    }
    if below.is_empty() {
        leaves.push(at.clone());
    }
    for (name, field) in below {
        at.push(name.clone());
        if known(&name).is_some() {
            leaves.push(at.clone());
        } else {
            find(field, at, leaves);
        }
        at.pop();
    }
}

/// Puts another value at a path, with what has to stand beside it and does not yet.
fn insert(schema: &Value, path: &[String], target: &mut Value, number: usize) {
    let Some((name, rest)) = path.split_first() else {
        *target = sample(schema, target, number);
        return;
    };
    match name.as_str() {
        "[]" => {
            let mut item = Value::Null;
            insert(&schema["items"], rest, &mut item, number);
            *target = json!([item]);
        }
        "{}" => {
            let mut item = Value::Null;
            insert(&schema["additionalProperties"], rest, &mut item, number);
            *target = json!({ "example.com/some": item });
        }
        _ => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            let object = target.as_object_mut().unwrap();
            for field in required(schema).filter(|field| field != name) {
                let value = || {
                    known(&field).unwrap_or_else(|| sample(&schema["properties"][&field], &Value::Null, 0))
                };
                object.entry(field.clone()).or_insert_with(value);
            }
            let value = object.entry(name.clone()).or_insert(Value::Null);
            match known(name) {
                Some(known) => *value = known,
                None => insert(&schema["properties"][name], rest, value, number),
            }
        }
    }
}

fn required(schema: &Value) -> impl Iterator<Item = String> {
    let fields = schema["required"].as_array().cloned().unwrap_or_default();
    fields.into_iter().filter_map(|it| it.as_str().map(str::to_owned))
}

/// A value of this schema that is not the present one.
fn sample(schema: &Value, present: &Value, number: usize) -> Value {
    let present = if present.is_null() { &schema["default"] } else { present };
    if let Some(values) = schema["enum"].as_array() {
        let others: Vec<_> = values.iter().filter(|it| *it != present && !it.is_null()).collect();
        return others.get(number % others.len().max(1)).map_or(Value::Null, |it| (*it).clone());
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return json!(2);
    }
    match schema["type"].as_str() {
        Some("boolean") => json!(present != true),
        Some("integer") => {
            let bound = |name: &str, other| schema[name].as_i64().unwrap_or(other);
            let wanted = present.as_i64().map_or(bound("minimum", 1) + 2, |it| it + 1);
            json!(wanted.clamp(bound("minimum", 0), bound("maximum", i64::MAX)))
        }
        Some("array") => json!([sample(&schema["items"], &Value::Null, number)]),
        Some("object") if schema["properties"].is_object() => {
            let fields = required(schema).map(|it| {
                let value =
                    known(&it).unwrap_or_else(|| sample(&schema["properties"][&it], &Value::Null, number));
                (it, value)
            });
            Value::Object(fields.collect())
        }
        Some("object") => {
            let inside = &schema["additionalProperties"];
            let value = if inside.is_object() { sample(inside, &Value::Null, number) } else { json!("some") };
            json!({ "example.com/some": value })
        }
        _ => json!(words(schema, present).nth(number).unwrap_or("some")),
    }
}

/// Texts that the schema accepts.
fn words<'a>(schema: &Value, present: &'a Value) -> impl Iterator<Item = &'static str> + use<'a> {
    let pattern = schema["pattern"].as_str().map(|it| regex_lite::Regex::new(it).unwrap());
    let longest = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    let plain = pattern.is_none();
    let fits = move |it: &&&str| {
        pattern.as_ref().is_none_or(|pattern| pattern.is_match(it))
            && it.len() as u64 <= longest
            && present != **it
    };
    // Without a pattern any word will do.
    TEXTS.iter().skip(if plain { 9 } else { 0 }).filter(fits).copied()
}
