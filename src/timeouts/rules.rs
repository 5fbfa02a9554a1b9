//! What must hold between the timeouts, each with the reason.

use super::Values;
use crate::flagsmith::WorkerClass;
use crate::proxy::Limit;

/// Seconds in which a pod's end reaches every proxy inside of the cluster: the endpoint is withdrawn at once, watches
/// and a reload of the proxy take the rest.
pub(crate) const ENDPOINTS_TAKE: i32 = 5;

/// One inequality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    /// proxy's read timeout ≥ Gunicorn's timeout: a proxy that gives up first shows its client an error while a
    /// worker stays busy with the request.
    ProxyOutlastsGunicorn,
    /// Gunicorn's keep-alive > the proxy's idle time, or 0: a proxy that still keeps a connection which Gunicorn is
    /// closing sends a request into it, which fails; no proxy repeats a POST.
    KeepAliveOutlastsProxyIdle,
    /// graceful timeout ≥ Gunicorn's timeout: a request that is running when a pod is told to end is cut when the
    /// graceful timeout is over.
    GracefulOutlastsRequest,
    /// grace period ≥ preStop + graceful timeout: the kubelet kills what is left at the end of the grace period,
    /// which counts preStop too.
    GraceOutlastsShutdown,
    /// preStop ≥ [`ENDPOINTS_TAKE`]: Gunicorn serves no new request on a kept connection after SIGTERM, so proxies
    /// must have stopped sending before.
    EndpointsLeaveFirst,
    /// `statement_timeout` ≤ Gunicorn's timeout and ≤ the proxy's read timeout: a query that the database ends is a
    /// clean error, one that the proxy ends keeps its thread and its locks.
    DatabaseGivesUpFirst,
}

/// Whether a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It does.
    Holds,
    /// It does not.
    Broken,
    /// A value is not known.
    Unknown,
}

impl Rule {
    /// Every rule.
    pub(crate) const ALL: [Self; 6] = [
        Self::ProxyOutlastsGunicorn,
        Self::KeepAliveOutlastsProxyIdle,
        Self::GracefulOutlastsRequest,
        Self::GraceOutlastsShutdown,
        Self::EndpointsLeaveFirst,
        Self::DatabaseGivesUpFirst,
    ];

    /// Whether it holds for these values.
    pub(crate) fn check(self, values: &Values) -> Verdict {
        match self {
            Self::ProxyOutlastsGunicorn => match (values.proxy_read, values.gunicorn_timeout) {
                (Limit::Unlimited, _) => Verdict::Holds,
                // With --timeout 0 nothing says how long a request may take.
                (_, None | Some(0)) => Verdict::Unknown,
                (limit, Some(timeout)) => at_least(limit, timeout),
            },
            Self::KeepAliveOutlastsProxyIdle => keep_alive(values),
            Self::GracefulOutlastsRequest => values
                .graceful_timeout
                .zip(values.gunicorn_timeout)
                .map_or(Verdict::Unknown, |(graceful, timeout)| holds(graceful >= timeout)),
            Self::GraceOutlastsShutdown => {
                let needs = values
                    .pre_stop
                    .zip(values.graceful_timeout)
                    .map(|(pre_stop, graceful)| pre_stop.saturating_add(graceful));
                needs.map_or(Verdict::Unknown, |needs| holds(values.grace_period >= needs))
            }
            Self::EndpointsLeaveFirst => {
                values.pre_stop.map_or(Verdict::Unknown, |pre_stop| holds(pre_stop >= ENDPOINTS_TAKE))
            }
            Self::DatabaseGivesUpFirst => values.statement_timeout.map_or(Verdict::Holds, |statement| {
                if values.gunicorn_timeout.is_some_and(|timeout| timeout != 0 && statement > timeout) {
                    Verdict::Broken
                } else {
                    at_least(values.proxy_read, statement)
                }
            }),
        }
    }
}

fn keep_alive(values: &Values) -> Verdict {
    // Sync workers close every connection after its response.
    if values.keep_alive == Some(0) || values.regime == Some(WorkerClass::Sync) {
        return Verdict::Holds;
    }
    let verdict = match (values.proxy_idle, values.keep_alive) {
        (Limit::Seconds(idle), Some(keep_alive)) => holds(keep_alive > idle),
        (Limit::Unlimited, Some(_)) => Verdict::Broken,
        (Limit::Unknown, _) | (_, None) => Verdict::Unknown,
    };
    if verdict == Verdict::Broken && values.regime.is_none() {
        return Verdict::Unknown;
    }
    verdict
}

/// The rules that do not hold for these values, and those that nobody can judge.
pub(crate) fn check(values: &Values) -> Vec<(Rule, Verdict)> {
    Rule::ALL
        .into_iter()
        .map(|rule| (rule, rule.check(values)))
        .filter(|(_, verdict)| *verdict != Verdict::Holds)
        .collect()
}

const fn holds(holds: bool) -> Verdict {
    if holds { Verdict::Holds } else { Verdict::Broken }
}

const fn at_least(limit: Limit, seconds: i32) -> Verdict {
    match limit {
        Limit::Seconds(limit) => holds(limit >= seconds),
        Limit::Unlimited => Verdict::Holds,
        Limit::Unknown => Verdict::Unknown,
    }
}
