//! What the operator would do, pass after pass, if whatever it starts succeeds: its own decisions, on observations in
//! which each step is taken as done. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
};
use serde_json::{Value, json};

use super::step::{Step, Write, steps};
use crate::{
    apply::{covers, removable},
    causes,
    decide::{Gate, GeneratedSecret, Plan, decide},
    model::{
        Code, Component, Diagnosis,
        child::{Child, Kind, is_pull},
    },
    observe::{JobOutcome, JobState, KeptUrls, Observation, SecretState, WorkloadState},
    postgres::DatabaseIdentity,
    report::{self, migration, restore},
    resources::{EMBEDDED_PORT, EMBEDDED_ROLE, build},
    validate::{Database, Installation},
};

/// More passes than any installation takes: a rollback with a backup takes twelve, each stop of an upgrade at most eight.
/// A defect must not loop.
const PASSES: i64 = 200;

/// Objects of one installation, by kind and name.
pub(super) type Objects = BTreeMap<(Kind, String), Value>;

/// What would happen.
pub(super) struct Simulation {
    /// In their order.
    pub steps: Vec<Step>,
    /// Wanted objects that are as they should be, as `Kind name`.
    pub unchanged: Vec<String>,
}

/// Goes through the passes from what was seen on.
pub(super) fn simulate(
    installation: &Installation,
    observation: Observation,
    objects: Objects,
) -> Simulation {
    Future::new(installation, observation, objects).foretell()
}

/// What was seen, and what is taken to come of it.
struct Future<'a> {
    installation: &'a Installation,
    observation: Observation,
    objects: Objects,
    /// Obstacles that were named and that are taken as removed.
    assumed: BTreeSet<Code>,
    touched: BTreeSet<(Kind, String)>,
}

impl<'a> Future<'a> {
    const fn new(installation: &'a Installation, observation: Observation, objects: Objects) -> Self {
        Self { installation, observation, objects, assumed: BTreeSet::new(), touched: BTreeSet::new() }
    }

    fn foretell(&mut self) -> Simulation {
        let mut foretold = Vec::new();
        let mut wanted = BTreeSet::new();
        for _ in 0..PASSES {
            let diagnoses = self.diagnose();
            let plan = decide(self.installation, &self.observation, &diagnoses);
            let children = build(self.installation, &plan);
            wanted.extend(children.iter().map(Child::id));
            let writes = self.writes(&plan, &children);
            foretold.extend(steps(self.installation, &plan, &writes));
            self.record(&plan, &diagnoses);
            let written = !writes.is_empty();
            for write in writes {
                self.assume(write);
            }
            if !written && !self.go_on(&plan, &diagnoses, &mut foretold) {
                break;
            }
        }
        let unchanged = wanted
            .difference(&self.touched)
            .map(|(kind, name)| format!("{} {name}", kind.as_str()))
            .collect();
        Simulation { steps: foretold, unchanged }
    }

    fn diagnose(&self) -> Vec<Diagnosis> {
        let mut found = causes::diagnose(self.installation, &self.observation);
        found.retain(|diagnosis| !self.assumed.contains(&diagnosis.code));
        found
    }

    /// What a pass would write.
    fn writes(&self, plan: &Plan, children: &[Child]) -> Vec<Write> {
        let wanted: BTreeSet<_> = children.iter().map(Child::id).collect();
        let deleted = self
            .objects
            .iter()
            .filter(|(id, _)| !wanted.contains(id) && removable(self.installation, plan, id.0, &id.1))
            .map(|((kind, name), _)| Write::delete(*kind, name));
        let generated = plan.generate.iter().map(|secret| Write::generate(*secret, self.installation));
        let applied = children.iter().filter_map(|child| match self.objects.get(&child.id()) {
            None => Some(Write::create(child)),
            // Created once, never applied over.
            Some(_) if child.kind == Kind::Job => None,
            Some(live) => (!covers(live, &child.body)).then(|| Write::change(child, live)),
        });
        generated.chain(deleted).chain(applied).collect()
    }

