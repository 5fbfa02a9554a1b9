//! `plan`: what the operator would do, in order and why. Nothing is written.

mod adopt;
mod page;
mod simulate;
mod step;
mod way;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use kube::{Api, ResourceExt as _, core::PartialObjectMeta};
use serde_json::Value;

use super::{
    cluster::{Cluster, ClusterArgs},
    docs::DocsArgs,
    failure::{Failure, HEALTHY, UNHEALTHY},
    look::{LookArgs, managed},
    output::{Output, print},
};
use crate::{
    api::FlagsmithDeployment,
    model::{self, Diagnosis, DocsUrl, child::Kind},
    observe::{
        Object, Watched, Watches,
        index::{Key, Snapshot},
    },
    validate::{DesiredState, Installation, validate},
};
use page::Page;
use simulate::{Objects, simulate};
use step::{Action, Step};
use way::Way;

/// The uid of a resource that no server has stored yet; no object belongs to it.
const NOT_STORED: &str = "not-stored-yet";

/// The arguments of `plan`.
#[derive(Args, Clone, Debug)]
pub(super) struct PlanArgs {
    /// The `FlagsmithDeployment`; may be left out where the namespace, or the file, has only one
    #[arg(value_name = "NAME", conflicts_with = "adopt")]
    name: Option<String>,
    /// A file with the resource as it is about to be applied, instead of the one in the cluster; "-" reads standard
    /// input
    #[arg(long, short, value_name = "FILE", conflicts_with = "adopt")]
    file: Option<PathBuf>,
    /// Print the `FlagsmithDeployment` that would manage this Helm release of the official chart, and the steps of the
    /// move
    #[arg(long, value_name = "RELEASE", conflicts_with_all = ["output", "connect_database"])]
    adopt: Option<String>,
    /// How the result is written
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    docs: DocsArgs,
    #[command(flatten)]
    look: LookArgs,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

/// Prints the page: exit status 0, or 1 where something holds it back or there is nothing of that name.
pub(super) fn run(args: &PlanArgs) -> Result<ExitCode, Failure> {
    super::context::block_on(async {
        let cluster = args.cluster.connect().await?;
        if let Some(release) = &args.adopt {
            let (text, code) = Box::pin(adopt::adopt(&cluster, release, &args.docs.docs_url)).await?;
            print(&text);
            return Ok(code);
        }
        let page = Box::pin(plan(args, cluster)).await?;
        args.output.write(&page, page::text)?;
        Ok(ExitCode::from(if page.held() { UNHEALTHY } else { HEALTHY }))
    })
}

async fn plan(args: &PlanArgs, mut cluster: Cluster) -> Result<Page, Failure> {
    let docs = &args.docs.docs_url;
    let resource = match &args.file {
        Some(file) => {
            let given = in_file(&read(file)?, args.name.as_deref(), docs)?;
            if args.cluster.namespace.is_none()
                && let Some(namespace) = given.namespace()
            {
                cluster.namespace = namespace;
            }
            let stored = Box::pin(cluster.stored(&given.name_any())).await?;
            merged(given, stored, &cluster.namespace)
        }
        None => Box::pin(cluster.installation(args.name.as_deref())).await?,
    };
    let heading = |release: &str| Page::of(&resource, release, docs);
    let installation = match validate(&resource) {
        Ok(DesiredState::Managed(installation)) => installation,
        Ok(DesiredState::Observed(_)) => return Ok(heading("").observed()),
        Err(problems) => {
            return Ok(heading("").invalid(problems.into_iter().map(Diagnosis::from).collect()));
        }
    };
    let page = heading(&installation.release.to_string());
    if installation.suspended {
        return Ok(page.suspended());
    }
    let watches = Arc::new(Watches::default());
    let previous = resource.status.clone().unwrap_or_default();
    let scene = Box::pin(managed(&cluster, &installation, previous, args.look, Arc::clone(&watches))).await;
    let not_seen = scene.not_seen.iter().chain(&scene.database_not_seen).cloned().collect();
    let way = Way::of(&installation, &scene.observation);
    let page = page.observation(&scene.observation, &scene.diagnoses, not_seen).by(way);
    let mut simulation = simulate(&installation, scene.observation, owned(&installation, &watches));
    Box::pin(refuse(&cluster, &mut simulation.steps)).await;
    Ok(page.foretold(simulation))
}

fn read(path: &Path) -> Result<String, Failure> {
    let text =
        if path == Path::new("-") { io::read_to_string(io::stdin()) } else { std::fs::read_to_string(path) };
    text.map_err(|error| {
        Failure::usage(
            format!("cannot read {}: {error}", path.display()),
            "--file FILE names a file with a FlagsmithDeployment, and --file - standard input",
        )
    })
}

/// The resource in a file of one or more YAML or JSON documents.
fn in_file(text: &str, name: Option<&str>, docs: &DocsUrl) -> Result<FlagsmithDeployment, Failure> {
    let hint = format!("{} has every field", docs.page(model::Page::Api));
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        Failure::usage(format!("the file is neither YAML nor JSON: {error}"), hint.as_str())
    })?;
    let ours = documents.into_iter().filter(|document| document["kind"] == "FlagsmithDeployment").filter(
        |document| name.is_none_or(|name| document.pointer("/metadata/name").is_some_and(|it| it == name)),
    );
    let mut found = Vec::new();
    for document in ours {
        let resource: FlagsmithDeployment = serde_json::from_value(document).map_err(|error| {
            Failure::usage(
                format!("the FlagsmithDeployment in the file is not valid: {error}"),
                hint.as_str(),
            )
        })?;
        found.push(resource);
    }
    match (found.pop(), found.len()) {
        (Some(only), 0) if only.metadata.name.is_some() => Ok(only),
        (Some(_), 0) => {
            Err(Failure::usage("the FlagsmithDeployment in the file has no metadata.name", hint.as_str()))
        }
        (None, _) => Err(Failure::usage(
            name.map_or_else(
                || "the file has no FlagsmithDeployment".to_owned(),
                |name| format!("the file has no FlagsmithDeployment {name}"),
            ),
            hint.as_str(),
        )),
        (Some(_), _) => Err(Failure::usage("the file has several FlagsmithDeployments", "name one of them")),
    }
}

