//! What starts a pass over an installation.

use kube::runtime::reflector::ObjectRef;

use crate::api::FlagsmithDeployment;

/// How soon a change is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody waits for it.
    Now,
    /// It may wait a little for what comes next.
    Soon,
}

/// A change that an installation is to be looked at for.
#[derive(Debug)]
pub struct Trigger {
    /// Which installation.
    pub installation: ObjectRef<FlagsmithDeployment>,
    /// How soon.
    pub urgency: Urgency,
}
