//! The chain of timeouts: from the longest time of a request to every value between proxy and pod.

use crate::api::TimeoutsStatus;

/// What the proxy's read timeout has above the request's: the proxy must never cut first, and a proxy whose
/// timeout covers the whole response needs time for the transfer.
const PROXY_MARGIN: i32 = 5;

/// What Gunicorn's graceful timeout has above the request's, so that a request in flight always ends.
const GRACEFUL_MARGIN: i32 = 5;

/// How long a pod keeps serving after it was told to end: endpoints and proxies learn of it in the meantime,
/// which takes seconds, and Gunicorn 23 resets idle connections at SIGTERM.
const PRE_STOP: i32 = 10;

/// What the pod's grace period has above preStop and graceful timeout, so that SIGKILL never comes first.
const GRACE_MARGIN: i32 = 5;

/// Gunicorn's keep-alive when the proxy is not known: above the idle time of every proxy with a default of 90
/// seconds or less (nginx, Kong, Cilium and F5 60, Traefik and cloudflared 90).
const KEEP_ALIVE_UNKNOWN_PROXY: i32 = 95;

/// Every timeout of an installation, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest time of a request.
    pub request: i32,
    /// The proxy's read and send timeout.
    pub proxy_read: i32,
    /// Gunicorn's `--timeout`. With threads it only watches that the process is alive; with sync workers it
    /// ends the request.
    pub gunicorn_timeout: i32,
    /// Gunicorn's `--keep-alive`.
    pub keep_alive: i32,
    /// Gunicorn's `--graceful-timeout`.
    pub graceful_timeout: i32,
    /// The preStop sleep.
    pub pre_stop: i32,
    /// `terminationGracePeriodSeconds`.
    pub grace_period: i32,
}

impl Timeouts {
    /// Computes the chain for the longest time of a request and the user's own keep-alive, if any.
    #[must_use]
    pub fn chain(request: i32, keep_alive: Option<i32>) -> Self {
        let graceful_timeout = request + GRACEFUL_MARGIN;
        Self {
            request,
            proxy_read: request + PROXY_MARGIN,
            gunicorn_timeout: request,
            keep_alive: keep_alive.unwrap_or(KEEP_ALIVE_UNKNOWN_PROXY),
            graceful_timeout,
            pre_stop: PRE_STOP,
            grace_period: PRE_STOP + graceful_timeout + GRACE_MARGIN,
        }
    }
}

impl From<Timeouts> for TimeoutsStatus {
    fn from(timeouts: Timeouts) -> Self {
        Self {
            request: timeouts.request,
            proxy_read: timeouts.proxy_read,
            gunicorn_timeout: timeouts.gunicorn_timeout,
            gunicorn_keep_alive: timeouts.keep_alive,
            gunicorn_graceful_timeout: timeouts.graceful_timeout,
            pre_stop: timeouts.pre_stop,
            termination_grace_period: timeouts.grace_period,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_ends_before_what_it_waits_for(request in 5..=3600, keep_alive in proptest::option::of(0..=7200)) {
            let chain = Timeouts::chain(request, keep_alive);
            prop_assert!(chain.proxy_read >= chain.gunicorn_timeout);
            prop_assert!(chain.gunicorn_timeout >= chain.request);
            prop_assert!(chain.graceful_timeout > chain.request);
            prop_assert!(chain.grace_period > chain.pre_stop + chain.graceful_timeout);
            prop_assert_eq!(chain.keep_alive, keep_alive.unwrap_or(95));
        }
    }
}
