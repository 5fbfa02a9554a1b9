//! The store of usage data fails.

use crate::{
    causes::{log::phrasing::times, prelude::*},
    logs::event::Service,
};

pub(crate) static CAUSE: Cause =
    Cause { log: &[&LOG], ..Cause::warning(Component::Api, include_str!("analytics_store_failing.md")) };

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The bucket or the organisation does not exist.
    Missing,
    /// The token is refused.
    Login,
    /// It cannot be reached, or anything else.
    Away,
}

/// Failures from which on one that may be a restart is told.
const RESTART: u64 = 2;

/// Exceptions of `influxdb_client`, and those of its HTTP client.
const CLASSES: &[&str] = &["ApiException", "InfluxDBError", "NotFoundException", "UnauthorizedException"];

static LOG: Rule<Variant> = Rule {
    precedence: 214,
    signatures: &[
        Signature::of_words(
            Variant::Missing,
            &["(404)", "could not find bucket", "bucket \"", "organization name", "not found", "Not Found"],
        )
        .through(Service::Analytics),
        Signature::of_words(Variant::Login, &["(401)", "(403)", "unauthorized", "Unauthorized", "Forbidden"])
            .through(Service::Analytics),
        Signature::of(Variant::Away).class(CLASSES).through(Service::Analytics),
        Signature::of(Variant::Away)
            .class(&[
                "MaxRetryError",
                "NewConnectionError",
                "ReadTimeoutError",
                "ConnectTimeoutError",
                "ConnectionRefusedError",
                "gaierror",
                "ProtocolError",
                "NameResolutionError",
            ])
            .through(Service::Analytics),
    ],
    details: |_, _| Some(FailureDetails::default()),
    explain,
    is_over: Some(|_, _, occurrence| {
        Some(LOG.variant(&occurrence.details) == Some(Variant::Away) && occurrence.count < RESTART)
    }),
};

fn explain(_: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let (why, remedy) = match variant {
        Variant::Missing => (
            "it does not have the bucket or organisation that Flagsmith asks for",
            "Create the bucket that INFLUXDB_BUCKET names, and beside it those for averages, NAME_downsampled_15m and \
             NAME_downsampled_1h, with the tasks that fill them; INFLUXDB_ORG is the organisation's name or id.",
        ),
        Variant::Login => {
            ("it refuses the token", "Give INFLUXDB_TOKEN a token that may read and write the buckets.")
        }
        Variant::Away => {
            ("it cannot be reached, or answers with an error", "See that it runs, and correct INFLUXDB_URL.")
        }
    };
    Explanation::new(
        Code::AnalyticsStoreFailing,
        format!(
            "InfluxDB, the store of usage data, fails ({} in this log): {why}. Usage pages stay empty; flags are served.",
            times(occurrence.count)
        ),
        format!(
            "{remedy} Without InfluxDB set USE_POSTGRES_FOR_ANALYTICS=true, which keeps usage data in PostgreSQL, also where a token \
             is set."
        ),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    fn codes(exception: &str, times: usize) -> Vec<(Code, String)> {
        let log = format!(
            "Exception in thread Thread-31 (track_request):\nTraceback (most recent call last):\n  \
             File \"/usr/local/lib/python3.11/threading.py\", line 1045, in _bootstrap_inner\n    self.run()\n  \
             File \"/x/site-packages/influxdb_client/rest.py\", line 235, in request\n    raise x\n{exception}\n\n"
        )
        .repeat(times);
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        found.into_iter().map(|(_, it)| (it.code, it.message.to_string())).collect()
    }

    #[rstest]
    #[case("influxdb_client.rest.ApiException: (404)\nReason: Not Found", 1, "bucket or organisation")]
    #[case("influxdb_client.rest.ApiException: (401)\nReason: Unauthorized", 1, "refuses the token")]
    #[case(
        "urllib3.exceptions.NewConnectionError: <x>: Failed to establish a new connection: [Errno 111] Connection refused",
        2,
        "cannot be reached"
    )]
    fn told(#[case] exception: &str, #[case] times: usize, #[case] words: &str) {
        let found = codes(exception, times);
        let [(code, message)] = found.as_slice() else { panic!("{found:#?}") };
        assert!(*code == Code::AnalyticsStoreFailing && message.contains(words), "{message}");
    }

    #[test]
    fn one_lost_connection_is_none() {
        assert_eq!(codes("urllib3.exceptions.ProtocolError: ('Connection aborted.', x)", 1), []);
    }
}
