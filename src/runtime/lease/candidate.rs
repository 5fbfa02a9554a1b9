//! Who leads, decided without IO: what one replica knows of the lease and what it may do next.
//!
//! Why two replicas never lead at the same time:
//! - every write is a create (which fails when the lease exists) or a replacement of the resource version that
//!   was read, so of two writes that build on the same state one fails;
//! - a holder counts its time from the moment *before* it sent the write that the server accepted, and stops
//!   after [`RENEW_DEADLINE`];
//! - another replica takes over no sooner than [`LEASE_DURATION`] after it *saw* the last change, which is later
//!   than the moment that the holder counts from. Both use their own monotonic clock; the times that are written
//!   in the lease are compared for equality only, and grow with each write, so a wrong wall clock has no effect.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// How long a lease is left alone after its last change was seen. The default of client-go: outlives a restart of
/// the API server, and together with [`STANDBY_PERIOD`] a killed leader is replaced within 20 s.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);

/// How long a holder leads after its last successful renewal. Three seconds less than [`LEASE_DURATION`], so that
/// its last request has ended, and clocks may differ in rate by a fifth, before another replica writes.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(12);

/// How often the holder renews (jittered). After a failure at 5 s there is time for two more attempts of
/// [`CALL_DEADLINE`] within [`RENEW_DEADLINE`].
pub const RENEW_PERIOD: Duration = Duration::from_secs(5);

/// How often a standby looks at the lease (jittered): a released lease is taken within 2 s, a dead holder's at
/// most 15 + 2 × 1.65 s after its last renewal.
pub const STANDBY_PERIOD: Duration = Duration::from_millis(1500);

/// How long one request for the lease may take. A healthy API server answers within milliseconds.
pub const CALL_DEADLINE: Duration = Duration::from_secs(3);

/// How long after a failed renewal the holder tries again (jittered).
pub const RETRY_PERIOD: Duration = Duration::from_secs(1);

/// The longest duration that is believed when another program's lease says so, so that a typing error in it cannot
/// stop the operator for days.
pub const LONGEST_FOREIGN_DURATION: Duration = Duration::from_mins(1);

/// What the server has stored in the lease, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Tells a lease from one of the same name that was deleted before.
    pub uid: Option<String>,
    /// Who holds it; `None` when it was released.
    pub holder: Option<String>,
    /// When the holder says that it renewed it. Compared for equality only.
    pub renewed: Option<Timestamp>,
    /// How often it changed hands.
    pub transitions: i32,
    /// For how long the holder claims it.
    pub duration: Option<Duration>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// There is no lease: create it.
    Create,
    /// The lease is free: replace it, with its resource version as the precondition.
    TakeOver,
    /// This replica holds the lease: replace it, with its resource version as the precondition.
    Renew,
    /// Another replica holds the lease, or held it when it was deleted; it is free at this moment at the earliest.
    Wait(Instant),
    /// This replica led, but the lease is no longer its own: stop leading at once.
    Lost,
}

/// What was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ObservedLease {
    stored: Option<Stored>,
    /// When the lease may be taken, by the local clock.
    free_at: Instant,
}

/// One replica's knowledge of the lease.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    observed: Option<ObservedLease>,
    /// Until when this replica leads, unless it renews.
    leads_until: Option<Instant>,
}

impl Candidate {
    /// A replica that has seen nothing yet. `identity` must be unique to the *process*: a replica that finds its
    /// own identity in the lease takes it to be its own earlier write.
    pub fn new(identity: impl Into<String>) -> Self {
        Self { identity: identity.into(), observed: None, leads_until: None }
    }

    /// The name under which this replica holds the lease.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Until when this replica leads; `None` when it does not.
    #[must_use]
    pub fn leads_until(&self, now: Instant) -> Option<Instant> {
        self.leads_until.filter(|until| now < *until)
    }

    /// Takes note of what the server had stored (`None`: no lease) in an answer that arrived at `now`.
    pub fn saw(&mut self, stored: Option<Stored>, now: Instant) {
        let free_at = match (&self.observed, &stored) {
            (Some(before), _) if before.stored == stored => before.free_at,
            // Deleted while somebody held it: that holder leads on until its next renewal fails.
            (Some(ObservedLease { stored: Some(before), .. }), None) => now + before.blocks_for(),
            (_, None) => now,
            (_, Some(stored)) => now + stored.blocks_for(),
        };
        self.observed = Some(ObservedLease { stored, free_at });
    }

    /// Takes note that the server accepted this replica's write, which was sent at `sent`.
    pub fn granted(&mut self, stored: Stored, sent: Instant) {
        self.leads_until = Some(sent + RENEW_DEADLINE);
        self.saw(Some(stored), sent);
    }

    /// This replica no longer leads, whatever is stored.
    pub fn step_down(&mut self) {
        self.leads_until = None;
    }

    /// What to do at `now`, given what was seen last. Nothing was seen yet: look again, that is wait until now.
    #[must_use]
    pub fn decide(&self, now: Instant) -> Decision {
        let Some(observed) = &self.observed else {
            return Decision::Wait(now);
        };
        let holder = observed.stored.as_ref().and_then(|stored| stored.holder.as_deref());
        if holder == Some(self.identity.as_str()) {
            Decision::Renew
        } else if self.leads_until.is_some() {
            Decision::Lost
        } else if now < observed.free_at {
            Decision::Wait(observed.free_at)
        } else if observed.stored.is_some() {
            Decision::TakeOver
        } else {
            Decision::Create
        }
    }
}

/// What a write puts in the place of `previous` as the time of renewal: later than it whatever the clock says, so
/// that every renewal is a change that others see.
#[must_use]
pub fn renewal(previous: Option<Timestamp>, wall: Timestamp) -> Timestamp {
    let least = previous.and_then(|previous| previous.checked_add(jiff::Span::new().microseconds(1)).ok());
    least.map_or(wall, |least| least.max(wall))
}

impl Stored {
    /// For how long others leave the lease alone, from the moment that they see it.
    fn blocks_for(&self) -> Duration {
        match (&self.holder, self.duration) {
            (None, _) => Duration::ZERO,
            (Some(_), None) => LEASE_DURATION,
            (Some(_), Some(claimed)) => claimed.clamp(LEASE_DURATION, LONGEST_FOREIGN_DURATION),
        }
    }
}

#[cfg(test)]
mod tests;
