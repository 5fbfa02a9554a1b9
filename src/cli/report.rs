//! `report`: one archive for a support ticket, everything in it redacted.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use futures::{AsyncReadExt as _, StreamExt as _, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
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
use crate::model::{
    child::{Kind, marks},
    redact::redact,
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
    Ok(ExitCode::from(HEALTHY))
}

/// A file of the archive.
struct Entry {
    path: String,
    text: String,
}

impl Entry {
    fn new(path: impl Into<String>, text: &str) -> Self {
        // Line by line: what masks a secret looks no further than its line.
        let text: Vec<String> = text.lines().map(redact).collect();
        Self {
            path: path.into(),
            text: text.join("\n") + "\n",
        }
    }

    fn yaml(path: impl Into<String>, object: &impl Serialize) -> Self {
        let text = serde_json::to_value(object).map_or_else(
            |error| error.to_string(),
            |mut object| {
                mask(&mut object);
                serde_saphyr::to_string(&object).unwrap_or_else(|error| error.to_string())
            },
        );
        Self::new(path, &text)
    }
}

/// Masks values whose name says that they are secret and stands beside them (`name: X, value: Y` of a container's
/// environment), and drops what repeats a whole object as text.
fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("managedFields");
            fields.remove("kubectl.kubernetes.io/last-applied-configuration");
            if let (Some(Value::String(name)), Some(Value::String(value))) =
                (fields.get("name"), fields.get("value"))
            {
                let masked = redact(&format!("{name}={value}"));
                let masked = masked
                    .split_once('=')
                    .map_or("***", |(_, masked)| masked)
                    .to_owned();
                fields.insert("value".to_owned(), Value::String(masked));
            }
            fields.values_mut().for_each(mask);
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) => *text = redact(text),
        _ => {}
    }
}

async fn gather(cluster: &Cluster, name: &str, look: &Inspection) -> Vec<Entry> {
    let findings = findings::text(&look.diagnoses, &look.not_seen, "Nothing wrong was found.");
    let mut entries = vec![
        Entry::new(
            "diagnoses.txt",
            &anstream::adapter::strip_str(&findings).to_string(),
        ),
        Entry::yaml("flagsmithdeployment.yaml", &look.resource),
        events(cluster).await,
    ];
    for kind in Kind::ALL {
        entries.extend(children(cluster, name, kind).await);
    }
    let pods = pods(cluster, name).await;
    entries.extend(
        pods.iter()
            .map(|pod| Entry::yaml(format!("pods/{}.yaml", pod.name_any()), pod)),
    );
    let runs = pods.iter().take(PODS).flat_map(runs);
    entries.extend(
        stream::iter(runs)
            .map(|run| log(cluster, run))
            .buffered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect::<Vec<_>>()
            .await,
    );
    entries
}

fn selector(name: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={name}", marks::INSTANCE))
}

async fn children(cluster: &Cluster, name: &str, kind: Kind) -> Vec<Entry> {
    let resource = kind.api_resource();
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource);
    let list = api.list(&selector(name)).await.map(|list| list.items);
    list.unwrap_or_default()
        .into_iter()
        .map(|object| Entry::yaml(format!("{}/{}.yaml", kind.plural(), object.name_any()), &object))
        .collect()
}

async fn pods(cluster: &Cluster, name: &str) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let list = api.list(&selector(name)).await.map(|list| list.items);
    list.unwrap_or_default()
}

async fn events(cluster: &Cluster) -> Entry {
    let api: Api<Event> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let lines = match api.list(&ListParams::default().limit(EVENTS)).await {
        Ok(list) => {
            let mut lines: Vec<String> = list.items.iter().map(event).collect();
            lines.sort();
            lines.join("\n")
        }
        Err(error) => format!("Events could not be listed: {error}"),
    };
    Entry::new("events.txt", &lines)
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

async fn log(cluster: &Cluster, run: Run) -> Option<Entry> {
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
    Some(Entry::new(
        format!("logs/{}/{}{suffix}.log", run.pod, run.container),
        &String::from_utf8_lossy(&bytes),
    ))
}

fn write(path: &Path, entries: &[Entry]) -> io::Result<()> {
    // Never over something that is there.
    let mut archive = ZipWriter::new(File::create_new(path)?);
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

    use serde_json::json;

    use super::*;

    #[test]
    fn no_secret_reaches_the_archive() {
        let object = json!({
            "metadata": {
                "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{\"value\":\"s3cr3t-a\"}" },
                "managedFields": [{ "manager": "s3cr3t-b" }],
            },
            "spec": { "containers": [{ "env": [
                { "name": "DJANGO_DB_PASSWORD", "value": "s3cr3t-c" },
                { "name": "DATABASE_URL", "value": "postgresql://u:s3cr3t-d@db:5432/fs" },
                { "name": "GUNICORN_TIMEOUT", "value": "30" },
            ]}]},
        });
        let entries = [
            Entry::yaml("pods/a.yaml", &object),
            Entry::new(
                "logs/a/api.log",
                "ok\nconnecting to postgres://u:s3cr3t-e@db/fs\n+ PGPASSWORD=s3cr3t-f\n",
            ),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.zip");
        write(&path, &entries).unwrap();
        assert!(
            write(&path, &entries).is_err(),
            "an archive that is there was overwritten"
        );
        let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let mut all = String::new();
        for index in 0..archive.len() {
            archive.by_index(index).unwrap().read_to_string(&mut all).unwrap();
        }
        assert!(!all.contains("s3cr3t"), "{all}");
        assert!(
            all.contains("GUNICORN_TIMEOUT") && all.contains("30") && all.contains("ok\n"),
            "{all}"
        );
    }
}
