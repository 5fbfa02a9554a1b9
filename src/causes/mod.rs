//! The third step: what is wrong, what was seen, what to do. Pure functions from observations and logs to diagnoses.
//!
//! Every cause has one room, `<family>/<cause>.rs`, with all that is true of it, and its prose beside it in
//! `<family>/<cause>.md`. Rooms are registered in `model/code.rs`, one line for each, and know nothing of each other
//! but their codes.

mod cause;
mod consequences;
mod context;
mod described;
mod diagnose;
mod documentation;
mod log;
mod pod_logs;
mod pods;
mod prelude;
mod probes;
mod prose;
mod ranking;
mod recorded;
mod refusal;
mod sigkill;
mod snippets;
mod steps;
#[cfg(test)]
mod tests;

pub(crate) use cause::Cause;
pub(crate) use database::shared::used_by_pods;
pub use diagnose::{diagnose, ranked, sort};
pub use documentation::causes_markdown;
pub(crate) use gunicorn::shared::running::Running;
pub use log::investigation::{Investigation, diagnose_log};
pub(crate) use migrations::shared::job::cured_by;
pub(crate) use operator::crd_outdated::crd_outdated;
pub use operator::{
    namespace_not_watched::namespace_not_watched,
    not_running::{Unrenewed, not_running},
};
pub use pod_logs::diagnose_pod_log;
pub(crate) use pods::last_message;
pub use recorded::recorded;
pub use refusal::refused;
pub(crate) use steps::{age, names, tasks};
pub(crate) use task_processor::shared::locks::stuck;
pub use workloads::deployment_missing::missing_deployments;

use crate::model::{Code, for_each_cause};

/// The causes of one family, in the order of the documentation.
pub(crate) struct Family {
    /// Its heading.
    pub(crate) title: &'static str,
    /// Its causes.
    pub(crate) causes: &'static [(Code, &'static Cause)],
}

macro_rules! rooms {
    ($($family:ident $title:literal { $($code:ident: $room:ident,)* })*) => {
        $(
            mod $family {
                pub(crate) mod shared;
                $(pub(crate) mod $room;)*
            }
        )*

        /// Every family, in the order of the documentation.
        pub(crate) static FAMILIES: &[Family] = &[
            $(Family { title: $title, causes: &[$((Code::$code, &$family::$room::CAUSE),)*] },)*
        ];

        impl Code {
            /// The cause with this code.
            pub(crate) const fn cause(self) -> &'static Cause {
                match self {
                    $($(Self::$code => &$family::$room::CAUSE,)*)*
                }
            }
        }
    };
}
for_each_cause!(rooms);

/// Kinds of objects that could not be listed: what they would have shown is not known.
#[must_use]
pub fn unseen(not_seen: &[String]) -> Option<crate::model::Diagnosis> {
    operator::forbidden::unseen(not_seen).map(Into::into)
}

/// Every cause, in the order of the documentation.
pub(crate) fn all() -> impl Iterator<Item = (Code, &'static Cause)> {
    FAMILIES.iter().flat_map(|family| family.causes.iter().copied())
}
