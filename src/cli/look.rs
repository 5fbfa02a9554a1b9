//! One look at an installation with the user's own rights: the operator's observation and diagnosis, without
//! the operator.

use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview};
use kube::{Api, api::PostParams};

use super::{attendance::Attendance, cluster::Cluster, failure::Failure, standing::Standing};
use crate::{
    api::{FlagsmithDeployment, FlagsmithDeploymentStatus},
    causes::{self, diagnose_pod_log},
    model::{Code, Diagnosis, child::Kind},
    observe::{
        DatabaseLooks, DatabaseProbe, FRESH, Observation, Observer, PodLogReader, ReadDepth, Watches,
        database::Databases,
        discover::{self, Found},
        index::{Index, Selector},
        watch,
    },
    runtime::{clock, metrics::Metrics},
    validate::{DesiredState, Installation, ObservedInstallation, validate},
};

/// What may be looked at besides the cluster.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct LookArgs {
    /// Connect to the database from this machine, with the URL of the installation's Secret
    #[arg(long)]
    pub connect_database: bool,
    /// Whether pods' logs are read.
    #[arg(skip = true)]
    pub read_logs: bool,
}

/// What one look showed.
pub(super) struct Inspection {
    /// The resource as the API server has it.
    pub resource: FlagsmithDeployment,
    /// What is there; `None` where the resource is invalid.
    pub observation: Option<Observation>,
    /// What is wrong, the most severe first.
    pub diagnoses: Vec<Diagnosis>,
    /// What could not be seen, in a sentence each.
    pub not_seen: Vec<String>,
    /// What the resource's status is worth.
    pub(super) standing: Standing,
}

/// What one look showed of something that exists.
pub(super) struct Scene {
    /// What is there.
    pub observation: Observation,
    /// What is wrong, the most severe first.
    pub diagnoses: Vec<Diagnosis>,
    /// What could not be seen, in a sentence each.
    pub not_seen: Vec<String>,
    /// Why the database could not be seen.
    pub database_not_seen: Option<String>,
    /// Whether every kind of object could be listed.
    pub is_listed: bool,
}

impl Scene {
    /// Everything that could not be seen, in a sentence each.
    pub(super) fn all_not_seen(self) -> Vec<String> {
        self.not_seen.into_iter().chain(self.database_not_seen).collect()
    }
}

/// Looks at one installation.
pub(super) async fn look(
    cluster: &Cluster,
    name: Option<&str>,
    args: LookArgs,
) -> Result<Inspection, Failure> {
    let resource = Box::pin(cluster.installation(name)).await?;
    let now = clock::now();
    let standing = Standing::of(&resource, Attendance::of(cluster).await);
    let installation = match validate(&resource) {
        Ok(installation) => installation,
        Err(problems) => {
            let found = problems.into_iter().map(Diagnosis::from).collect();
            return Ok(Inspection {
                observation: None,
                diagnoses: standing.complete(&resource, found),
                not_seen: standing.not_seen(&resource).into_iter().collect(),
                standing,
                resource,
            });
        }
    };
    let previous = resource.status.clone().unwrap_or_default();
    let scene = match installation {
        DesiredState::Managed(installation) => {
            let mut scene = Box::pin(managed(cluster, &installation, previous, args, Arc::default())).await;
            // An operator that works makes them again, or says why it cannot; what could not be listed is not known to be
            // gone.
            if scene.is_listed && standing.attendance.attended() != Some(true) {
                scene.diagnoses.extend(causes::missing_deployments(&installation, &scene.observation));
            }
            scene
        }
        DesiredState::Observed(subject) => Box::pin(observed(cluster, &subject, previous, args, now)).await.1,
    };
    let mut not_seen = scene.not_seen;
    if !standing.tells_of_database(&resource) {
        not_seen.extend(scene.database_not_seen);
    }
    not_seen.extend(logs(cluster, args, &standing).await);
    not_seen.extend(standing.not_seen(&resource));
    Ok(Inspection {
        diagnoses: standing.complete(&resource, scene.diagnoses),
        observation: Some(scene.observation),
        not_seen,
        standing,
        resource,
    })
}

/// Why pods' logs were not seen, by this look or by the operator's.
async fn logs(cluster: &Cluster, args: LookArgs, standing: &Standing) -> Option<String> {
    if !args.read_logs {
        return (!standing.is_current()).then(|| "pods' logs; diagnose reads them".to_owned());
    }
    let mut review = SelfSubjectAccessReview::default();
    review.spec.resource_attributes = Some(ResourceAttributes {
        namespace: Some(cluster.namespace.clone()),
        verb: Some("get".to_owned()),
        resource: Some("pods".to_owned()),
        subresource: Some("log".to_owned()),
        ..ResourceAttributes::default()
    });
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    // Where the question itself fails, nothing is known to be forbidden.
    let answer = api.create(&PostParams::default(), &review).await.ok()?;
    let allowed = answer.status.is_none_or(|status| status.allowed);
    (!allowed).then(|| format!("pods' logs: you may not read them in namespace {}", cluster.namespace))
}

