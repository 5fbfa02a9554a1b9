//! Databases as the look before a migration finds them.

use crate::{
    fixtures,
    observe::{History, Observation, Preflight},
};

/// A database that a migration can run on.
pub(crate) fn good() -> Preflight {
    Preflight {
        complete: true,
        takes_options: true,
        role: "app".to_owned(),
        schema: Some("public".to_owned()),
        creates_tables: true,
        connections_allowed: 97,
        connections_used: 20,
        history: History { count: 595, task_processor: Some("0015".to_owned()), ..History::default() },
        ..Preflight::default()
    }
}

/// An installation of nothing else.
pub(crate) fn with_preflight(preflight: Preflight) -> Observation {
    Observation { preflight: Some(Ok(preflight)), ..fixtures::empty_observation() }
}
