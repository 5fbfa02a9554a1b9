//! `report`: one archive for a support ticket, everything in it redacted.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use futures::{AsyncReadExt as _, StreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams},
    core::DynamicObject,
};
use serde::Serialize;
use serde_json::Value;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    cluster::{Cluster, ClusterArgs},
    failure::{Failure, HEALTHY},
    findings,
    look::{Inspection, LookArgs, look},
    output::print,
};
use crate::{
    flagsmith::env,
    model::{
        child::{Kind, marks},
        redact::redact,
    },
};

/// The longest log of one container: the end of it, where troubles stand.
const LOG_BYTES: i64 = 2 << 20;
const LOG_LINES: i64 = 20_000;
/// The most pods whose logs are taken.
const PODS: usize = 30;
/// Logs that are read at once.
const AT_ONCE: usize = 6;
/// How long one log may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// Events of the namespace.
const EVENTS: u32 = 500;

/// Only its owner may read the archive.
const MODE: u32 = 0o600;
/// The shortest value of a Secret that is looked for elsewhere: a shorter one is found in any text.
const SHORTEST_SECRET: usize = 6;
/// The most Secrets whose values are looked for.
const SECRETS: usize = 50;

/// The arguments of `report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// The `FlagsmithDeployment`; may be left out where the namespace has only one
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The archive to write; flagsmith-report-NAME-TIME.zip when not given
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Writes the archive and says where it is.
pub fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let (name, entries) = super::context::block_on(async {
        let cluster = args.cluster.connect().await?;
        let look = Box::pin(look(&cluster, args.name.as_deref(), args.look)).await?;
        let name = look.resource.name_any();
        Ok((name.clone(), Box::pin(gather(&cluster, &name, &look)).await))
    })?;
    let path = args.file.clone().unwrap_or_else(|| {
        let now = Timestamp::now().strftime("%Y%m%d-%H%M%S");
        PathBuf::from(format!("flagsmith-report-{name}-{now}.zip"))
    });
    write(&path, &entries).map_err(|error| {
        Failure::usage(
            format!("cannot write {}: {error}", path.display()),
            "--file FILE names a file in a directory that may be written",
        )
    })?;
    print(&format!(
        "{} with {} files. Passwords, tokens and keys are masked; read it before you hand it on.\n",
        path.display(),
        entries.len()
    ));
    if !entries.iter().any(|entry| entry.path.starts_with("pods/")) {
        print(&format!(
            "No pod of {name} was found, so it has no log: there is none, or you may not list pods in this namespace.\n"
        ));
    }
    Ok(ExitCode::from(HEALTHY))
}

/// A file of the archive.
struct Entry {
    path: String,
    text: String,
}

/// Takes secrets out of what goes into the archive: what looks like one, and the exact values of the installation's
/// Secrets that the caller may read.
#[derive(Default)]
struct Redaction {
    known: BTreeSet<String>,
}

impl Redaction {
    /// Knows the values of these Secrets, as they are and as they stand in a URL.
    fn of(secrets: &[Secret]) -> Self {
        let mut known = BTreeSet::new();
        for value in secrets.iter().flat_map(|secret| secret.data.iter().flatten()) {
            let text = String::from_utf8_lossy(&value.1.0).trim().to_owned();
            let password = url::Url::parse(&text)
                .ok()
                .and_then(|url| url.password().map(str::to_owned));
            for part in [Some(text), password].into_iter().flatten() {
                let decoded = percent_encoding::percent_decode_str(&part)
                    .decode_utf8_lossy()
                    .into_owned();
                known.extend(
                    [part, decoded]
                        .into_iter()
                        .filter(|it| it.len() >= SHORTEST_SECRET),
                );
            }
        }
        Self { known }
    }

    fn text(&self, text: &str) -> String {
        let mut text = redact(text);
        // The longest first: a URL before the password in it.
        let mut known: Vec<&String> = self.known.iter().collect();
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        for value in known {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), "***");
            }
        }
        text
    }

    fn entry(&self, path: impl Into<String>, text: &str) -> Entry {
        Entry {
            path: path.into(),
            text: self.text(text).trim_end().to_owned() + "\n",
        }
    }

    fn yaml(&self, path: impl Into<String>, object: &impl Serialize) -> Entry {
        let text = serde_json::to_value(object).map_or_else(
            |error| error.to_string(),
            |mut object| {
                mask(&mut object);
                serde_saphyr::to_string(&object).unwrap_or_else(|error| error.to_string())
            },
        );
        self.entry(path, &text)
    }
}