/// Looks at a Helm release of the official chart, for which there is no resource.
pub(super) async fn look_at(
    cluster: &Cluster,
    subject: &ObservedInstallation,
    args: LookArgs,
) -> (Found, Scene) {
    let previous = FlagsmithDeploymentStatus::default();
    Box::pin(observed(cluster, subject, previous, args, clock::now())).await
}

fn observer(cluster: &Cluster, watches: Arc<Watches>, args: LookArgs) -> Observer {
    let depth = if args.read_logs { ReadDepth::Thorough } else { ReadDepth::None };
    Observer::new(
        cluster.client.clone(),
        watches,
        args.connect_database.then(|| DatabaseLooks::new(Databases::new(Metrics::new()), FRESH, None)),
        PodLogReader::new(cluster.client.clone(), depth, diagnose_pod_log, None),
    )
}

/// Looks at what there is of an installation, whose objects are left in `watches`.
pub(super) async fn managed(
    cluster: &Cluster,
    installation: &Installation,
    previous: FlagsmithDeploymentStatus,
    args: LookArgs,
    watches: Arc<Watches>,
) -> Scene {
    let listed = watch::list(&cluster.client, &installation.identity.namespace, &watches.index).await;
    listed.served.iter().chain(listed.refused.keys()).for_each(|kind| watches.optional_listed(*kind));
    // Where nothing of the kind is asked for, nobody misses it.
    let wanted = |kind: Kind| match kind {
        Kind::PodMonitor => installation.monitoring.as_ref().is_some_and(|it| it.pod_monitor.is_some()),
        _ => installation.entrances().any(|entrance| entrance.http_route.is_some()),
    };
    let refused = listed.refused.into_iter().filter(|(kind, _)| wanted(*kind)).map(|(_, line)| line);
    let not_seen = listed.not_seen.into_iter().chain(refused).collect();
    let observer = observer(cluster, watches, args);
    let observation = Box::pin(observer.observe(installation, previous, clock::now())).await;
    diagnosed(installation, observation, not_seen, args)
}

async fn observed(
    cluster: &Cluster,
    subject: &ObservedInstallation,
    previous: FlagsmithDeploymentStatus,
    args: LookArgs,
    now: Timestamp,
) -> (Found, Scene) {
    let index = Index::new(Selector::Any, usize::MAX);
    let namespace = &subject.identity.namespace;
    let listed = watch::list(&cluster.client, namespace, &index).await;
    let objects =
        discover::objects(&index, namespace, &subject.selection, listed.served.contains(&Kind::HttpRoute));
    let observer = observer(cluster, Arc::default(), args);
    let (found, observation) = Box::pin(observer.observe_external(subject, &objects, previous, now)).await;
    let not_seen = listed.not_seen.into_iter().chain(listed.refused.into_values()).collect();
    let scene = diagnosed(&found.installation, observation, not_seen, args);
    (found, scene)
}

/// Diagnoses what was seen.
fn diagnosed(
    installation: &Installation,
    mut observation: Observation,
    mut not_seen: Vec<String>,
    args: LookArgs,
) -> Scene {
    let is_listed = not_seen.is_empty();
    let database_not_seen = database(&mut observation, args);
    let mut diagnoses = causes::diagnose(installation, &observation);
    // What the user may not read is no fault of the installation.
    diagnoses.retain(|diagnosis| {
        let forbidden = diagnosis.code == Code::Forbidden;
        if forbidden {
            not_seen.extend(diagnosis.evidence.iter().map(ToString::to_string));
        }
        !forbidden
    });
    not_seen.dedup();
    Scene { observation, diagnoses, not_seen, database_not_seen, is_listed }
}

/// A database that this machine cannot reach may work well for the pods: then it was not seen.
fn database(observation: &mut Observation, args: LookArgs) -> Option<String> {
    let unseen = match &observation.database {
        DatabaseProbe::Failed(failure) if failure.kind.may_be_local() || failure.kind.is_refusal() => {
            format!("the database: from this machine, {}", failure.message)
        }
        DatabaseProbe::NotProbed if args.connect_database => {
            "the database: its URL could not be read".to_owned()
        }
        DatabaseProbe::NotProbed => {
            "the database itself; --connect-database asks it from this machine, where its host can be reached"
                .to_owned()
        }
        _ => return None,
    };
    observation.database = DatabaseProbe::NotProbed;
    Some(unseen)
}
