//! What must hold before the operator says that it is ready, and whether the stored CRD fits this release.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

mod crd;
pub mod rights;

pub use crd::{CrdProblem, crd_freshness};

/// One thing that must hold. That this replica leads is none of them: a standby is ready too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// The CRD exists in the cluster and has every field that this release reads or writes.
    Crd,
    /// The operator may do what it does.
    Rights,
    /// The key of migration locks is known.
    LockKey,
    /// Every watch has delivered its first list.
    Caches,
}

impl Gate {
    /// Every gate, in the order in which `/readyz` lists them.
    pub const ALL: [Self; 4] = [Self::Crd, Self::Rights, Self::LockKey, Self::Caches];

    /// The name that `/readyz` shows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crd => "crd",
            Self::Rights => "rights",
            Self::LockKey => "lock-key",
            Self::Caches => "caches",
        }
    }
}

/// The state of every gate, shared between those that open them and `/readyz`. Cheap to clone.
///
/// A gate is closed until it is opened for the first time.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    /// Why a gate is closed; `None` when it is open; no entry while nothing is known of it.
    closed: Arc<RwLock<BTreeMap<Gate, Option<String>>>>,
}

/// One gate at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateState {
    /// Which gate.
    pub gate: Gate,
    /// Why it is closed, for a person; `None` when it is open.
    pub closed: Option<String>,
}

impl fmt::Display for GateState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.closed {
            None => write!(f, "[+] {}: ok", self.gate.as_str()),
            Some(reason) => write!(f, "[-] {}: {reason}", self.gate.as_str()),
        }
    }
}

impl Readiness {
    /// All gates closed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `gate` holds from now on.
    pub fn open(&self, gate: Gate) {
        self.set(gate, None);
    }

    /// `gate` does not hold, for the given reason (one line; nothing secret, since anybody may read it).
    pub fn close(&self, gate: Gate, reason: impl Into<String>) {
        self.set(gate, Some(reason.into()));
    }

    /// Every gate in the order of [`Gate::ALL`].
    pub fn gates(&self) -> Vec<GateState> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        let state = |gate| match closed.get(&gate) {
            Some(reason) => reason.clone(),
            None => Some("not checked yet".to_owned()),
        };
        Gate::ALL.map(|gate| GateState { gate, closed: state(gate) }).into()
    }

    /// Whether every gate holds.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.gates().iter().all(|state| state.closed.is_none())
    }

    fn set(&self, gate: Gate, reason: Option<String>) {
        self.closed.write().unwrap_or_else(PoisonError::into_inner).insert(gate, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(readiness: &Readiness) -> Vec<String> {
        readiness.gates().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_gate_is_closed_at_first() {
        let readiness = Readiness::new();
        assert!(!readiness.is_ready());
        assert_eq!(
            lines(&readiness),
            [
                "[-] crd: not checked yet",
                "[-] rights: not checked yet",
                "[-] lock-key: not checked yet",
                "[-] caches: not checked yet"
            ]
        );
    }

    #[test]
    fn ready_only_while_every_gate_is_open() {
        let readiness = Readiness::new();
        readiness.open(Gate::Crd);
        assert!(!readiness.is_ready());
        readiness.clone().open(Gate::Caches);
        assert!(!readiness.is_ready());
        readiness.open(Gate::LockKey);
        assert!(!readiness.is_ready());
        readiness.open(Gate::Rights);
        assert!(readiness.is_ready());
        readiness.close(Gate::Crd, "the CRD is not installed");
        assert!(!readiness.is_ready());
        assert_eq!(
            lines(&readiness),
            ["[-] crd: the CRD is not installed", "[+] rights: ok", "[+] lock-key: ok", "[+] caches: ok"]
        );
    }
}
