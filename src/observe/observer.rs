//! Puts one observation together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::Pod,
};
use kube::Client;

use super::{
    DatabaseProbe, FrontSeen, JobState, Observation, PodLogFindings, PodLogReader, PodSummary, Secrets,
    ThreadUsage, ThreadUsageSampler, Watches, WorkloadState,
    children::Children,
    classes::Classes,
    config_maps,
    database::{Databases, Queues},
    discover::{self, Found, Objects, Selected, Sources},
    exposure,
    kills::Kills,
    preflight_cache::{self, PreflightCache},
    secrets::{self, Read},
};
use crate::{
    api::FlagsmithDeploymentStatus,
    flagsmith::WorkerClass,
    model::{
        Component,
        child::{Kind, marks},
    },
    postgres::DatabaseUrl,
    runtime::metrics::Metrics,
    validate::{Installation, ObservedInstallation, SecretKey},
};

/// How long a good look at Secrets is used again. Two Secrets each two minutes is one read a
/// minute and installation; pods read a changed Secret only at their next start anyway.
pub const FRESH: Duration = Duration::from_mins(2);

/// How long a bad one is: whoever creates the missing Secret or starts the database wants to see it heal.
pub const FRESH_WHILE_FAILING: Duration = Duration::from_secs(10);

/// Looks at installations.
pub struct Observer {
    client: Client,
    watches: Arc<Watches>,
    /// `None`: databases are not looked at.
    databases: Option<Databases>,
    classes: Classes,
    due: PreflightCache,
    kills: Kills,
    looks: Mutex<HashMap<String, CachedSecrets>>,
    config_maps: config_maps::Reader,
    close: PodLogReader,
    /// Whether and how pods are asked for their metrics.
    pulse: Option<ThreadUsageSampler>,
}

/// The last look at the Secrets of one installation.
#[derive(Clone)]
struct CachedSecrets {
    at: Instant,
    /// What was looked at: another reference needs another look, any other change of the specification does not.
    keys: Vec<SecretKey>,
    secrets: Secrets,
    /// Kept as long as the look, so that the database is asked more often than the Secret is read.
    url: Option<DatabaseUrl>,
    migration_url: Option<DatabaseUrl>,
    task_processor_url: Option<DatabaseUrl>,
}

impl Observer {
    /// An observer that looks at databases once in `database_interval`, not at all without one, and looks at pods as
    /// closely as `close` does.
    #[must_use]
    pub fn new(
        client: Client,
        watches: Arc<Watches>,
        database_interval: Option<Duration>,
        metrics: Metrics,
        close: PodLogReader,
    ) -> Self {
        Self {
            close,
            client,
            watches,
            databases: database_interval.map(|interval| Databases::new(interval, metrics)),
            classes: Classes::default(),
            due: PreflightCache::default(),
            kills: Kills::default(),
            looks: Mutex::default(),
            config_maps: config_maps::Reader::default(),
            pulse: None,
        }
    }

    /// Asks pods for their metrics too: only who comes by again and again learns from them.
    #[must_use]
    pub fn with_pulse(self) -> Self {
        Self {
            pulse: Some(ThreadUsageSampler::default()),
            ..self
        }
    }

    /// Looks into databases on its own machine too, if told so.
    #[must_use]
    pub fn with_loopback_databases(self, allowed: bool) -> Self {
        Self {
            databases: self.databases.map(|databases| {
                if allowed {
                    databases.allowing_loopback()
                } else {
                    databases
                }
            }),
            ..self
        }
    }

    /// Forgets what was seen of a deleted installation.
    pub fn forget(&self, uid: &str) {
        self.look_again(uid);
        self.config_maps.forget(uid);
        if let Some(databases) = &self.databases {
            databases.forget(uid);
        }
        self.due.forget(uid);
        self.close.forget(uid);
    }

    /// Makes the next observation read Secrets and databases again.
    pub fn look_again(&self, uid: &str) {
        self.looks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
        if let Some(databases) = &self.databases {
            databases.look_again(uid);
        }
        self.due.forget(uid);
        if let Some(pulse) = &self.pulse {
            pulse.forget(uid);
        }
    }

    /// Whether the cluster has `HTTPRoutes`.
    #[must_use]
    pub fn http_route(&self) -> bool {
        self.watches.http_route()
    }

