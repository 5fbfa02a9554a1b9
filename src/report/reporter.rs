//! Writing what was computed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{
    Api, Client, Resource as _,
    api::{Patch, PatchParams},
    core::{ApiResource, ObjectMeta},
    runtime::events::{Recorder, Reporter as Source},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    bounds,
    condition::{ConditionStatus, ConditionType},
    conditions,
    context::Context,
    events, migration,
    status::{diagnoses, status},
    undeclared::{remove, undeclared},
};
use crate::{
    api::{FlagsmithDeployment, FlagsmithDeploymentStatus},
    apply::Applied,
    causes,
    model::{Code, Diagnosis, DocsUrl, child::marks},
    observe::{Object, Observation, database::QueueProbe},
    runtime::{
        fence,
        metrics::{Exported, ExportedQueue, Metrics},
    },
    validate::{Identity, Problem},
};

/// How long a change that is not urgent waits for what comes next, once it is seen: a rollout moves counts and components
/// several times a second, nobody reads that fast, and most rollouts have an end soon, which is written at once.
const PAUSE: Duration = Duration::from_secs(15);

/// A failure of this step.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Another replica leads.
    #[error("this replica does not lead any more")]
    NotLeading,
    /// The request failed; another attempt may succeed.
    #[error("the status could not be written")]
    Kube(#[source] Box<kube::Error>),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        if fence::is_not_leading(&error) { Self::NotLeading } else { Self::Kube(Box::new(error)) }
    }
}

/// Writes status, Events and metrics.
pub(crate) struct Reporter {
    client: Client,
    recorder: Mutex<Recorders>,
    metrics: Metrics,
    /// Where diagnoses are documented.
    docs: DocsUrl,
    /// What was written last, by uid: the watch may still show something older.
    written: Mutex<HashMap<String, Written>>,
}

#[derive(Clone)]
struct Written {
    /// Since when there is something else to write.
    outdated_since: Option<Instant>,
    resource_version: u64,
    /// Whether this version of the resource has nothing else that the pass did not know.
    echo: bool,
    /// A field that had to be left out of it.
    left_out: Option<String>,
    status: FlagsmithDeploymentStatus,
}

/// How many Events one recorder writes. It keeps each of them for six minutes, with three for each installation that
/// comes, to fold those that repeat it; two kilobytes each, and its memory does not shrink. So this is one megabyte,
/// and the first of a hundred troubles that repeat themselves are still folded.
const EVENTS_OF_A_RECORDER: usize = 512;

/// One recorder after the other.
struct Recorders {
    source: Source,
    present: Recorder,
    left: usize,
}

impl Recorders {
    fn new(client: &Client, source: Source) -> Self {
        let present = Recorder::new(client.clone(), source.clone());
        Self { source, present, left: EVENTS_OF_A_RECORDER }
    }

    /// The recorder for the next Event.
    fn next(&mut self, client: &Client) -> Recorder {
        if self.left == 0 {
            *self = Self::new(client, self.source.clone());
        }
        self.left -= 1;
        self.present.clone()
    }
}

impl Reporter {
    /// A reporter that writes with this client, which is fenced, and shows itself under this instance name in Events.
    pub(crate) fn new(client: Client, metrics: Metrics, docs: DocsUrl, instance: Option<String>) -> Self {
        let source = Source { controller: marks::OPERATOR.to_owned(), instance };
        let recorder = Mutex::new(Recorders::new(&client, source));
        Self { client, recorder, metrics, docs, written: Mutex::default() }
    }

    /// The status as the server has it now: what the watch shows, or what was written since.
    pub(crate) fn previous(&self, resource: &FlagsmithDeployment) -> FlagsmithDeploymentStatus {
        let shown = version(resource.metadata.resource_version.as_deref());
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written
            .get(resource.metadata.uid.as_deref().unwrap_or_default())
            .filter(|written| written.resource_version >= shown)
            .map(|written| written.status.clone())
            // What the schema gives a new resource is no operator's word.
            .or_else(|| resource.status.clone().filter(|status| status.observed_generation.is_some()))
            .unwrap_or_default()
    }

