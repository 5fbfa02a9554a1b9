//! The chain of timeouts: from the longest time of a request to every value between proxy and database.

use super::{
    front::{Front, PROXY_MARGIN},
    values::Values,
};
use crate::{
    api::TimeoutsStatus,
    flagsmith::WorkerClass,
    proxy::{Idle, Limit, Proxy},
};

/// What Gunicorn's graceful timeout has above the request's, so that a request in flight always ends.
const GRACEFUL_MARGIN: i32 = 5;

/// How long a pod keeps serving after it was told to end, behind a proxy inside of the cluster: twice what endpoints
/// and proxies take to learn of it, because Gunicorn 23 resets idle connections at SIGTERM.
const PRE_STOP: i32 = 10;

/// The same behind a load balancer outside of the cluster, which learns of it through its cloud's API.
const PRE_STOP_OUTSIDE: i32 = 20;

/// What the pod's grace period has above preStop and graceful timeout, so that SIGKILL never comes first.
const GRACE_MARGIN: i32 = 5;

/// What Gunicorn's keep-alive has above the proxy's idle time: the two clocks start at different ends of a response.
const KEEP_ALIVE_MARGIN: i32 = 5;

/// The part of a long idle time that is added instead: Google asks for 620 s behind its 600 s.
const KEEP_ALIVE_PART: i32 = 30;

/// The longest idle time that keep-alive follows. Behind a proxy that keeps connections for an hour (Envoy) Gunicorn
/// would hold as many idle sockets, and from 24.1 on wait for them at every end; it closes each connection instead.
const LONGEST_IDLE: i32 = 600;

/// Gunicorn's keep-alive when the proxy's idle time is not known: above that of every proxy with a default of 90
/// seconds or less (nginx, Kong, Cilium and F5 60, Traefik and cloudflared 90).
const KEEP_ALIVE_UNKNOWN: i32 = 95;

/// Longer than any proxy keeps a connection that nobody uses.
const A_DAY: i32 = 86_400;

/// Seconds between two liveness probes.
pub(crate) const LIVENESS_PERIOD: i32 = 10;

/// Failed liveness probes before a container is replaced: at least a minute.
const LIVENESS_FAILURES: i32 = 6;

/// Failed liveness probes beyond the longest request. While all threads are busy with requests of that length nothing
/// answers, which is no reason to kill them.
const LIVENESS_MARGIN: i32 = 2;

/// Every timeout of an installation, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest time of a request.
    pub request: i32,
    /// The proxy, where it is known.
    pub proxy: Option<&'static Proxy>,
    /// What the proxy's read and send timeout is, or should be where the operator cannot set it.
    pub proxy_read: i32,
    /// How requests are handled.
    pub regime: WorkerClass,
    /// Gunicorn's `--keep-alive`.
    pub keep_alive: i32,
    /// Gunicorn's `--graceful-timeout`.
    pub graceful_timeout: i32,
    /// The sleep of preStop.
    pub pre_stop: i32,
    /// `terminationGracePeriodSeconds`.
    pub grace_period: i32,
    /// How long the proxy waits for a response, as far as that is known.
    read: Limit,
    /// How long the proxy keeps an idle connection.
    idle: Limit,
}

impl Timeouts {
    /// Computes the chain for the longest time of a request, the threads of a worker, the user's own keep-alive, and
    /// what stands in front.
    #[must_use]
    pub fn chain(request: i32, threads: i32, keep_alive: Option<i32>, front: &Front) -> Self {
        let outside = front.proxy().is_some_and(|proxy| proxy.outside);
        let pre_stop = if outside { PRE_STOP_OUTSIDE } else { PRE_STOP };
        let graceful_timeout = request.saturating_add(GRACEFUL_MARGIN);
        let proxy_read = front.read(request);
        let proxy_idle = front.idle(proxy_read);
        Self {
            request,
            proxy: front.proxy(),
            proxy_read: match proxy_read {
                Limit::Seconds(seconds) => seconds,
                Limit::Unlimited | Limit::Unknown => request.saturating_add(PROXY_MARGIN),
            },
            regime: WorkerClass::of(threads),
            keep_alive: keep_alive.unwrap_or_else(|| match front.proxy().map(|proxy| proxy.idle) {
                Some(Idle::Shrinking(_)) => 0,
                _ => self::keep_alive(proxy_idle),
            }),
            graceful_timeout,
            pre_stop,
            grace_period: pre_stop.saturating_add(graceful_timeout).saturating_add(GRACE_MARGIN),
            read: proxy_read,
            idle: proxy_idle,
        }
    }

    /// The same pods behind a second proxy: what suits both. Closing each connection suits any.
    #[must_use]
    pub fn besides(self, other: &Self) -> Self {
        let closes = self.keep_alive == 0 || other.keep_alive == 0;
        Self {
            keep_alive: if closes { 0 } else { self.keep_alive.max(other.keep_alive) },
            pre_stop: self.pre_stop.max(other.pre_stop),
            grace_period: self.grace_period.max(other.grace_period),
            ..self
        }
    }

    /// The keep-alive of a server to which an idle connection costs a few KiB and no thread: above the proxy's idle time,
    /// however long that is.
    #[must_use]
    pub fn outlasting_keep_alive(&self) -> i32 {
        match self.idle {
            Limit::Seconds(idle) => idle.saturating_add(KEEP_ALIVE_MARGIN.max(idle / KEEP_ALIVE_PART)),
            Limit::Unlimited => A_DAY,
            Limit::Unknown => KEEP_ALIVE_UNKNOWN,
        }
    }

    /// The values that the rules speak of. Gunicorn's timeout is the request's.
    #[must_use]
    pub const fn values(&self) -> Values {
        Values {
            regime: Some(self.regime),
            gunicorn_timeout: Some(self.request),
            keep_alive: Some(self.keep_alive),
            graceful_timeout: Some(self.graceful_timeout),
            pre_stop: Some(self.pre_stop),
            grace_period: self.grace_period,
            proxy_read: self.read,
            proxy_idle: self.idle,
            statement_timeout: None,
        }
    }
}

/// `failureThreshold` of the liveness probe, whose period is [`LIVENESS_PERIOD`].
pub(crate) fn liveness_failures(request: i32) -> i32 {
    LIVENESS_FAILURES.max(request / LIVENESS_PERIOD + LIVENESS_MARGIN)
}

/// Gunicorn's keep-alive behind a proxy with this idle time.
fn keep_alive(idle: Limit) -> i32 {
    match idle {
        Limit::Seconds(idle) if idle <= LONGEST_IDLE => idle + KEEP_ALIVE_MARGIN.max(idle / KEEP_ALIVE_PART),
        Limit::Seconds(_) | Limit::Unlimited => 0,
        Limit::Unknown => KEEP_ALIVE_UNKNOWN,
    }
}

impl From<Timeouts> for TimeoutsStatus {
    fn from(timeouts: Timeouts) -> Self {
        Self {
            request: Some(timeouts.request),
            proxy_read: Some(timeouts.proxy_read),
            ..timeouts.values().status(timeouts.proxy.map(|proxy| proxy.name))
        }
    }
}
