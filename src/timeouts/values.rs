//! The values that the rules are about.

use crate::{api::TimeoutsStatus, flagsmith::WorkerClass, proxy::Limit};

/// The values that rules speak of, in seconds: computed ones, or those of a pod and a proxy that run. `None` is one
/// that cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    /// How requests are handled.
    pub regime: Option<WorkerClass>,
    /// Gunicorn's `--timeout`; 0 switches it off.
    pub gunicorn_timeout: Option<i32>,
    /// Gunicorn's `--keep-alive`; 0 closes each connection after its response.
    pub keep_alive: Option<i32>,
    /// Gunicorn's `--graceful-timeout`.
    pub graceful_timeout: Option<i32>,
    /// The sleep before SIGTERM.
    pub pre_stop: Option<i32>,
    /// `terminationGracePeriodSeconds`.
    pub grace_period: i32,
    /// How long the proxy waits for a response.
    pub proxy_read: Limit,
    /// How long the proxy keeps an idle connection.
    pub proxy_idle: Limit,
    /// PostgreSQL's `statement_timeout` of the API's sessions, where it is set.
    pub statement_timeout: Option<i32>,
}

impl Values {
    /// As `status.timeouts`, behind a proxy of this name.
    #[must_use]
    pub fn status(&self, proxy: Option<&str>) -> TimeoutsStatus {
        let seconds = |limit| match limit {
            Limit::Seconds(seconds) => Some(seconds),
            Limit::Unlimited | Limit::Unknown => None,
        };
        TimeoutsStatus {
            request: None,
            worker_class: self.regime.map(|regime| regime.as_str().to_owned()).unwrap_or_default(),
            proxy: proxy.map(str::to_owned),
            proxy_read: seconds(self.proxy_read),
            proxy_idle: seconds(self.proxy_idle),
            gunicorn_timeout: self.gunicorn_timeout,
            gunicorn_keep_alive: self.keep_alive,
            gunicorn_graceful_timeout: self.graceful_timeout,
            pre_stop: self.pre_stop,
            termination_grace_period: self.grace_period,
            statement_timeout: self.statement_timeout,
        }
    }
}
