//! Pods, reduced to what keeps them from running well. Pure conversions.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, ContainerState, ContainerStatus, EnvVar, Pod, PodSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::dump::{self, Dump};
use crate::{
    flagsmith::ProcessorPace,
    model::{Component, PodPhase, child::marks},
};

/// Characters of a termination message that are kept; the cause stands at its end.
const MESSAGE_LIMIT: usize = 4096;

/// Waiting reasons of a start that takes its normal course.
const NORMAL_WAITING: &[&str] = &["ContainerCreating", "PodInitializing"];

/// A pod, as far as diagnosis needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSummary {
    /// Its name.
    pub name: String,
    /// What its component label says.
    pub component: Option<Component>,
    /// The Job that it belongs to.
    pub job: Option<String>,
    /// It works on a database: the label that finds other migrations of it.
    pub on_database: bool,
    /// The release label.
    pub version: Option<String>,
    /// How far its containers have come.
    pub phase: PodPhase,
    /// The Ready condition.
    pub ready: bool,
    /// Since when the Ready condition says what it says.
    pub ready_since: Option<Timestamp>,
    /// What its containers tell a task processor of its pace.
    pub pace: ProcessorPace,
    /// It is being deleted.
    pub terminating: bool,
    /// Its address.
    pub address: Option<IpAddr>,
    /// When its first container was started last; `None` while it does not run.
    pub started: Option<Timestamp>,
    /// Its containers, those that initialise it first.
    pub containers: Vec<ContainerRun>,
    /// What keeps it from running well.
    pub problems: Vec<PodProblem>,
    /// The migrations that it found to do before it began.
    pub pending: Option<Pending>,
    /// The dumps that there were when it had made its own.
    pub dumps: Vec<Dump>,
}

/// What a migration pod found to do: Django's plan, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// How many migrations.
    pub count: i32,
    /// Which of them, by their place, stand for several in `django_migrations`, and for how many: squashed ones.
    pub squashed: Vec<(i32, i32)>,
    /// The first of them, as `app.name`; as many as a termination message holds.
    pub names: Vec<String>,
}

impl Pending {
    /// How many of them are applied when `django_migrations` has so many rows more. Django writes a row for each
    /// migration that a squashed one replaces, and one for itself when everything is done.
    #[must_use]
    pub fn applied(&self, rows: i64) -> i32 {
        let mut beyond = 0;
        for (place, stands_for) in &self.squashed {
            let reached = rows.saturating_sub(beyond);
            if reached <= i64::from(*place) {
                break;
            }
            if reached < i64::from(*place).saturating_add(i64::from(*stands_for)) {
                return *place;
            }
            beyond = beyond.saturating_add(i64::from(*stands_for).saturating_sub(1));
        }
        let applied = rows.saturating_sub(beyond).clamp(0, i64::from(self.count.max(0)));
        i32::try_from(applied).unwrap_or(self.count)
    }
}

impl PodSummary {
    /// Whether a container cannot be created because something that it refers to is not there.
    #[must_use]
    pub fn misses_something(&self) -> bool {
        self.problems.iter().any(
            |problem| matches!(problem, PodProblem::Waiting { reason, .. } if reason == PodProblem::CONFIG_ERROR),
        )
    }

    /// Whether it runs without being ready.
    #[must_use]
    pub fn starting(&self) -> bool {
        !self.ready && self.phase == PodPhase::Running
    }
}

/// One container of a pod as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRun {
    /// Its name.
    pub name: String,
    /// It initialises the pod.
    pub init: bool,
    /// It is not Flagsmith's: what it logs, and how it ends, is its owner's business.
    pub sidecar: bool,
    /// How often it was started again.
    pub restarts: i32,
    /// Since when it runs; `None` when it does not.
    pub running_since: Option<Timestamp>,
    /// The end of its last run, where that was an error.
    pub failed: Option<Timestamp>,
    /// It is ready, or has done its work.
    pub ready: bool,
}