/// Masks the literal values of environment variables but those that are known to be harmless (`name: X, value: Y`), and
/// what follows a flag that names a secret; drops what repeats a whole object as text.
fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("managedFields");
            fields.remove("kubectl.kubernetes.io/last-applied-configuration");
            let variable = fields.get("name").and_then(Value::as_str).map(env::is_harmless);
            if variable == Some(false) && fields.get("value").is_some_and(Value::is_string) {
                fields.insert("value".to_owned(), Value::String("***".to_owned()));
            }
            fields.values_mut().for_each(mask);
        }
        Value::Array(items) => {
            let mut after_secret_flag = false;
            for item in items {
                let flag = item
                    .as_str()
                    .is_some_and(|it| it.starts_with('-') && redact(&format!("{it} x")) != format!("{it} x"));
                if after_secret_flag && item.is_string() {
                    *item = Value::String("***".to_owned());
                } else {
                    mask(item);
                }
                after_secret_flag = flag;
            }
        }
        Value::String(text) => *text = redact(text),
        _ => {}
    }
}

/// The Secrets that these pods refer to, as far as the caller may read them.
async fn secrets(cluster: &Cluster, pods: &[Pod]) -> Vec<Secret> {
    let containers = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| {
        let initial = spec.init_containers.iter().flatten();
        initial.chain(&spec.containers)
    });
    let mut names = BTreeSet::new();
    for container in containers {
        let variables = container.env.iter().flatten();
        names.extend(
            variables.filter_map(|it| Some(it.value_from.as_ref()?.secret_key_ref.as_ref()?.name.clone())),
        );
        let sources = container.env_from.iter().flatten();
        names.extend(sources.filter_map(|it| Some(it.secret_ref.as_ref()?.name.clone())));
    }
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    stream::iter(names.into_iter().filter(|name| !name.is_empty()).take(SECRETS))
        .map(|name| {
            let api = api.clone();
            async move { api.get(&name).await.ok() }
        })
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}

async fn gather(cluster: &Cluster, name: &str, look: &Inspection) -> Vec<Entry> {
    let pods = pods(cluster, name, look).await;
    let redaction = Redaction::of(&secrets(cluster, &pods).await);
    let findings = findings::text(&look.diagnoses, &look.not_seen, "Nothing wrong was found.");
    let mut entries = vec![
        redaction.entry(
            "diagnoses.txt",
            &anstream::adapter::strip_str(&findings).to_string(),
        ),
        redaction.yaml("flagsmithdeployment.yaml", &look.resource),
        redaction.entry("events.txt", &events(cluster).await),
    ];
    for kind in Kind::ALL {
        for (path, object) in children(cluster, name, look, kind).await {
            entries.push(redaction.yaml(path, &object));
        }
    }
    entries.extend(
        pods.iter()
            .map(|pod| redaction.yaml(format!("pods/{}.yaml", pod.name_any()), pod)),
    );
    let runs = pods.iter().take(PODS).flat_map(runs);
    let logs: Vec<(String, String)> = stream::iter(runs)
        .map(|run| log(cluster, run))
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    entries.extend(logs.iter().map(|(path, text)| redaction.entry(path, text)));
    entries
}

fn selector(name: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={name}", marks::INSTANCE))
}

/// Objects of one kind: by the instance label, or by the names of what was observed, where another tool chose the labels.
async fn children(
    cluster: &Cluster,
    name: &str,
    look: &Inspection,
    kind: Kind,
) -> Vec<(String, DynamicObject)> {
    let resource = kind.api_resource();
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource);
    let mut found = api
        .list(&selector(name))
        .await
        .map(|list| list.items)
        .unwrap_or_default();
    let observed = look
        .observation
        .as_ref()
        .filter(|_| kind == Kind::Deployment && found.is_empty());
    let workloads = observed
        .into_iter()
        .flat_map(|it| [&it.api, &it.task_processor, &it.frontend].into_iter().flatten());
    for workload in workloads {
        found.extend(api.get(&workload.name).await.ok());
    }
    found
        .into_iter()
        .map(|object| (format!("{}/{}.yaml", kind.plural(), object.name_any()), object))
        .collect()
}

async fn pods(cluster: &Cluster, name: &str, look: &Inspection) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut found = api
        .list(&selector(name))
        .await
        .map(|list| list.items)
        .unwrap_or_default();
    let observed = look.observation.as_ref().filter(|_| found.is_empty());
    for pod in observed.into_iter().flat_map(|it| &it.pods).take(PODS) {
        found.extend(api.get(&pod.name).await.ok());
    }
    found
}

async fn events(cluster: &Cluster) -> String {
    let api: Api<Event> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    match api.list(&ListParams::default().limit(EVENTS)).await {
        Ok(list) => {
            let mut lines: Vec<String> = list.items.iter().map(event).collect();
            lines.sort();
            lines.join("\n")
        }
        Err(error) => format!("Events could not be listed: {error}"),
    }
}

