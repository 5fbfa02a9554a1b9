//! What every check of an observation is given.

use crate::{observe::Observation, validate::Installation};

/// An installation and what was observed of it.
pub(crate) struct Context<'a> {
    /// What is asked for, or what an observed installation amounts to.
    pub(crate) installation: &'a Installation,
    /// What was observed.
    pub(crate) observation: &'a Observation,
}