/// What keeps a pod from running well, read from its status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PodProblem {
    /// No node takes it.
    Unschedulable {
        /// The scheduler's words.
        message: String,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// A container waits: `ImagePullBackOff`, `ErrImagePull`, `CreateContainerConfigError`, …
    Waiting {
        /// The reason.
        reason: String,
        /// The kubelet's words.
        message: String,
        /// The image.
        image: String,
    },
    /// A container has ended and is started again and again.
    CrashLoop {
        /// The container, where it is not Flagsmith's.
        sidecar: Option<String>,
        /// How often it was started again.
        restarts: i32,
        /// Exit status of the last run.
        exit_code: Option<i32>,
        /// Reason of the last end, for example `OOMKilled`.
        reason: Option<String>,
        /// Its last words (the termination message).
        message: Option<String>,
    },
    /// A container that is not started again has ended with an error.
    Failed {
        /// Exit status.
        exit_code: i32,
        /// Reason of the end.
        reason: Option<String>,
        /// Its last words (the termination message).
        message: Option<String>,
    },
    /// A container ended for lack of memory, now or the last time.
    OutOfMemory {
        /// The container.
        container: String,
        /// How often it was started again.
        restarts: i32,
        /// The container's memory limit; `None` when it has none.
        limit: Option<String>,
    },
}

impl PodProblem {
    /// The waiting reason of a container whose configuration cannot be put together.
    pub const CONFIG_ERROR: &str = "CreateContainerConfigError";
}

/// Of each container of a pod what the kubelet says, and whether it is an init container; those come first.
pub fn container_statuses(pod: &Pod) -> impl Iterator<Item = (&ContainerStatus, bool)> {
    let status = || pod.status.iter();
    let initial = status().flat_map(|status| status.init_container_statuses.iter().flatten());
    let main = status().flat_map(|status| status.container_statuses.iter().flatten());
    initial.map(|it| (it, true)).chain(main.map(|it| (it, false)))
}

/// What its component label says: which part of an installation a pod is of.
pub(super) fn component(pod: &Pod) -> Option<Component> {
    Component::named(pod.metadata.labels.as_ref()?.get(marks::COMPONENT)?)
}

impl From<&Pod> for PodSummary {
    fn from(pod: &Pod) -> Self {
        let label = |key: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
        let status = pod.status.as_ref();
        let condition = |kind: &str| {
            status
                .and_then(|status| status.conditions.as_ref())
                .into_iter()
                .flatten()
                .find(|it| it.type_ == kind)
        };
        let mut problems: Vec<PodProblem> = condition("PodScheduled")
            .filter(|it| it.status == "False" && it.reason.as_deref() == Some("Unschedulable"))
            .map(|it| PodProblem::Unschedulable {
                message: it.message.clone().unwrap_or_default(),
                since: it.last_transition_time.as_ref().map(|time| time.0),
            })
            .into_iter()
            .collect();
        let own = own(pod);
        problems.extend(container_statuses(pod).flat_map(|(container, init)| {
            let sidecar = is_sidecar(pod, own, &container.name, init);
            container_problems(container, limit(pod, &container.name), sidecar)
        }));
        Self {
            name: pod.metadata.name.clone().unwrap_or_default(),
            component: component(pod),
            job: label("batch.kubernetes.io/job-name"),
            on_database: label(marks::DATABASE).is_some(),
            version: label(marks::VERSION),
            phase: status.and_then(|status| status.phase.as_deref()).map(PodPhase::named).unwrap_or_default(),
            ready: condition("Ready").is_some_and(|it| it.status == "True"),
            ready_since: condition("Ready")
                .and_then(|it| it.last_transition_time.as_ref())
                .map(|time| time.0),
            pace: pod.spec.as_ref().map(paces).unwrap_or_default(),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            address: status.and_then(|status| status.pod_ip.as_ref()?.parse().ok()),
            started: started(pod),
            containers: container_statuses(pod)
                .map(|(container, init)| {
                    container_run(container, init, is_sidecar(pod, own, &container.name, init))
                })
                .collect(),
            problems,
            dumps: dump::dumps(pod),
            pending: status.and_then(|status| {
                status
                    .init_container_statuses
                    .iter()
                    .flatten()
                    .find(|container| container.name == marks::PLAN_CONTAINER)?
                    .state
                    .as_ref()?
                    .terminated
                    .as_ref()?
                    .message
                    .as_deref()
                    .and_then(pending)
            }),
        }
    }
}

/// What its containers are told of a task processor's pace.
fn paces(pod: &PodSpec) -> ProcessorPace {
    let of = |container: &Container| {
        pace(container.args.as_deref().unwrap_or_default(), container.env.as_deref().unwrap_or_default())
    };
    let told = pod.containers.iter().map(of).find(|pace| *pace != ProcessorPace::default());
    told.unwrap_or_default()
}

/// What a container is told of a task processor's pace.
pub(super) fn pace(args: &[String], env: &[EnvVar]) -> ProcessorPace {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // Of two entries with one name the last counts.
    let value = |name: &str| env.iter().rfind(|it| it.name == name)?.value.as_deref();
    ProcessorPace::of(&args, value)
}

