//! What is kept, counted, given up and made beside the rollout.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;

use super::scene::{
    NEW, NEW_IMAGE, OLD, OLD_FRONTEND, OLD_IMAGE, blocked, failed, job, pod, recorded, rolled_out, runs,
    shape, wanted,
};
use crate::{
    decide::{Gate, GeneratedSecret, decide},
    fixtures::empty_observation,
    model::{Code, PodPhase},
    observe::{
        JobOutcome, JobState, KeptUrls, Observation, PodProblem, PodSummary, SecretState, WorkloadState,
        database::{Connections, Queue, QueueProbe, Sample},
    },
    validate::Installation,
};

#[test]
fn a_deleted_component_comes_back_at_the_release_of_the_others_while_the_gate_is_closed() {
    let installation = wanted(json!({}));
    let everything = runs(&installation, OLD);
    let unreachable = blocked(Code::DatabaseUnreachable);
    for lost in 0..3 {
        let mut observation = everything.clone();
        *[&mut observation.task_processor, &mut observation.api, &mut observation.frontend][lost] = None;
        assert_eq!(
            shape(&decide(&installation, &observation, &unreachable)),
            [Some((OLD_IMAGE, Some(1))), Some((OLD_IMAGE, Some(2))), Some((OLD_FRONTEND, Some(1)))]
        );
    }
}

#[test]
fn autoscalers_count_their_pods() {
    let scaled = wanted(json!({
        "version": OLD, "api": {"autoscaling": {"maxReplicas": 5}}, "frontend": {"autoscaling": {"maxReplicas": 5}}
    }));
    assert_eq!(
        shape(&decide(&scaled, &runs(&scaled, OLD), &[])),
        [Some((OLD_IMAGE, Some(1))), Some((OLD_IMAGE, None)), Some((OLD_FRONTEND, None))]
    );
    let fixed = wanted(json!({"version": OLD}));
    let mut observation = runs(&fixed, OLD);
    let external = ["api", "frontend", "task-processor"].map(|component| format!("flagsmith-{component}"));
    observation.external_autoscalers = BTreeSet::from(external);
    assert_eq!(
        shape(&decide(&fixed, &observation, &[])),
        [Some((OLD_IMAGE, None)), Some((OLD_IMAGE, None)), Some((OLD_FRONTEND, None))]
    );
    // An autoscaler does not raise a Deployment that stands at 0.
    observation.task_processor = Some(rolled_out("task-processor", OLD, 0));
    assert_eq!(shape(&decide(&fixed, &observation, &[]))[0], Some((OLD_IMAGE, Some(1))));
    // And while a migration runs nobody may start a processor.
    let upgrade = wanted(json!({}));
    assert_eq!(shape(&decide(&upgrade, &observation, &[]))[0], Some((OLD_IMAGE, Some(0))));
    observation.external_autoscalers = BTreeSet::from(["somebody-elses".to_owned()]);
    assert_eq!(shape(&decide(&fixed, &observation, &[]))[1], Some((OLD_IMAGE, Some(2))));
}

/// What was stopped for a restore is begun again: an autoscaler leaves a Deployment alone that stands at 0. What somebody
/// has stopped himself stays his.
#[rstest]
#[case::its_own_autoscaler(true, 0, "undone-by-x", Some(3))]
#[case::its_own_and_it_runs(true, 2, "undone-by-x", None)]
#[case::its_own_and_somebody_stopped_it(true, 0, "some-key", None)]
#[case::somebody_elses(false, 0, "undone-by-x", Some(1))]
#[case::somebody_elses_and_it_runs(false, 2, "undone-by-x", None)]
#[case::somebody_elses_and_somebody_stopped_it(false, 0, "some-key", None)]
fn what_was_stopped_for_a_restore_is_begun_for_its_autoscaler(
    #[case] own: bool,
    #[case] pods: i32,
    #[case] annotated: &str,
    #[case] expected: Option<i32>,
) {
    let autoscaling = json!({"api": {"autoscaling": {"minReplicas": 3, "maxReplicas": 5}}});
    let installation = wanted(if own { autoscaling } else { json!({}) });
    let mut observation = runs(&installation, NEW);
    let annotated = Some(annotated.to_owned());
    observation.api = Some(WorkloadState { migration_key: annotated, ..rolled_out("api", NEW, pods) });
    observation.previous.migration = Some(recorded(&installation, NEW));
    if !own {
        observation.external_autoscalers = BTreeSet::from(["flagsmith-api".to_owned()]);
    }
    assert_eq!(shape(&decide(&installation, &observation, &[]))[1], Some((NEW_IMAGE, expected)));
}

