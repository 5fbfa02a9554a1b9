//! What is kept, counted, given up and made beside the rollout.

use std::collections::BTreeSet;

use serde_json::json;

use super::scene::{
    NEW, NEW_IMAGE, OLD, OLD_FRONTEND, OLD_IMAGE, blocked, failed, job, pod, recorded, rolled_out, runs,
    shape, wanted,
};
use crate::{
    decide::{Gate, GeneratedSecret, decide},
    fixtures::observation,
    model::Code,
    observe::{JobOutcome, JobState, Observation, PodProblem, PodSummary, SecretState, WorkloadState},
    validate::Installation,
};

#[test]
fn a_deleted_component_comes_back_at_the_release_of_the_others_while_the_gate_is_closed() {
    let installation = wanted(json!({}));
    let everything = runs(&installation, OLD);
    let unreachable = blocked(Code::DatabaseUnreachable);
    for lost in 0..3 {
        let mut seen = everything.clone();
        *[&mut seen.task_processor, &mut seen.api, &mut seen.frontend][lost] = None;
        assert_eq!(
            shape(&decide(&installation, &seen, &unreachable)),
            [
                Some((OLD_IMAGE, Some(1))),
                Some((OLD_IMAGE, Some(2))),
                Some((OLD_FRONTEND, Some(1)))
            ]
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
        [
            Some((OLD_IMAGE, Some(1))),
            Some((OLD_IMAGE, None)),
            Some((OLD_FRONTEND, None))
        ]
    );
    let fixed = wanted(json!({"version": OLD}));
    let mut seen = runs(&fixed, OLD);
    let foreign = ["api", "frontend", "task-processor"].map(|component| format!("flagsmith-{component}"));
    seen.foreign_autoscalers = BTreeSet::from(foreign);
    assert_eq!(
        shape(&decide(&fixed, &seen, &[])),
        [
            Some((OLD_IMAGE, None)),
            Some((OLD_IMAGE, None)),
            Some((OLD_FRONTEND, None))
        ]
    );
    // An autoscaler does not raise a Deployment that stands at 0.
    seen.task_processor = Some(rolled_out("task-processor", OLD, 0));
    assert_eq!(shape(&decide(&fixed, &seen, &[]))[0], Some((OLD_IMAGE, Some(1))));
    // And while a migration runs nobody may start a processor.
    let upgrade = wanted(json!({}));
    assert_eq!(
        shape(&decide(&upgrade, &seen, &[]))[0],
        Some((OLD_IMAGE, Some(0)))
    );
    seen.foreign_autoscalers = BTreeSet::from(["somebody-elses".to_owned()]);
    assert_eq!(shape(&decide(&fixed, &seen, &[]))[1], Some((OLD_IMAGE, Some(2))));
}

#[test]
fn a_processor_that_is_stopped_on_purpose_holds_nothing_up() {
    let installation = wanted(json!({"taskProcessor": {"replicas": 0}}));
    let mut seen = runs(&installation, OLD);
    seen.previous.migration = Some(recorded(&installation, NEW));
    seen.task_processor = Some(rolled_out("task-processor", NEW, 0));
    assert_eq!(
        shape(&decide(&installation, &seen, &[]))[..2],
        [Some((NEW_IMAGE, Some(0))), Some((NEW_IMAGE, Some(2)))]
    );
}

#[test]
fn without_a_frontend_there_is_none() {
    let installation = wanted(json!({"frontend": {"enabled": false}, "version": OLD}));
    assert_eq!(
        shape(&decide(&installation, &runs(&installation, OLD), &[]))[2],
        None
    );
}

#[test]
fn a_job_that_cannot_start_is_given_up_for_another_one_only() {
    let typo = wanted(json!({"version": "2.999.0"}));
    let corrected = wanted(json!({}));
    let mut seen = runs(&corrected, OLD);
    seen.jobs = vec![job(&typo, "2.999.0", JobOutcome::Active)];
    let waiting = PodSummary {
        problems: vec![PodProblem::Waiting {
            reason: "ImagePullBackOff".to_owned(),
            message: "manifest unknown".to_owned(),
            image: String::new(),
        }],
        ..pod("migrations", "2.999.0", "Pending")
    };
    let deleted = |seen: &Observation, wanted: &Installation| decide(wanted, seen, &[]).superseded_jobs;
    assert!(deleted(&seen, &corrected).is_empty(), "no pod is seen yet");
    seen.pods.push(waiting.clone());
    assert_eq!(deleted(&seen, &corrected), [seen.jobs[0].name.clone()]);
    assert!(deleted(&seen, &typo).is_empty(), "it is the wanted one");
    seen.pods.push(pod("migrations", "2.999.0", "Failed"));
    assert!(
        deleted(&seen, &corrected).is_empty(),
        "an earlier pod has started"
    );
    seen.pods.pop();
    seen.pods.push(pod("migrations", OLD, "Failed"));
    assert_eq!(
        deleted(&seen, &corrected).len(),
        1,
        "a pod of another Job says nothing"
    );
    seen.jobs[0].deleting = true;
    assert!(deleted(&seen, &corrected).is_empty(), "once is enough");
    assert!(matches!(decide(&corrected, &seen, &[]).gate, Gate::Running(_)));
}

#[test]
fn jobs_are_kept_while_they_prove_or_explain_something() {
    let installation = wanted(json!({}));
    let mut seen = runs(&installation, NEW);
    let attempt = |name: &str, minute: i64| JobState {
        name: name.to_owned(),
        finished: jiff::Timestamp::from_second(minute * 60).ok(),
        ..job(&installation, NEW, failed())
    };
    seen.jobs = vec![
        job(&installation, OLD, JobOutcome::Complete),
        job(&installation, NEW, JobOutcome::Complete),
        attempt("first", 1),
        attempt("third", 3),
        attempt("second", 2),
        JobState {
            deleting: true,
            ..attempt("zeroth", 0)
        },
    ];
    let plan = decide(&installation, &seen, &[]);
    assert_eq!(
        plan.superseded_jobs,
        [seen.jobs[0].name.clone(), "first".to_owned()]
    );
    let unreachable = wanted(json!({"version": "2.266.0"}));
    assert!(decide(&unreachable, &seen, &[]).superseded_jobs.is_empty());
}

#[test]
fn secrets_are_generated_once() {
    let embedded = wanted(json!({"database": {"embedded": {}}}));
    let mut seen = observation();
    seen.secrets.django = SecretState::Missing;
    seen.secrets.database = SecretState::Missing;
    seen.secrets.migration_database = SecretState::Missing;
    let generated =
        |installation: &Installation, seen: &Observation| decide(installation, seen, &[]).generate;
    assert_eq!(
        generated(&embedded, &seen),
        [GeneratedSecret::Django, GeneratedSecret::EmbeddedDatabase]
    );
    // The user's own are never made.
    assert_eq!(generated(&wanted(json!({})), &seen), [GeneratedSecret::Django]);
    let own = json!({"django": {"secretKeyFrom": {"secretKeyRef": {"name": "own", "key": "k"}}}});
    assert!(generated(&wanted(own), &seen).is_empty());
    // What exists is never made again, and neither is what was lost.
    seen.embedded_database = Some(WorkloadState::default());
    assert_eq!(generated(&embedded, &seen), [GeneratedSecret::Django]);
    seen.api = Some(rolled_out("api", NEW, 2));
    assert!(generated(&embedded, &seen).is_empty());
    seen = observation();
    seen.secrets.django = SecretState::Unreadable("forbidden".to_owned());
    seen.secrets.database = SecretState::KeyMissing { keys: Vec::new() };
    assert!(generated(&embedded, &seen).is_empty());
}