/// When Flagsmith's container was started.
fn started(pod: &Pod) -> Option<Timestamp> {
    let own = own(pod)?;
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| status.name == own)?;
    let running = status.state.as_ref()?.running.as_ref()?;
    running.started_at.as_ref().map(|time| time.0)
}

/// The termination message of the container that lists the plan: the number of migrations and which of them are
/// squashed, then their names. `12 3:2` and twelve names: the fourth stands for two.
fn pending(message: &str) -> Option<Pending> {
    let mut lines = message.lines().map(str::trim);
    let mut first = lines.next()?.split(' ');
    let count: i32 = first.next()?.parse().ok()?;
    let squashed = first.filter_map(|word| {
        let (place, stands_for) = word.split_once(':')?;
        Some((place.parse().ok()?, stands_for.parse().ok()?))
    });
    let squashed = squashed.collect();
    // The last name may have been cut.
    let whole = usize::from(!message.ends_with('\n'));
    let names: Vec<String> = lines.filter(|name| name.contains('.')).map(str::to_owned).collect();
    let kept = names.len().saturating_sub(whole);
    Some(Pending { count, squashed, names: names.into_iter().take(kept).collect() })
}

/// The name of the container that is Flagsmith's; the kubelet lists the containers of a pod by their names.
fn own(pod: &Pod) -> Option<&str> {
    let containers = &pod.spec.as_ref()?.containers;
    let all = containers.iter().map(|it| (it.name.as_str(), it.image.as_deref()));
    containers.get(flagsmith_container(managed(&pod.metadata), all)?).map(|it| it.name.as_str())
}

/// Whether the operator made a pod, or the template of pods.
pub(super) fn managed(metadata: &ObjectMeta) -> bool {
    let label = metadata.labels.as_ref().and_then(|labels| labels.get(marks::MANAGED_BY));
    label.map(String::as_str) == Some(marks::OPERATOR)
}

/// Which of a pod's containers, given as name and image, is Flagsmith's: in a pod that the operator made the one with a
/// name of its own, whatever others put before it; otherwise the first whose image says so, or the first.
pub(crate) fn flagsmith_container<'a>(
    managed: bool,
    mut containers: impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone,
) -> Option<usize> {
    let any = containers.clone().next().map(|_| 0);
    let own = |name: &str, image: Option<&str>| {
        if managed { marks::is_own_container(name) } else { image.is_some_and(|it| it.contains("flagsmith")) }
    };
    containers.position(|(name, image)| own(name, image)).or(any)
}

/// Of init containers the operator knows its own by their names, and the official chart's by what they are there for.
fn is_sidecar(pod: &Pod, own: Option<&str>, name: &str, init: bool) -> bool {
    if !init {
        return own.is_some_and(|own| own != name);
    }
    managed(&pod.metadata) && !marks::is_own_container(name)
}

fn container_run(container: &ContainerStatus, init: bool, sidecar: bool) -> ContainerRun {
    let failed = |state: Option<&ContainerState>| {
        let ended = state?.terminated.as_ref()?;
        (ended.exit_code != 0).then(|| ended.finished_at.as_ref().map(|time| time.0))?
    };
    let running = container.state.as_ref().and_then(|state| state.running.as_ref());
    ContainerRun {
        name: container.name.clone(),
        init,
        sidecar,
        restarts: container.restart_count,
        running_since: running.and_then(|running| running.started_at.as_ref()).map(|time| time.0),
        failed: failed(container.state.as_ref()).or_else(|| failed(container.last_state.as_ref())),
        ready: container.ready,
    }
}

fn container_problems(container: &ContainerStatus, limit: Option<String>, sidecar: bool) -> Vec<PodProblem> {
    let ended = |state: Option<&ContainerState>| state.and_then(|state| state.terminated.clone());
    let last = ended(container.state.as_ref()).or_else(|| ended(container.last_state.as_ref()));
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.clone());
    let mut problems = Vec::new();
    if last.as_ref().is_some_and(|ended| ended.reason.as_deref() == Some("OOMKilled")) {
        problems.push(PodProblem::OutOfMemory {
            container: container.name.clone(),
            restarts: container.restart_count,
            limit,
        });
    }
    let exited = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    // A sidecar is ended when the others have done their work, and each has its own way of saying so.
    if let Some(ended) = exited.filter(|ended| ended.exit_code != 0 && !sidecar) {
        problems.push(PodProblem::Failed {
            exit_code: ended.exit_code,
            reason: ended.reason.clone(),
            message: ended.message.as_deref().map(tail),
        });
    }
    match reason.as_deref() {
        Some("CrashLoopBackOff") => problems.push(PodProblem::CrashLoop {
            sidecar: sidecar.then(|| container.name.clone()),
            restarts: container.restart_count,
            exit_code: last.as_ref().map(|ended| ended.exit_code),
            reason: last.as_ref().and_then(|ended| ended.reason.clone()),
            message: last.as_ref().and_then(|ended| ended.message.clone()).as_deref().map(tail),
        }),
        Some(reason) if !NORMAL_WAITING.contains(&reason) => problems.push(PodProblem::Waiting {
            reason: reason.to_owned(),
            message: waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default(),
            image: container.image.clone(),
        }),
        _ => {}
    }
    problems
}

