//! `status`: an installation at a glance, as a tree.

use std::{fmt, process::ExitCode, time::Duration};

use anstyle::{AnsiColor, Style};
use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use serde::Serialize;

use super::{
    cluster::{Cluster, ClusterArgs},
    failure::{Failure, HEALTHY, UNHEALTHY},
    findings,
    look::{Inspection, LookArgs, look},
    output::{Output, at_terminal, print},
    standing::{OperatorReport, Standing},
    tree::Node,
};
use crate::{
    api::{ComponentStatus, FlagsmithDeploymentStatus, MigrationStatus, TimeoutsStatus},
    model::{Component, Diagnosis},
    observe::{PodProblem, PodSummary},
    report::ConditionType,
};

/// How often `--watch` looks: a rollout moves that fast, and a dozen lists each two seconds are no load.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// Clears a terminal and puts the cursor into its corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// The arguments of `status`.
#[derive(Args, Clone, Debug)]
pub(super) struct StatusArgs {
    /// The `FlagsmithDeployment`; may be left out where the namespace has only one
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Look again every two seconds, until interrupted
    #[arg(long, short)]
    watch: bool,
    /// How the result is written
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

/// Prints the tree: exit status 0 when `Ready` is True, 1 when it is not.
pub(super) fn run(args: &StatusArgs) -> Result<ExitCode, Failure> {
    super::context::block_on(async {
        let cluster = args.cluster.connect().await?;
        loop {
            let ready = once(&cluster, args).await?;
            if !args.watch {
                return Ok(ExitCode::from(if ready { HEALTHY } else { UNHEALTHY }));
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    })
}

async fn once(cluster: &Cluster, args: &StatusArgs) -> Result<bool, Failure> {
    let look = Box::pin(look(cluster, args.name.as_deref(), LookArgs::default())).await?;
    let status = look.resource.status.clone().unwrap_or_default();
    let ready = ConditionType::Ready.is_true(&status.conditions);
    if args.watch && args.output == Output::Text && at_terminal() {
        print(CLEAR);
    }
    args.output.write(&Glance::of(&look, &status), |glance| tree(glance).draw())?;
    // A status of the past tells nothing of now.
    Ok(ready && look.standing.is_current())
}

/// What programs read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Glance<'a> {
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<&'a str>,
    operator: OperatorReport,
    status: &'a FlagsmithDeploymentStatus,
    pods: Vec<Pod<'a>>,
    #[serde(skip)]
    diagnoses: &'a [Diagnosis],
    #[serde(skip)]
    not_seen: &'a [String],
    #[serde(skip)]
    standing: &'a Standing,
}

#[derive(Serialize)]
struct Pod<'a> {
    name: &'a str,
    component: Option<Component>,
    version: Option<&'a str>,
    phase: &'a str,
    ready: bool,
    terminating: bool,
    problem: Option<String>,
}

impl<'a> Glance<'a> {
    fn of(look: &'a Inspection, status: &'a FlagsmithDeploymentStatus) -> Self {
        let pods = look.observation.iter().flat_map(|observation| observation.pods.iter()).map(Pod::of);
        Self {
            namespace: look.resource.namespace().unwrap_or_default(),
            name: look.resource.name_any(),
            // One that is only observed asks for no release.
            wanted: look.resource.spec.version.as_deref(),
            operator: look.standing.report(),
            status,
            pods: pods.collect(),
            diagnoses: &look.diagnoses,
            not_seen: &look.not_seen,
            standing: &look.standing,
        }
    }
}

impl<'a> Pod<'a> {
    fn of(pod: &'a PodSummary) -> Self {
        Self {
            name: &pod.name,
            component: pod.component,
            version: pod.version.as_deref(),
            phase: pod.phase.as_str(),
            ready: pod.ready,
            terminating: pod.terminating,
            problem: pod.problems.first().map(problem),
        }
    }
}

fn problem(problem: &PodProblem) -> String {
    match problem {
        PodProblem::Unschedulable { .. } => "no node takes it".to_owned(),
        PodProblem::Waiting { reason, .. } => reason.clone(),
        PodProblem::CrashLoop { restarts, exit_code, .. } => format!(
            "CrashLoopBackOff, {restarts} restarts, last exit status {}",
            exit_code.map_or_else(|| "unknown".to_owned(), |code| code.to_string())
        ),
        PodProblem::Failed { exit_code, reason, .. } => {
            format!("{} with status {exit_code}", reason.as_deref().unwrap_or("ended"))
        }
        PodProblem::OutOfMemory { limit, .. } => format!(
            "OOMKilled at a limit of {}",
            limit.as_deref().unwrap_or("none (the node had no memory left)")
        ),
    }
}

fn tree(glance: &Glance<'_>) -> Node {
    let status = glance.status;
    let condition = |kind: ConditionType| kind.find(&status.conditions);
    let ready = condition(ConditionType::Ready);
    let running = status.version.as_deref().unwrap_or("nothing yet");
    let version = match glance.wanted {
        Some(wanted) if wanted != running => format!("{running}, {wanted} is wanted"),
        _ => running.to_owned(),
    };
    let summary = ready.map_or_else(
        || painted(AnsiColor::Yellow, "no operator has reported on it yet"),
        |ready| painted(colour(&ready.status), &format!("{}: {}", ready.reason, ready.message)),
    );
    let colour_of_line = if glance.standing.is_current() { AnsiColor::Green } else { AnsiColor::Red };
    let mut branches = vec![Node::new(painted(colour_of_line, &glance.standing.line()))];
    branches.extend(condition(ConditionType::DatabaseReachable).map(|it| line("database", it)));
    branches.push(migration(status));
    for (component, title, kind) in [
        (Component::TaskProcessor, "task processor", ConditionType::TaskProcessorAvailable),
        (Component::Api, "api", ConditionType::ApiAvailable),
        (Component::Frontend, "frontend", ConditionType::FrontendAvailable),
        (Component::EdgeProxy, "edge proxy", ConditionType::EdgeProxyAvailable),
    ] {
        branches.extend(workload(glance, component, title, kind));
    }
    branches.extend(condition(ConditionType::ExposureReady).map(|it| line("exposure", it)));
    branches
        .extend(status.timeouts.as_ref().map(|it| timeouts(it, condition(ConditionType::TimeoutsAligned))));
    branches.push(diagnoses(glance));
    Node::new(format!(
        "{bold}{}/{}{bold:#}  {version}  {summary}",
        glance.namespace,
        glance.name,
        bold = Style::new().bold(),
    ))
    .with(branches)
}

fn line(title: &str, condition: &Condition) -> Node {
    Node::new(format!(
        "{title}: {} {}",
        painted(colour(&condition.status), &condition.reason),
        condition.message
    ))
}

fn migration(status: &FlagsmithDeploymentStatus) -> Node {
    let condition = ConditionType::MigrationsApplied.find(&status.conditions);
    let head = condition.map_or_else(|| Node::new("migration: not known"), |it| line("migration", it));
    head.with(status.migration.iter().filter_map(job))
}

fn job(migration: &MigrationStatus) -> Option<Node> {
    let name = migration.job.as_ref()?;
    let took = match (&migration.started, &migration.finished) {
        (Some(started), Some(finished)) => {
            format!(", took {} s", finished.0.duration_since(started.0).as_secs())
        }
        (Some(started), None) => format!(", started {}", started.0),
        _ => String::new(),
    };
    Some(Node::new(format!("Job {name}: {:?} ({}){took}", migration.result, migration.version)))
}

fn workload(glance: &Glance<'_>, component: Component, title: &str, kind: ConditionType) -> Option<Node> {
    let components = glance.status.components.as_ref();
    let state: Option<&ComponentStatus> = components.and_then(|components| match component {
        Component::Api => components.api.as_ref(),
        Component::TaskProcessor => components.task_processor.as_ref(),
        Component::EdgeProxy => components.edge_proxy.as_ref(),
        _ => components.frontend.as_ref(),
    });
    let condition = kind.find(&glance.status.conditions);
    if state.is_none() && condition.is_none() {
        return None;
    }
    let counts = state.map_or_else(String::new, |state| {
        format!("{} {} ", state.summary, state.version.as_deref().unwrap_or("?"))
    });
    let verdict = condition
        .map_or_else(String::new, |it| format!("{} {}", painted(colour(&it.status), &it.reason), it.message));
    let pods = glance.pods.iter().filter(|pod| pod.component == Some(component)).map(pod);
    Some(Node::new(format!("{title}: {counts}{verdict}")).with(pods))
}

fn pod(pod: &Pod<'_>) -> Node {
    let state = match (&pod.problem, pod.terminating, pod.ready) {
        (_, true, _) => painted(AnsiColor::Yellow, "ending"),
        (Some(problem), ..) => painted(AnsiColor::Red, problem),
        (None, _, true) => painted(AnsiColor::Green, "ready"),
        (None, _, false) => painted(AnsiColor::Yellow, &format!("{}, not ready", pod.phase)),
    };
    Node::new(format!("{}  {}  {state}", pod.name, pod.version.unwrap_or("?")))
}

fn timeouts(timeouts: &TimeoutsStatus, aligned: Option<&Condition>) -> Node {
    let verdict = aligned.map_or_else(String::new, |it| {
        format!(" ({} {})", painted(colour(&it.status), &it.reason), it.message)
    });
    let seconds = |value: Option<i32>| value.map_or_else(|| "?".to_owned(), |value| format!("{value} s"));
    Node::new(format!(
        "timeouts: gunicorn {}, proxy {}; keep-alive {}; end: preStop {}, graceful {}, grace period {} s{verdict}",
        seconds(timeouts.gunicorn_timeout),
        seconds(timeouts.proxy_read),
        seconds(timeouts.gunicorn_keep_alive),
        seconds(timeouts.pre_stop),
        seconds(timeouts.gunicorn_graceful_timeout),
        timeouts.termination_grace_period,
    ))
}

fn diagnoses(glance: &Glance<'_>) -> Node {
    let program = super::context::program();
    let not_seen = glance.not_seen.iter().map(|line| Node::new(format!("not seen: {line}")));
    if glance.diagnoses.is_empty() && glance.not_seen.is_empty() {
        return Node::new(format!("diagnoses: {}", painted(AnsiColor::Green, "none")));
    }
    if glance.diagnoses.is_empty() {
        let none = painted(AnsiColor::Yellow, "none in what could be looked at");
        return Node::new(format!("diagnoses: {none}")).with(not_seen);
    }
    let lines = glance.diagnoses.iter().map(|diagnosis| {
        let style = findings::style(diagnosis.severity);
        Node::new(format!("{style}{}{style:#} {}", diagnosis.code, diagnosis.message))
    });
    Node::new(format!("diagnoses: see {program} diagnose")).with(lines.chain(not_seen))
}

fn colour(status: &str) -> AnsiColor {
    match status {
        "True" => AnsiColor::Green,
        "False" => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    }
}

fn painted(colour: AnsiColor, text: &(impl fmt::Display + ?Sized)) -> String {
    let style = Style::new().fg_color(Some(colour.into()));
    format!("{style}{text}{style:#}")
}
