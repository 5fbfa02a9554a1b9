//! The steps of a plan, in words: what is written, why then, and what must be true before it goes on. Pure.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::{
    apply::{covers, differences},
    decide::{GeneratedSecret, Plan},
    flagsmith::upgrades,
    model::{
        Code, Component, Diagnosis, Severity,
        child::{Child, Kind, is_pull},
    },
    observe::{JobState, Observation},
    validate::Installation,
};

/// Something that would happen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step {
    /// What, in a few words.
    pub title: String,
    /// Why, and why now.
    pub because: String,
    /// What would be written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Written>,
    /// What must be true before the next step, or what to do where this one holds everything back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
    /// Whether a person is needed before it goes on.
    pub held: bool,
}

/// One object that would be written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Written {
    /// What would be done.
    pub action: Action,
    /// It, as `Kind name`.
    pub object: String,
    /// What would be different, without any value that may be secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// What would be done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    /// It is not there.
    Create,
    /// It is there, and differs.
    Change,
    /// It is there, and is not wanted any more.
    Delete,
    /// An object of that name exists that the operator does not own: it is left alone.
    Refuse,
}

/// A write, with what is needed to take it as done.
pub(super) struct Write {
    /// Which child; `None` for a generated Secret.
    pub id: Option<(Kind, String)>,
    /// The object afterwards; `None` when it is deleted.
    pub body: Option<Value>,
    /// The component that the object belongs to.
    pub component: Option<Component>,
    /// The Secret that is generated.
    pub generates: Option<GeneratedSecret>,
    purpose: Purpose,
    written: Written,
}

/// What a write is for. Those of one pass are shown in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    Generate,
    Clear,
    Settings,
    Record,
    Pull,
    StopProcessor,
    Backup,
    Migrate,
    Release(Part),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Processor,
    Api,
    Frontend,
    EdgeProxy,
}

impl Write {
    fn of(child: &Child, purpose: Purpose, action: Action, body: Value, changes: Vec<String>) -> Self {
        Self {
            id: Some(child.id()),
            body: Some(body),
            component: child.component,
            generates: None,
            purpose,
            written: Written { action, object: format!("{} {}", child.kind.as_str(), child.name), changes },
        }
    }

    /// An object that is not there.
    pub(super) fn create(child: &Child) -> Self {
        let (purpose, changes) = match child.kind {
            Kind::Job if child.component == Some(Component::Backup) => (Purpose::Backup, job(&child.body)),
            Kind::Job if is_pull(&child.body) => (Purpose::Pull, job(&child.body)),
            Kind::Job => (Purpose::Migrate, job(&child.body)),
            Kind::Deployment => (
                release(child),
                image(&child.body).map(|image| format!("image {image}")).into_iter().collect(),
            ),
            _ => (Purpose::Settings, Vec::new()),
        };
        Self::of(child, purpose, Action::Create, child.body.clone(), changes)
    }

    /// An object that differs.
    pub(super) fn change(child: &Child, live: &Value) -> Self {
        let mut body = child.body.clone();
        let mut changes = Vec::new();
        let mut purpose = Purpose::Settings;
        if child.kind == Kind::Deployment {
            let (was, wanted) = (replicas(live), replicas(&body));
            if wanted == Some(0) && was != Some(0) {
                purpose = Purpose::StopProcessor;
            } else if wanted != Some(0) && (image(live) != image(&body) || was == Some(0)) {
                purpose = release(child);
            }
            if let (Some(was), Some(now)) = (image(live), image(&body))
                && was != now
            {
                changes.push(format!("image {was} → {now}"));
            }
            match (was, wanted) {
                (Some(was), Some(wanted)) if was != wanted => changes.push(format!("pods {was} → {wanted}")),
                (Some(was), None) => set_replicas(&mut body, was),
                _ => {}
            }
        }
        for field in differences(live, &child.body) {
            let shown = ["spec.replicas", "metadata.labels"].contains(&field.as_str())
                || field.starts_with("operator.flagsmith.com/")
                || (field == "spec.template.spec.containers" && !changes.is_empty())
                || field.starts_with("spec.template.metadata.labels");
            if !shown {
                changes.push(field);
            }
        }
        let recorded = !same(live, &child.body, "/metadata/annotations");
        if purpose == Purpose::Settings && changes.is_empty() && recorded {
            purpose = Purpose::Record;
        }
        if child.kind == Kind::Deployment && !same(live, &child.body, "/spec/template") {
            changes.push(rolls(&body).to_owned());
        }
        Self::of(child, purpose, Action::Change, body, changes)
    }