    /// When Secrets, databases or logs are due for another look.
    #[must_use]
    pub fn next_look(&self, uid: &str, now: Timestamp) -> Duration {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = looks.get(uid).map_or(Duration::ZERO, |look| {
            self.fresh_for(uid, look).saturating_sub(look.at.elapsed())
        });
        let database = self
            .databases
            .as_ref()
            .and_then(|databases| databases.next_look(uid));
        let pulse = self.pulse.as_ref().and_then(|pulse| pulse.next_look(uid));
        [
            database,
            self.due.next_look(uid),
            Some(self.close.next(uid, now)),
            pulse,
        ]
        .into_iter()
        .flatten()
        .fold(secrets, Duration::min)
    }

    /// Looks at one installation.
    pub async fn observe(
        &self,
        installation: &Installation,
        previous: FlagsmithDeploymentStatus,
        now: Timestamp,
    ) -> Observation {
        let children = Children::new(&self.watches, installation);
        let running = children.pods();
        let (backups, jobs) = children.jobs();
        let mut pods: Vec<PodSummary> = running.iter().map(PodSummary::from).collect();
        for jobs in [&jobs, &backups] {
            JobState::leave_history_out(jobs, &mut pods);
        }
        let look = self
            .look(installation, None, pods.iter().any(PodSummary::misses_something))
            .await;
        let regime = Some(WorkerClass::of(installation.api.gunicorn.threads));
        let pod_logs = Box::pin(self.close.look(&installation.identity, &pods, regime, now)).await;
        self.doubt_database(&installation.identity.uid, &pod_logs, now);
        let (database, queues) = self.databases(&installation.identity.uid, &look, &pods).await;
        let front = self.with_controller(FrontSeen::of(&children, installation)).await;
        let busy = self.busy(&installation.identity.uid, &pods);
        let probe_kills = self
            .kills
            .of(&self.client, running.iter().map(|pod| (component(pod), pod)), now)
            .await;
        let [api, task_processor, frontend] = self.workloads(&children, installation).await;
        let before = preflight_cache::Baseline {
            previous: &previous,
            workloads: [api.as_ref(), task_processor.as_ref()],
            secrets: &look.secrets,
            migration_url: look.migration_url.as_ref(),
            database: &database,
        };
        let ahead = self
            .due
            .look(&self.client, self.databases.as_ref(), installation, before)
            .await;
        Observation {
            now,
            previous,
            api,
            task_processor,
            frontend,
            embedded_database: children
                .owned::<StatefulSet>(
                    Kind::StatefulSet,
                    &installation.child(Component::Database.as_str()),
                )
                .map(|set| WorkloadState::from(&set)),
            jobs,
            external_migration: children
                .external_migration(&look.secrets.migration_database)
                .or(ahead.external_pod),
            pod_logs,
            pods,
            external_autoscalers: children.external_autoscalers(),
            migrators: Vec::new(),
            release_assumed: false,
            services: Vec::new(),
            releases: Vec::new(),
            http_route_api: self.watches.http_route(),
            exposure: exposure::state(&children, installation),
            front,
            probe_kills,
            busy,
            secrets: look.secrets,
            database,
            queues,
            preflight: ahead.preflight,
            backups,
        }
    }

    /// A database that cannot be used may have the wrong URL: whoever corrects the Secret wants to see it heal.
    fn fresh_for(&self, uid: &str, look: &CachedSecrets) -> Duration {
        let failing = self
            .databases
            .as_ref()
            .is_some_and(|databases| databases.failing(uid));
        if look.secrets.hash.is_some() && !failing {
            FRESH
        } else {
            FRESH_WHILE_FAILING
        }
    }

    /// What the databases show, where they are looked at.
    async fn databases(
        &self,
        uid: &str,
        look: &CachedSecrets,
        pods: &[PodSummary],
    ) -> (DatabaseProbe, Queues) {
        match &self.databases {
            Some(databases) => {
                let main = look.url.as_ref();
                databases
                    .look(uid, main, look.task_processor_url.as_ref(), processors(pods))
                    .await
            }
            None => (DatabaseProbe::NotProbed, Queues::default()),
        }
    }

    /// Looks at the databases now where a log has just said that they cannot be connected to, and at the next pass
    /// with their URLs as they are by then.
    fn doubt_database(&self, uid: &str, looks: &PodLogFindings, now: Timestamp) {
        if let Some(databases) = self.databases.as_ref().filter(|_| doubted(looks, now)) {
            databases.look_again(uid);
            self.looks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(uid);
        }
    }

    fn busy(&self, uid: &str, pods: &[PodSummary]) -> Option<ThreadUsage> {
        self.pulse.as_ref()?.look(uid, pods)
    }

