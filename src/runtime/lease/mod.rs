//! Leader election on a `coordination.k8s.io/v1` Lease: of several replicas one writes.
//!
//! [`candidate`] decides, `store` talks to the API server, and [`Lease::run`] is the loop between them. It
//! tolerates an API server that is away for any time: the leader steps down by its own clock and competes again
//! once the server answers.

use std::{fmt, time::Duration};

use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

pub mod candidate;
mod settings;
mod store;

pub use settings::{LABEL, LeaseSettings, NAMESPACES_ANNOTATION};

use candidate::{CALL_DEADLINE, Candidate, Decision, RENEW_PERIOD, RETRY_PERIOD, STANDBY_PERIOD};
use store::{Error, Store};

use crate::runtime::{backoff::jittered, metrics::Metrics};

/// How long the leader's work may take to end after a shutdown was asked for, before the process stops without
/// releasing the lease: within the 30 s that Kubernetes grants a pod, with time left for the release.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// Whether this process leads. Expires by itself: also a process that was suspended in the meantime knows, when it
/// goes on, that it may no longer write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leadership {
    until: Option<Instant>,
}

impl Leadership {
    /// Leadership without an election, for a single replica: a year, which no process reaches.
    #[must_use]
    pub fn forever() -> Self {
        const YEAR: Duration = Duration::from_hours(8760);
        Self { until: Some(Instant::now() + YEAR) }
    }

    /// Whether this process leads at this moment. Asked before every write.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

/// One process's part in the election.
pub struct Lease {
    store: Store,
    candidate: Candidate,
    metrics: Metrics,
    /// The lease as this process wrote it last.
    written: Option<LeaseObject>,
    /// The failure that was logged last, so that an outage is logged once.
    failure: Option<String>,
}

impl Lease {
    /// Takes part in the election once [`Lease::run`] is awaited. Needs `get`, `create` and `update` on the lease.
    #[must_use]
    pub fn new(client: Client, settings: LeaseSettings, metrics: Metrics) -> Self {
        Self {
            candidate: Candidate::new(&settings.identity),
            store: Store::new(client, settings),
            metrics,
            written: None,
            failure: None,
        }
    }

    /// Competes, leads and renews until `shutdown` is cancelled and this process's work has `drained`, then
    /// releases the lease, so that a standby takes over at once.
    ///
    /// `leading` always holds the current state; its receivers are woken when leadership is won or lost, not at each
    /// renewal. They must stop writing when it is lost. If `drained` does not end within [`DRAIN_LIMIT`] after
    /// `shutdown`, the lease is not released but left to expire.
    pub async fn run(
        mut self,
        leading: watch::Sender<Leadership>,
        shutdown: CancellationToken,
        drained: impl Future<Output = ()>,
    ) {
        let ended = async {
            shutdown.cancelled().await;
            timeout(DRAIN_LIMIT, drained).await.is_ok()
        };
        tokio::pin!(ended);
        let drained = loop {
            let next = self.round(&leading).await;
            let leads = self.publish(&leading);
            tokio::select! {
                drained = &mut ended, if leads => break drained,
                () = shutdown.cancelled(), if !leads => break false,
                () = sleep_until(next) => {}
            }
        };
        self.leave(drained, &leading).await;
    }

    /// One attempt to win or keep the lease. Returns when to try again.
    async fn round(&mut self, leading: &watch::Sender<Leadership>) -> Instant {
        if !self.publish(leading) {
            self.candidate.step_down();
        }
        let result = self.attempt().await;
        let now = Instant::now();
        let wait = |period| now + jittered(period, &mut rand::rng());
        let failed = result.is_err();
        self.log(result.as_ref().err());
        match (self.candidate.leads_until(now), self.candidate.decide(now)) {
            (Some(until), _) if failed => until.min(wait(RETRY_PERIOD)),
            (Some(_), _) => wait(RENEW_PERIOD),
            (None, Decision::Wait(free_at)) if free_at > now => free_at.min(wait(STANDBY_PERIOD)),
            (None, _) => wait(STANDBY_PERIOD),
        }
    }