    /// An object that is not wanted any more.
    pub(super) fn delete(kind: Kind, name: &str) -> Self {
        Self {
            id: Some((kind, name.to_owned())),
            body: None,
            component: None,
            generates: None,
            purpose: Purpose::Clear,
            written: Written {
                action: Action::Delete,
                object: format!("{} {name}", kind.as_str()),
                changes: Vec::new(),
            },
        }
    }

    /// A Secret that the operator makes once.
    pub(super) fn generate(secret: GeneratedSecret, installation: &Installation) -> Self {
        let key = match secret {
            GeneratedSecret::Django => &installation.django_secret,
            GeneratedSecret::EmbeddedDatabase | GeneratedSecret::DatabaseUrls => installation.database.url(),
        };
        Self {
            id: None,
            body: None,
            component: None,
            generates: Some(secret),
            purpose: Purpose::Generate,
            written: Written {
                action: Action::Create,
                object: format!("Secret {}", key.name),
                changes: vec![format!("key {}", key.key)],
            },
        }
    }
}

/// The steps of one pass.
pub(super) fn steps(installation: &Installation, plan: &Plan, writes: &[Write]) -> Vec<Step> {
    let mut purposes: Vec<Purpose> = writes.iter().map(|write| write.purpose).collect();
    purposes.sort_unstable();
    purposes.dedup();
    purposes
        .into_iter()
        .map(|purpose| {
            let of_purpose = writes.iter().filter(|write| write.purpose == purpose);
            Step {
                writes: of_purpose.map(|write| write.written.clone()).collect(),
                ..step(purpose, installation, plan)
            }
        })
        .collect()
}

/// The step of a purpose, without its writes.
fn step(purpose: Purpose, installation: &Installation, plan: &Plan) -> Step {
    let release = plan.step.as_ref().map_or(installation.release, |step| step.release);
    match purpose {
        Purpose::Generate => Step::new("Generate Secrets", "They are made once, and never changed."),
        Purpose::Clear => Step::new(
            "Delete what is not wanted any more",
            "The specification does not ask for it, or it is a Job whose result is recorded or contradicted by what follows.",
        ),
        Purpose::Settings => Step::new(
            "Make and change what needs no migration",
            "Settings are applied at once; pods keep the release that they run.",
        ),
        Purpose::Record => Step::new(
            "Record on the Deployments what the database was migrated to",
            "It outlives a status that is lost. No pod restarts.",
        ),
        Purpose::StopProcessor if plan.is_restoring => Step::new(
            "Stop API and task processor",
            "Everything that they read is about to be replaced.",
        )
        .on_when("their pods have ended"),
        Purpose::StopProcessor => Step::new(
            "Stop the task processor",
            "No task may run on tables that change under it. Tasks wait in the database meanwhile.",
        )
        .on_when("its pods have ended"),
        Purpose::Pull => Step::new(
            if plan.pull.as_ref().is_some_and(|pull| pull.images.len() > 1) {
                "Have the images pulled"
            } else {
                "Have the image pulled"
            },
            "Nothing is stopped for an image that cannot be pulled: a Job starts a container of each that does nothing.",
        )
        .on_when("it is complete; until then everything runs unchanged"),
        Purpose::Backup => Step::new(
            "Make the backup",
            "spec.migrations.backup asks for one before each migration of a database that holds data.",
        )
        .on_when("it is complete; if it fails nothing is migrated"),
        Purpose::Migrate => migrate(installation, plan),
        Purpose::Release(part) => {
            let (title, because) = match part {
                Part::Processor => {
                    ("the task processor", "Before the API: it must know every task that the API queues.")
                }
                Part::Api => (
                    "the API",
                    "After the task processor, so that no queued task is unknown to the one that takes it.",
                ),
                Part::Frontend => ("the frontend", "After the API that it speaks to."),
                Part::EdgeProxy => ("the edge proxy", "It asks the API, and goes on asking until that answers."),
            };
            let back = plan.step.as_ref().and_then(|step| step.action.rollback());
            let because = match (part, back) {
                (Part::Api, Some(back)) => format!(
                    "Before anything is undone: pods of {release} serve on the tables of {}, as they did while those were migrated.",
                    back.from
                ),
                _ => because.to_owned(),
            };
            let title = match part {
                // It has releases of its own.
                Part::EdgeProxy => format!("Start {title}"),
                _ => format!("Start {title} of {release}"),
            };
            Step::new(title, because).on_when("its pods are ready")
        }
    }
}

