//! Looks at installations: at the objects of one first, then asks what only a request can tell.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::Client;

use super::{
    children::Children,
    classes::Classes,
    config_maps::{self, ConfigMapReader},
    database::{Queues, probe::DatabaseProbe},
    discover::{self, Found, Objects, Selected, Sources},
    front::FrontSeen,
    index::{ObjectSeen, PodSeen, Snapshot},
    job::{JobOutcome, JobState},
    kills::{ContainerEnd, Kills},
    looks::{DatabaseLooks, DueMigration, Look, Processors, Question, Seen},
    managed,
    memory::Memory,
    migrator_run::PastRuns,
    migrators::Migrators,
    observation::Observation,
    pod::PodSummary,
    pod_logs::{PodLogFindings, PodLogReader},
    secrets::{cache::SecretCache, credentials::Credentials, state::SecretState},
    thread_usage::ThreadUsageSampler,
    watch::Watches,
    workload::WorkloadState,
};
use crate::{
    api::{Circumstance, FlagsmithDeploymentStatus},
    flagsmith::WorkerClass,
    model::{Component, child::Kind},
    runtime::lock_key::LockKey,
    validate::{Installation, ObservedInstallation},
};

/// When a pass may come again at the earliest for what is remembered: something that stays due must not keep a processor busy.
const SOONEST: Duration = Duration::from_secs(1);

/// Looks at installations.
pub struct Observer {
    client: Client,
    watches: Arc<Watches>,
    secrets: SecretCache,
    config_maps: ConfigMapReader,
    /// `None`: databases are not looked at.
    databases: Option<DatabaseLooks>,
    migrators: Migrators,
    past_runs: PastRuns,
    pod_logs: PodLogReader,
    /// `None`: pods are not asked for their metrics.
    thread_usage: Option<ThreadUsageSampler>,
    classes: Classes,
    kills: Kills,
    lock_key: LockKey,
}

/// What the requests about one installation depend on besides its objects.
struct Circumstances<'a> {
    /// Where its credentials are, if the operator did not make it.
    sources: Option<&'a Sources>,
    /// Something is wrong that a corrected Secret may fix.
    hurry: bool,
    /// How the API's workers handle requests.
    worker_class: Option<WorkerClass>,
    /// The ends of its containers, each with its component.
    ends: Vec<(Component, ContainerEnd)>,
}

impl Observer {
    /// An observer that looks at databases as `databases` does, not at all without, and at logs as `pod_logs` does.
    #[must_use]
    pub fn new(
        client: Client,
        watches: Arc<Watches>,
        databases: Option<DatabaseLooks>,
        pod_logs: PodLogReader,
    ) -> Self {
        Self {
            client,
            watches,
            secrets: SecretCache::default(),
            config_maps: ConfigMapReader::default(),
            databases,
            migrators: Migrators::default(),
            past_runs: PastRuns::default(),
            pod_logs,
            thread_usage: None,
            classes: Classes::default(),
            kills: Kills::default(),
            lock_key: LockKey::random(),
        }
    }

    /// Knows the migrations of others on the same database by this key, instead of one that nobody else has.
    #[must_use]
    pub fn with_lock_key(self, lock_key: LockKey) -> Self {
        Self { lock_key, ..self }
    }

    /// Asks pods for their metrics too: only repeated looks learn from them.
    #[must_use]
    pub fn with_thread_usage(self) -> Self {
        Self { thread_usage: Some(ThreadUsageSampler::default()), ..self }
    }

    /// Everything that remembers installations.
    fn memories(&self) -> impl Iterator<Item = &dyn Memory> {
        let always: [&dyn Memory; 5] =
            [&self.secrets, &self.config_maps, &self.migrators, &self.past_runs, &self.pod_logs];
        let databases = self.databases.as_ref().map(|it| it as &dyn Memory);
        let thread_usage = self.thread_usage.as_ref().map(|it| it as &dyn Memory);
        always.into_iter().chain(databases).chain(thread_usage)
    }

    /// How many installations each memory knows, by its name.
    pub fn remembers(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.memories().map(Memory::remembers)
    }

    /// Forgets a deleted installation.
    pub fn forget(&self, uid: &str) {
        self.memories().for_each(|memory| memory.forget(uid));
    }

    /// The operator has made or written these Secrets, each with its name and, where it was made, its content.
    pub fn made(&self, uid: &str, secrets: impl IntoIterator<Item = (String, Option<Secret>)>) {
        self.secrets.made(uid, secrets);
    }

    /// When something is due for another look.
    #[must_use]
    pub fn next_look(&self, uid: &str, now: Timestamp) -> Duration {
        self.memories().filter_map(|memory| memory.next_look(uid, now)).min().unwrap_or_default().max(SOONEST)
    }