fn event(event: &Event) -> String {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let last = last.or_else(|| event.event_time.as_ref().map(|time| time.0));
    let about = &event.involved_object;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    format!(
        "{} {} {} {}/{}: {}",
        last.map(|time| time.to_string()).unwrap_or_default(),
        text(&event.type_),
        text(&event.reason),
        text(&about.kind),
        text(&about.name),
        text(&event.message)
    )
}

/// One run of a container.
struct Run {
    pod: String,
    container: String,
    previous: bool,
}

fn runs(pod: &Pod) -> Vec<Run> {
    let status = pod.status.as_ref();
    let initial = status
        .into_iter()
        .flat_map(|status| status.init_container_statuses.iter().flatten());
    let main = status
        .into_iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let both = initial.chain(main).flat_map(|container| {
        let run = |previous| Run {
            pod: pod.name_any(),
            container: container.name.clone(),
            previous,
        };
        let ended = container
            .last_state
            .as_ref()
            .is_some_and(|last| last.terminated.is_some());
        [Some(run(false)), ended.then(|| run(true))]
    });
    both.flatten().collect()
}

async fn log(cluster: &Cluster, run: Run) -> Option<(String, String)> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let parameters = LogParams {
        container: Some(run.container.clone()),
        previous: run.previous,
        tail_lines: Some(LOG_LINES),
        limit_bytes: Some(LOG_BYTES),
        timestamps: true,
        ..LogParams::default()
    };
    let read = async {
        let stream = api.log_stream(&run.pod, &parameters).await.ok()?;
        let mut bytes = Vec::new();
        Box::pin(stream).read_to_end(&mut bytes).await.ok()?;
        Some(bytes)
    };
    let bytes = tokio::time::timeout(DEADLINE, read).await.ok()??;
    let suffix = if run.previous { ".previous" } else { "" };
    Some((
        format!("logs/{}/{}{suffix}.log", run.pod, run.container),
        String::from_utf8_lossy(&bytes).into_owned(),
    ))
}

fn write(path: &Path, entries: &[Entry]) -> io::Result<()> {
    // Never over something that is there.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path)?;
    let mut archive = ZipWriter::new(file);
    for entry in entries {
        archive.start_file(entry.path.as_str(), SimpleFileOptions::default())?;
        archive.write_all(entry.text.as_bytes())?;
    }
    archive.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use std::fs::File;

    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    /// What of these entries can be read in an archive.
    fn archived(entries: &[Entry]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.zip");
        write(&path, entries).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, MODE);
        assert!(
            write(&path, entries).is_err(),
            "an archive that is there was overwritten"
        );
        let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let mut all = String::new();
        for index in 0..archive.len() {
            archive.by_index(index).unwrap().read_to_string(&mut all).unwrap();
        }
        all
    }

    #[test]
    fn no_secret_reaches_the_archive() {
        let object = json!({
            "metadata": {
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{\"value\":\"s3cr3t-a\"}" },
                "managedFields": [{ "manager": "s3cr3t-b" }],
            },
            "spec": { "containers": [{
                "args": ["serve", "--smtp-password", "s3cr3t-h", "--workers", "3"],
                "env": [
                    { "name": "DJANGO_DB_PASSWORD", "value": "s3cr3t-c" },
                    { "name": "DATABASE_URL", "value": "postgresql://u:s3cr3t-d@db:5432/fs" },
                    { "name": "ANYTHING_ELSE", "value": "s3cr3t-g" },
                    { "name": "GUNICORN_TIMEOUT", "value": "30" },
                ],
            }]},
        });
        let redaction = Redaction::default();
        let entries = [
            redaction.yaml("pods/a.yaml", &object),
            redaction.entry(
                "logs/a/api.log",
                "ok\nconnecting to postgres://u:s3cr3t-e@db/fs\n+ PGPASSWORD=s3cr3t-f\n\
                 -----BEGIN PRIVATE KEY-----\ns3cr3t-i\ns3cr3t-j\n-----END PRIVATE KEY-----\nDETAIL:  Failing row contains (1, s3cr3t-k).\n",
            ),
        ];
        let all = archived(&entries);
        assert!(!all.contains("s3cr3t"), "{all}");
        assert!(
            all.contains("GUNICORN_TIMEOUT")
                && all.contains("30")
                && all.contains("ok\n")
                && all.contains("--workers"),
            "{all}"
        );
    }

    #[test]
    fn values_of_secrets_are_found_wherever_they_are_said() {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": "db" },
            "stringData": {},
            "data": { "url": ByteString(b"postgresql://app:pl%40in-w0rds@db:5432/fs".to_vec()) },
        }))
        .unwrap();
        let redaction = Redaction::of(&[secret]);
        let shown = redaction.text("tried pl@in-w0rds, then pl%40in-w0rds; gave up");
        assert_eq!(shown, "tried ***, then ***; gave up");
    }
}
