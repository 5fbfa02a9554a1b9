//! `plan --adopt`: the `FlagsmithDeployment` that would manage an installation of the official Helm chart as it is, what
//! becomes of each of its settings, and the steps of the move. Nothing is done.

mod additions;
mod cleanup;
mod compare;
mod complete;
mod computed;
mod facts;
mod live;
mod openshift;
mod routes;

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use jiff::Timestamp;
use kube::core::ObjectMeta;
use serde_json::Value;

use super::super::{
    cluster::Cluster,
    diagnose::release,
    failure::{Failure, HEALTHY, UNHEALTHY},
    look::{LookArgs, look_at},
};
use crate::{
    api::{
        DatabaseSpec, EmbeddedDatabaseSpec, FlagsmithDeployment, FlagsmithDeploymentStatus, MigrationResult,
        MigrationStatus,
    },
    decide::decide,
    model::{
        Component, DocsUrl, Page,
        child::{Child, Kind, marks},
    },
    observe::{
        Observation, SecretState,
        discover::{Found, Literal},
    },
    postgres::DatabaseIdentity,
    resources::build,
    validate::{DesiredState, Installation, MigrationKey, validate},
};
use additions::{Addition, additions};
use cleanup::Cleanup;
use compare::{Difference, Fate};

/// The uid while it is built: no server has stored the resource.
const NOT_STORED_YET: &str = "not-stored-yet";

/// What a move would come to.
struct Move {
    name: String,
    resource: FlagsmithDeployment,
    differences: Vec<Difference>,
    /// What hosts get that they do not have.
    added: Vec<String>,
    /// What else the operator makes that is not there.
    additions: Vec<Addition>,
    /// What the specification cannot say, or says wrongly.
    unsaid: Vec<String>,
    /// What stays beside it.
    apart: Vec<String>,
    /// The old objects that it deletes.
    cleanup: Cleanup,
    /// The old Services of API and frontend.
    services: Vec<(Component, String)>,
}

impl Move {
    fn loses(&self) -> bool {
        !self.unsaid.is_empty() || self.differences.iter().any(|it| it.fate == Fate::Lost)
    }
}

/// The resource, what becomes of each setting, and the steps: exit status 0, or 1 where something would be lost or there
/// is no such installation.
pub(super) async fn adopt(
    cluster: &Cluster,
    release: &str,
    docs: &DocsUrl,
) -> Result<(String, ExitCode), Failure> {
    let (found, _) =
        Box::pin(look_at(cluster, &release::subject(cluster, release), LookArgs::default())).await;
    if found.api.is_none() {
        let text = format!(
            "There is no Helm release {release} of the official chart in namespace {}; helm list -n {0} shows what there is.\n",
            cluster.namespace
        );
        return Ok((text, ExitCode::from(UNHEALTHY)));
    }
    let all = Box::pin(live::all(cluster)).await?;
    let moved = foresee(&found, release, &cluster.namespace, &all);
    let text =
        page(&found, &moved, release, &cluster.namespace, docs).map_err(|error| Failure::internal(&error))?;
    Ok((text, ExitCode::from(if moved.loses() { UNHEALTHY } else { HEALTHY })))
}

/// The name of the new resource: its objects must not have the names of those that are there.
fn name(release: &str) -> String {
    const SUFFIX: &str = "-op";
    /// Of a resource's name, which its longest child's name leaves room for.
    const LENGTH: usize = 40;
    let mut name = release.to_ascii_lowercase().replace('.', "-");
    name.truncate(LENGTH - SUFFIX.len());
    name.trim_end_matches('-').to_owned() + SUFFIX
}

/// Completes the specification, builds what it asks for, and holds that against what is there.
fn foresee(found: &Found, release: &str, namespace: &str, all: &[Value]) -> Move {
    let adoption = &found.adoption;
    let objects = live::of(all, found);
    let places = routes::places(&objects);
    let mut spec = adoption.spec.clone();
    complete::complete(&mut spec, &objects, &places, found.proxy.as_ref());
    let name = name(release);
    let mut resource = FlagsmithDeployment {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace.to_owned()),
            uid: Some(NOT_STORED_YET.to_owned()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    };
    let mut unsaid = adoption.unsupported.clone();
    unsaid.extend(openshift::unsaid(all, &objects));
    let (mut differences, mut added, mut new) = (Vec::new(), Vec::new(), Vec::new());
    // Without the Secret of its URL nothing is built; that it is missing is said already.
    let mut complete = resource.clone();
    if complete.spec.database.is_none() {
        complete.spec.database =
            Some(DatabaseSpec { embedded: Some(EmbeddedDatabaseSpec::default()), ..DatabaseSpec::default() });
    }
    match validate(&complete).map(DesiredState::managed) {
        Ok(Some(installation)) => {
            let children = children(&installation);
            differences = compare::compare(&objects, &places, &installation, &children, &adoption.literals);
            added = compare::added(&objects, &places, &installation, &children);
            new = additions(&objects, &places, &installation, &children, adoption);
        }
        Ok(None) => {}
        Err(problems) => {
            unsaid.extend(
                problems.into_iter().map(|it| format!("{}: {}. {}", it.field, it.message, it.remedy)),
            );
        }
    }
    resource.metadata.uid = None;
    let cleanup = cleanup::of(all, &objects, &places, release);
    let apart = [adoption.apart.as_slice(), &cleanup.stays].concat();
    let services = objects.iter().filter(|it| it.kind == Kind::Service);
    let services = services.map(|it| (it.component, it.name.clone())).collect();
    Move { name, resource, differences, added, additions: new, unsaid, apart, cleanup, services }
}