fn migrate(installation: &Installation, plan: &Plan) -> Step {
    let migrate = plan.migrate.as_ref();
    let release = migrate.map_or(installation.release, |migrate| migrate.release);
    if let Some(restore) = migrate.and_then(|migrate| migrate.action.restore()) {
        let what = restore.release.map_or_else(String::new, |release| format!(", which is of {release}"));
        return Step::new(
            format!("Restore {}{what}", restore.from),
            format!(
                "spec.migrations.restore confirms it: everything that was written to this database since {:.0} is lost. It is one \
                 transaction: if it fails, nothing has changed.",
                restore.made
            ),
        )
        .on_when("it is complete; then the database is migrated from there, and pods start. If it fails, they come back at once");
    }
    let Some(rollback) = migrate.and_then(|migrate| migrate.action.rollback()) else {
        let serving = plan.api.as_ref().map(|api| api.release);
        let mut meanwhile = serving
            .and_then(|serving| Some((serving, upgrades::incompatible(serving, release)?)))
            .map_or_else(String::new, |(serving, change)| {
                format!(" From then until its own pods are ready, those of {serving} cannot {}.", change.what)
            });
        if release < installation.release {
            let _ = write!(meanwhile, " A stop on the way to {}.", installation.release);
        }
        return Step::new(
            format!("Migrate the database to {release}"),
            format!(
                "No pod of {release} starts before. Which migrations are pending only its image knows: the Job lists \
                 them before it applies them.{meanwhile}"
            ),
        )
        .on_when(
            "it is complete; if it fails what runs keeps serving, the task processor comes back, and nothing is tried \
             again before you ask",
        );
    };
    let (from, to) = (rollback.from, rollback.to);
    Step::new(
        format!("Undo the migrations of {from}"),
        format!(
            "spec.migrations.rollback confirms it: everything applied after {} is undone in the main database, and what was stored in the tables and columns that it made is lost.{}",
            rollback.applied_after,
            rollback.away().map_or_else(String::new, |why| {
                format!(" There is no API from then until pods of {to} are ready, because {why}.")
            }),
        ),
    )
    .on_when(if rollback.pods_first() {
        format!("it is complete; if it fails {to} goes on serving, on what is left of {from}")
    } else {
        format!("it is complete; {to} migrates and starts afterwards")
    })
}

impl Step {
    /// A step that writes nothing yet and that nothing waits for.
    fn new(title: impl Into<String>, because: impl Into<String>) -> Self {
        Self { title: title.into(), because: because.into(), writes: Vec::new(), then: None, held: false }
    }