    /// Whether a version of a resource is what this reporter wrote, and has nothing new besides.
    pub(crate) fn is_echo(&self, metadata: &ObjectMeta) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written
            .get(metadata.uid.as_deref().unwrap_or_default())
            .is_some_and(|it| it.echo && it.resource_version == version(metadata.resource_version.as_deref()))
    }

    /// A field that had to be left out of the status that was written last.
    fn left_out(&self, identity: &Identity) -> Option<String> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(&identity.uid)?.left_out.clone()
    }

    /// How many installations it has written a status of.
    pub(crate) fn remembers(&self) -> usize {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Forgets a deleted installation.
    pub(crate) fn forget(&self, namespace: &str, name: &str, uid: &str) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        self.metrics.deployment_gone(namespace, name);
    }

    /// Reports a pass. Returns when to come back because a change was held back, if it was.
    pub(crate) async fn report(
        &self,
        resource: &FlagsmithDeployment,
        context: Context<'_>,
        applied: &Applied,
    ) -> Result<Option<Duration>, Error> {
        let mut found = context.diagnoses.to_vec();
        found.extend(applied.refused.iter().map(|refused| causes::refused(context.installation, refused)));
        found.extend(self.left_out(&context.installation.identity).map(|field| causes::crd_outdated(&field)));
        causes::sort(&mut found);
        let after = status(Context { diagnoses: &found, ..context }, &self.docs);
        self.write(
            resource,
            &context.installation.identity,
            &context.observation.previous,
            after,
            Some(context.observation),
            applied,
        )
        .await
    }

    /// Reports a resource that is no valid specification.
    pub(crate) async fn report_invalid(
        &self,
        resource: &FlagsmithDeployment,
        identity: &Identity,
        problems: Vec<Problem>,
        now: Timestamp,
    ) -> Result<Option<Duration>, Error> {
        let found: Vec<Diagnosis> = problems.into_iter().map(Diagnosis::from).collect();
        let (code, message) = found
            .first()
            .map_or((Code::InvalidSpec, String::new()), |first| (first.code, first.message.to_string()));
        let previous = self.previous(resource);
        let after = FlagsmithDeploymentStatus {
            observed_generation: Some(identity.generation),
            diagnoses: diagnoses(&found, &previous.diagnoses, &Time(now), &self.docs),
            conditions: conditions::invalid(&previous.conditions, identity.generation, code, &message, now),
            ..previous.clone()
        };
        self.write(resource, identity, &previous, after, None, &Applied::default()).await
    }

    async fn write(
        &self,
        resource: &FlagsmithDeployment,
        identity: &Identity,
        before: &FlagsmithDeploymentStatus,
        after: FlagsmithDeploymentStatus,
        observation: Option<&Observation>,
        applied: &Applied,
    ) -> Result<Option<Duration>, Error> {
        let after = bounds::fitting(after);
        let exported = Exported::new(&after, observation.map(queues).unwrap_or_default());
        self.metrics.deployment(&identity.namespace, &identity.name, exported);
        let mut wait = None;
        // What was left out is tried again with each pass: the definition may have been applied meanwhile.
        let left_out = self.left_out(identity);
        if *before != after || left_out.is_some() {
            let urgent = urgent(before, &after);
            wait = if urgent { None } else { self.held_back(identity) };
            if wait.is_none() {
                self.write_status(resource, identity, &after).await?;
                if let Some((result, took)) = migration::ended(before, &after) {
                    self.metrics.migration(result, took);
                }
            }
        } else {
            self.is_current(identity);
        }
        let reference = ObjectReference { uid: Some(identity.uid.clone()), ..resource.object_ref(&()) };
        // A change of the status is told when it is written; what was done to objects cannot be told later.
        let told = if wait.is_none() { &after } else { before };
        for event in events::events(&identity.namespace, before, told, applied) {
            // An Event that cannot be written is no reason to repeat a pass.
            let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner).next(&self.client);
            match recorder.publish(&event, &reference).await {
                Err(error) if !fence::is_not_leading(&error) => {
                    tracing::warn!(%error, reason = event.reason, "an Event could not be written");
                }
                result => result?,
            }
        }
        // That a field has just been left out, or is no more, is told by the next pass.
        Ok(wait.or_else(|| (left_out != self.left_out(identity)).then_some(PAUSE)))
    }

    /// Notes that there is nothing to write.
    fn is_current(&self, identity: &Identity) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = written.get_mut(&identity.uid) {
            written.outdated_since = None;
        }
    }

    /// How long a change waits that is not urgent.
    fn held_back(&self, identity: &Identity) -> Option<Duration> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let written = written.get_mut(&identity.uid)?;
        let since = written.outdated_since.get_or_insert_with(Instant::now).elapsed();
        (since < PAUSE).then(|| PAUSE.saturating_sub(since))
    }

    /// Where the resource itself is so large that the server takes no more, a shorter status is better than none.
    async fn write_status(
        &self,
        observation: &FlagsmithDeployment,
        identity: &Identity,
        status: &FlagsmithDeploymentStatus,
    ) -> Result<(), Error> {
        match self.patch(observation, identity, status).await {
            Err(Error::Kube(error)) if is_too_large(&error) => {
                self.patch(observation, identity, &bounds::least(status)).await
            }
            result => result,
        }
    }

    async fn patch(
        &self,
        observation: &FlagsmithDeployment,
        identity: &Identity,
        status: &FlagsmithDeploymentStatus,
    ) -> Result<(), Error> {
        // Not as a FlagsmithDeployment: the answer holds the specification, which may be what cannot be decoded.
        let resource = ApiResource::erase::<FlagsmithDeployment>(&());
        let api: Api<Object> = Api::namespaced_with(self.client.clone(), &identity.namespace, &resource);
        let mut body = json!({
            "apiVersion": FlagsmithDeployment::api_version(&()),
            "kind": FlagsmithDeployment::kind(&()),
            "metadata": { "name": identity.name, "uid": identity.uid },
            "status": status,
        });
        let known = self.newest_version(observation);
        // Deleted in the meantime: nothing to report on.
        let Some((written, left_out)) = patch_this(&api, identity, known, &mut body).await? else {
            return Ok(());
        };
        let (written, observation) = (written.meta(), &observation.metadata);
        let written = Written {
            outdated_since: None,
            resource_version: version(written.resource_version.as_deref()),
            echo: (written.generation, &written.annotations)
                == (observation.generation, &observation.annotations),
            left_out,
            status: status.clone(),
        };
        self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(identity.uid.clone(), written);
        Ok(())
    }

    /// The newest version of a resource that is known: what a pass was given, or what was written since.
    fn newest_version(&self, resource: &FlagsmithDeployment) -> u64 {
        let shown = version(resource.metadata.resource_version.as_deref());
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = resource.metadata.uid.as_deref().unwrap_or_default();
        written.get(uid).map_or(shown, |written| shown.max(written.resource_version))
    }
}

