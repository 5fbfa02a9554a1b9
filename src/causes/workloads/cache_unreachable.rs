//! The cache cannot be reached.

use crate::{
    causes::{
        log::phrasing::{component, times},
        prelude::*,
    },
    logs::event::Service,
};

pub(crate) static CAUSE: Cause =
    Cause { log: &[&LOG], ..Cause::warning(Component::Api, include_str!("cache_unreachable.md")) };

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// Its name has no address.
    Name,
    /// It wants a password, or another one.
    Login,
    /// Only one of the two uses TLS.
    Tls,
    /// It is full, read-only, or still loading.
    State,
    /// Refused, silent, or closed.
    Away,
}

/// Failures after which one that may be a restart of the cache is told.
const RESTART: u64 = 3;

/// redis-py's exceptions; it takes the server's own word for them (`NOAUTH`, `OOM`, `READONLY`) out of the message.
const OF_LOGIN: &[&str] =
    &["AuthenticationError", "AuthenticationWrongNumberOfArgsError", "NoPermissionError"];
/// See [`OF_LOGIN`].
const OF_STATE: &[&str] =
    &["OutOfMemoryError", "ReadOnlyError", "BusyLoadingError", "MasterDownError", "ClusterDownError"];
const RESOLVER: &[&str] = &[
    "Name or service not known",
    "Temporary failure in name resolution",
    "nodename nor servname",
    "No address associated",
    "Name does not resolve",
];
const LOGIN: &[&str] = &[
    "NOAUTH",
    "WRONGPASS",
    "invalid password",
    "invalid username-password",
    "Authentication required",
    "AUTH ",
    "NOPERM",
];
const TLS: &[&str] = &[
    "WRONG_VERSION_NUMBER",
    "SSLV3_ALERT",
    "CERTIFICATE_VERIFY_FAILED",
    "[SSL",
    "certificate verify failed",
];
const STATE: &[&str] = &[
    "OOM command not allowed",
    "READONLY",
    "LOADING",
    "MISCONF",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "loading the dataset",
];

static LOG: Rule<Variant> = Rule {
    precedence: 210,
    signatures: &[
        Signature::of_words(Variant::Name, RESOLVER).through(Service::Cache),
        Signature::of_words(Variant::Login, LOGIN).through(Service::Cache),
        Signature::of_words(Variant::Tls, TLS).through(Service::Cache),
        Signature::of_words(Variant::State, STATE).through(Service::Cache),
        Signature::of_words(Variant::Name, RESOLVER).also(&[" connecting to "]),
        Signature::of(Variant::Login).class(OF_LOGIN).through(Service::Cache),
        Signature::of(Variant::State).class(OF_STATE).through(Service::Cache),
        Signature::of(Variant::Away)
            .class(&[
                "ConnectionError",
                "TimeoutError",
                "ConnectionRefusedError",
                "ConnectionResetError",
                "BrokenPipeError",
                "OSError",
                "ConnectionInterrupted",
                "RedisClusterException",
                "MaxConnectionsError",
                "gaierror",
                "timeout",
            ])
            .through(Service::Cache),
        Signature::of(Variant::Away).class(&["ConnectionInterrupted"]),
    ],
    details,
    explain,
    is_over: Some(|_, _, occurrence| {
        let may_be_a_restart = LOG.variant(&occurrence.details) == Some(Variant::Away);
        Some(may_be_a_restart && occurrence.count < RESTART)
    }),
};

fn details(failure: &Failure<'_>, _: Variant) -> Option<FailureDetails> {
    // `Error -2 connecting to flagsmith-redis:6379. Name or service not known.`
    let endpoint = failure.message.split_once(" connecting to ").and_then(|(_, rest)| {
        let end = rest.find(['\n', ',', ' ']).unwrap_or(rest.len());
        rest.get(..end).map(|at| at.trim_end_matches('.').to_owned())
    });
    // What a socket says comes again in the words of the client, which name the server.
    let of_client = failure.class.contains("redis") || endpoint.is_some();
    of_client.then(|| FailureDetails { object: endpoint, ..FailureDetails::default() })
}