    /// What must be true before the next step.
    fn on_when(self, then: impl Into<String>) -> Self {
        Self { then: Some(then.into()), ..self }
    }

    /// A Job that is running already.
    pub(super) fn running(job: &JobState) -> Self {
        Self::new("Wait for a Job that is running", "Nothing else touches the database meanwhile.")
            .on_when(format!("Job {} is complete", job.name))
    }

    /// Something that keeps the migration from starting.
    pub(super) fn held(code: Code, diagnoses: &[Diagnosis], observation: &Observation) -> Self {
        let cause = diagnoses.iter().find(|diagnosis| diagnosis.code == code);
        let because = cause.map(|cause| cause.message.to_string()).or_else(|| {
            observation
                .other_migrator()
                .map(|other| format!("Another migration of the same database is under way: {other}."))
        });
        Self {
            title: format!("The migration is held back: {code}"),
            because: because.unwrap_or_else(|| "Where the database is, is not known yet.".to_owned()),
            writes: Vec::new(),
            then: Some(cause.map_or_else(
                || "that has changed; the operator looks again every few seconds".to_owned(),
                |cause| cause.remedy.to_string(),
            )),
            held: code != Code::MigrationConcurrent,
        }
    }

    /// The migration has failed already.
    pub(super) fn failed(diagnoses: &[Diagnosis]) -> Self {
        let cause = diagnoses
            .iter()
            .find(|it| it.component == Component::Migrations && it.severity == Severity::Critical);
        Self {
            title: cause.map_or_else(
                || "The migration has failed".to_owned(),
                |cause| format!("The migration has failed: {}", cause.code),
            ),
            because: cause.map_or_else(
                || "It is not tried again before you ask.".to_owned(),
                |cause| cause.message.to_string(),
            ),
            writes: Vec::new(),
            then: cause.map(|cause| cause.remedy.to_string()),
            held: true,
        }
    }
}

fn release(child: &Child) -> Purpose {
    Purpose::Release(match child.component {
        Some(Component::Api) => Part::Api,
        Some(Component::Frontend) => Part::Frontend,
        Some(Component::EdgeProxy) => Part::EdgeProxy,
        _ => Part::Processor,
    })
}

fn image(body: &Value) -> Option<&str> {
    body.pointer("/spec/template/spec/containers/0/image")?.as_str()
}

fn replicas(body: &Value) -> Option<i64> {
    body.pointer("/spec/replicas")?.as_i64()
}

fn set_replicas(body: &mut Value, replicas: i64) {
    if let Some(spec) = body.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("replicas".to_owned(), replicas.into());
    }
}

fn same(live: &Value, desired: &Value, pointer: &str) -> bool {
    match (live.pointer(pointer), desired.pointer(pointer)) {
        (Some(live), Some(desired)) => covers(live, desired),
        (live, desired) => live.is_none() == desired.is_none(),
    }
}

/// How pods are exchanged when their template changes.
fn rolls(body: &Value) -> &'static str {
    if body.pointer("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate") {
        "its pods all end before new ones start"
    } else {
        "one pod at a time: a new one is ready before an old one ends"
    }
}

/// What a Job runs, and how long it may.
fn job(body: &Value) -> Vec<String> {
    let container = |field: &str| body.pointer(&format!("/spec/template/spec/containers/0/{field}"));
    let texts = |value: Option<&Value>| {
        let items = value.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = image(body).map(|image| format!("image {image}")).into_iter().collect();
    let arguments = texts(container("args"));
    if !arguments.is_empty() {
        lines.push(format!("runs {arguments}"));
    }
    let number = |field: &str| body.pointer(&format!("/spec/{field}")).and_then(Value::as_i64);
    if let (Some(seconds), Some(retries)) = (number("activeDeadlineSeconds"), number("backoffLimit")) {
        lines.push(format!("at most {seconds} s, at most {} attempts", retries + 1));
    }
    lines
}