    /// Looks at an installation that somebody else made.
    pub async fn observe_external(
        &self,
        subject: &ObservedInstallation,
        objects: &Objects,
        previous: FlagsmithDeploymentStatus,
        now: Timestamp,
    ) -> (Found, Observation) {
        let selected = Selected::new(&subject.selection, objects);
        let deployments: Vec<&Deployment> = selected.deployments().map(|(_, it)| it).collect();
        let config_maps = self
            .config_maps
            .read(&self.client, &subject.identity, &deployments)
            .await;
        let found = discover::find(subject, &selected, &config_maps);
        let observation = discover::assemble(&found, &selected, objects, previous, now);
        let look = self
            .look(
                &found.installation,
                Some(&found.adoption.sources),
                !observation.is_healthy(),
            )
            .await;
        let gunicorn = found.api.as_ref().and_then(WorkloadState::gunicorn);
        let regime = gunicorn.and_then(|gunicorn| gunicorn.regime());
        let pod_logs = Box::pin(self.close.look(&subject.identity, &observation.pods, regime, now)).await;
        self.doubt_database(&subject.identity.uid, &pod_logs, now);
        let (database, queues) = self
            .databases(&subject.identity.uid, &look, &observation.pods)
            .await;
        let running = selected
            .pods_of(objects)
            .map(|(component, pod)| (component.as_str(), pod));
        let probe_kills = self.kills.of(&self.client, running, now).await;
        let observation = Observation {
            pod_logs,
            probe_kills,
            busy: self.busy(&subject.identity.uid, &observation.pods),
            front: self.with_controller(observation.front).await,
            secrets: look.secrets,
            database,
            queues,
            ..observation
        };
        (found, observation)
    }

    /// Reads the Secrets, or uses the last look while it is fresh. Somebody else's are read only to look into the
    /// databases. In a hurry they are read again soon: pods miss something, or an upgrade may have changed them.
    async fn look(
        &self,
        installation: &Installation,
        sources: Option<&Sources>,
        hurry: bool,
    ) -> CachedSecrets {
        let identity = &installation.identity;
        let known = self
            .looks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&identity.uid)
            .cloned();
        let keys = installation.secret_keys();
        if let Some(look) = known
            && look.keys == keys
            && look.at.elapsed()
                < if hurry {
                    FRESH_WHILE_FAILING
                } else {
                    self.fresh_for(&identity.uid, &look)
                }
        {
            return look;
        }
        let read = match sources {
            None => secrets::read(&self.client, installation).await,
            Some(_) if self.databases.is_none() => Read::nothing(),
            Some(sources) => discover::read(&self.client, &identity.namespace, sources).await,
        };
        let look = CachedSecrets {
            at: Instant::now(),
            keys,
            secrets: read.secrets,
            url: read.url,
            migration_url: read.migration_url,
            task_processor_url: read.task_processor_url,
        };
        self.looks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(identity.uid.clone(), look.clone());
        look
    }

    /// The Deployments of API, task processor and frontend, with what `ConfigMaps` tell their pods.
    async fn workloads(
        &self,
        children: &Children<'_>,
        installation: &Installation,
    ) -> [Option<WorkloadState>; 3] {
        let deployments: [Option<Deployment>; 3] =
            [Component::Api, Component::TaskProcessor, Component::Frontend].map(|component| {
                let name = installation.child(component.as_str());
                children.owned(Kind::Deployment, &name)
            });
        let present: Vec<&Deployment> = deployments.iter().flatten().collect();
        let config_maps = self
            .config_maps
            .read(&self.client, &installation.identity, &present)
            .await;
        deployments.map(|deployment| Some(WorkloadState::new(&deployment?, &config_maps)))
    }

    /// With the controller of the Ingress's class.
    async fn with_controller(&self, mut front: FrontSeen) -> FrontSeen {
        if let Some(class) = &front.class {
            front.controller = self.classes.controller(&self.client, class).await;
        }
        front
    }
}

/// The component label of a pod of the operator's.
fn component(pod: &Pod) -> &str {
    let labels = pod.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(marks::COMPONENT))
        .map_or("", String::as_str)
}

/// Which containers of task processors run.
fn processors(pods: &[PodSummary]) -> Vec<(String, Option<Timestamp>)> {
    pods.iter()
        .filter(|pod| pod.component == Component::TaskProcessor.as_str())
        .map(|pod| (pod.name.clone(), pod.started))
        .collect()
}

/// Whether a log that was read a moment ago says that the database cannot be connected to.
fn doubted(looks: &PodLogFindings, now: Timestamp) -> bool {
    let mut refusals = looks.logs.iter().flat_map(|reading| reading.found.iter());
    refusals.any(|finding| {
        let ago = Duration::try_from(now.duration_since(finding.read)).unwrap_or_default();
        finding.diagnosis.code.is_connection() && ago < FRESH_WHILE_FAILING
    })
}