fn explain(evidence: &LogEvidence, occurrence: &Occurrence, variant: Variant) -> Explanation {
    let at = occurrence.details.object.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
    let who = component(evidence.component);
    let settings = "CACHE_ENVIRONMENT_DOCUMENT_LOCATION, ENVIRONMENT_CACHE_LOCATION, GET_FLAGS_ENDPOINT_CACHE_LOCATION, \
                    GET_IDENTITIES_ENDPOINT_CACHE_LOCATION and USER_THROTTLE_CACHE_LOCATION, each where its _BACKEND is Redis";
    let (why, remedy) = match variant {
        Variant::Name => (
            "its host name is not found",
            format!("Correct the host in {settings}; a Service of another namespace is SERVICE.NAMESPACE.svc.cluster.local."),
        ),
        Variant::Login => (
            "it refuses the password, or asks for one",
            format!("Write user and password into the URL, percent-encoded: redis://:PASSWORD@HOST:6379/0, in {settings}."),
        ),
        Variant::Tls => (
            "the two do not agree on TLS",
            format!(
                "rediss:// encrypts and redis:// does not: write in {settings} what the server speaks (ElastiCache with encryption in \
                 transit, Azure on port 6380 and Upstash speak TLS). A certificate that is not trusted: append ?ssl_cert_reqs=none \
                 for a test, and mount its authority for good."
            ),
        ),
        Variant::State => (
            "it answers, and takes no commands or no writes",
            "Look at it: redis-cli -u URL INFO (loading, role, used_memory, maxmemory). Give a cache maxmemory with \
             maxmemory-policy allkeys-lru, connect to the primary and not to a replica, and give it a disk with room."
                .to_owned(),
        ),
        Variant::Away => (
            "it refuses connections, does not answer, or closes them",
            format!("See that it runs and that a NetworkPolicy lets the pods through; correct host and port in {settings}."),
        ),
    };
    Explanation::new(
        Code::CacheUnreachable,
        format!(
            "{who} cannot use its cache, Redis{at}: {why}. Whatever is cached ends with status 500 ({} in this log); the database is \
             well.",
            times(occurrence.count)
        ),
        format!(
            "{remedy} Until then Flagsmith does without it where the _BACKEND is django_redis.cache.RedisCache with \
             DJANGO_REDIS_IGNORE_EXCEPTIONS=true, or without these variables."
        ),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::diagnose_log;

    fn failed(frame: &str, exception: &str, times: usize) -> Vec<(Code, String)> {
        let log = format!(
            "2026-11-24T19:00:48.2Z [error    ] Internal Server Error: /api/v1/flags/ [django.request] status_code=500\n\
             Traceback (most recent call last):\n  \
             File \"/x/site-packages/django/core/handlers/exception.py\", line 55, in inner\n    r()\n  \
             File \"/x/site-packages/{frame}\", line 5, in connect\n    s()\n{exception}\n\n"
        )
        .repeat(times);
        let found = diagnose_log(Component::Api, None, "log", log.as_bytes());
        found.into_iter().map(|(_, it)| (it.code, it.message.to_string())).collect()
    }

    #[rstest]
    #[case::name(
        "redis.exceptions.ConnectionError: Error -2 connecting to cache.prod.svc:6379. Name or service not known.",
        1,
        "Redis at cache.prod.svc:6379: its host name"
    )]
    #[case::refused(
        "redis.exceptions.ConnectionError: Error 111 connecting to 10.0.0.7:6379. Connection refused.",
        3,
        "Redis at 10.0.0.7:6379: it refuses"
    )]
    #[case::password(
        "redis.exceptions.AuthenticationError: invalid username-password pair or user is disabled.",
        1,
        "refuses the password"
    )]
    #[case::no_password(
        "redis.exceptions.AuthenticationError: Authentication required.",
        1,
        "refuses the password"
    )]
    #[case::full(
        "redis.exceptions.OutOfMemoryError: OOM command not allowed when used memory > 'maxmemory'.",
        1,
        "no writes"
    )]
    #[case::replica(
        "redis.exceptions.ReadOnlyError: You can't write against a read only replica.",
        1,
        "no writes"
    )]
    #[case::tls(
        "redis.exceptions.ConnectionError: Error 1 connecting to r:6380. [SSL: WRONG_VERSION_NUMBER] wrong version number",
        1,
        "agree on TLS"
    )]
    #[case::closed("redis.exceptions.ConnectionError: Connection closed by server.", 3, "closes them")]
    #[case::silent("redis.exceptions.TimeoutError: Timeout connecting to server", 3, "does not answer")]
    #[case::of_django_redis(
        "django_redis.exceptions.ConnectionInterrupted: Redis ConnectionError: Error 111 connecting to r:6379. Connection refused.",
        3,
        "Redis at r:6379"
    )]
    fn told(#[case] exception: &str, #[case] times: usize, #[case] words: &str) {
        let found = failed("redis/connection.py", exception, times);
        let [(code, message)] = found.as_slice() else { panic!("{found:#?}") };
        assert!(*code == Code::CacheUnreachable && message.contains(words), "{message}");
    }

    #[rstest]
    #[case::a_restart(
        "redis/connection.py",
        "redis.exceptions.ConnectionError: Connection closed by server.",
        2
    )]
    #[case::another_service(
        "requests/adapters.py",
        "requests.exceptions.ConnectionError: Connection refused",
        4
    )]
    fn silent(#[case] frame: &str, #[case] exception: &str, #[case] times: usize) {
        assert_eq!(failed(frame, exception, times), []);
    }
}