    /// Whether the cluster has this optional kind.
    #[must_use]
    pub fn serves(&self, kind: Kind) -> bool {
        self.watches.serves(kind)
    }

    /// Looks at an installation that the operator made.
    pub async fn observe(
        &self,
        installation: &Installation,
        previous: FlagsmithDeploymentStatus,
        now: Timestamp,
    ) -> Observation {
        let children = Children::new(&self.watches.index, installation);
        let workloads = self.workloads(&children, installation).await;
        let (mut pods, mut ends) = (Vec::new(), Vec::new());
        for PodSeen { summary, ends: of_pod } in children.pods() {
            if let Some(component) = summary.component {
                ends.extend(of_pod.into_iter().map(|end| (component, end)));
            }
            pods.push(summary);
        }
        let observation = Observation {
            http_route_api: self.serves(Kind::HttpRoute),
            pod_monitor_api: self.serves(Kind::PodMonitor),
            ..managed::assemble(&children, installation, workloads, pods, previous, now)
        };
        let circumstances = Circumstances {
            sources: None,
            hurry: observation.pods.iter().any(PodSummary::misses_something)
                || waits_for_secret(&observation),
            worker_class: Some(WorkerClass::of(installation.api.gunicorn.threads)),
            ends,
        };
        let (mut observation, migration) =
            Box::pin(self.complete(installation, observation, circumstances)).await;
        // Where a Job of this installation runs, or has done it, nothing waits for the answer.
        let done = |due: &DueMigration| {
            let mut jobs = observation.jobs.iter();
            let complete = |job: &JobState| {
                job.outcome == JobOutcome::Complete && job.key.as_deref() == Some(due.key.as_str())
            };
            observation.is_migrating() || jobs.any(complete)
        };
        let due = migration.as_ref().filter(|due| !done(due));
        let external_pod = self.migrators.look(&self.client, installation, due).await;
        if let SecretState::Present(database) = &observation.secrets.migration_database {
            let label = self.lock_key.label(database, &installation.identity.namespace);
            observation.external_migration = children.external_migration(&label).or(external_pod);
            observation.migration_lock = Some(label);
        }
        observation
    }

    /// Looks at an installation that the operator did not make.
    pub async fn observe_external(
        &self,
        subject: &ObservedInstallation,
        objects: &Objects,
        previous: FlagsmithDeploymentStatus,
        now: Timestamp,
    ) -> (Found, Observation) {
        let selected = Selected::new(&subject.selection, objects);
        let deployments: Vec<&Deployment> = selected.deployments().map(|(_, it)| it).collect();
        let names = deployments.iter().flat_map(|it| config_maps::names(it)).collect();
        let settled = deployments.iter().all(|it| WorkloadState::from(*it).rolled_out());
        let config_maps = self.config_maps.read(&self.client, &subject.identity, names, settled).await;
        let found = discover::find(subject, &selected, &config_maps);
        let mut observation = discover::assemble(&found, &selected, objects, previous, now);
        let told = std::mem::take(&mut observation.migrators);
        observation.migrators = self.past_runs.and(&subject.identity.uid, told, &observation.pods, now);
        let gunicorn = found.api.as_ref().and_then(WorkloadState::gunicorn);
        let circumstances = Circumstances {
            sources: Some(&found.adoption.sources),
            hurry: !observation.is_healthy(),
            worker_class: gunicorn.and_then(|gunicorn| gunicorn.regime()),
            ends: selected
                .pods_of(objects)
                .flat_map(|(component, pod)| {
                    ContainerEnd::all(pod).into_iter().map(move |it| (component, it))
                })
                .collect(),
        };
        let (observation, _) = Box::pin(self.complete(&found.installation, observation, circumstances)).await;
        (found, observation)
    }

