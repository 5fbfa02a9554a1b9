//! What the logs of an installation's pods show.

use jiff::SignedDuration;

use super::{context::Context, log::investigation::diagnose_log};
use crate::{
    flagsmith::WorkerClass,
    model::{Code, Component, Draft, Severity, shell},
    observe::{
        DatabaseProbe, LogDiagnosis, LogFinding, LogReading, Observation, PodSummary, Run,
        database::QueueProbe,
    },
};

/// Pods that are named as showing the same; the first one's words stand for all.
const NAMED: usize = 3;

/// How long a connection that was lost, or refused for want of room, counts as a problem after it was restored: those that
/// come and go do so within minutes.
const COMES_BACK: SignedDuration = SignedDuration::from_mins(2);

/// Diagnoses the log of a pod's container, as the reader of pod logs asks for it.
#[must_use]
pub fn diagnose_pod_log(
    component: Component,
    class: Option<WorkerClass>,
    name: &str,
    log: &[u8],
) -> Vec<LogDiagnosis> {
    diagnose_log(component, class, name, log)
        .into_iter()
        .map(|(happened, diagnosis)| LogDiagnosis {
            happened,
            of_connection: diagnosis.code.cause().is_connection,
            diagnosis,
        })
        .collect()
}

/// One diagnosis for each cause and component, over all pods: what lasts before what is over, and else in the order of
/// the pods' names, so that it reads the same whichever pod was read last.
pub(crate) fn check(context: &Context<'_>) -> Vec<Draft> {
    let observation = context.observation;
    let mut shown: Vec<(&LogReading, &LogFinding)> = readings(observation)
        .flat_map(|reading| reading.found.iter().map(move |finding| (reading, finding)))
        .filter(|(reading, finding)| holds(context, reading, finding))
        .collect();
    let over = |(reading, finding): (&LogReading, &LogFinding)| is_over(observation, reading, finding);
    shown.sort_by_key(|(reading, finding)| {
        (over((reading, finding)), reading.component.as_str(), reading.pod.as_str())
    });
    let mut found: Vec<(Draft, usize)> = Vec::new();
    for (reading, finding) in shown {
        let mut new = weighed(reading, &Draft::from(finding.diagnosis.clone()));
        let known = found.iter_mut().find(|(it, _)| (it.code, it.component) == (new.code, new.component));
        if let Some((known, pods)) = known {
            known.severity = known.severity.min(new.severity);
            if *pods < NAMED {
                known.evidence.extend(new.evidence.into_iter().take(1));
            }
            *pods += 1;
        } else {
            if over((reading, finding)) {
                let last = finding.happened.strftime("%H:%M:%SZ");
                new.message = format!("Last seen at {last}: {}", new.message);
            }
            found.push((completed(context.owned(new), context, &reading.pod), 1));
        }
    }
    found.into_iter().map(|(draft, _)| draft).collect()
}

/// With namespace and pod in the commands of its remedy: whoever reads only a log knows neither.
fn completed(draft: Draft, context: &Context<'_>, pod: &str) -> Draft {
    let namespace = &context.installation.identity.namespace;
    let pod = shell::name(pod, "POD");
    let remedy = ["exec", "logs"].iter().fold(draft.remedy, |remedy, verb| {
        remedy.replace(&format!("kubectl {verb} POD"), &format!("kubectl -n {namespace} {verb} {pod}"))
    });
    Draft { remedy: remedy.replace("kubectl -n NAMESPACE ", &format!("kubectl -n {namespace} ")), ..draft }
}

/// Whether a process that goes on has not shown it again: its log has been read since, or should have been.
fn is_over(observation: &Observation, reading: &LogReading, finding: &LogFinding) -> bool {
    let long_past = observation.now.duration_since(finding.happened) >= COMES_BACK;
    matches!(reading.run, Run::Sample(_))
        && !is_state(finding.diagnosis.code)
        && (reading.is_silent_about(finding) || long_past)
}

/// What a process logs once and is from then on.
const fn is_state(code: Code) -> bool {
    matches!(
        code,
        Code::TaskProcessorReleaseBroken
            | Code::TaskProcessorModeOff
            | Code::TaskQueueStalled
            | Code::TaskProcessorMigratesItself
    )
}