/// How often a status is written whose resource is changed meanwhile. Where it is changed more often than two requests take,
/// the pass fails and is tried again.
const ATTEMPTS: u8 = 3;

/// Writes the status of this very resource, which was at `version`; `None` if it is gone. The server does not look whose uid
/// a status names and would write it on the next resource of that name, but takes none for another version than it has.
async fn patch_this(
    api: &Api<Object>,
    identity: &Identity,
    mut version: u64,
    body: &mut Value,
) -> Result<Option<(Object, Option<String>)>, kube::Error> {
    let mut left = ATTEMPTS;
    loop {
        if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
        }
        left -= 1;
        match patch_declared(api, &identity.name, body).await {
            Ok(written) => return Ok(Some(written)),
            Err(kube::Error::Api(refused)) if refused.code == 404 => return Ok(None),
            Err(kube::Error::Api(refused)) if refused.code == 409 && left > 0 => {}
            Err(error) => return Err(error),
        }
        let found = api.get_metadata_opt(&identity.name).await?;
        let Some(now) = found.map(|it| it.metadata).filter(|it| it.uid.as_ref() == Some(&identity.uid))
        else {
            return Ok(None);
        };
        version = self::version(now.resource_version.as_deref());
    }
}

/// Writes what the server takes. Where its definition of the resource is older than the operator, fields that it does not
/// declare are left out; returns the first of them.
async fn patch_declared(
    api: &Api<Object>,
    name: &str,
    body: &mut Value,
) -> Result<(Object, Option<String>), kube::Error> {
    let parameters = PatchParams::apply(marks::OPERATOR).force();
    let mut left_out = None;
    loop {
        let refused = match api.patch_status(name, &parameters, &Patch::Apply(&*body)).await {
            Ok(written) => return Ok((written, left_out)),
            Err(kube::Error::Api(refused)) => refused,
            Err(error) => return Err(error),
        };
        // Each attempt is shorter than the one before, so there is a last one.
        let mut removed = undeclared(&refused.message);
        removed.retain(|path| remove(body, path));
        let Some(first) = removed.into_iter().next() else {
            return Err(kube::Error::Api(refused));
        };
        left_out.get_or_insert(first);
    }
}

