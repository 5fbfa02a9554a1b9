//! Limits that do not go with the number of workers.

use super::{Code, Component, Diagnosis, Running, Severity, diagnosis};
use crate::validate::Change;

/// Memory of one idle worker: 190 to 220 MiB were measured (Flagsmith 2.265.0).
const WORKER: u64 = 200 << 20;

/// Thousandths of a processor that Gunicorn's rule of thumb (two workers for each and one more) grants a worker.
const CPU_WORKER: u64 = 500;

pub(super) fn check(running: &Running<'_>) -> Option<Diagnosis> {
    let workers = u64::try_from(running.gunicorn.workers?).unwrap_or_default();
    let memory = running
        .serving
        .memory_limit
        .filter(|limit| *limit < workers.saturating_mul(WORKER));
    // One worker more than the rule grants does no harm.
    let cpu = running
        .serving
        .cpu_limit
        .filter(|limit| limit.saturating_add(CPU_WORKER) < workers.saturating_mul(CPU_WORKER));
    if memory.is_none() && cpu.is_none() {
        return None;
    }
    let mut evidence = Vec::new();
    let mut advice = Vec::new();
    if let Some(limit) = memory {
        let (limit, need) = (limit >> 20, workers.saturating_mul(WORKER) >> 20);
        evidence.push(format!(
            "Deployment {}: {workers} workers of about 200 MiB each, memory limit {limit} MiB",
            running.deployment,
        ));
        let memory = format!("{}Mi", need.saturating_add(need / 4));
        advice.push(format!(
            "Raise the memory limit to {memory}: {}{}",
            running.set(&[], &[Change::Memory(Component::Api, &memory)]),
            or_fewer(running, workers, limit / (WORKER >> 20)),
        ));
    }
    if let Some(limit) = cpu {
        evidence.push(format!(
            "Deployment {}: {workers} workers, CPU limit {limit}m",
            running.deployment,
        ));
        advice.push(format!(
            "Remove the CPU limit, which makes Gunicorn's heartbeats late: {}{}",
            running.set(&[], &[Change::NoCpuLimit(Component::Api)]),
            or_fewer(running, workers, limit / CPU_WORKER + 1),
        ));
    }
    Some(diagnosis(
        Code::WorkersExceedLimits,
        Severity::Info,
        Component::Api,
        "The API has more Gunicorn workers than its limits are enough for: under load workers are killed for lack of memory, or wait for the processor.".to_owned(),
        evidence,
        advice.join(". "),
    ))
}

/// The other way, where there is one: as many workers as fit.
fn or_fewer(running: &Running<'_>, workers: u64, fit: u64) -> String {
    let fit = fit.max(1);
    if fit >= workers {
        return String::new();
    }
    let set = running.set(&[("--workers", i32::try_from(fit).unwrap_or(1))], &[]);
    format!(". Or run {}: {set}", count(fit))
}

fn count(workers: u64) -> String {
    match workers {
        1 => "1 worker".to_owned(),
        more => format!("{more} workers"),
    }
}
