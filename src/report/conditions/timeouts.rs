//! Whether the timeouts between a client and a query obey their rules.

use crate::{
    model::Code,
    report::{condition::Verdict, context::Context, mode::ModeStatus},
};

/// Causes that are a broken rule of the chain of timeouts.
const MISALIGNED: [Code; 4] = [
    Code::ProxyTimeoutBelowGunicorn,
    Code::KeepAliveBelowProxyIdle,
    Code::GraceBelowGracefulTimeout,
    Code::PreStopTooShort,
];

/// True only when what runs obeys the rules, which the diagnoses have checked.
pub(super) fn timeouts(context: Context<'_>, mode: &dyn ModeStatus) -> Verdict {
    context.diagnosed(&MISALIGNED).map_or_else(|| mode.timeouts(), Verdict::of)
}