/// What is exported of the queues that could be read, by Django's names of their databases.
fn queues(observation: &Observation) -> BTreeMap<&'static str, ExportedQueue> {
    let age = |age: Option<SignedDuration>| age.map_or(f64::NAN, |age| age.as_secs_f64());
    let named = |name, probe: &QueueProbe| match probe {
        QueueProbe::Seen(queue) => Some((
            name,
            ExportedQueue {
                ready: queue.ready,
                oldest_ready: age(queue.oldest_ready),
                in_flight: queue.locked,
                stuck: i64::try_from(causes::stuck(queue, observation)).unwrap_or(i64::MAX),
                dead: queue.given_up.iter().map(|(_, number)| number).sum(),
                heartbeat_age: age(queue.heartbeat()),
                connections: queue.connections.map(|it| [it.used, it.for_others()]),
            },
        )),
        _ => None,
    };
    let separate = observation.queues.separate.as_ref();
    named("default", &observation.queues.default)
        .into_iter()
        .chain(separate.and_then(|probe| named("task_processor", probe)))
        .collect()
}

/// Whether somebody may wait for a change, or act on it: another generation, another result of the migration,
/// anything wrong or no longer wrong, and the summary. That a component became available while others did not,
/// counts of pods and times can wait for what comes next.
fn urgent(before: &FlagsmithDeploymentStatus, after: &FlagsmithDeploymentStatus) -> bool {
    let migration = |status: &FlagsmithDeploymentStatus| {
        status.migration.as_ref().map(|migration| (migration.key.clone(), migration.result))
    };
    let state = |status: &FlagsmithDeploymentStatus, kind: ConditionType| {
        kind.find(&status.conditions).map(|condition| condition.status.clone())
    };
    let summary = |status: &FlagsmithDeploymentStatus| ConditionType::SUMMARY.map(|kind| state(status, kind));
    let worse = |condition: &Condition| {
        condition.status != ConditionStatus::True.as_str()
            && !before
                .conditions
                .iter()
                .any(|known| known.type_ == condition.type_ && known.status == condition.status)
    };
    before.observed_generation != after.observed_generation
        || migration(before) != migration(after)
        || before.diagnoses != after.diagnoses
        || summary(before) != summary(after)
        || after.conditions.iter().any(worse)
}

/// Whether an object has become too large for the API server (413), or for etcd behind it, which has no code of its own.
fn is_too_large(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 413 || status.message.contains("too large"))
}

fn version(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