    /// The status as it would be written.
    fn record(&mut self, plan: &Plan, diagnoses: &[Diagnosis]) {
        let context = report::Context {
            installation: self.installation,
            observation: &self.observation,
            plan,
            diagnoses,
            complete: true,
        };
        let (migration, history) = (migration::migration(context), migration::history(context));
        let restore = restore::status(context);
        self.observation.previous.migration = Some(migration);
        self.observation.previous.migration_history = history;
        self.observation.previous.restore = restore;
    }

    /// Takes a write as done, and what Kubernetes makes of it as well.
    fn assume(&mut self, write: Write) {
        if let Some(secret) = write.generates {
            self.generated(secret);
        }
        let Some(id) = write.id else { return };
        self.touched.insert(id.clone());
        let Some(body) = write.body else {
            self.objects.remove(&id);
            for jobs in [&mut self.observation.jobs, &mut self.observation.pulls] {
                jobs.retain(|job| job.name != id.1);
            }
            // A Job stays until its pods are gone.
            self.observation.pods.retain(|pod| pod.job.as_ref() != Some(&id.1));
            if id.1 == self.installation.child(Component::Frontend.as_str()) {
                self.observation.frontend = None;
            }
            if id.1 == self.installation.child(Component::EdgeProxy.as_str()) {
                self.observation.edge_proxy = None;
            }
            return;
        };
        match id.0 {
            Kind::Deployment => self.rolled_out(&id.1, &body),
            Kind::StatefulSet => {
                self.observation.embedded_database = settled::<StatefulSet>(&body).map(|set| (&set).into());
            }
            Kind::Job => self.complete(&body, write.component),
            _ => {}
        }
        self.objects.insert(id, body);
    }

    fn generated(&mut self, secret: GeneratedSecret) {
        let secrets = &mut self.observation.secrets;
        match secret {
            GeneratedSecret::Django => secrets.django = SecretState::Present(()),
            GeneratedSecret::DatabaseUrls => secrets.urls = KeptUrls::Current,
            GeneratedSecret::EmbeddedDatabase => {
                let identity = embedded(self.installation);
                secrets.database = SecretState::Present(identity.clone());
                secrets.migration_database = SecretState::Present(identity);
                // Whatever it is: nobody compares the label of a Job that is only foreseen.
                self.observation.migration_lock.get_or_insert_default();
            }
        }
    }

    fn rolled_out(&mut self, name: &str, body: &Value) {
        let state: Option<WorkloadState> = settled::<Deployment>(body).map(|it| (&it).into());
        for (component, place) in [
            (Component::Api, &mut self.observation.api),
            (Component::TaskProcessor, &mut self.observation.task_processor),
            (Component::Frontend, &mut self.observation.frontend),
            (Component::EdgeProxy, &mut self.observation.edge_proxy),
        ] {
            if name == self.installation.child(component.as_str()) {
                place.clone_from(&state);
                self.observation.pods.retain(|pod| pod.component != Some(component));
            }
        }
    }

    fn complete(&mut self, body: &Value, component: Option<Component>) {
        let Ok(job) = serde_json::from_value::<Job>(body.clone()) else {
            return;
        };
        let state = self.completed(JobState::from(&job));
        let list = if component == Some(Component::Backup) {
            &mut self.observation.backups
        } else if is_pull(body) {
            &mut self.observation.pulls
        } else {
            &mut self.observation.jobs
        };
        list.push(state);
    }

    /// Each Job ends a second later than the one before, so that they have an order.
    fn completed(&self, state: JobState) -> JobState {
        let seconds =
            i64::try_from(self.observation.jobs.len() + self.observation.backups.len()).unwrap_or_default();
        let at = self
            .observation
            .now
            .checked_add(jiff::SignedDuration::from_secs(seconds))
            .unwrap_or(self.observation.now);
        JobState {
            outcome: JobOutcome::Complete,
            started: state.started.or(Some(at)),
            finished: Some(at),
            ..state
        }
    }

