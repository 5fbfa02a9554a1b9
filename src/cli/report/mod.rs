//! `report`: one archive for a support ticket, everything in it redacted.

mod redaction;

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use futures::{AsyncReadExt as _, StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams},
    core::DynamicObject,
};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    cluster::{Cluster, ClusterArgs},
    failure::{Failure, HEALTHY},
    findings::Findings,
    look::{Inspection, LookArgs, look},
    output::print,
};
use crate::{
    model::child::{Kind, marks},
    observe::container_statuses,
    runtime::clock,
};
use redaction::{Entry, Redaction};

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
#[cfg(unix)]
const MODE: u32 = 0o600;
/// The most Secrets whose values are looked for.
const SECRETS: usize = 50;

/// The arguments of `report`.
#[derive(Args, Clone, Debug)]
pub(super) struct ReportArgs {
    /// The `FlagsmithDeployment`; may be left out where the namespace has only one
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The archive to write; flagsmith-report-NAME-TIME.zip when not given
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

/// Writes the archive and says where it is.
pub(super) fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let (name, Gathered { entries, absent }) = super::context::block_on(async {
        let cluster = args.cluster.connect().await?;
        let look = Box::pin(look(&cluster, args.name.as_deref(), args.look)).await?;
        Ok((look.resource.name_any(), Box::pin(gather(&cluster, &look)).await))
    })?;
    let path = args.file.clone().unwrap_or_else(|| {
        let now = clock::now().strftime("%Y%m%d-%H%M%S");
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
    if !absent.is_empty() {
        print(&format!("It does not hold:\n  {}\n", absent.join("\n  ")));
    }
    Ok(ExitCode::from(HEALTHY))
}

/// What goes into the archive.
struct Gathered {
    entries: Vec<Entry>,
    /// What an installation has and the archive has not, with the reason, in a line each.
    absent: Vec<String>,
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

/// What every installation that runs has.
const EXPECTED: [Kind; 2] = [Kind::Deployment, Kind::Service];

async fn gather(cluster: &Cluster, look: &Inspection) -> Gathered {
    let instance = instance(look);
    let mut absent = Vec::new();
    let pods = match pods(cluster, &instance, look).await {
        Ok(pods) => pods,
        Err(error) => {
            absent.push(format!("pods and their logs: {error}"));
            Vec::new()
        }
    };
    if pods.is_empty() && absent.is_empty() {
        absent.push(format!("pods and their logs: {}", none(&instance, cluster)));
    }
    let redaction = Redaction::of(&secrets(cluster, &pods).await);
    let findings =
        Findings { diagnoses: &look.diagnoses, not_seen: &look.not_seen, standing: Some(&look.standing) };
    let findings = findings.text("Nothing wrong was found.");
    let mut entries = vec![
        redaction.entry("diagnoses.txt", &anstream::adapter::strip_str(&findings).to_string()),
        redaction.yaml("flagsmithdeployment.yaml", &look.resource),
        redaction.entry("events.txt", &events(cluster).await),
    ];
    for kind in Kind::ALL {
        match children(cluster, &instance, look, kind).await {
            Ok(found) => {
                if found.is_empty() && EXPECTED.contains(&kind) {
                    absent.push(format!("{}: {}", kind.plural(), none(&instance, cluster)));
                }
                entries.extend(found.iter().map(|(path, object)| redaction.yaml(path, object)));
            }
            // Of a kind that the cluster does not have there is none.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => absent.push(format!("{}: {error}", kind.plural())),
        }
    }
    entries.extend(pods.iter().map(|pod| redaction.yaml(format!("pods/{}.yaml", pod.name_any()), pod)));
    let runs = pods.iter().take(PODS).flat_map(runs);
    let logs: Vec<(String, String)> = stream::iter(runs)
        .map(|run| log(cluster, run))
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    entries.extend(logs.iter().map(|(path, text)| redaction.entry(path, text)));
    if !absent.is_empty() {
        entries.push(redaction.entry("not-in-here.txt", &absent.join("\n")));
    }
    Gathered { entries, absent }
}

/// The value of the instance label: the Helm release of an installation that is only observed, otherwise the name.
fn instance(look: &Inspection) -> String {
    let observed = look.resource.spec.observe.as_ref();
    observed.and_then(|observed| observed.release.clone()).unwrap_or_else(|| look.resource.name_any())
}

fn none(instance: &str, cluster: &Cluster) -> String {
    format!(
        "none in namespace {} has the label {}={instance}, or was found otherwise",
        cluster.namespace,
        marks::INSTANCE
    )
}

fn selector(instance: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={instance}", marks::INSTANCE))
}

/// Objects of one kind: by the instance label, or by the names of what was observed, where another tool chose the labels.
async fn children(
    cluster: &Cluster,
    instance: &str,
    look: &Inspection,
    kind: Kind,
) -> Result<Vec<(String, DynamicObject)>, kube::Error> {
    let resource = kind.api_resource();
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource);
    let mut found = api.list(&selector(instance)).await?.items;
    let observed = look.observation.as_ref().filter(|_| kind == Kind::Deployment && found.is_empty());
    let workloads =
        observed.into_iter().flat_map(|it| [&it.api, &it.task_processor, &it.frontend].into_iter().flatten());
    for workload in workloads {
        found.extend(api.get(&workload.name).await.ok());
    }
    Ok(found
        .into_iter()
        .map(|object| (format!("{}/{}.yaml", kind.plural(), object.name_any()), object))
        .collect())
}

async fn pods(cluster: &Cluster, instance: &str, look: &Inspection) -> Result<Vec<Pod>, kube::Error> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut found = api.list(&selector(instance)).await?.items;
    let observed = look.observation.as_ref().filter(|_| found.is_empty());
    for pod in observed.into_iter().flat_map(|it| &it.pods).take(PODS) {
        found.extend(api.get(&pod.name).await.ok());
    }
    Ok(found)
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
    let both = container_statuses(pod).flat_map(|(container, _)| {
        let run = |previous| Run { pod: pod.name_any(), container: container.name.clone(), previous };
        let ended = container.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
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
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // Elsewhere a new file gets the rights of its folder, which is the user's own.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, MODE);
    let mut archive = ZipWriter::new(options.open(path)?);
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
        assert!(write(&path, entries).is_err(), "an archive that is there was overwritten");
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
