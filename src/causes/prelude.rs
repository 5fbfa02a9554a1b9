//! The form of a room: what nearly every cause needs to say what is true of it.

pub(super) use super::consequences;
pub(crate) use super::{
    cause::{Applies, Cause, Explains, GivesWay},
    context::Context,
    log::{
        evidence::{LogEvidence, Occurrence},
        failure::{Failure, FailureDetails, Stage},
        finding::{Explanation, Finding},
        rule::{Plain, Rule, Signature},
    },
};
pub(crate) use crate::model::{Code, Component, Draft, Severity};