fn limit(pod: &Pod, container: &str) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let limits = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .find(|it| it.name == container)?
        .resources
        .as_ref()?
        .limits
        .as_ref()?;
    limits.get("memory").map(|quantity| quantity.0.clone())
}

fn tail(message: &str) -> String {
    let skip = message.char_indices().rev().nth(MESSAGE_LIMIT).map_or(0, |(index, _)| index);
    message.get(skip..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use serde_json::{Value, json};

    use super::*;

    /// Three rows for the second of four migrations, two for the last, and one each for those two at the end.
    #[rstest]
    #[case(0, 0)]
    #[case(1, 1)]
    #[case::within_the_squashed_one(3, 1)]
    #[case(4, 2)]
    #[case(5, 3)]
    #[case(6, 3)]
    #[case(7, 4)]
    #[case::with_the_rows_of_the_squashed_themselves(9, 4)]
    #[case::nonsense(-3, 0)]
    fn counts_migrations_and_not_rows(#[case] rows: i64, #[case] expected: i32) {
        let plan = pending("4 1:3 3:2\na.0001\na.0002_squashed\nb.0001\nb.0002_squashed\n").unwrap();
        assert_eq!(plan.names.len(), 4);
        assert_eq!(plan.applied(rows), expected);
    }

    #[rstest]
    #[case("0\n", 0, &[])]
    #[case("2\nusers.0001_initial\nusers.0002_x\n", 2, &["users.0001_initial", "users.0002_x"])]
    #[case::cut("3\nusers.0001_initial\nusers.00", 3, &["users.0001_initial"])]
    fn reads_the_list(#[case] message: &str, #[case] count: i32, #[case] names: &[&str]) {
        let plan = pending(message).unwrap();
        assert_eq!((plan.count, plan.names), (count, names.iter().map(ToString::to_string).collect()));
    }

    /// The limit is that of the container that was killed, whichever it is.
    #[test]
    fn names_the_limit_of_an_init_container() {
        let pod: Pod = serde_json::from_value(json!({
            "spec": {
                "initContainers": [{ "name": "plan", "resources": { "limits": { "memory": "64Mi" } } }],
                "containers": [{ "name": "migrate", "resources": { "limits": { "memory": "1Gi" } } }],
            },
            "status": { "phase": "Pending", "initContainerStatuses": [{
                "name": "plan", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } },
            }] },
        }))
        .unwrap();
        let killed = PodProblem::OutOfMemory {
            container: "plan".to_owned(),
            restarts: 0,
            limit: Some("64Mi".to_owned()),
        };
        assert!(PodSummary::from(&pod).problems.contains(&killed));
    }

    /// The kubelet lists containers by their names, and others put theirs before ours.
    #[rstest::rstest]
    #[case::of_the_operator(json!({ marks::MANAGED_BY: marks::OPERATOR }), "api", "r.io/own:1")]
    #[case::of_the_chart(json!({}), "main", "docker.flagsmith.com/flagsmith/flagsmith-api:2.265.0")]
    fn a_sidecar_is_not_flagsmith(#[case] labels: Value, #[case] name: &str, #[case] image: &str) {
        let status = |name: &str| {
            json!({ "name": name, "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {
            "terminated": { "exitCode": 2, "finishedAt": "2026-11-29T10:00:00Z" },
        } })
        };
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "a-proxy", "image": "proxy:1" }, { "name": name, "image": image }] },
            "status": { "containerStatuses": [status("a-proxy"), status(name)] },
        }))
        .unwrap();
        let summary = PodSummary::from(&pod);
        let sidecars: Vec<_> = summary.containers.iter().map(|it| (it.name.as_str(), it.sidecar)).collect();
        assert_eq!(sidecars, [("a-proxy", true), (name, false)]);
        assert_eq!(summary.problems.len(), 1, "only Flagsmith's own end counts: {:?}", summary.problems);
    }
}