/// Logs of everything but the migration Job, which has a rule of its own. Where the present run of a container says
/// what is wrong, what ended the run before is history.
fn readings(observation: &Observation) -> impl Iterator<Item = &LogReading> {
    let all = || observation.pod_logs.logs.iter();
    let history = move |reading: &LogReading| {
        matches!(reading.run, Run::Failed { .. })
            && all().any(|other| {
                (&other.pod, &other.container) == (&reading.pod, &reading.container)
                    && other.run == Run::Unready
                    && !other.found.is_empty()
            })
    };
    // What a pod said that is being replaced is not true of the one that takes its place.
    let counts = |pod: &PodSummary| pod.component != Some(Component::Migrations) && !pod.terminating;
    all().filter(move |reading| {
        let pod = observation.pods.iter().find(|pod| pod.name == reading.pod);
        pod.is_none_or(counts) && !history(reading)
    })
}

/// Whether it still holds. The log of a ready pod says what was, and its own readiness check and the operator's
/// connection say that the database works now. A pod that is not ready for the database's sake says so at each of its
/// probes: what it said minutes ago, of an outage that the process outlived, is not the reason, whatever is wrong with
/// the database now.
fn holds(context: &Context<'_>, reading: &LogReading, finding: &LogFinding) -> bool {
    let observation = context.observation;
    let code = finding.diagnosis.code;
    let cause = code.cause();
    let long_past = observation.now.duration_since(finding.happened) >= COMES_BACK;
    let past = match reading.run {
        Run::Sample(_) => !cause.comes_and_goes || long_past,
        Run::Unready => long_past,
        Run::Failed { .. } => false,
    };
    let over = match observation.database {
        DatabaseProbe::Reachable { .. } | DatabaseProbe::NotProbed => past,
        DatabaseProbe::Failed(_) => long_past && !matches!(reading.run, Run::Failed { .. }),
    };
    // A pod writes to its database at each check of its readiness, and what it has not met there for minutes is over.
    let met_no_more =
        long_past && cause.component == Component::Database && !matches!(reading.run, Run::Failed { .. });
    let over = over && cause.is_connection || met_no_more;
    let refuted = long_past && cause.refuted.is_some_and(|refuted| refuted(observation));
    // A batch that takes long logs the same as threads that hang, a failed task may have been fixed since, and a recurring
    // one switched on again; the task tables tell which it is.
    let known_better = match &observation.queues.default {
        QueueProbe::Seen(queue) => match code {
            Code::TaskQueueStalled | Code::TasksFailing => true,
            Code::RecurringTasksDisabled => queue.recurring.is_some(),
            _ => false,
        },
        _ => false,
    };
    // A pod is ready only when it finds every migration applied.
    let migrated = matches!(reading.run, Run::Sample(_)) && code == Code::MigrationsPending;
    let pod = observation.pods.iter().find(|pod| pod.name == reading.pod);
    let undone = code == Code::MigrationsPending && pod.is_some_and(|pod| context.is_rolled_back(pod));
    !over && !refuted && !known_better && !migrated && !undone
}

/// A pod that is ready serves: what its log shows is a warning, unless it works on nothing at all.
fn weighed(reading: &LogReading, diagnosis: &Draft) -> Draft {
    let silent = matches!(
        diagnosis.code,
        Code::TaskProcessorReleaseBroken | Code::TaskProcessorModeOff | Code::TaskQueueStalled
    );
    let least = match diagnosis.code {
        // It went well; that it is a risk is for the rule to say that knows how many do it.
        Code::TaskProcessorMigratesItself => Severity::Info,
        _ => Severity::Warning,
    };
    let mut evidence: Vec<String> = Vec::new();
    for line in &diagnosis.evidence {
        // The same words at other lines of the log.
        if !evidence.contains(line) {
            evidence.push(line.clone());
        }
    }
    let sampled = matches!(reading.run, Run::Sample(_));
    let severity = if sampled && !silent { diagnosis.severity.max(least) } else { diagnosis.severity };
    // Pods that are ready take turns in showing a trouble of the database, which is one, whoever meets it.
    let of_database = sampled && diagnosis.code.cause().component == Component::Database;
    let component = if of_database { Component::Database } else { diagnosis.component };
    Draft { severity, component, evidence, ..diagnosis.clone() }
}
