//! Leader election on a `coordination.k8s.io/v1` Lease: of several replicas one writes.
//!
//! [`candidate`] decides, `store` talks to the API server, and [`Lease::run`] is the loop between them. It
//! tolerates an API server that is away for any time: the leader steps down by its own clock and competes again
//! once the server answers.

use std::{fmt, future::poll_fn, pin::pin, task::Poll, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease as LeaseObject;
use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

pub mod candidate;
mod settings;
mod store;

pub use settings::{LABEL, LeaseSettings, NAMESPACES_ANNOTATION};

use candidate::{
    CALL_DEADLINE, Candidate, Decision, RENEW_DEADLINE, RENEW_PERIOD, RETRY_PERIOD, STANDBY_PERIOD,
};
use store::{Error, Store};

use crate::runtime::{backoff::jittered, clock, metrics::Metrics, random};

/// How long the leader's work may take to end after a shutdown was asked for, before the process stops without
/// releasing the lease: within the 30 s that Kubernetes grants a pod, with time left for the release.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// Whether this process leads. Expires by itself: also a process that was suspended in the meantime knows, when it
/// goes on, that it may no longer write.
///
/// The monotonic clock stands still while the whole machine is suspended, and others' goes on; the time of day has been
/// corrected when it goes on. So either clock ends it: one that is set forward costs leadership until the next renewal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leadership {
    until: Option<Instant>,
    /// The same by the time of day.
    day: Option<Timestamp>,
}

impl Leadership {
    /// Leadership without an election, for a single replica: a year, which no process reaches.
    #[must_use]
    pub fn forever() -> Self {
        const YEAR: Duration = Duration::from_hours(8760);
        Self { until: Some(Instant::now() + YEAR), day: None }
    }

    /// Whether this process leads at this moment. Asked before every write.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until) && holds(self.day)
    }

    /// Whether a clock says that this process leads no more, and the election has not said so yet: the next renewal decides.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.until.is_some() && !self.leads()
    }

    /// Ends when this process does not lead any more. Both clocks are looked at whenever this is polled: a process that
    /// stood still is told before it does anything else.
    pub(crate) async fn over(leading: watch::Receiver<Self>) {
        let mut ends = pin!(Self::ends(leading.clone()));
        poll_fn(
            |context| {
                if leading.borrow().leads() { ends.as_mut().poll(context) } else { Poll::Ready(()) }
            },
        )
        .await;
    }

    /// Ends when leadership is lost, or nothing has renewed it for too long.
    async fn ends(mut leading: watch::Receiver<Self>) {
        loop {
            let known = *leading.borrow_and_update();
            let Some(until) = known.until.filter(|_| known.leads()) else { return };
            // Without a sender nobody renews it.
            if matches!(timeout_at(until, leading.changed()).await, Ok(Err(_))) {
                return sleep_until(until).await;
            }
        }
    }
}

/// Whether a time of day has not come yet.
fn holds(day: Option<Timestamp>) -> bool {
    day.is_none_or(|day| clock::now() < day)
}

/// One process's part in the election.
pub struct Lease {
    store: Store,
    candidate: Candidate,
    metrics: Metrics,
    /// The lease as this process wrote it last.
    written: Option<LeaseObject>,
    /// Until when this process leads by the time of day, unless it renews.
    day: Option<Timestamp>,
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
            day: None,
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
        let wait = |period| now + jittered(period, &mut random::rng());
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
            && self.leads_until().is_some()
            && self.replace(written).await?
        {
            return Ok(());
        }
        let stored = self.store.read(self.deadline()).await?;
        let now = Instant::now();
        self.candidate.saw(stored.as_ref().map(store::stored), now);
        match (self.candidate.decide(now), stored) {
            (Decision::Create, _) => {
                let sent = Sent::now();
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
        let sent = Sent::now();
        let replaced = self.store.renew(base, self.deadline()).await?;
        Ok(self.granted(replaced, sent))
    }

    fn granted(&mut self, accepted: Option<LeaseObject>, sent: Sent) -> bool {
        let Some(lease) = accepted else { return false };
        self.candidate.granted(store::stored(&lease), sent.at);
        self.day = sent.day.checked_add(RENEW_DEADLINE).ok();
        self.written = Some(lease);
        true
    }

    /// Until when this process leads, if it does by either clock.
    fn leads_until(&self) -> Option<Instant> {
        self.candidate.leads_until(Instant::now()).filter(|_| holds(self.day))
    }

    /// When the next request must have ended: no leader waits for an answer that would come after its time.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let deadline = now + CALL_DEADLINE;
        self.candidate.leads_until(now).map_or(deadline, |until| until.min(deadline))
    }

    /// Tells everybody whether this process leads. Wakes them only when that has changed.
    fn publish(&self, leading: &watch::Sender<Leadership>) -> bool {
        let until = self.leads_until();
        leading.send_if_modified(|known| {
            let changed = known.until.is_some() != until.is_some();
            *known = Leadership { until, day: until.and(self.day) };
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
        let held = self.leads_until().is_some();
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

/// When a request was sent, by both clocks.
#[derive(Clone, Copy)]
struct Sent {
    at: Instant,
    day: Timestamp,
}

impl Sent {
    fn now() -> Self {
        Self { at: Instant::now(), day: clock::now() }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("candidate", &self.candidate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