    async fn attempt(&mut self) -> Result<(), Error> {
        // The leader knows what is stored, unless somebody else wrote: then its write is refused, and it looks.
        if let Some(written) = self.written.take()
            && self.candidate.leads_until(Instant::now()).is_some()
            && self.replace(written).await?
        {
            return Ok(());
        }
        let stored = self.store.read(self.deadline()).await?;
        let now = Instant::now();
        self.candidate.saw(stored.as_ref().map(store::stored), now);
        match (self.candidate.decide(now), stored) {
            (Decision::Create, _) => {
                let sent = Instant::now();
                let created = self.store.create(self.deadline()).await?;
                self.granted(created, sent);
            }
            (Decision::TakeOver | Decision::Renew, Some(stored)) => {
                self.replace(stored).await?;
            }
            (Decision::Lost, _) => self.candidate.step_down(),
            (Decision::Wait(_) | Decision::TakeOver | Decision::Renew, _) => {}
        }
        Ok(())
    }

    /// Replaces `base` by a renewed lease. Returns whether the server accepted it.
    async fn replace(&mut self, base: LeaseObject) -> Result<bool, Error> {
        let sent = Instant::now();
        let replaced = self.store.renew(base, self.deadline()).await?;
        Ok(self.granted(replaced, sent))
    }

    fn granted(&mut self, accepted: Option<LeaseObject>, sent: Instant) -> bool {
        let Some(lease) = accepted else { return false };
        self.candidate.granted(store::stored(&lease), sent);
        self.written = Some(lease);
        true
    }

    /// When the next request must have ended: no leader waits for an answer that would come after its time.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let deadline = now + CALL_DEADLINE;
        self.candidate.leads_until(now).map_or(deadline, |until| until.min(deadline))
    }

    /// Tells everybody whether this process leads. Wakes them only when that has changed.
    fn publish(&self, leading: &watch::Sender<Leadership>) -> bool {
        let until = self.candidate.leads_until(Instant::now());
        leading.send_if_modified(|known| {
            let changed = known.until.is_some() != until.is_some();
            known.until = until;
            if changed {
                self.metrics.leader(until.is_some());
                let (lease, identity) = (&self.store, self.candidate.identity());
                if until.is_some() {
                    tracing::info!(%lease, identity, "leading");
                } else {
                    tracing::warn!(%lease, identity, "no longer leading");
                }
            }
            changed
        });
        until.is_some()
    }

    /// Stops leading, and releases the lease if nothing of this process can write any more.
    async fn leave(mut self, drained: bool, leading: &watch::Sender<Leadership>) {
        let deadline = self.deadline();
        let held = self.candidate.leads_until(Instant::now()).is_some();
        self.candidate.step_down();
        self.publish(leading);
        if held && !drained {
            let seconds = DRAIN_LIMIT.as_secs();
            tracing::warn!(lease = %self.store, "work did not end within {seconds} s, the lease is left to expire");
        } else if held {
            let result = self.release(deadline).await;
            if matches!(result, Ok(true)) {
                tracing::info!(lease = %self.store, "released");
            }
            self.log(result.as_ref().err());
        }
    }

    /// Clears the holder if it is this process. A second attempt is for a lease that was edited in between.
    async fn release(&mut self, deadline: Instant) -> Result<bool, Error> {
        for _ in 0..2 {
            let base = match self.written.take() {
                Some(written) => Some(written),
                None => self.store.read(deadline).await?,
            };
            let is_own = |lease: &LeaseObject| {
                store::stored(lease).holder.as_deref() == Some(self.candidate.identity())
            };
            let Some(own) = base.filter(is_own) else {
                return Ok(false);
            };
            if self.store.release(own, deadline).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Logs a failure when it differs from the one before, and the end of failures.
    fn log(&mut self, failure: Option<&Error>) {
        let text = failure.map(ToString::to_string);
        if text == self.failure {
            return;
        }
        if let Some(error) = failure {
            let error = error as &dyn std::error::Error;
            tracing::warn!(lease = %self.store, error, "cannot use the lease");
        } else {
            tracing::info!(lease = %self.store, "the lease can be used again");
        }
        self.failure = text;
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("candidate", &self.candidate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
