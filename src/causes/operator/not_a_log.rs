//! What was given as a log is none.

use crate::{
    causes::{described, log::answers::Answer, prelude::*},
    model::{redact::redact, shell},
};

pub(crate) static CAUSE: Cause = Cause {
    gives_way: GivesWay::InLogs,
    in_logs: Some(in_logs),
    ..Cause::warning(Component::Api, include_str!("not_a_log.md"))
};

fn in_logs(logs: &LogEvidence) -> Option<Finding> {
    let (answer, place) = logs.answers.instead()?;
    // What only says that something fails gives way, and so does this.
    if described::crash_loop(logs, Code::NotALog)
        .or_else(|| described::unanswered(logs, Code::NotALog))
        .is_some()
    {
        return None;
    }
    let (message, remedy) = match answer {
        Answer::Waiting { pod, reason } => waiting(&shell::name(pod, "POD"), &redact(reason)),
        Answer::Refused => (
            "This is no log: it says why kubectl has none, and nothing of Flagsmith.".to_owned(),
            "See which pods there are: kubectl get pods -l app.kubernetes.io/name=flagsmith. Then read all containers of \
             one: kubectl logs POD --all-containers --ignore-errors. What has ended is read with --previous."
                .to_owned(),
        ),
        Answer::Helm => (
            "This is no log: it is what Helm says of a release, and not why its pods are as they are.".to_owned(),
            "Read what the pods say: kubectl get pods -l app.kubernetes.io/name=flagsmith, then kubectl logs POD \
             --all-containers --ignore-errors. flagsmith-operator diagnose --release RELEASE looks at all of it in the \
             cluster."
                .to_owned(),
        ),
        Answer::Objects => (
            "This is no log: it lists objects of Kubernetes, and holds nothing that Flagsmith wrote.".to_owned(),
            "Read what the pod itself says: kubectl logs POD --all-containers --ignore-errors, and with --previous what \
             the container said that has ended. flagsmith-operator diagnose --release RELEASE reads objects, Events and \
             logs in the cluster."
                .to_owned(),
        ),
    };
    let mut finding = Finding::new(Explanation::new(Code::NotALog, message, remedy), vec![place.clone()]);
    // Without a log nothing has ended at its start.
    finding.explains = vec![Code::CrashLooping, Code::MigrationFailed];
    Some(finding)
}

/// A container that has no log yet.
fn waiting(pod: &str, reason: &str) -> (String, String) {
    if reason == "PodInitializing" {
        return (
            format!(
                "This is no log: the container has not started, because an init container of pod {pod} runs or fails \
                 (PodInitializing). Nothing is known of Flagsmith yet."
            ),
            format!(
                "Read the init containers, which come first: kubectl logs {pod} --all-containers --ignore-errors. In the \
                 official chart that is migrate-db, whose log is one of the component migration."
            ),
        );
    }
    (
        format!(
            "This is no log: the container of pod {pod} has not started ({reason}). Nothing is known of Flagsmith yet."
        ),
        format!("See what it waits for: kubectl describe pod {pod}"),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::diagnose_log,
        model::{Code, Component},
    };

    #[rstest]
    #[case::waits(
        "Error from server (BadRequest): container \"flagsmith-api\" in pod \"flagsmith-api-87d8745c6-q4nqj\" is waiting to start: PodInitializing",
        "kubectl logs flagsmith-api-87d8745c6-q4nqj --all-containers"
    )]
    #[case::cannot_start(
        "Error from server (BadRequest): container \"a\" in pod \"a-1\" is waiting to start: trying and failing to pull image",
        "kubectl describe pod a-1"
    )]
    #[case::ambiguous(
        "error: a container name must be specified for pod a-1, choose one of: [a b] or one of the init containers: [migrate-db]",
        "--all-containers"
    )]
    #[case::not_there("Error from server (NotFound): pods \"a-1\" not found", "kubectl get pods")]
    #[case::helm(
        "Error: UPGRADE FAILED: timed out waiting for the condition",
        "flagsmith-operator diagnose --release"
    )]
    #[case::release(
        "NAME: flagsmith\nLAST DEPLOYED: Sat Nov 28 12:03:21 2026\nSTATUS: deployed\n",
        "kubectl get pods"
    )]
    #[case::list(
        "NAME            READY   STATUS    RESTARTS   AGE\nflagsmith-api-1   0/1     Running   4          9m",
        "--previous"
    )]
    fn says_what_to_run_instead(#[case] text: &str, #[case] remedy: &str) {
        let found = diagnose_log(Component::Api, None, "log", text.as_bytes());
        let found: Vec<_> = found.iter().map(|(_, it)| (it.code, it.remedy.contains(remedy))).collect();
        assert_eq!(found, [(Code::NotALog, true)]);
    }

    /// One pod of several has no log yet.
    #[test]
    fn a_log_with_an_answer_in_it_is_one() {
        let log = "Error from server (BadRequest): container \"a\" in pod \"a-1\" is waiting to start: PodInitializing\n\
                   2026-11-22T15:40:56.927275Z [info     ] Using worker: gthread [gunicorn.error] positional_args=()\n";
        assert!(diagnose_log(Component::Api, None, "log", log.as_bytes()).is_empty());
    }
}