/// Pods find their Secrets by names alone.
#[rstest]
#[case::all_are_its_own(|_: &mut Observation| {}, false)]
#[case::the_key_of_django(|seen: &mut Observation| seen.secrets.django = SecretState::NotOwned("somebody".to_owned()), true)]
#[case::the_urls(|seen: &mut Observation| seen.secrets.urls = KeptUrls::NotOwned("somebody".to_owned()), true)]
#[case::the_database(|seen: &mut Observation| seen.secrets.database = SecretState::NotOwned("somebody".to_owned()), true)]
fn pods_are_held_while_a_secret_of_theirs_is_somebody_elses(
    #[case] change: fn(&mut Observation),
    #[case] held: bool,
) {
    let mut observation = empty_observation();
    change(&mut observation);
    assert_eq!(decide(&wanted(json!({})), &observation, &[]).pods_held, held);
}

/// A queue whose tasks wait twice too long, and did at the look before, with two processors.
fn busy() -> QueueProbe {
    let waits = Some(SignedDuration::from_secs(120));
    let before = Sample { processors: 2, oldest_ready: waits, ..Sample::default() };
    QueueProbe::Seen(Box::new(Queue {
        processors: 2,
        oldest_ready: waits,
        before: vec![before],
        ..Queue::default()
    }))
}

/// The queue that the API fills decides, within what the server has left beside the API: 12 of its connections, and 12 for
/// each processor.
#[rstest]
#[case::it_waits_too_long(busy(), None, None, 4)]
#[case::nothing_waits(QueueProbe::Seen(Box::default()), None, None, 2)]
#[case::it_was_not_read(QueueProbe::NotProbed, None, None, 2)]
#[case::the_separate_one_is_filled(busy(), Some(QueueProbe::Seen(Box::default())), None, 2)]
#[case::the_separate_one_waits(QueueProbe::Seen(Box::default()), Some(busy()), None, 4)]
#[case::there_is_room_for_one_more(busy(), None, Some(48), 3)]
fn task_processors_follow_their_queue(
    #[case] default: QueueProbe,
    #[case] separate: Option<QueueProbe>,
    #[case] connections: Option<i64>,
    #[case] expected: i32,
) {
    let scaling = json!({"minReplicas": 1, "maxReplicas": 8, "targetAgeSeconds": 60});
    let installation = wanted(json!({"taskProcessor": {"autoscaling": scaling}}));
    let mut observation = runs(&installation, NEW);
    observation.task_processor = Some(WorkloadState {
        migration_key: observation.api.as_ref().and_then(|api| api.migration_key.clone()),
        ..rolled_out("task-processor", NEW, 2)
    });
    observation.queues.default = default;
    observation.queues.separate = separate;
    if let QueueProbe::Seen(queue) = &mut observation.queues.default {
        queue.connections = connections.map(|limit| Connections { limit, reserved: 0, used: 0 });
    }
    assert_eq!(shape(&decide(&installation, &observation, &[]))[0], Some((NEW_IMAGE, Some(expected))));
}

/// What had images pulled goes once nobody waits for it, and once only; while the database is not known nothing is known
/// to be past.
#[test]
fn a_job_that_had_images_pulled_goes_when_it_is_known_to_be_past() {
    let installation = wanted(json!({}));
    let mut observation = runs(&installation, OLD);
    let past = JobState { name: "past".to_owned(), ..JobState::default() };
    let deleting = JobState { name: "deleting".to_owned(), deleting: true, ..JobState::default() };
    observation.pulls = vec![past, deleting];
    assert_eq!(decide(&installation, &observation, &[]).superseded_jobs, ["past"]);
    observation.secrets.migration_database = SecretState::Missing;
    assert!(decide(&installation, &observation, &[]).superseded_jobs.is_empty());
}

#[test]
fn a_processor_that_is_stopped_on_purpose_holds_nothing_up() {
    let installation = wanted(json!({"taskProcessor": {"replicas": 0}}));
    let mut observation = runs(&installation, OLD);
    observation.previous.migration = Some(recorded(&installation, NEW));
    observation.task_processor = Some(rolled_out("task-processor", NEW, 0));
    assert_eq!(
        shape(&decide(&installation, &observation, &[]))[..2],
        [Some((NEW_IMAGE, Some(0))), Some((NEW_IMAGE, Some(2)))]
    );
}

#[test]
fn without_a_frontend_there_is_none() {
    let installation = wanted(json!({"frontend": {"enabled": false}, "version": OLD}));
    assert_eq!(shape(&decide(&installation, &runs(&installation, OLD), &[]))[2], None);
}

