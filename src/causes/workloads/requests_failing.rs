//! Requests fail again and again with an exception that no other cause explains.

use crate::causes::{
    log::{
        finding::of_recurring,
        phrasing::{component, within},
        recurring::{Work, and_others},
    },
    prelude::*,
    steps::times,
};

pub(crate) static CAUSE: Cause = Cause {
    gives_way: GivesWay::ToDatabase,
    in_logs: Some(in_logs),
    ..Cause::warning(Component::Api, include_str!("requests_failing.md"))
};

fn in_logs(evidence: &LogEvidence) -> Option<Finding> {
    let faults = evidence.recurring.of(Work::Request);
    let worst = faults.first()?;
    let read = if worst.class.is_empty() {
        "Have the log show tracebacks: they are written at the default LOG_LEVEL, so something between filters them. ".to_owned()
    } else {
        "Read the traceback in the log above the line given. Where it ends in a connection, reach that service from the pod and correct \
         the setting that names it. "
            .to_owned()
    };
    let explained = Explanation::new(
        Code::RequestsFailing,
        format!(
            "Requests to {} end with status 500: {}{}, {} in this log.{}",
            within(component(evidence.component)),
            worst.named(),
            worst.at(),
            times(i64::try_from(worst.rate.count).unwrap_or(i64::MAX)),
            and_others(faults.len()),
        ),
        format!(
            "{read}Otherwise search Flagsmith's issues for it: https://github.com/Flagsmith/flagsmith/issues?q={}",
            worst.class
        ),
    );
    Some(Finding::new(explained, of_recurring(&faults)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::{
        causes::diagnose_log,
        model::{Code, Component, Diagnosis},
    };

    /// A request that fails at a minute of the log, with this last line of its traceback.
    fn failed(minute: usize, message: &str, exception: &str) -> String {
        format!(
            "2026-11-24T19:{minute:02}:48.2Z [error    ] {message} [django.request] status_code=500\n\
             Traceback (most recent call last):\n  \
             File \"/usr/local/lib/python3.11/site-packages/django/core/handlers/base.py\", line 197, in _get_response\n    \
             response = wrapped_callback(request)\n  \
             File \"/app/features/views.py\", line 58, in create\n    \
             return self.save()\n{exception}\n"
        )
    }

    fn found(log: &str) -> Vec<Diagnosis> {
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        found.into_iter().map(|(_, diagnosis)| diagnosis).collect()
    }

    fn codes(log: &str) -> Vec<Code> {
        found(log).iter().map(|it| it.code).collect()
    }

    const PATH: &str = "Internal Server Error: /api/v1/features/";
    const REFUSED: &str = "django.db.utils.OperationalError: connection to server at \"db\" (10.0.0.9), port 5432 failed: Connection refused";

    #[test]
    fn exception_place_and_how_often_are_named() {
        let log: String = (0..6).map(|minute| failed(minute, PATH, "KeyError: 'flag'")).collect();
        let found = found(&log);
        assert_eq!(
            found[0].message.to_string(),
            "Requests to the API end with status 500: KeyError at /app/features/views.py, line 58, in create, more \
             than 5 times in this log."
        );
        assert_eq!(found.len(), 1, "{found:#?}");
    }

    #[rstest]
    #[case::few(4, PATH, "KeyError: 'flag'")]
    #[case::of_clients_that_left(
        9,
        PATH,
        "django.http.request.UnreadablePostError: Connection reset by peer"
    )]
    #[case::of_a_worker_that_stops(9, PATH, "SystemExit: 1")]
    #[case::of_scanners(9, PATH, "ValueError: A string literal cannot contain NUL (0x00) characters.")]
    #[case::in_a_path(9, "Not Found: /Internal Server Error: /api/", "KeyError: 'flag'")]
    fn silent(#[case] times: usize, #[case] message: &str, #[case] exception: &str) {
        let log: String = (0..times).map(|minute| failed(minute, message, exception)).collect();
        assert_eq!(codes(&log), []);
    }

    #[test]
    fn a_service_that_resets_connections_is_told() {
        let reset = "ConnectionResetError: [Errno 104] Connection reset by peer";
        let log: String = (0..6).map(|minute| failed(minute, PATH, reset)).collect();
        assert_eq!(codes(&log), [Code::RequestsFailing]);
    }

    #[test]
    fn a_database_that_is_away_explains_what_fails_meanwhile() {
        let log: String = (0..6)
            .map(|minute| failed(minute, PATH, REFUSED) + &failed(minute, PATH, "KeyError: 'flag'"))
            .collect();
        let found = found(&log);
        let [diagnosis] = found.as_slice() else {
            panic!("{found:#?}");
        };
        assert_eq!(diagnosis.code, Code::DatabaseUnreachable);
        assert!(diagnosis.evidence.iter().any(|line| line.contains("KeyError")), "{diagnosis:#?}");
    }

    #[test]
    fn a_cause_of_other_requests_hides_nothing() {
        let refused = "2026-11-24T19:00:00.1Z [error    ] Invalid HTTP_HOST header: '10.0.0.9:8000'. You may need to add \
                       '10.0.0.9' to ALLOWED_HOSTS. [django.security.DisallowedHost]\n";
        let log: String =
            (0..6).map(|minute| refused.to_owned() + &failed(minute, PATH, "KeyError: 'flag'")).collect();
        assert_eq!(codes(&log), [Code::AllowedHostsRejected, Code::RequestsFailing]);
    }
}