    /// Takes the Job of a list that is active as complete. False where there is none.
    fn ends(&mut self, jobs: fn(&mut Observation) -> &mut Vec<JobState>, foretold: &mut Vec<Step>) -> bool {
        let list = jobs(&mut self.observation);
        let Some(position) = list.iter().position(|job| job.outcome == JobOutcome::Active) else {
            return false;
        };
        let job = list.remove(position);
        foretold.push(Step::running(&job));
        let ended = self.completed(job);
        jobs(&mut self.observation).push(ended);
        true
    }

    /// Pods of a component that end still run. False where there is none.
    fn pods_end(&mut self, component: Component) -> bool {
        let before = self.observation.pods.len();
        self.observation.pods.retain(|pod| pod.component != Some(component));
        before > self.observation.pods.len()
    }

    /// Without anything to write: what is waited for, taken as happened. False where nothing more can be foretold.
    fn go_on(&mut self, plan: &Plan, diagnoses: &[Diagnosis], foretold: &mut Vec<Step>) -> bool {
        match &plan.gate {
            Gate::Succeeded => false,
            Gate::Unrecorded(_) => true,
            Gate::Running(job) => {
                foretold.push(Step::running(job));
                let ended = self.completed(job.clone());
                self.observation.pods.retain(|pod| pod.job.as_deref() != Some(&job.name));
                for known in &mut self.observation.jobs {
                    if known.name == job.name {
                        *known = ended.clone();
                    }
                }
                true
            }
            Gate::Pending => self.pods_end(Component::TaskProcessor) | self.pods_end(Component::Api),
            Gate::Blocked(Code::BackupPending) => self.ends(|seen| &mut seen.backups, foretold),
            Gate::Blocked(Code::MigrationImagePending) => self.ends(|seen| &mut seen.pulls, foretold),
            Gate::Blocked(Code::OlderPodsPending) => self.pods_end(Component::Api),
            Gate::Blocked(code) => {
                foretold.push(Step::held(*code, diagnoses, &self.observation));
                // Nothing is known of a database whose URL is not, and nobody but the user goes back.
                let ends = plan.step.is_none() || matches!(code, Code::DowngradeBlocked | Code::BackupFailed);
                if *code == Code::MigrationConcurrent {
                    self.observation.external_migration = None;
                    if let Some(Ok(preflight)) = &mut self.observation.preflight {
                        preflight.migrators.clear();
                    }
                }
                !ends && self.assumed.insert(*code)
            }
            Gate::Failed { .. } => {
                foretold.push(Step::failed(diagnoses));
                false
            }
        }
    }
}

/// Where the embedded database will be.
fn embedded(installation: &Installation) -> DatabaseIdentity {
    debug_assert!(matches!(installation.database, Database::Embedded { .. }));
    DatabaseIdentity {
        host: format!(
            "{}.{}.svc",
            installation.child(Component::Database.as_str()),
            installation.identity.namespace
        ),
        port: EMBEDDED_PORT,
        name: EMBEDDED_ROLE.to_owned(),
    }
}

/// A workload whose pods are all ready.
fn settled<T: serde::de::DeserializeOwned>(body: &Value) -> Option<T> {
    let mut body = body.clone();
    let pods = body.pointer("/spec/replicas").cloned().unwrap_or(json!(1));
    let status = json!({
        "observedGeneration": body.pointer("/metadata/generation").cloned().unwrap_or(json!(0)),
        "replicas": pods, "updatedReplicas": pods, "readyReplicas": pods, "availableReplicas": pods,
    });
    body.as_object_mut()?.insert("status".to_owned(), status);
    serde_json::from_value(body).ok()
}

#[cfg(test)]
mod tests;