#[test]
fn a_job_that_cannot_start_is_given_up_for_another_one_only() {
    let typo = wanted(json!({"version": "2.999.0"}));
    let corrected = wanted(json!({}));
    let mut observation = runs(&corrected, OLD);
    observation.jobs = vec![job(&typo, "2.999.0", JobOutcome::Active)];
    let name = observation.jobs[0].name.clone();
    let of = |job: &str, phase: PodPhase| PodSummary {
        job: Some(job.to_owned()),
        ..pod("migrations", "2.999.0", phase)
    };
    let waiting = PodSummary {
        problems: vec![PodProblem::Waiting {
            reason: "ImagePullBackOff".to_owned(),
            message: "manifest unknown".to_owned(),
            image: String::new(),
        }],
        ..of(&name, PodPhase::Pending)
    };
    let deleted =
        |observation: &Observation, wanted: &Installation| decide(wanted, observation, &[]).superseded_jobs;
    assert!(deleted(&observation, &corrected).is_empty(), "no pod is seen yet");
    observation.pods.push(waiting.clone());
    assert_eq!(deleted(&observation, &corrected), [observation.jobs[0].name.clone()]);
    assert!(deleted(&observation, &typo).is_empty(), "it is the wanted one");
    observation.pods.push(of(&name, PodPhase::Failed));
    assert!(deleted(&observation, &corrected).is_empty(), "an earlier pod has started");
    observation.pods.pop();
    observation.pods.push(of("another", PodPhase::Failed));
    assert_eq!(deleted(&observation, &corrected).len(), 1, "a pod of another Job says nothing");
    observation.jobs[0].deleting = true;
    assert!(deleted(&observation, &corrected).is_empty(), "once is enough");
    assert!(matches!(decide(&corrected, &observation, &[]).gate, Gate::Running(_)));
}

#[test]
fn jobs_are_kept_while_they_prove_or_explain_something() {
    let installation = wanted(json!({}));
    let mut observation = runs(&installation, NEW);
    let attempt = |name: &str, minute: i64| JobState {
        name: name.to_owned(),
        finished: jiff::Timestamp::from_second(minute * 60).ok(),
        ..job(&installation, NEW, failed())
    };
    observation.jobs = vec![
        job(&installation, OLD, JobOutcome::Complete),
        job(&installation, NEW, JobOutcome::Complete),
        attempt("first", 1),
        attempt("third", 3),
        attempt("second", 2),
        JobState { deleting: true, ..attempt("zeroth", 0) },
    ];
    let plan = decide(&installation, &observation, &[]);
    assert_eq!(plan.superseded_jobs, [observation.jobs[0].name.clone(), "first".to_owned()]);
    let unreachable = wanted(json!({"version": "2.266.0"}));
    assert!(decide(&unreachable, &observation, &[]).superseded_jobs.is_empty());
}

#[test]
fn secrets_are_generated_once() {
    let embedded = wanted(json!({"database": {"embedded": {}}}));
    let mut observation = empty_observation();
    observation.secrets.django = SecretState::Missing;
    observation.secrets.database = SecretState::Missing;
    observation.secrets.migration_database = SecretState::Missing;
    let generated = |installation: &Installation, observation: &Observation| {
        decide(installation, observation, &[]).generate
    };
    assert_eq!(
        generated(&embedded, &observation),
        [GeneratedSecret::Django, GeneratedSecret::EmbeddedDatabase]
    );
    // The user's own are never made.
    assert_eq!(generated(&wanted(json!({})), &observation), [GeneratedSecret::Django]);
    let own = json!({"django": {"secretKeyFrom": {"secretKeyRef": {"name": "own", "key": "k"}}}});
    assert!(generated(&wanted(own), &observation).is_empty());
    // URLs follow their parts, also while something runs.
    let mut changed = empty_observation();
    changed.api = Some(rolled_out("api", NEW, 2));
    changed.secrets.urls = KeptUrls::Outdated;
    assert_eq!(generated(&wanted(json!({})), &changed), [GeneratedSecret::DatabaseUrls]);
    // What exists is never made again, and neither is what was lost.
    observation.embedded_database = Some(WorkloadState::default());
    assert_eq!(generated(&embedded, &observation), [GeneratedSecret::Django]);
    observation.api = Some(rolled_out("api", NEW, 2));
    assert!(generated(&embedded, &observation).is_empty());
    observation = empty_observation();
    observation.secrets.django = SecretState::Unreadable("forbidden".to_owned());
    observation.secrets.database = SecretState::KeyMissing;
    assert!(generated(&embedded, &observation).is_empty());
}