/// Everything that the operator makes of an installation that has been migrated.
fn children(installation: &Installation) -> Vec<Child> {
    let database = DatabaseIdentity { host: "database".to_owned(), port: 5432, name: "database".to_owned() };
    let mut observation = Observation::unseen(FlagsmithDeploymentStatus::default(), Timestamp::UNIX_EPOCH);
    let key = MigrationKey::migrate(installation, installation.release, &database);
    observation.http_route_api = true;
    observation.secrets.database = SecretState::Present(database.clone());
    observation.secrets.migration_database = SecretState::Present(database);
    observation.secrets.django = SecretState::Present(());
    observation.previous.migration = Some(MigrationStatus {
        key: Some(key.to_string()),
        version: installation.release.to_string(),
        result: MigrationResult::Applied,
        ..MigrationStatus::default()
    });
    build(installation, &decide(installation, &observation, &[]))
}

fn page(
    found: &Found,
    moved: &Move,
    release: &str,
    namespace: &str,
    docs: &DocsUrl,
) -> Result<String, serde_saphyr::ser::Error> {
    let mut page = format!(
        "# The FlagsmithDeployment that would manage Helm release {release} as it is. Secrets are kept and referred to.\n{}",
        serde_saphyr::to_string(&moved.resource)?
    );
    let mut section = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            let _ = writeln!(page, "\n# {title}:");
            for line in lines {
                let _ = writeln!(page, "#  - {line}");
            }
        }
    };
    let lost = [moved.unsaid.clone(), told(&moved.differences, |fate| *fate == Fate::Lost)].concat();
    section("What it cannot say, and would be lost", &lost);
    section("New, because the dashboard's hosts serve everything", &moved.added);
    section("New, made by the operator", &additions::lines(&moved.additions));
    section("Computed by the operator", &told(&moved.differences, |fate| matches!(fate, Fate::Computed(_))));
    section("Kept", &told(&moved.differences, |fate| *fate == Fate::Kept));
    section("What stays as it is", &moved.apart);
    let _ = writeln!(page, "\n# The move ({} says why):", docs.page(Page::Adopt));
    for (index, step) in steps(found, moved, release, namespace).iter().enumerate() {
        let _ = writeln!(page, "#  {}. {step}", index + 1);
    }
    Ok(page)
}

/// One line for each object and reason.
fn told(differences: &[Difference], of: impl Fn(&Fate) -> bool) -> Vec<String> {
    let mut groups: BTreeMap<(&str, &Fate), Vec<&str>> = BTreeMap::new();
    for it in differences.iter().filter(|it| of(&it.fate)) {
        groups.entry((&it.object, &it.fate)).or_default().push(&it.path);
    }
    let line = |((object, fate), paths): ((&str, &Fate), Vec<&str>)| {
        let paths = paths.join(", ");
        match fate {
            Fate::Computed(why) => format!("{object}: {why}: {paths}"),
            _ => format!("{object}: {paths}"),
        }
    };
    groups.into_iter().map(line).collect()
}

fn steps(found: &Found, moved: &Move, release: &str, namespace: &str) -> Vec<String> {
    let name = &moved.name;
    let mut steps = Vec::new();
    for (variable, Literal { deployment, container }) in &found.adoption.literals {
        steps.push(format!(
            "Move {variable} into a Secret: kubectl -n {namespace} create secret generic flagsmith-adopted --from-literal={variable}=\"$(kubectl -n {namespace} get deployment {deployment} -o jsonpath='{{.spec.template.spec.containers[?(@.name==\"{container}\")].env[?(@.name==\"{variable}\")].value}}')\" (one Secret with all such keys)"
        ));
    }
    steps.push(format!(
        "Save this page as {name}.yaml and create it beside what runs: kubectl apply -f {name}.yaml && kubectl -n {namespace} wait fsd/{name} --for=condition=Ready --timeout=15m. Its migration finds nothing to do."
    ));
    for component in [Component::Api, Component::Frontend] {
        let services = moved.services.iter().filter(|(of, _)| *of == component);
        let services: Vec<&str> = services.map(|(_, name)| name.as_str()).collect();
        if services.is_empty() {
            continue;
        }
        steps.push(format!(
            "Let the old Service of the {} lead to the new pods: for s in {}; do kubectl -n {namespace} patch service $s --type=json -p '[{{\"op\":\"replace\",\"path\":\"/spec/selector\",\"value\":{{\"{}\":\"flagsmith-{}\",\"{}\":\"{name}\"}}}}]'; done",
            component.as_str(),
            services.join(" "),
            marks::NAME,
            component.as_str(),
            marks::INSTANCE,
        ));
    }
    steps.push(format!(
        "Wait a minute, so that connections to the old pods end, then let Helm forget the release without deleting anything: kubectl -n {namespace} delete secret -l owner=helm,name={release}"
    ));
    let delete = |objects: &[(Kind, String)]| {
        let objects: Vec<String> = objects.iter().map(cleanup::reference).collect();
        format!("kubectl -n {namespace} delete --ignore-not-found {}", objects.join(" "))
    };
    steps.push(format!(
        "Delete the old workloads and what belongs to them alone: {}",
        delete(&moved.cleanup.workloads)
    ));
    if !moved.cleanup.routes.is_empty() {
        steps.push(format!(
            "Delete the old Ingress or HTTPRoute when the new one serves: {}. Until then both lead to the new pods.",
            delete(&moved.cleanup.routes)
        ));
    }
    steps.push(
        "Keep the Secrets and the old Services: clients inside of the cluster use their names.".to_owned(),
    );
    steps
}

#[cfg(test)]
mod tests;