    /// Asks what the objects do not show, whoever made the installation: Secrets, logs, databases, Events, metrics.
    /// Returns also the migration to the wanted release, where the operator migrates.
    async fn complete(
        &self,
        installation: &Installation,
        observation: Observation,
        circumstances: Circumstances<'_>,
    ) -> (Observation, Option<DueMigration>) {
        let Circumstances { sources, hurry, worker_class, ends } = circumstances;
        let (identity, now) = (&installation.identity, observation.now);
        let uid = &identity.uid;
        let probes = self.databases.is_some();
        let credentials = self.secrets.credentials(&self.client, installation, sources, probes, hurry).await;
        let pod_logs = Box::pin(self.pod_logs.look(identity, &observation.pods, worker_class, now)).await;
        self.doubt_database(uid, &pod_logs);
        let workloads = [observation.api.as_ref(), observation.task_processor.as_ref()];
        let migration = match sources {
            None => DueMigration::of(installation, &credentials, &observation.previous, workloads),
            Some(_) => None,
        };
        let seen = self.databases(installation, &credentials, &observation.pods, migration.as_ref()).await;
        let controller = self.controller(&observation.front).await;
        let api_controller = self.controller(&observation.api_front).await;
        let edge_controller = self.controller(&observation.edge_front).await;
        let probe_kills = self.kills.of(&self.client, &identity.namespace, ends.into_iter(), now).await;
        let thread_usage = self.thread_usage.as_ref();
        let mut observation = Observation {
            pod_logs,
            probe_kills,
            busy: thread_usage.and_then(|sampler| sampler.look(identity, &observation.pods)),
            secrets: credentials.secrets,
            look: seen.look,
            database: seen.database,
            queues: seen.queues,
            preflight: seen.preflight,
            migration_database: seen.comparison,
            ..observation
        };
        observation.front.controller = controller;
        observation.api_front.controller = api_controller;
        observation.edge_front.controller = edge_controller;
        (observation, migration)
    }

    /// The controller of an Ingress's class.
    async fn controller(&self, front: &FrontSeen) -> Option<String> {
        self.classes.controller(&self.client, front.class.as_ref()?).await
    }

    /// What the databases show, where they are looked at.
    async fn databases(
        &self,
        installation: &Installation,
        credentials: &Credentials,
        pods: &[PodSummary],
        migration: Option<&DueMigration>,
    ) -> Seen {
        let incomparable =
            migration.and_then(|migration| migration.incomparable(credentials, self.databases.is_some()));
        let Some(databases) = &self.databases else {
            return Seen {
                look: Look::Fresh,
                database: DatabaseProbe::NotProbed,
                queues: Queues::default(),
                good: true,
                preflight: None,
                comparison: incomparable,
            };
        };
        let identity = &installation.identity;
        let question = Question::new(credentials, processors(pods), migration);
        let seen = databases.ask(identity, question).await;
        self.secrets.judge(&identity.uid, seen.good);
        Seen { comparison: seen.comparison.or(incomparable), ..seen }
    }

    /// Looks at the databases again where a log has said since the last look that they cannot be connected to, and at the
    /// next pass with their URLs as they are by then.
    fn doubt_database(&self, uid: &str, findings: &PodLogFindings) {
        let (Some(databases), Some(since)) = (&self.databases, doubted(findings)) else {
            return;
        };
        if databases.doubt(uid, since) {
            self.secrets.look_again(uid);
        }
    }

    /// The Deployments of API, task processor, frontend and edge proxy, with what `ConfigMaps` tell their pods.
    async fn workloads(
        &self,
        children: &Children<'_>,
        installation: &Installation,
    ) -> [Option<WorkloadState>; 4] {
        let snapshots = [Component::Api, Component::TaskProcessor, Component::Frontend, Component::EdgeProxy]
            .map(|component| children.snapshot(Kind::Deployment, &installation.child(component.as_str())));
        let seen = |snapshot: &Option<Arc<Snapshot>>| match snapshot.as_ref()?.seen() {
            ObjectSeen::Deployment(seen) => Some(seen.as_ref().clone()),
            _ => None,
        };
        let seen = snapshots.each_ref().map(seen);
        let present = || seen.iter().flatten();
        let names = present().flat_map(|it| it.config_maps.clone()).collect();
        let settled = present().all(|it| it.state.rolled_out());
        let config_maps = self.config_maps.read(&self.client, &installation.identity, names, settled).await;
        let mut snapshots = snapshots.into_iter();
        seen.map(|seen| {
            let snapshot = snapshots.next().flatten();
            let seen = seen?;
            if seen.config_maps.is_empty() {
                return Some(seen.state);
            }
            Some(WorkloadState::new(&snapshot?.parse::<Deployment>()?, &config_maps))
        })
    }
}

/// Whether a failed migration is tried again as soon as its credentials are other ones.
fn waits_for_secret(observation: &Observation) -> bool {
    let awaited = observation.previous.migration.as_ref().and_then(|it| it.waits_for.as_ref());
    awaited.is_some_and(|awaited| awaited.what == Circumstance::Credentials)
}

/// Which containers of task processors run.
fn processors(pods: &[PodSummary]) -> Processors {
    pods.iter()
        .filter(|pod| pod.component == Some(Component::TaskProcessor))
        .map(|pod| (pod.name.clone(), pod.started))
        .collect()
}

/// When a log was read last that says that the database cannot be connected to.
fn doubted(findings: &PodLogFindings) -> Option<Timestamp> {
    let found = findings.logs.iter().flat_map(|reading| reading.found.iter());
    found.filter(|finding| finding.of_connection).map(|finding| finding.read).max()
}