/// The resource as it would be stored: the file's specification on what the server has of it.
fn merged(
    given: FlagsmithDeployment,
    stored: Option<FlagsmithDeployment>,
    namespace: &str,
) -> FlagsmithDeployment {
    let mut merged = given;
    merged.metadata.namespace = Some(namespace.to_owned());
    merged.metadata.uid = Some(NOT_STORED.to_owned());
    merged.status = None;
    if let Some(stored) = stored {
        merged.metadata.uid = stored.metadata.uid;
        merged.metadata.generation = stored.metadata.generation;
        let mut annotations = stored.metadata.annotations.unwrap_or_default();
        annotations.extend(merged.metadata.annotations.take().unwrap_or_default());
        merged.metadata.annotations = Some(annotations);
        merged.status = stored.status;
    }
    merged
}

/// The objects that the installation owns.
fn owned(installation: &Installation, watches: &Watches) -> Objects {
    let identity = &installation.identity;
    let owned = watches.index.owned(&identity.uid).into_iter();
    let object = |(key, snapshot): &(Arc<Key>, Arc<Snapshot>)| {
        let Watched::Child(kind) = key.kind else { return None };
        // Of a Job, which is never changed, only that it is there counts; its text is not kept.
        let object = if kind == Kind::Job { Some(Value::Null) } else { snapshot.parse::<Value>() };
        (key.namespace == identity.namespace).then_some(((kind, key.name.clone()), object?))
    };
    owned.filter_map(|it| object(&it)).collect()
}

/// Objects that would be made and whose names somebody else's have: those are left alone. One that cannot be asked for
/// counts as not there.
async fn refuse(cluster: &Cluster, steps: &mut [Step]) {
    for written in steps.iter_mut().flat_map(|step| &mut step.writes) {
        let Some((kind, name)) = written.object.split_once(' ') else {
            continue;
        };
        let Some(kind) = Kind::ALL.into_iter().find(|known| known.as_str() == kind) else {
            continue;
        };
        if written.action != Action::Create {
            continue;
        }
        let api: Api<Object> =
            Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &kind.api_resource());
        let found: Option<PartialObjectMeta<Object>> = api.get_metadata_opt(name).await.unwrap_or_default();
        if found.is_some() {
            written.action = Action::Refuse;
            written.changes =
                vec!["one of this name is there that the operator has not made (ChildNotOwned)".to_owned()];
        }
    }
}
