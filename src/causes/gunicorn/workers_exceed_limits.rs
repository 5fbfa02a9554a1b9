//! More Gunicorn workers than the limits are enough for.

use super::shared::running::Running;
use crate::{causes::prelude::*, validate::Change};

pub(crate) static CAUSE: Cause =
    Cause { check: Some(check), ..Cause::info(Component::Api, include_str!("workers_exceed_limits.md")) };

/// Memory of one idle worker: 190 to 220 MiB were measured (Flagsmith 2.265.0).
const WORKER: u64 = 200 << 20;

/// Thousandths of a processor that Gunicorn's rule of thumb (two workers for each and one more) grants a worker.
const CPU_WORKER: u64 = 500;

fn check(context: &Context<'_>) -> Vec<Draft> {
    context.running().and_then(of).into_iter().collect()
}

fn of(running: &Running<'_>) -> Option<Draft> {
    let workers = u64::try_from(running.gunicorn.workers?).unwrap_or_default();
    let memory = running.serving.memory_limit.filter(|limit| *limit < workers.saturating_mul(WORKER));
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
        evidence.push(format!("Deployment {}: {workers} workers, CPU limit {limit}m", running.deployment));
        advice.push(format!(
            "Remove the CPU limit, which makes Gunicorn's heartbeats late: {}{}",
            running.set(&[], &[Change::NoCpuLimit(Component::Api)]),
            or_fewer(running, workers, limit / CPU_WORKER + 1),
        ));
    }
    Some(Draft {
        message: "The API has more Gunicorn workers than its limits are enough for: under load workers are killed for \
                  lack of memory, or wait for the processor."
            .to_owned(),
        evidence,
        remedy: advice.join(". "),
        ..Code::WorkersExceedLimits.draft()
    })
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

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::shared::testing::{changed, check, codes, container, first, made, none, of_chart};
    use crate::{
        fixtures::{installation, spec},
        model::Code,
    };

    const RESOURCES: &str = "/spec/template/spec/containers/0/resources";

    #[rstest]
    #[case(json!({ "limits": { "memory": "512Mi" } }))]
    #[case(json!({ "limits": { "cpu": "500m" } }))]
    fn one_change_has_one_name(#[case] resources: Value) {
        assert_eq!(changed(RESOURCES, &resources), [Code::WorkersExceedLimits]);
    }

    /// Fewer workers are advised only where there are more than fit.
    #[rstest]
    #[case(1, false)]
    #[case(3, true)]
    fn fewer_workers_are_advised_where_there_are_more(#[case] workers: i32, #[case] expected: bool) {
        let installation = installation(&spec(json!({ "api": { "gunicorn": { "workers": workers } } })));
        let observation = made(&installation, &|body| {
            let limits = json!({ "limits": { "memory": "64Mi" } });
            body.pointer_mut("/spec/template/spec/containers/0").unwrap()["resources"] = limits;
        });
        let found = check(&installation, &observation);
        assert_eq!(codes(&found), [Code::WorkersExceedLimits]);
        assert_eq!(found[0].remedy.contains("Or run 1 worker"), expected, "{found:#?}");
    }

    #[test]
    fn limits_that_fit_are_no_diagnosis() {
        let installation = installation(&spec(json!({})));
        let observation = made(&installation, &|body| {
            body.pointer_mut("/spec/template/spec/containers/0").unwrap()["resources"] =
                json!({ "limits": { "memory": "1Gi", "cpu": "1" } });
        });
        assert_eq!(check(&installation, &observation), []);
    }

    #[test]
    fn limits_are_changed_by_values() {
        let found = of_chart(
            &|pods| container(pods)["resources"] = json!({ "limits": { "memory": "512Mi", "cpu": "500m" } }),
            &none,
        );
        let sizing = first(&found, Code::WorkersExceedLimits);
        for part in [
            "--set api.resources.limits.memory=750Mi",
            "run 2 workers",
            "--set-string 'api.extraEnv.GUNICORN_WORKERS=2'",
            "--set api.resources.limits.cpu=null",
        ] {
            assert!(sizing.remedy.contains(part), "{part}: {sizing:#?}");
        }
    }

    #[test]
    fn a_sidecar_is_not_taken_for_the_api() {
        let found = of_chart(
            &|pods| {
                let sidecar = json!({ "name": "sidecar", "image": "envoy:1", "resources": { "limits": { "memory": "64Mi" } } });
                pods["containers"].as_array_mut().unwrap().insert(0, sidecar);
            },
            &none,
        );
        assert!(found.iter().all(|it| it.code != Code::WorkersExceedLimits), "{found:#?}");
    }
}
